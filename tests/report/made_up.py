"""A made-up run: plausible curves, pictures and clouds, nothing trained."""

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from adacross.report.inputs import (
    Card,
    CollectionFacts,
    Direction,
    EmbeddingMap,
    InteractiveCloud,
    Linear,
    Log,
    Match,
    Probe,
    Retrieval,
    RunData,
)

CLASSES = (
    "armchair", "bench", "bottle", "bowl", "desk", "lamp", "mug", "shelf", "stool", "table", "tent", "vase",
)  # fmt: skip
PARTS = ("leg", "seat", "back")


def _box(rng: np.random.Generator, low: tuple, high: tuple, count: int) -> np.ndarray:
    low, high = np.array(low), np.array(high)
    points = rng.uniform(low, high, (count, 3))
    axis = rng.integers(3, size=count)
    side = rng.integers(2, size=count)
    points[np.arange(count), axis] = np.where(side == 0, low[axis], high[axis])
    return points


def _turned(
    rng: np.random.Generator, radius: np.ndarray, bottom: float, top: float, count: int
) -> np.ndarray:
    height, angle = rng.uniform(0, 1, count), rng.uniform(0, 2 * math.pi, count)
    width = np.interp(height, np.linspace(0, 1, len(radius)), radius)
    return np.stack([width * np.cos(angle), bottom + (top - bottom) * height, width * np.sin(angle)], axis=1)


def make_cloud(label: int, rng: np.random.Generator, count: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    """Points and parts of something that looks like its class from afar."""
    wide = rng.uniform(0.4, 0.65)
    if label % 3 == 0 or label in (1, 4, 8):  # stands on four legs
        high = rng.uniform(-0.2, 0.3)
        legs = [
            _box(rng, (x - 0.05, -0.7, z - 0.05), (x + 0.05, high, z + 0.05), count // 8)
            for x in (-wide, wide)
            for z in (-0.4, 0.4)
        ]
        seat = _box(rng, (-wide - 0.06, high, -0.46), (wide + 0.06, high + 0.08, 0.46), count // 4)
        back = _box(rng, (-wide, high, 0.38), (wide, 0.75, 0.46), count - 4 * (count // 8) - count // 4)
        pieces = [
            np.concatenate(legs),
            seat,
            back if label % 2 == 0 else np.concatenate([seat, back])[: len(back)],
        ]
    else:
        profile = np.random.default_rng(label).uniform(0.15, 0.6, 5) * rng.uniform(0.85, 1.15, 5)
        pieces = [
            _turned(rng, profile, -0.75, 0.5, count // 2),
            _turned(rng, profile[-1:], 0.5, 0.55, count // 4),
            _turned(rng, profile[:1] * 1.2, -0.8, -0.75, count - count // 2 - count // 4),
        ]
    part = np.concatenate([np.full(len(piece), index) for index, piece in enumerate(pieces)])
    points = np.concatenate(pieces)
    points = points - points.mean(axis=0)
    return (points / np.linalg.norm(points, axis=1).max()).astype(np.float32), part.astype(np.int64)


def draw(points: np.ndarray, hue: int, azimuth: float = 0.6, size: int = 160) -> bytes:
    """A picture of a cloud as WebP: discs, far ones first."""
    turn = np.array(
        [[math.cos(azimuth), 0, math.sin(azimuth)], [0, 1, 0], [-math.sin(azimuth), 0, math.cos(azimuth)]]
    )
    tilt = np.array([[1, 0, 0], [0, 0.93, -0.37], [0, 0.37, 0.93]])
    seen = points @ turn.T @ tilt.T
    image = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(image)
    for x, y, z in seen[np.argsort(seen[:, 2])]:
        u, v = size / 2 * (1 + 0.92 * x), size / 2 * (1 - 0.92 * y)
        pen.ellipse((u - 4, v - 4, u + 4, v + 4), fill=f"hsl({hue}, 35%, {int(45 + 22 * z)}%)")
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=75)
    return buffer.getvalue()


def make_log(rng: np.random.Generator, steps: int = 480) -> Log:
    step = np.arange(1, steps + 1)
    noise = rng.normal(0, 0.14, (2, steps))
    intra, cross = 1.1 + 3.2 * np.exp(-step / 120) + noise[0], 2.0 + 3.4 * np.exp(-step / 170) + noise[1]
    weights = {"intra": 0.55 + 0.06 * np.tanh(step / 90), "cross": 0.45 + 0.15 * np.exp(-step / 160)}
    monitor = np.arange(48, steps + 1, 48)
    grown = 1 - np.exp(-monitor / 150)
    return Log(
        steps=step,
        epochs=step / 20,
        values={
            "loss": intra * weights["intra"] + cross * weights["cross"],
            "lr": 1e-3 * np.minimum(step / 30, 0.5 * (1 + np.cos(np.pi * step / steps))),
            "seconds": step * 0.52,
            "shapes_per_second": np.full(steps, 61.0),
        },
        terms={"intra": intra, "cross": cross},
        weights=weights,
        monitor_steps=monitor,
        monitor={
            "probe_accuracy": 0.55 + 0.24 * grown + rng.normal(0, 0.008, len(monitor)),
            "recall_at_1": 0.3 * grown + rng.normal(0, 0.008, len(monitor)),
        },
    )


def make_linear(rng: np.random.Generator, classes: tuple[str, ...], test: int) -> Linear:
    size = len(classes)
    confusion = np.zeros((size, size), dtype=np.int64)
    for index in range(test):
        truth = index % size
        guess = truth if rng.random() < 0.8 else (truth + int(rng.integers(1, 4))) % size
        confusion[truth, guess] += 1
    return Linear(
        data="shapes", points=1024, train=480, test=test,
        classifier="linear SVM (SVC), C by 5-fold cross-validation on the training split",
        seeds=(0, 1, 2), classes=classes,
        pretrained=Probe((0.792, 0.808, 0.8), 0.8, 0.0065, (0.1, 0.1, 1.0)),
        untrained=Probe((0.692, 0.7, 0.717), 0.703, 0.0104, (1.0, 10.0, 1.0)),
        gain=0.097, confusion=confusion,
    )  # fmt: skip


def make_run(folder: Path = Path("runs/demo"), shapes: int = 120, seed: int = 0) -> RunData:
    """A run with everything in it."""
    rng = np.random.default_rng(seed)
    labels = np.arange(shapes) % len(CLASSES)
    clouds = [make_cloud(int(label), rng) for label in labels]
    hues = rng.integers(0, 360, shapes)
    cards = tuple(
        Card(
            f"{CLASSES[label]}/{CLASSES[label]}_{index:04d}",
            CLASSES[label],
            draw(points, int(hues[index]), size=112),
        )
        for index, (label, (points, _)) in enumerate(zip(labels, clouds, strict=True))
    )
    centers = np.stack([8 * np.cos(labels * 2.4), 8 * np.sin(labels * 2.4)], axis=1) * (
        1 + labels[:, None] % 3
    )
    matches = tuple(
        Match(
            cards[query],
            tuple(cards[index] for index in results),
            tuple(bool(labels[index] == labels[query]) for index in results),
            tuple(bool(index == query) for index in results),
        )
        for query, results in ((i, rng.permutation([i, i + 12, i + 24, i + 13, i + 36])) for i in range(4))
    )
    direction = Direction({1: 0.31, 5: 0.68, 10: 0.83}, 0.52)
    return RunData(
        folder=folder,
        config={
            "collection": "collections/shapes", "method": "adacrossnet", "encoder": "dgcnn", "epochs": 24,
            "batch_size": 32, "points": 1024, "seed": 0, "weighting": "adacrossnet", "learning_rate": 1e-3,
            "encoder_args": {"k": 15}, "temperature": None,
        },
        config_text="collection: collections/shapes\nmethod: adacrossnet\nencoder: dgcnn\nepochs: 24\n",
        environment={
            "adacross": "0.1.0", "git_commit": "0123456789abcdef0123456789abcdef01234567", "python": "3.11.9",
            "torch": "2.13.0", "platform": "Linux-6.1-x86_64", "cpu": "a laptop's processor", "cores": 2,
            "device": "cpu", "date": "2025-01-31T10:20:30+00:00", "command": "adacross demo",
        },
        log=make_log(rng),
        linear=make_linear(rng, CLASSES, shapes),
        retrieval=Retrieval("shapes", shapes, shapes, 1 / shapes, direction, direction, (), ()),
        facts=CollectionFacts(
            "shapes", "builtin", "builtin", 600, 2048, 12, 224, CLASSES, {"train": 480, "test": 120}, 3
        ),
        embedding=EmbeddingMap(
            centers + rng.normal(0, 1.6, (shapes, 2)), cards, "t-SNE", "test", shapes, 0.775, 0.0756
        ),
        neighbors=matches,
        image_to_shape=matches,
        clouds=tuple(InteractiveCloud(cards[index], *clouds[index], PARTS) for index in range(6)),
        random_precision=0.123,
    )  # fmt: skip
