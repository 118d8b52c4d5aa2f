"""Which accuracy does a minute of pre-training buy?

The published formulation of CrossPoint, written plainly, and our laptop recipes of the four methods: same
data, same probe, one thread each. Along the way the encoder is probed as `evaluate linear` does: a linear SVM
is fitted on the shapes trained on and scored on training shapes that were held out; the test split is never
read. The time is the process's own (all its threads, and processes it started), without the probes'.

    python benchmarks/accuracy_per_minute.py --folder runs/accuracy --out benchmarks/results/accuracy.json
    python benchmarks/accuracy_per_minute.py --folder runs/accuracy --seeds 1 2    (beside it, another core)

Each finished run is a file in the folder. Interrupted, the same command goes on; `--finished` sums up what is
there. Without --collection, built-in shapes are prepared in the folder. `page.py` draws the curves.

The published formulation: DGCNN (k 15) with every edge built, two augmented clouds and one picture of 224
pixels through ResNet, samples transformed one by one, batches of 20, Adam with 1e-3 and weight decay 1e-6;
its rate hardly changes in an hour (one cosine over 100 epochs). It is spared half of its points (1,024 of
2,048: six gigabytes instead of twelve) and half of its image network (ResNet-18 instead of 50).
"""

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chart import Group, Line, Panel, draw
from harness import machine
from PIL import Image
from published import PlainConv, PlainDGCNN
from published_samples import plain_cloud, plain_rgb
from step import PlainResNet
from torch import Tensor, nn

from adacross.console import console, markdown_table, progress_bar
from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.encoders import DGCNN, Encoder, ResNet
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.features.svm import enough_folds, fit_svm
from adacross.io.files import read_json, whole_file, write_json
from adacross.losses.nt_xent import nt_xent
from adacross.nn.heads import ImageProjection, PointProjection
from adacross.training.config import PretrainConfig
from adacross.training.loop import Callback, Training
from adacross.training.monitor import split_validation
from adacross.training.pretrain import pretrain

PUBLISHED = "CrossPoint as published"
RECIPES = {
    "CrossPoint": "crosspoint_pointnet_laptop",
    "CrossNet": "crossnet_pointnet_laptop",
    "AdaCrossNet": "adacrossnet_pointnet_laptop",
    "AdaCrossNet, DGCNN": "adacrossnet_dgcnn_laptop",
    "Joint-MAE": "joint_mae_laptop",
}
COLORS = dict(
    zip(
        (PUBLISHED, *RECIPES), ("#b2512a", "#0072b2", "#009e73", "#e69f00", "#56b4e9", "#cc79a7"), strict=True
    )
)
MARKS = (0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50)  # core-minutes after which is probed
PICTURE = "images/accuracy-per-minute.svg"  # beside docs/performance.md; page.py draws it
GOAL = 6.0  # core-minutes to the accuracy of the published formulation in 60
HELD_OUT = 0.2  # of the training split
FITTED = 2000  # shapes that the probe is fitted on, at most
K, BATCH, RATE, DECAY, TEMPERATURE = 15, 20, 1e-3, 1e-6, 0.1  # CrossPoint's


@dataclass(frozen=True)
class Size:
    """What --quick makes small."""

    shapes: int = 3000
    points: int = 1024  # of the published formulation
    image: int = 224
    width: int = 1024
    image_width: int = 64
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the recipes


TOY: dict[str, Any] = {"epochs": 1, "batch_size": 16, "points": 48}
TOY_POINTNET = TOY | {"encoder_args": {"width": 32}, "image_encoder_args": {"width": 8}}
TOY_DGCNN = TOY | {"encoder_args": {"k": 5, "width": 32}, "image_encoder_args": {"width": 8}}
TOY_TOKENS = {"groups": [24, 12, 6], "neighbors": [8, 4, 4], "dims": [16, 32, 48], "width": 8, "heads": 4}
TOY_MASKED = TOY | {"encoder_args": TOY_TOKENS, "method_args": {"target": "coarse", "group_points": 8}}
QUICK = Size(
    shapes=160,
    points=64,
    image=64,
    width=32,
    image_width=8,
    changes=dict.fromkeys(RECIPES, TOY_POINTNET) | {"Joint-MAE": TOY_MASKED, "AdaCrossNet, DGCNN": TOY_DGCNN},
)


def cpu_seconds() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@dataclass
class Probe:
    """Accuracy of an encoder on held-out training shapes, and the clock, which stands still meanwhile."""

    collection: Collection
    points: int
    seed: int
    found: list[dict[str, float]] = field(default_factory=list)
    began: float = field(default_factory=cpu_seconds)

    @cached_property
    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Shapes to train on and to fit, and those held out, as the library divides them."""
        return split_validation(self.collection.indices("train"), HELD_OUT, self.seed)

    @property
    def minutes(self) -> float:
        """Core-minutes of training so far."""
        return (cpu_seconds() - self.began) / 60

    @property
    def due(self) -> bool:
        """Whether a mark was passed since the last look."""
        last = self.found[-1]["minutes"] if self.found else -1.0
        return any(last < mark <= self.minutes for mark in MARKS)

    def look(self, encoder: nn.Module, step: int) -> None:
        """Note the accuracy after a step."""
        stopped, minutes = cpu_seconds(), self.minutes
        fit, asked = self.split[0][:FITTED], self.split[1]
        labels = self.collection.labels
        known, new = (
            encode(encoder, self.collection.points(part)[:, : self.points]) for part in (fit, asked)
        )
        machine = fit_svm(known, labels[fit], enough_folds(labels[fit], 5), seed=0)
        accuracy = float(np.mean(machine.predict(new) == labels[asked]))
        self.found.append({"minutes": minutes, "accuracy": accuracy, "step": step})
        self.began += cpu_seconds() - stopped


class Looks(Callback):
    """Probes a run of ours while it trains."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe

    def on_start(self, training: Training) -> None:
        """Probe the untrained encoder; the clock begins."""
        self.probe.began = cpu_seconds()
        self.probe.look(training.method.encoder, 0)

    def on_step(self, training: Training) -> None:
        """Probe if it is due, and at the end."""
        if self.probe.due or training.step == training.steps:
            self.probe.look(training.method.encoder, training.step)


def ours(name: str, seed: int, collection: Collection, size: Size, folder: Path) -> list[dict[str, float]]:
    """Pre-train with a recipe from the beginning; return what was found along the way."""
    changes = size.changes.get(name, {}) | {
        "run": str(folder / "runs" / f"{slug(name)}-{seed}"),
        "seed": seed,
        "validation_fraction": HELD_OUT,
        "monitor_every": 0,
        "checkpoint_every": 1000,
        "device": "cpu",
        "overwrite": True,
    }
    config = PretrainConfig.recipe(RECIPES[name], str(collection.folder), **changes)
    probe = Probe(collection, config.points or collection.info.points, seed)
    pretrain(config, [Looks(probe)])
    return probe.found


class PlainCrossPoint(nn.Module):
    """CrossPoint as published: every edge, convolutions of size 1, pictures in the order `(B, C, H, W)`."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.own = [DGCNN(K, size.width)]  # not among the parameters
        images = ResNet(18, 3, size.image_width)
        self.encoder = PlainDGCNN(self.own[0])
        self.head = PointProjection(self.own[0].dim)
        self.images = nn.Sequential(PlainResNet(images), ImageProjection(images.dim))

    def forward(self, first: Tensor, second: Tensor, pictures: Tensor) -> Tensor:
        """The sum of both terms."""
        one, two = self.head(self.encoder(torch.cat([first, second]))).chunk(2)
        within = nt_xent(one, two, TEMPERATURE)
        return within + nt_xent((one + two) / 2, self.images(pictures), TEMPERATURE)

    def as_ours(self) -> Encoder:
        """Its encoder as ours, with the same weights: the same features in less time."""
        layers = [*self.own[0].edges, self.own[0].last]
        plain = [each for each in self.encoder.modules() if isinstance(each, PlainConv)]
        for layer, each in zip(layers, plain, strict=True):
            layer.linear.weight.data = each.conv.weight.data.view_as(layer.linear.weight).clone()
            layer.norm.load_state_dict(each.norm.state_dict())
        return self.own[0]


def samples(
    collection: Collection, indices: np.ndarray, size: Size, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches without end: two clouds and a picture of each shape, read and transformed one by one."""
    while True:
        order = rng.permutation(indices)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            batch = []
            for i in order[start : start + BATCH]:
                points = collection.points(np.array([i]))[0, : size.points]
                picture = Image.fromarray(collection.view(int(i), int(rng.integers(collection.info.views))))
                clouds = plain_cloud(points, rng), plain_cloud(points, rng)
                batch.append((*clouds, plain_rgb(picture, size.image, rng)))
            first, second, pictures = (torch.stack(parts) for parts in zip(*batch, strict=True))
            yield first, second, pictures


def published(seed: int, collection: Collection, size: Size, minutes: float) -> list[dict[str, float]]:
    """Pre-train the published formulation for so many core-minutes; return what was found along the way."""
    torch.manual_seed(seed)
    network = PlainCrossPoint(size).train()
    optimizer = torch.optim.Adam(network.parameters(), RATE, weight_decay=DECAY)
    probe = Probe(collection, size.points, seed)
    probe.look(network.as_ours(), 0)
    batches = samples(collection, probe.split[0], size, np.random.default_rng(seed))
    with progress_bar("core-minutes") as progress:
        task = progress.add_task(PUBLISHED, total=minutes, note="")
        for step, batch in enumerate(batches, 1):
            optimizer.zero_grad()
            network(*batch).backward()
            optimizer.step()
            over = probe.minutes >= minutes
            if probe.due or over:
                probe.look(network.as_ours(), step)
            note = f"step {step}, accuracy {100 * probe.found[-1]['accuracy']:.1f} %"
            progress.update(task, completed=min(probe.minutes, minutes), note=note)
            if over:
                break
    return probe.found


def slug(name: str) -> str:
    """A method's name as part of a file's."""
    return name.lower().replace(",", "").replace(" ", "-")


def time_left(due: list[tuple[str, int]], done: dict[str, list[float]], minutes: float) -> str:
    """In words, from how long runs of the same method took, else from their core-minutes."""
    seconds = 0.0
    for name, _ in due:
        known = done.get(name)
        seconds += float(np.mean(known)) if known else 60 * (minutes if name == PUBLISHED else minutes / 6)
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min"


def measure(
    collection: Collection, size: Size, options: argparse.Namespace
) -> dict[str, dict[int, list[dict[str, float]]]]:
    """All runs by method and seed: those in the folder are read, the others made."""
    folder: Path = options.folder
    jobs = [(name, seed) for seed in options.seeds for name in (*RECIPES, PUBLISHED)]
    found: dict[str, dict[int, list[dict[str, float]]]] = {name: {} for name in (PUBLISHED, *RECIPES)}
    took: dict[str, list[float]] = {}
    for number, (name, seed) in enumerate(jobs):
        path = folder / f"{slug(name)}-{seed}.json"
        wanted = {"collection": collection.digest(), "minutes": options.minutes, "size": asdict(size)}
        if path.exists():
            record = read_json(path, "a run of this benchmark")
            if record["options"] != wanted:
                raise UserError(f"{path} was measured on other data or sizes. Give another --folder.")
        elif options.finished:
            continue
        else:
            left = time_left(jobs[number:], took, options.minutes)
            console.print(f"run {number + 1} of {len(jobs)}: {name}, seed {seed}; about {left} left")
            began = time.monotonic()
            if name == PUBLISHED:
                looks = published(seed, collection, size, options.minutes)
            else:
                looks = ours(name, seed, collection, size, folder)
            record = {"options": wanted, "seconds": time.monotonic() - began, "looks": looks}
            write_json(path, record)
        took.setdefault(name, []).append(record["seconds"])
        found[name][seed] = record["looks"]
    if not found[PUBLISHED]:
        raise UserError(f"{folder} has no finished run of {PUBLISHED}, with which the others are compared.")
    return {name: runs for name, runs in found.items() if runs}


def curve(runs: dict[int, list[dict[str, float]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minutes `(n,)`, mean accuracy and its standard deviation over the seeds, while all of them train."""
    known = [np.array([(look["minutes"], look["accuracy"]) for look in looks]).T for looks in runs.values()]
    last = min(x[-1] for x, _ in known)
    x = np.array([0.0, *(mark for mark in MARKS if mark < last), last])
    values = np.stack([np.interp(x, *each) for each in known])
    return x, values.mean(0), values.std(0, ddof=1) if len(values) > 1 else np.zeros_like(x)


def reached(x: np.ndarray, y: np.ndarray, accuracy: float) -> float | None:
    """Minutes after which a curve is at an accuracy for the first time; None if it never is."""
    (above,) = np.nonzero(y >= accuracy)
    if not len(above):
        return None
    i = int(above[0])
    return float(x[0] if i == 0 else np.interp(accuracy, y[i - 1 : i + 1], x[i - 1 : i + 1]))


def picture(curves: dict[str, Any]) -> str:
    """Accuracy against core-minutes as SVG: the beginning, and all of it."""
    panels = []
    whole = max(curve["x"][-1] for curve in curves.values())
    for title, end in (("the beginning", min(10.0, whole)), ("all of it", whole)):
        lines = []
        for name, each in curves.items():
            x, y, spread = (np.array(each[part]) for part in ("x", "y", "spread"))
            shown = np.unique(np.append(x[x < end], min(end, x[-1])))
            y, spread = (100 * np.interp(shown, x, values) for values in (y, spread))
            lines.append(Line(name, COLORS[name], shown, y, spread, "5 3" if name == PUBLISHED else ""))
        panels.append(Panel(title, lines))
    heading = "Held-out accuracy of a linear probe in %, against core-minutes of pre-training"
    return draw([Group(heading, "core-minutes", panels, columns=2, shared=False, zero=False)])


def summary(curves: dict[str, Any], minutes: float) -> str:
    """The table of docs/performance.md."""
    target = curves[PUBLISHED]["y"][-1]
    rows = []
    for name, each in curves.items():
        when = reached(np.array(each["x"]), np.array(each["y"]), target)
        spread = f" ± {100 * each['spread'][-1]:.1f}" if each["seeds"] > 1 else ""
        end = f"{100 * each['y'][-1]:.1f}{spread} %"
        sooner = "" if when is None or name == PUBLISHED else f"{minutes / max(when, 0.01):.0f}x"
        taken = "never" if when is None else f"{when:.1f}"
        untrained = f"{100 * each['y'][0]:.1f} %"
        rows.append((name, f"{each['seeds']}", f"{each['x'][-1]:.1f}", untrained, end, taken, sooner))
    reach = f"minutes to {100 * target:.1f} %"
    header = ("", "seeds", "core-minutes", "untrained", "at the end", reach, "sooner")
    return markdown_table(header, rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--collection", help="a prepared folder with classes and pictures")
    parser.add_argument("--folder", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--minutes", type=float, default=60, help="core-minutes of the published formulation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--finished", action="store_true", help="run nothing; sum up the finished runs")
    parser.add_argument("--quick", action="store_true", help="toy sizes, one seed")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--svg", type=Path, help="draw the curves here")
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else Size()
    if options.quick:
        options.minutes, options.seeds = 0.02, [0]
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        given = options.collection or str(options.folder / "shapes")
        if not options.collection and not Path(given).exists():
            stored = {"points": size.points, "size": size.image}
            prepare(
                "builtin", given, count=size.shapes, views=4, workers=1 if options.quick else None, **stored
            )
        found = measure(Collection.open(given), size, options)
    except UserError as error:
        raise SystemExit(f"accuracy_per_minute.py: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("stopped; finished runs are kept, and the same command goes on.") from None
    curves = {}
    for name, runs in found.items():
        parts = dict(zip(("x", "y", "spread"), (part.tolist() for part in curve(runs)), strict=True))
        curves[name] = {**parts, "seeds": len(runs)}
    words = summary(curves, options.minutes)
    print(words)
    if options.out:
        words += f"\n\n![Accuracy against core-minutes of pre-training]({PICTURE})"
        about = {
            "title": "Accuracy per minute",
            "machine": machine(),
            "minutes": options.minutes,
            "goal": GOAL,
        }
        write_json(options.out, {**about, "words": words, "curves": curves, "runs": found})
    if options.svg:
        with whole_file(options.svg) as temporary:
            temporary.write_text(picture(curves), encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
