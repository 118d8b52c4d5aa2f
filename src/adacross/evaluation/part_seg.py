"""Part segmentation: a part for every point of a shape whose category is known."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from adacross.data.collection.collection import Collection
from adacross.data.collection.description import CollectionInfo
from adacross.errors import UserError
from adacross.evaluation.driver import Bench, protocol
from adacross.evaluation.labeled import described, learnable, test_shapes
from adacross.evaluation.result import CHANCE, Measured, Paper, Score
from adacross.evaluation.segmentation import (
    CROSSNET,
    OURS,
    Clouds,
    Segmenter,
    Training,
    examples,
    fine_tune_both,
    predict,
    segmenter,
    shape_ious,
)
from adacross.evaluation.supervised import Schedule, fraction_of, label_fractions, notes_on_labels

SHOWN = 6  # test shapes whose predictions are kept
AMONG = ("all", "its own")  # parts among which the best is taken: all, or those of the shape's category

_SGD = Schedule(epochs=400, batch_size=32, learning_rate=0.1, last_rate=1e-3, weight_decay=1e-4)
# Recalled, not read: no label smoothing, 10 epochs of warm-up, an end at 1e-6, the radii.
_POINT_M2AE = Training(
    Schedule(
        epochs=300, batch_size=16, optimizer="adamw", learning_rate=2e-4, last_rate=1e-6, weight_decay=0.05,
        warmup=10, label_smoothing=0.0,
    ),
    points=2048, augment=True, radii=(0.32, 0.64, 1.28),
)  # fmt: skip
# AdaCrossNet: what its own runs did, SGD for 400 epochs; its program's default is CrossNet's. Joint-MAE
# published no setting; Point-M2AE's by fallback. All of them report the best test epoch, we the last.
PRESETS: dict[Paper, Training] = {
    "crosspoint": Training(replace(_SGD, epochs=300, batch_size=8), points=2048, neighbors=40),
    "crossnet": Training(CROSSNET, points=2048, neighbors=20),
    "adacrossnet": Training(_SGD, points=2048, neighbors=20),
    "point-m2ae": _POINT_M2AE,
    "joint-mae": _POINT_M2AE,
}


@dataclass(frozen=True, eq=False)
class PartShapes:
    """Training and test shapes that have a category and a point with a part."""

    train: Clouds  # training shapes, all their points
    test: Clouds  # test shapes of a category with training shapes, their first points
    tested: Int64[np.ndarray, " m"]  # their places in the collection
    counted: Bool[np.ndarray, "categories parts"]  # see `category_parts`
    left_out: dict[str, str]  # reasons by what was left out

    @classmethod
    def of(cls, collection: Collection, points: int) -> "PartShapes":
        """Take the shapes that can be learned from and tested. No option changes which shapes are tested.

        Raises:
            UserError: no parts, no test shapes with parts, or no training shapes.
        """
        info, where = collection.info, collection.folder
        if not info.parts:
            raise UserError(
                f"{where} has no parts; expected a collection made of ShapeNetPart or of builtin."
            )
        part = collection.part_labels(collection.indices("all"))
        labels = collection.labels if info.classes else np.zeros(len(collection), dtype=np.int64)
        usable = (part >= 0).any(1) & (labels >= 0)
        splits = (collection.indices(split) for split in ("train", "test"))
        learned, tested = (indices[usable[indices]] for indices in splits)
        known, left_out = learnable(labels[learned], labels[tested], info.classes)
        if bare := len(collection.indices("test")) - len(tested):
            left_out[test_shapes(bare)] = "no category, or no point with a part"
        tested = tested[known]
        if not len(tested):
            raise UserError(
                f"{where} has {len(learned)} training shapes with parts, and no test shape of a category "
                "among them. Prepare it again with --test-fraction 0.2."
            )
        train, test = (Clouds(collection.points(i), part[i], labels[i]) for i in (learned, tested))
        return cls(train, test[:, :points], tested, category_parts(info, part, labels), left_out)

    def score(self, network: Segmenter, device: str) -> dict[str, Any]:
        """Return `outcomes` for each of `AMONG`, and the parts predicted for the shapes shown."""
        said = predict(network, self.test, allowed=self.counted[self.test.labels], device=device)
        outcomes = {among: self.outcomes(each) for among, each in zip(AMONG, said, strict=True)}
        return outcomes | {"shown": said[0][self.shown].tolist()}

    def outcomes(self, predicted: Int64[np.ndarray, "m N"]) -> dict[str, list[float]]:
        """Return the mean IoU and the share of right points of every test shape; 1 without a part to test."""
        truth = self.test.part
        known = (truth >= 0).sum(1)
        right = np.where(known > 0, (predicted == truth).sum(1) / np.maximum(known, 1), 1.0)
        ious = shape_ious(predicted, truth, self.counted[self.test.labels])
        return {"iou": ious.round(6).tolist(), "accuracy": right.round(6).tolist()}

    def scores(
        self, network: str, numbers: list[int], outcomes: list[dict[str, list[float]]], **setting: str
    ) -> list[Score]:
        """Return the scores of repetitions with these outcomes, on networks of these numbers."""
        ious, accuracies = ([each[name] for each in outcomes] for name in ("iou", "accuracy"))
        return [
            Score.of(network, "instance mIoU", ious, networks=numbers, **setting),
            Score.of(network, "class mIoU", ious, networks=numbers, groups=self.test.labels, **setting),
            Score.of(network, "point accuracy", accuracies, networks=numbers, **setting),
        ]

    def largest_parts(self) -> Int64[np.ndarray, "m N"]:
        """Return as a prediction the part of each test shape's category that has most training points."""
        categories, parts = self.counted.shape
        known = self.train.part >= 0
        flat = (self.train.labels[:, None] * parts + self.train.part)[known]
        largest = np.bincount(flat, minlength=categories * parts).reshape(categories, parts).argmax(1)
        return np.repeat(largest[self.test.labels][:, None], self.test.part.shape[1], axis=1)

    @property
    def shown(self) -> Int64[np.ndarray, " s"]:
        """Places of a few test shapes drawn at random (seed 0), of different categories if there are any."""
        labels = self.test.labels
        order = np.random.default_rng(0).permutation(len(labels))
        first = np.sort(np.unique(labels[order], return_index=True)[1])
        return np.concatenate([order[first], np.delete(order, first)])[:SHOWN].astype(np.int64)


def category_parts(
    info: CollectionInfo, part: Int64[np.ndarray, "n N"], labels: Int64[np.ndarray, " n"]
) -> Bool[np.ndarray, "categories parts"]:
    """Return which parts each category has.

    Parts named "category/part" belong to that category; a category without such names has the parts that
    occur in its shapes, as in ShapeNetPart. Without classes all shapes are of one category.
    """
    counted = []
    for category, name in enumerate(info.classes or [""]):
        named = np.array([bool(name) and part_name.startswith(f"{name}/") for part_name in info.parts])
        occurring = np.isin(np.arange(len(info.parts)), part[labels == category])
        counted.append(named if named.any() else occurring)
    return np.array(counted)


@protocol("part-seg", data="a prepared collection with parts")
def part_seg(
    bench: Bench,
    as_: Paper | None = None,
    fractions: list[float] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    points: int | None = None,
    neighbors: int | None = None,
    seeds: int = 3,
) -> Measured:
    """Segment shapes into parts with 10 % and 100 % of the labels, and with a network from scratch.

    Parts come from the collection's training split, mIoU from its test split; the last step is the result.
    Both published ways to choose a part stand beside each other: among all parts, and among those of the
    shape's known category. Ctrl-C keeps what is done; the same command continues.

    Args:
        as_: use a paper's optimizer, schedule, points and neighbors with all labels. Other options take
            precedence.
        fractions: fractions of the labeled shapes; 0.1 and 1.0 by default, 1.0 with --as.
        epochs: passes over the labeled shapes.
        points: points per cloud; 1,024 by default, or all if fewer are stored.
        seeds: repetitions, each with other labeled shapes, order and head.

    Raises:
        UserError: no such encoder or collection, no parts, an option out of its range.

    Example:
        result = part_seg("runs/parts", "collections/parts", fractions=[0.1])
        print(result.score("pre-trained", "class mIoU", **{"parts among": "its own"}).estimate)
    """
    shares = label_fractions(fractions, [1.0] if as_ else [0.1, 1.0])
    training = Training.chosen(
        bench, OURS, PRESETS, as_, points,
        neighbors=neighbors, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
    )  # fmt: skip
    collection, info = bench.collection, bench.collection.info
    shapes = PartShapes.of(collection, training.points)
    labels, (categories, parts) = shapes.test.labels, shapes.counted.shape
    make = partial(segmenter, labels=parts, categories=categories)
    score = partial(shapes.score, device=bench.device)
    scores, labeled, said = [], {}, {}
    for name, share in shares.items():
        labeled[name] = len(fraction_of(shapes.train.labels, share, seed=0))
        what = f"{name} of labels"
        for network, numbers, pieces in fine_tune_both(
            bench, training, seeds, what, make, score, shapes.train, share
        ):
            for among in AMONG:
                setting = {"labels": name, "parts among": among}
                scores += shapes.scores(network, numbers, [piece[among] for piece in pieces], **setting)
            said[network] = np.array(pieces[0]["shown"])
    guessed = shapes.scores(CHANCE, [0], [shapes.outcomes(shapes.largest_parts())])
    scores += [Score.of(CHANCE, one.metric, one.values) for one in guessed]
    ids, shown = [collection.ids[i] for i in shapes.tested], shapes.shown
    classes = info.classes or [""]
    return Measured(
        data=described(collection, len(shapes.train), len(shapes.test), shapes.left_out),
        scores=scores,
        protocol=f"whole network fine-tuned: {training}; {parts} parts of {categories} categories, which are "
        "given; a part absent in truth and prediction counts 1; chance: the category's largest part",
        notes=notes_on_labels(labeled, bench.repetitions(seeds)),
        ids=ids,
        truth=labels.tolist(),
        # points per cloud; names of the parts; labeled: number of labeled shapes by setting ("10 %");
        # examples (see `segmentation.examples`): parts predicted among all, networks with the most labels
        details={
            "points": training.points,
            "parts": info.parts,
            "labeled": labeled,
            "examples": examples([(ids[i], classes[labels[i]]) for i in shown], shapes.test[shown], said),
        },
    )
