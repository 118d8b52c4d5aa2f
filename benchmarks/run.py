"""Runs every benchmark, one after the other, and says which goals are met.

    python benchmarks/run.py [--quick] [--device cuda] [--out benchmarks/results]

Writes one JSON a benchmark; `python benchmarks/page.py` makes the tables and curves of docs/performance.md
from them. Measure on a machine that does nothing else; it takes less than 20 minutes there on two cores.
`accuracy_per_minute.py`, which takes hours, is run by itself.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
NAMES = (
    *("startup", "threads", "neighbors", "dgcnn", "masked", "samples", "step", "probe", "render"),
    *("memory", "curves"),
)
ON_A_GPU = ("neighbors", "dgcnn", "masked", "step")


def summary(folder: Path) -> Table:
    """All rows that have a goal."""
    table = Table(title="Goals")
    for name in ("", "ratio", "goal", "memory ratio", "goal", "met"):
        table.add_column(name, justify="left" if not name else "right")
    for name in NAMES:
        path = folder / f"{name}.json"
        for row in json.loads(path.read_text(encoding="utf-8")).get("rows", ()) if path.exists() else ():
            if row["met"] is None:
                continue
            figures = (row["ratio"], row["goal"], row["memory_ratio"], row["memory_goal"])
            shown = ("" if value is None else f"{value:.3g}" for value in figures)
            table.add_row(row["what"], *shown, "[green]yes" if row["met"] else "[red]no")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="toy sizes: whether they run at all")
    parser.add_argument("--device", default="cpu", help="cuda: only those benchmarks that have a GPU's row")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the JSON files")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    console = Console(width=140)
    began = time.perf_counter()
    for name in NAMES if options.device == "cpu" else ON_A_GPU:
        command = [sys.executable, str(HERE / f"{name}.py"), "--out", str(options.out / f"{name}.json")]
        command += ["--quick"] if options.quick else []
        command += ["--device", options.device] if options.device != "cpu" else []
        start = time.perf_counter()
        subprocess.run(command, check=True)
        console.print(f"[dim]{name}: {time.perf_counter() - start:.0f} s")
    console.print(summary(options.out))
    console.print(f"[dim]all of it: {(time.perf_counter() - began) / 60:.1f} min")


if __name__ == "__main__":
    main()
