"""Rooms cut into blocks, an area held out; one training and its counts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.segmentation.metrics import overlaps
from adacross.evaluation.segmentation.segmenter import Segmenter, scene_segmenter
from adacross.evaluation.segmentation.training import (
    Clouds,
    Example,
    Protocol,
    examples,
    new_segmenter,
    predict,
    train,
)

SHOWN = 4  # blocks whose predictions are kept
AREA = re.compile(r"Area_(\d+)_")
AREA_5 = (5,)  # held out by default: the one building of its own (CrossNet names no default)

Coordinates = Literal["source", "unit"]
COORDINATES = {"source": "the source's coordinates", "unit": "coordinates in the unit sphere"}


@dataclass(frozen=True)
class Held:
    """What is held out, and the blocks to train and to test on, as places in the collection."""

    name: str
    train: Int64[np.ndarray, " n"]
    test: Int64[np.ndarray, " m"]


@dataclass(frozen=True)
class SceneTask:
    """Blocks, ready to be learnt. They are read as a fold needs them: all rooms are gigabytes.

    Attributes:
        collection: with parts, which are the classes.
        protocol: of the training.
        coordinates: which the network sees.
        device: where to train.
    """

    collection: Collection
    protocol: Protocol
    coordinates: Coordinates
    device: str

    def measure(self, encoder: Encoder, fold: Held, seed: int, **how: Any) -> dict[str, Any]:
        """Train on a fold's training blocks, count on its test blocks.

        Args:
            encoder: where the training starts; it stays as it is.
            fold: what is held out.
            seed: of head, order, drawn points.
            how: `progress`, `note` and `checkpoint` of `train`.

        Returns:
            Points of each class in intersection and union, points in all, and the predictions for the blocks
            that are shown.
        """
        network = new_segmenter(self._with_head, self.protocol.prepared(encoder), seed)
        train(network, self.clouds(fold.train), self.protocol, seed=seed, device=self.device, **how)
        test = self.clouds(fold.test).thinned(self.protocol.points, seed)
        said = predict(network, test, device=self.device)[0]
        intersection, union = overlaps(said, test.part, len(self.collection.info.parts))
        return {
            "intersection": intersection.sum(0).tolist(),
            "union": union.sum(0).tolist(),
            "points": int((test.part >= 0).sum()),
            "shown": said[self._shown(fold)].tolist(),
        }

    def clouds(self, blocks: Int64[np.ndarray, " k"], coordinates: Coordinates | None = None) -> Clouds:
        """Some blocks, in the coordinates the network sees, or in others."""
        points = self.collection.points(blocks)
        if (coordinates or self.coordinates) == "source":
            centers, scales = self.collection.frames(blocks)
            points = points * scales[:, None, None] + centers[:, None]
            ground = points[:, :, [0, 2]]
            points[:, :, [0, 2]] -= (ground.max(1, keepdims=True) + ground.min(1, keepdims=True)) / 2
        return Clouds(points, self.collection.part_labels(blocks), np.zeros(len(blocks), dtype=np.int64))

    def examples(self, fold: Held, said: Sequence[Any]) -> list[Example]:
        """The blocks that are shown, with the first seed's points and predictions."""
        blocks = fold.test[self._shown(fold)]
        clouds = self.clouds(blocks, "unit").thinned(self.protocol.points, 0)
        names = [(self.collection.ids[block], "") for block in blocks]
        return examples(clouds, (np.array(said[0]), np.array(said[1])), names)

    def _with_head(self, encoder: Encoder) -> Segmenter:
        return scene_segmenter(encoder, len(self.collection.info.parts))

    def _shown(self, fold: Held) -> Int64[np.ndarray, " s"]:
        """Places among the test blocks, drawn at random (seed 0)."""
        return np.random.default_rng(0).permutation(len(fold.test))[:SHOWN]


def held_out(collection: Collection, areas: Sequence[int] | None) -> list[Held]:
    """What to hold out: areas one at a time, or the test split of a collection that has none.

    Args:
        collection: its ids say the areas ("Area_5_office_1/00012"). Blocks without a class are left out.
        areas: which; 5 if not given.

    Raises:
        UserError: no parts, an area that is not there, areas of a collection without, nothing to train on or
            to test on.
    """
    where = collection.folder
    if not collection.info.parts:
        raise UserError(f"{where} has no classes of points; expected a collection of S3DIS, or with parts.")
    usable = np.any(collection.part_labels(collection.indices("all")) >= 0, axis=1)
    if of_rooms(collection):
        of_block = np.array([int(found[1]) for name in collection.ids if (found := AREA.match(name))])
        known = sorted({int(area) for area in of_block[usable]})
        chosen = list(areas) if areas is not None else list(AREA_5)
        if not chosen or set(chosen) - set(known):
            raise UserError(f"areas are {chosen}; {where} has {known}.")
        folds = [
            Held(
                f"area {area}",
                np.flatnonzero(usable & (of_block != area)),
                np.flatnonzero(usable & (of_block == area)),
            )
            for area in chosen
        ]
    elif areas is not None:
        raise UserError(f"{where} has no areas (ids like Area_5_office_1/0); leave areas out.")
    else:
        learnt, tested = (collection.indices(split) for split in ("train", "test"))
        folds = [Held("the test split", learnt[usable[learnt]], tested[usable[tested]])]
    for fold in folds:
        if len(fold.train) < 2 or not len(fold.test):
            raise UserError(
                f"{where} has {len(fold.train)} blocks to train on and {len(fold.test)} of {fold.name}; "
                "expected at least 2 and 1. Prepare more areas, or with --test-fraction 0.2."
            )
    return folds


def of_rooms(collection: Collection) -> bool:
    """Whether every block's id says its area."""
    return all(AREA.match(name) for name in collection.ids)
