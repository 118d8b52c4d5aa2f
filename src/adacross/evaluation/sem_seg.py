"""Semantic segmentation: a class for every point of a room, cut into blocks; whole areas are held out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.evaluation.driver import Bench, protocol
from adacross.evaluation.labeled import described
from adacross.evaluation.result import CHANCE, Measured, Paper, Score
from adacross.evaluation.segmentation import (
    CROSSNET,
    OURS,
    Clouds,
    Segmenter,
    Training,
    examples,
    fine_tune_both,
    overlaps,
    predict,
    ratio_outcomes,
    segmenter,
)

SHOWN = 4  # blocks whose predictions are kept
AREA = re.compile(r"Area_(\d+)_")
AREA_5 = (5,)  # held out by default: the one building of its own (CrossNet names no default)

Table = dict[str, tuple[list[int], np.ndarray]]  # by network: which ones, and counts (r, 2, u, K)
Coordinates = Literal["source", "unit"]
COORDINATES = {"source": "the source's coordinates", "unit": "coordinates in the unit sphere"}

BLOCKS = replace(OURS, schedule=replace(OURS.schedule, epochs=10))  # rooms come as thousands of blocks
PRESETS: dict[Paper, Training] = {"crossnet": Training(CROSSNET, points=4096, neighbors=20)}


@dataclass(frozen=True, eq=False)
class Held:
    """An area, or a test split, that is held out, as places in the collection."""

    name: str  # of the area, or of the split
    train: Int64[np.ndarray, " n"]  # blocks to train on
    test: Int64[np.ndarray, " m"]  # blocks to test on
    rooms: Int64[np.ndarray, " m"]  # room of each test block, independent of the others
    units: list[str]  # names of the rooms; a block of no room is a unit of its own
    left_out: int  # test blocks without a class

    @property
    def shown(self) -> Int64[np.ndarray, " s"]:
        """Places of a few of the test blocks, drawn at random (seed 0)."""
        return np.random.default_rng(0).permutation(len(self.test))[:SHOWN]

    def counts(
        self, predicted: Int64[np.ndarray, "m N"], truth: Int64[np.ndarray, "m N"], classes: int
    ) -> Int64[np.ndarray, "2 u K"]:
        """Count each room's points in each class's intersection and union."""
        counts = np.zeros((2, len(self.units), classes), dtype=np.int64)
        for kind, each in zip(counts, overlaps(predicted, truth, classes), strict=True):
            np.add.at(kind, self.rooms, each)
        return counts

    def score(self, network: Segmenter, clouds: Clouds, classes: int, device: str) -> dict[str, Any]:
        """Return the counts, and the classes predicted for the blocks shown."""
        predicted = predict(network, clouds, device=device)[0]
        counts = self.counts(predicted, clouds.part, classes)
        return {"counts": counts.tolist(), "shown": predicted[self.shown].tolist()}


def scores_of(
    network: str, numbers: list[int], counts: Int64[np.ndarray, "r 2 u K"], name: str, units: str
) -> list[Score]:
    """Return mIoU and overall accuracy from points counted over all units.

    A class absent in truth and prediction does not count. Chance has one outcome, the figure.
    """
    # each point is in one class of the truth and in one of the predictions
    correct, points = counts[:, 0].sum(2, keepdims=True), counts.sum((1, 3))[:, :, None] // 2
    each = {
        "mIoU": list(map(ratio_outcomes, *counts.swapaxes(0, 1))),
        "overall accuracy": list(map(ratio_outcomes, correct, points)),
    }
    if network == CHANCE:
        each = {metric: [rows[0].mean(keepdims=True)] for metric, rows in each.items()}
    return [
        Score.of(network, metric, rows, networks=numbers, units=units, **{"held out": name})
        for metric, rows in each.items()
    ]


def held_out(collection: Collection, areas: Sequence[int] | None) -> list[Held]:
    """Return what to hold out: areas one at a time (5 by default), or the test split where there are none.

    Ids name the areas ("Area_5_office_1/00012"). Blocks without a class are left out.

    Raises:
        UserError: no parts, an area that is not there, areas of a collection without, nothing to train on or
            to test on.
    """
    where, ids = collection.folder, collection.ids
    if not collection.info.parts:
        raise UserError(f"{where} has no classes of points; expected a collection of S3DIS, or with parts.")
    usable = np.any(collection.part_labels(collection.indices("all")) >= 0, axis=1)
    if of_rooms(collection):
        of_block = np.array([int(found[1]) for name in ids if (found := AREA.match(name))])
        known = np.unique(of_block[usable]).tolist()
        chosen = list(dict.fromkeys(areas if areas is not None else AREA_5))
        if not chosen or set(chosen) - set(known):
            raise UserError(f"areas are {chosen}; {where} has {known}.")
        splits = {f"area {area}": (of_block != area, of_block == area) for area in chosen}
    elif areas is not None:
        raise UserError(f"{where} has no areas (ids like Area_5_office_1/0); leave areas out.")
    else:
        places = np.arange(len(collection))
        own = [np.isin(places, collection.indices(split)) for split in ("train", "test")]
        splits = {"the test split": (own[0], own[1])}
    folds = []
    for name, (learned, tested) in splits.items():
        train, test = np.flatnonzero(usable & learned), np.flatnonzero(usable & tested)
        if len(train) < 2 or not len(test):
            raise UserError(
                f"{where} has {len(train)} blocks to train on and {len(test)} of {name}; "
                "expected at least 2 and 1. Prepare more areas, or with --test-fraction 0.2."
            )
        room = [ids[i].rsplit("/", 1)[0] if of_rooms(collection) else ids[i] for i in test]
        units, rooms = np.unique(room, return_inverse=True)
        left_out = int((tested & ~usable).sum())
        folds.append(Held(name, train, test, rooms, units.tolist(), left_out))
    return folds


def of_rooms(collection: Collection) -> bool:
    """Return whether every block's id names its area."""
    return all(AREA.match(name) for name in collection.ids)


def clouds_of(collection: Collection, blocks: Int64[np.ndarray, " k"], coordinates: Coordinates) -> Clouds:
    """Return some blocks: in the unit sphere, or in the source's unit with the ground's middle at 0."""
    points = collection.points(blocks)
    if coordinates == "source":
        centers, scales = collection.frames(blocks)
        points = points * scales[:, None, None] + centers[:, None]
        ground = points[:, :, [0, 2]]
        points[:, :, [0, 2]] -= (ground.max(1, keepdims=True) + ground.min(1, keepdims=True)) / 2
    return Clouds(points, collection.part_labels(blocks), np.zeros(len(blocks), dtype=np.int64))


@protocol("sem-seg", data="a collection of S3DIS, or any other with parts")
def sem_seg(
    bench: Bench,
    as_: Paper | None = None,
    areas: list[int] | None = None,
    coordinates: Coordinates | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    points: int | None = None,
    neighbors: int | None = None,
    seeds: int = 3,
) -> Measured:
    """Segment rooms, whole areas held out, also with a network from scratch.

    Trains on the blocks of all other areas, whatever the collection's split says, and scores on the area held
    out; the last step is the result. Blocks come from S3DIS; any other collection with parts is measured on
    its own split. Points are counted over all blocks of what is held out; uncertainty is over its rooms.
    Ctrl-C keeps what is done; the same command continues.

    Args:
        as_: use crossnet's optimizer, schedule, points and neighbors. Other options take precedence.
        areas: areas to hold out, one at a time; 5 by default.
        coordinates: source (meters, as the published program) or unit (the unit sphere); source by default
            where there are areas.
        epochs: passes over the training blocks.
        batch_size: blocks per step.
        points: points per block; 1,024 by default, or all if fewer are stored.
        seeds: repetitions, each with another order and head.

    Raises:
        UserError: no such encoder or collection, no parts, an area that is not there, an option out of range.

    Example:
        result = sem_seg("runs/rooms", "collections/s3dis", areas=[1, 5])
        print(result.score("pre-trained", "mIoU", **{"held out": "area 5"}).estimate)
    """
    training = Training.chosen(
        bench, BLOCKS, PRESETS, as_, points,
        neighbors=neighbors, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
    )  # fmt: skip
    collection, info = bench.collection, bench.collection.info
    folds = held_out(collection, areas)
    unit = coordinates or ("source" if of_rooms(collection) else "unit")
    classes = len(info.parts)
    make = partial(segmenter, labels=classes)
    tables: dict[str, Table] = {}
    said: dict[str, np.ndarray] = {}
    for fold in folds:
        train, test = (clouds_of(collection, blocks, unit) for blocks in (fold.train, fold.test))
        test = test[:, : training.points]
        score = partial(fold.score, clouds=test, classes=classes, device=bench.device)
        table = tables[fold.name] = {}
        what = f"without {fold.name}"
        for network, numbers, pieces in fine_tune_both(bench, training, seeds, what, make, score, train):
            table[network] = numbers, np.array([piece["counts"] for piece in pieces])
            said.setdefault(network, np.array(pieces[0]["shown"]))
        largest = np.bincount(train.part[train.part >= 0]).argmax()
        table[CHANCE] = [0], fold.counts(np.full_like(test.part, largest), test.part, classes)[None]
    if len(folds) > 1:
        together = {
            network: (numbers, np.concatenate([table[network][1] for table in tables.values()], axis=2))
            for network, (numbers, _) in tables[folds[0].name].items()
        }
        tables = {f"{len(folds)} areas together": together} | tables
    units = "rooms" if of_rooms(collection) else "test shapes"
    shown = folds[0].test[folds[0].shown]
    bare = sum(fold.left_out for fold in folds)
    return Measured(
        data=described(
            collection,
            train=len(np.unique(np.concatenate([fold.train for fold in folds]))),
            test=sum(len(fold.test) for fold in folds),
            left_out={f"{bare} test blocks": "no point has a class"} if bare else {},
            classes=info.parts,
        ),
        scores=[
            score
            for name, table in tables.items()
            for network, (numbers, counts) in table.items()
            for score in scores_of(network, numbers, counts, name, units)
        ],
        protocol=f"whole network fine-tuned: {training} of {info.points:,} a block, {COORDINATES[unit]}; "
        "points counted over all blocks, absent classes left out; chance: the largest class",
        notes=[
            f"{bench.repetitions(seeds)} repetitions, each with another order and head; those of one "
            f"network are averaged; intervals and tests are by the jackknife over {units}"
        ],
        # of the units of all that is held out, in order
        ids=[name for fold in folds for name in fold.units],
        # points per block, of so many stored; number of blocks and counts of points by what is "held out";
        # counts (repetitions, 2, classes) by kind of network: points in the intersection and in the union of
        # prediction and truth; examples (see `segmentation.examples`) of what is held out first
        details={
            "points": training.points,
            "stored": info.points,
            "coordinates": COORDINATES[unit],
            "blocks": {fold.name: {"train": len(fold.train), "test": len(fold.test)} for fold in folds},
            "counts": {
                name: {network: counts.sum(2).tolist() for network, (_, counts) in table.items()}
                for name, table in tables.items()
            },
            "examples": examples(
                [(collection.ids[i], "") for i in shown],
                clouds_of(collection, shown, "unit")[:, : training.points],
                said,
            ),
        },
    )
