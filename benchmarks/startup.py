"""How long until something happens?

Fresh processes that take turns: `import torch` beside `import torch, adacross`, and what a user types to get
help, beside an empty Python.

    python benchmarks/startup.py [--out startup.json]
"""

import argparse
import subprocess
import sys
from pathlib import Path

from harness import compare, machine
from rich.console import Console
from rich.table import Table

from adacross.io.files import write_json

COMMANDS = {
    "python": ["-c", "pass"],
    "import torch": ["-c", "import torch"],
    "import torch, adacross": ["-c", "import torch, adacross"],
    "import adacross and name an encoder": ["-c", "import adacross; adacross.DGCNN"],
    "adacross --help": ["-m", "adacross", "--help"],
    "adacross pretrain --help": ["-m", "adacross", "pretrain", "--help"],
    "adacross evaluate linear --help": ["-m", "adacross", "evaluate", "linear", "--help"],
}
GOALS = {"import torch, adacross": 0.3, "adacross --help": 0.5}  # seconds: the first above `import torch`


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one turn")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    jobs = {
        name: lambda command=command: subprocess.run(
            [sys.executable, *command], check=True, stdout=subprocess.DEVNULL
        )
        for name, command in COMMANDS.items()
    }
    times = compare(jobs, 1 if options.quick else options.turns)
    torch_alone = times["import torch"].median
    table = Table(title="Start-up")
    for name in ("", "seconds", "above torch", "goal"):
        table.add_column(name, justify="right" if name else "left")
    words = "| | seconds | above `import torch` | goal |\n|---|---:|---:|---:|\n"
    for name, time in times.items():
        above = f"{time.median - torch_alone:.3f}" if name.startswith("import torch,") else ""
        goal = f"{GOALS[name]}" if name in GOALS else ""
        table.add_row(name, f"{time.median:.3f}", above, goal)
        words += f"| `{name}` | {time.median:.3f} | {above} | {goal} |\n"
    Console(width=100).print(table)
    if options.out:
        found = {name: vars(time) for name, time in times.items()}
        write_json(
            options.out, {"title": "Start-up", "machine": machine(), "words": words.strip(), "times": found}
        )


if __name__ == "__main__":
    main()
