"""What does a DGCNN training step cost as clouds, batches, neighborhoods and cores grow? And a linear probe?

Forward and backward, ours and the published formulation, one quantity at a time around 4 clouds of 1,024
points, k 20. The published formulation is left out where it would need more than `--limit` MiB. The probe is
the linear SVM on made-up features (see probe.py), fit and score, against scikit-learn's SVC.

    python benchmarks/curves.py [--out curves.json] [--svg curves.svg]

A training step does not know how many shapes there are; an epoch costs as many steps as they fill.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from chart import Group, Line, Panel, draw
from dgcnn import step
from harness import Timing, compare, machine
from probe import C, features
from published import PlainDGCNN
from rich.console import Console
from rich.table import Table
from sklearn.svm import SVC

from adacross.encoders import DGCNN
from adacross.features.svm import fixed_svm
from adacross.io.files import whole_file, write_json

SHAPES = "labeled shapes"
COLORS = {"published": "#b2512a", "ours": "#1f6f8b"}
# MiB that the published formulation keeps for backward, per edge: measured at 16 x 1,024 points, k 20.
PLAIN_MIB_PER_EDGE = 2800 / (16 * 1024 * 20)


@dataclass(frozen=True)
class Setting:
    """One point of a curve."""

    clouds: int = 4
    points: int = 1024
    k: int = 20
    threads: int = 0


def settings(quick: bool) -> dict[str, tuple[str, list[Setting]]]:
    """The curves: what varies, the attribute's name, and its points."""
    if quick:
        return {"points a cloud": ("points", [Setting(2, 48, 5, 1), Setting(2, 64, 5, 1)])}
    cores = torch.get_num_threads()
    return {
        "points a cloud": ("points", [Setting(2, n, 20, cores) for n in (512, 1024, 2048, 4096, 8192)]),
        "clouds a batch": ("clouds", [Setting(b, threads=cores) for b in (2, 4, 8, 16, 32)]),
        "neighbors k": ("k", [Setting(k=k, threads=cores) for k in (5, 10, 20, 40)]),
        "threads": ("threads", [Setting(threads=t) for t in range(1, cores + 1)]),
    }


def measure(setting: Setting, turns: int, limit: float) -> dict[str, Timing]:
    """Seconds and MiB of a training step, ours and as published."""
    torch.set_num_threads(setting.threads)
    torch.manual_seed(0)
    ours = DGCNN(setting.k).train()
    points = torch.randn(setting.clouds, setting.points, 3)
    jobs = {"ours": lambda: step(ours, points)}
    if setting.clouds * setting.points * setting.k * PLAIN_MIB_PER_EDGE <= limit:
        plain = PlainDGCNN(ours).train()
        jobs["published"] = lambda: step(plain, points)
    return compare(jobs, turns)


def probe(shapes: int) -> dict[str, Timing]:
    """Seconds and MiB of a linear probe with so many training shapes, ours and scikit-learn's."""
    train, labels, test, _ = features(shapes, shapes // 4, 1024, min(40, shapes // 5))
    jobs = {
        "ours": lambda: fixed_svm(train, labels, test, C),
        "published": lambda: SVC(kernel="linear", C=C, cache_size=1000).fit(train, labels).predict(test),
    }
    return compare(jobs, 1, warm_up=False)


def picture(curves: dict[str, list[dict]]) -> str:
    """Seconds and memory against each quantity, as SVG."""
    groups = []
    for name, points in curves.items():
        panels = []
        what = "Linear probe" if name == SHAPES else "DGCNN training step"
        for title, part in (("seconds", "median"), ("MiB above the idle process", "mib")):
            lines = []
            for way in ("published", "ours"):
                known = [(point["x"], point[way][part]) for point in points if way in point]
                x, y = np.array(known, dtype=float).T
                dash = "5 3" if way == "published" else ""
                lines.append(Line(way, COLORS[way], x, y, np.zeros_like(y), dash))
            panels.append(Panel(title, lines))
        groups.append(Group(f"{what} against {name}", name, panels, columns=2, shared=False))
    return draw(groups)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--limit", type=float, default=3000, help="MiB that the published way may need")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--svg", type=Path, help="draw the curves here")
    options = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    curves: dict[str, list[dict]] = {}
    table = Table(
        title="A DGCNN training step (4 clouds of 1,024 points, k 20; 2 where points vary); a linear probe"
    )
    for name in ("", "", "published s", "ours s", "ratio", "published MiB", "ours MiB"):
        table.add_column(name, justify="right")

    def add(name: str, x: int, times: dict[str, Timing]) -> None:
        curves.setdefault(name, []).append({"x": x, **{way: vars(timing) for way, timing in times.items()}})
        ours, plain = times["ours"], times.get("published")
        table.add_row(
            name, f"{x:,}", f"{plain.median:.3g}" if plain else "", f"{ours.median:.3g}",
            f"{plain.median / ours.median:.1f}" if plain else "",
            f"{plain.mib:,.0f}" if plain and plain.mib else "", f"{ours.mib:,.0f}" if ours.mib else "",
        )  # fmt: skip

    for name, (attribute, points) in settings(options.quick).items():
        for setting in points:
            add(name, getattr(setting, attribute), measure(setting, options.turns, options.limit))
    torch.set_num_threads(threads)
    for shapes in (50, 100) if options.quick else (500, 1000, 2000, 4000):
        add(SHAPES, shapes, probe(shapes))
    Console(width=110).print(table)
    if options.out:
        write_json(options.out, {"title": "Cost curves", "machine": machine(), "curves": curves})
    if options.svg:
        with whole_file(options.svg) as temporary:
            temporary.write_text(picture(curves), encoding="utf-8")


if __name__ == "__main__":
    main()
