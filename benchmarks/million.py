"""How much time, memory and recall does a search in 1,000,000 shapes cost, in memory and on LanceDB?

The features are drawn: families of parts, each a plane of 8 directions with some noise, 128 axes as a
whitening leaves. Real ones may be less clear. Both ways run in a process of their own, which reports its peak
memory; LanceDB's starts from its tables, as a second `SearchIndex` does.

    python benchmarks/million.py [--shapes 1000000] [--turns 50] [--quick] [--out FILE]
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lancedb  # noqa: F401  before anything is timed
import numpy as np
from harness import Timing, machine
from jaxtyping import Float32
from rich.console import Console
from rich.table import Table

from adacross.io.files import write_json
from adacross.search.index import nearest
from adacross.search.lance import LanceRows

DIM, DIRECTIONS, OF_A_FAMILY, TOP = 128, 8, 250, 48
BLOCK = 2**14
NAME = "vectors"


def blocks(shapes: int, start: int = 0) -> Iterator[Float32[np.ndarray, "b D"]]:
    """Rows of length 1, the same ones each time."""
    rng = np.random.default_rng(0)
    families = max(4, shapes // OF_A_FAMILY)
    centers = rng.standard_normal((families, DIM), dtype=np.float32)
    planes = rng.standard_normal((families, DIRECTIONS, DIM), dtype=np.float32) / DIRECTIONS**0.5
    for first in range(start, shapes, BLOCK):
        rng = np.random.default_rng([1, first])
        of = rng.integers(0, families, min(BLOCK, shapes - first))
        along = rng.standard_normal((len(of), 1, DIRECTIONS), dtype=np.float32)
        rows = centers[of] + 0.5 * (along @ planes[of])[:, 0]
        rows += 0.2 * rng.standard_normal(rows.shape, dtype=np.float32)
        yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def measured(way: str, shapes: int, turns: int, folder: str) -> dict[str, Any]:
    """Search `turns` times; return what was found, the seconds, and this process's peak MiB."""
    start = time.perf_counter()
    if way == "memory":
        rows: Any = np.empty((shapes, DIM), np.float32)
        for number, block in enumerate(blocks(shapes)):
            rows[number * BLOCK : number * BLOCK + len(block)] = block
    else:
        rows = LanceRows.open(folder, NAME, shapes, lambda start: blocks(shapes, start))
    opened = time.perf_counter() - start
    found, seconds = [], []
    for turn in range(turns + 1):
        query = rows[turn * 9973 % shapes]
        candidates = np.ones(shapes, dtype=bool)
        start = time.perf_counter()
        indices, _ = nearest(rows, query, candidates, TOP)
        seconds.append(time.perf_counter() - start)
        found.append(indices.tolist())
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"found": found, "opened": opened, "seconds": seconds[1:], "mib": mib}


def apart(way: str, options: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Measure in a process of its own."""
    words = [way, str(options.shapes), str(options.turns), folder]
    done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="toy size: whether it runs at all")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    if options.quick:
        options.shapes, options.turns = 20_000, 5
    with TemporaryDirectory() as folder:
        made = apart("lance", options, folder)  # writes the table
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 2**20
        ways = {way: apart(way, options, folder) for way in ("memory", "lance")}
    pairs = zip(ways["memory"]["found"], ways["lance"]["found"], strict=True)
    recall = float(np.mean([len({*a} & {*b}) / len(a) for a, b in pairs]))
    figures = {
        way: {"search": vars(Timing.of(each["seconds"])), "mib": each["mib"]} for way, each in ways.items()
    }
    found = {
        "shapes": options.shapes, "dim": DIM, "top": TOP, "recall": recall, "build": made["opened"],
        "open": ways["lance"]["opened"], "disk_mib": disk, "ways": figures, "machine": machine(),
    }  # fmt: skip
    table = Table(title=f"search in {options.shapes:,} shapes of {DIM} axes: the {TOP} nearest")
    for name in ("", "milliseconds (quartiles)", "peak MiB", "recall"):
        table.add_column(name, justify="right")
    for way, each in figures.items():
        low, median, high = (1e3 * each["search"][name] for name in ("low", "median", "high"))
        share = "1" if way == "memory" else f"{recall:.4f}"
        table.add_row(way, f"{median:.1f} ({low:.1f}-{high:.1f})", f"{each['mib']:,.0f}", share)
    console = Console()
    console.print(table)
    console.print(
        f"LanceDB: {made['opened']:.0f} s to write and divide, {ways['lance']['opened']:.1f} s to open, "
        f"{disk:,.0f} MiB on disk"
    )
    if options.out:
        write_json(options.out, found)


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] in ("memory", "lance"):
        print(json.dumps(measured(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
    else:
        main()
