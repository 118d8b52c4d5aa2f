"""How long until something happens?

Fresh processes that take turns: `import torch` beside `import torch, adacross`, and what a user types to get
help, beside an empty Python. And what the kernels cost that are compiled when they are first used: a small
preparation and two small trainings without compiled code on disk, less the same with it.

    python benchmarks/startup.py [--out startup.json]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
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
FIRST_USE = "kernels, compiled at first use"
FIRST_USE_GOAL = 15  # seconds
# Uses every kernel: rendering, augmentation, neighbors and edges, farthest points and groups.
SMALL = """
import sys, adacross
shapes = adacross.prepare("builtin", sys.argv[1], count=60, points=128, views=1, size=32, workers=1)
small = {"epochs": 1, "batch_size": 8, "points": 128, "monitor_every": 0, "device": "cpu"}
images = {"image_encoder": "resnet18", "image_encoder_args": {"width": 8}, "image_size": 32}
for encoder in ("dgcnn-partseg", "dgcnn"):
    arguments = {"k": 10, "width": 64}
    run = f"{sys.argv[1]}-{encoder}"
    adacross.pretrain(shapes, encoder=encoder, encoder_args=arguments, run=run, **small, **images)
tokens = {"groups": [32, 16, 8], "neighbors": [8, 4, 4], "dims": [16, 32, 48], "width": 8, "heads": 4}
run = f"{sys.argv[1]}-tokens"
adacross.pretrain(shapes, method="joint-mae", encoder_args=tokens, image_size=32, run=run, **small)
"""


def first_use() -> float:
    """Seconds of compilation: a small job without compiled kernels on disk, less the same with them."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": f"{folder}/kernels"}
        for turn in ("without", "with"):
            command = [sys.executable, "-c", SMALL, f"{folder}/{turn}"]
            start = time.perf_counter()
            subprocess.run(command, check=True, env=environment, capture_output=True)
            seconds.append(time.perf_counter() - start)
    return seconds[0] - seconds[1]


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
    for name, each in times.items():
        above = f"{each.median - torch_alone:.3f}" if name.startswith("import torch,") else ""
        goal = f"{GOALS[name]}" if name in GOALS else ""
        table.add_row(name, f"{each.median:.3f}", above, goal)
        words += f"| `{name}` | {each.median:.3f} | {above} | {goal} |\n"
    compiling = first_use()
    table.add_row(FIRST_USE, f"{compiling:.1f}", "", f"{FIRST_USE_GOAL}")
    words += f"| {FIRST_USE} | {compiling:.1f} | | {FIRST_USE_GOAL} |\n"
    Console(width=100).print(table)
    if options.out:
        found = {name: vars(each) for name, each in times.items()}
        about = {"title": "Start-up", "machine": machine(), "words": words.strip()}
        write_json(options.out, about | {"times": found, "first_use": compiling})


if __name__ == "__main__":
    main()
