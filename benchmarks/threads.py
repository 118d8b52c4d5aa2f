"""What do the kernels' threads and torch's do to each other, alone and beside a busy neighbor?

A kernel (farthest points) and torch's operations (products), each by itself and in turns, as in a training
step: with two pools that wait for each other by spinning the turns would take longer than the parts. Then the
same beside a process that keeps one core busy.

    python benchmarks/threads.py [--out threads.json]
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from harness import Timing, compare, device_name, machine
from torch import Tensor

from adacross.console import markdown_table
from adacross.io.files import write_json
from adacross.ops.neighbors import farthest_point_sample

REPEATS = 10  # of both in a turn
BUSY = "while True: pass"


def jobs(clouds: int, points: int) -> dict[str, Callable[[], object]]:
    """The parts, and both in turns."""
    cloud, rows = torch.randn(clouds, points, 3), torch.randn(clouds * points // 2, 64)
    weight = torch.randn(64, 64)

    def kernel() -> Tensor:
        return farthest_point_sample(cloud, points // 4)

    def operations() -> Tensor:
        x = rows
        for _ in range(4):
            x = (x @ weight).relu().mul_(0.1)
        return x

    return {
        "kernel": lambda: [kernel() for _ in range(REPEATS)],
        "operations": lambda: [operations() for _ in range(REPEATS)],
        "turns": lambda: [(kernel(), operations()) for _ in range(REPEATS)],
    }


def row(name: str, times: dict[str, Timing]) -> tuple[str, ...]:
    """Milliseconds of the parts and of the turns, and how much longer the turns take."""
    parts = times["kernel"].median + times["operations"].median
    shown = (f"{1000 * times[part].median / REPEATS:.1f} ms" for part in ("kernel", "operations", "turns"))
    return (name, *shown, f"{times['turns'].median / parts:.2f}x")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    clouds, points, turns = (2, 64, 1) if options.quick else (16, 1024, options.turns)
    rows = [row("alone", compare(jobs(clouds, points), turns))]
    neighbor = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        rows.append(row("one core busy", compare(jobs(clouds, points), turns)))
    finally:
        neighbor.kill()
        neighbor.wait()
    words = markdown_table((device_name("cpu"), "kernel", "operations", "in turns", "of the sum"), rows)
    print(words)
    if options.out:
        write_json(options.out, {"title": "Threads", "machine": machine(), "words": words})


if __name__ == "__main__":
    main()
