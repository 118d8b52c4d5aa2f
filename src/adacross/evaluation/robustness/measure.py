"""What is left of the accuracy when test clouds are corrupted, turned, or have fewer points."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from adacross.console import Table, progress_bar
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.labelled import check_points, labelled
from adacross.evaluation.results import Ledger, check_output, result_path, save, subject
from adacross.evaluation.robustness.damage import Repetition, clouds_of, fewer_points, plan, try_out
from adacross.evaluation.robustness.errors import Robustness, summarise
from adacross.features.sources import find_encoders, untrained_like, usual_device

NETWORKS = ("pre-trained", "untrained")


@dataclass(frozen=True)
class Example:
    """A test shape to show: its number in the collection, id, class, and the points of repetition 0."""

    shape: int
    id: str
    class_name: str
    points: list[list[float]]


@dataclass(frozen=True)
class RobustnessResult:
    """What `evaluate robustness` measured, and under which protocol."""

    task: str
    data: str
    encoders: list[str]
    points: int
    train: int
    test: int
    available: int
    classifier: str
    spread: str
    seeds: list[int]
    pretrained: Robustness
    untrained: Robustness
    example: Example

    def table(self) -> Table:
        """Render as a rich table."""
        some = "" if self.test == self.available else f" of {self.available}, drawn by class"
        title = f"{self.data}: {self.points} points, {self.train} train / {self.test}{some} test"
        table = Table(title=title, caption=f"{self.classifier}; {self.spread}")
        for column in ("test clouds", *NETWORKS):
            table.add_column(column)
        both = (self.pretrained, self.untrained)
        table.add_row("accuracy, clean", *(str(one.clean) for one in both))
        for kind in self.pretrained.error:
            table.add_row(f"{kind}, severities 1 to 5", *(str(one.right(kind)) for one in both))
        table.add_row("mCE, plain", *(str(one.mce_plain) for one in both))
        table.add_row("mCE, normalised by untrained", *(str(one.mce_normalised or "-") for one in both))
        table.add_row("accuracy lost to corruptions", *(str(one.lost) for one in both))
        for about, words in (("any", "any rotation"), ("y", "any rotation about y")):
            table.add_row(words, *(str(one.rotated[about]) for one in both))
        for count in self.pretrained.fewer:
            table.add_row(f"{count} points", *(str(one.fewer[count]) for one in both))
        table.add_row("C, each", *(" ".join(f"{c:.2g}" for c in one.C) for one in both))
        return table


def measure_robustness(
    encoders: Sequence[Encoder],
    collection: Collection,
    *,
    points: int | None = None,
    seeds: int = 3,
    folds: int = 5,
    test_shapes: int | None = None,
    device: str = "cpu",
    names: Sequence[str] = ("encoder",),
    result: Path | None = None,
) -> RobustnessResult:
    """Fit a linear SVM on features of clean training clouds, score it on damaged test clouds.

    C comes from cross-validation on the clean training split; nothing is chosen on test shapes. A repetition
    draws corruptions, rotations, points (where fewer are asked for than stored) and folds anew; beside it, an
    untrained encoder with a new initialisation goes through exactly the same clouds. Several encoders take
    turns, one a repetition.

    Args:
        encoders: one or more pre-trained encoders of one architecture.
        collection: with classes and a test split.
        points: points of each cloud; 1,024 or all there are if not given.
        seeds: repetitions, at least one for each encoder.
        folds: of the cross-validation.
        test_shapes: at most so many, drawn by class, the same ones in every repetition; None: all.
        device: where features are computed.
        names: the encoders' names, for the record.
        result: where the result will be written; what is finished is kept beside it until then.

    Raises:
        UserError: no classes, no test split, too few shapes or points.
    """
    numbers = {
        "seeds": (seeds, 1),
        "test_shapes": (test_shapes, 1),
    }
    for name, (value, least) in numbers.items():
        if value is not None and value < least:
            raise UserError(f"{name} is {value}; expected at least {least}.")
    check_points(points, collection)
    count = min(points or 1024, collection.info.points)
    train, available = labelled(collection, folds)
    test = available[stratified(collection.labels[available], test_shapes or len(available))]
    cloud = clouds_of(collection, test[:1], count, 0)
    try_out(encoders[0], cloud, device)
    fewer = fewer_points(encoders[0], cloud, device)
    pieces, repetitions = plan(fewer), range(max(seeds, len(encoders)))
    ledger = Ledger(
        result,
        {"points": count, "folds": folds, "test": test.tolist(), "fewer": fewer}
        | subject(collection, encoders),
    )
    measured = []
    with progress_bar("test sets") as progress:
        total = len(repetitions) * len(NETWORKS) * sum(map(len, pieces.values()))
        task = progress.add_task("robustness", total=total, note="")
        for seed in repetitions:
            given = encoders[seed % len(encoders)]
            networks = (given, untrained_like(given, seed))
            repetition = Repetition(networks, collection, train, test, count, folds, seed, device)
            measured.append(repetition.measure(pieces, ledger, progress, task))
    return RobustnessResult(
        task="robustness",
        data=collection.info.name,
        encoders=list(names),
        points=count,
        train=len(train),
        test=len(test),
        available=len(available),
        classifier=f"linear SVM (SVC) on clean training clouds, C by {folds}-fold cross-validation",
        spread=_spread(len(encoders), count < collection.info.points, len(measured)),
        seeds=list(repetitions),
        pretrained=summarise(measured, 0, 1, fewer),
        untrained=summarise(measured, 1, 1, fewer),
        example=_example(collection, test, count),
    )


def stratified(labels: Int64[np.ndarray, " n"], count: int) -> Int64[np.ndarray, " m"]:
    """Positions of at most `count` shapes, ascending, from each class in proportion, always the same ones."""
    rng = np.random.default_rng(0)
    place = np.empty(len(labels))  # of each shape in its class, 0 to 1
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members] = (rng.permutation(len(members)) + 0.5) / len(members)
    order = np.lexsort((rng.permutation(len(labels)), place))
    return np.sort(order[:count]).astype(np.int64)


def _example(collection: Collection, test: Int64[np.ndarray, " m"], count: int) -> Example:
    """A test shape, drawn."""
    shape = test[np.random.default_rng(0).integers(len(test))]
    points = clouds_of(collection, shape[None], count, 0)[0]
    name = collection.info.classes[collection.labels[shape]]
    return Example(int(shape), collection.ids[shape], name, points.round(4).tolist())


def _spread(encoders: int, drawn: bool, repetitions: int) -> str:
    """Describe what the standard deviation is taken over."""
    several = [f"{encoders} pre-training seeds"] if encoders > 1 else []
    varied = [*several, "corruptions", *(["points"] if drawn else []), "cross-validation folds"]
    return (
        f"mean ± standard deviation of {repetitions}: {', '.join(varied)}; untrained: also the initialisation"
    )


def evaluate_robustness(
    encoder: str | list[str],
    data: str,
    points: int | None = None,
    seeds: int = 3,
    folds: int = 5,
    test_shapes: int | None = None,
    device: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
) -> RobustnessResult:
    """Measure accuracy under 15 corruptions at 5 severities, any rotation, and fewer points.

    A linear SVM is fitted on features of the training split's clean clouds and scored on damaged test clouds,
    beside the same encoder untrained. The kinds of corruption are ModelNet40-C's, but they are computed here:
    figures are not to be compared with published ones. A corrupted cloud is brought to the unit sphere again,
    as `prepare` would. Ctrl-C keeps what is done; the same command goes on.

    Args:
        encoder: a run, an encoder folder, hf://owner/name or builtin-small; several runs that differ in their
            seed are measured together.
        data: a collection with classes.
        points: points per cloud; 1,024 by default, or all if fewer are stored.
        seeds: repetitions, each with its own corruptions, points, folds and untrained encoder.
        folds: cross-validation folds that choose C.
        test_shapes: maximum number of test shapes, drawn by class; all by default. Each is encoded 80 times
            or more per repetition, by both encoders.
        device: cpu or cuda; cuda if available.
        output: JSON file to write; by default `evaluation/robustness.json` in the (first) run.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such encoder or collection, no classes, too few shapes or points.
    """
    check_output(output, overwrite)
    found = find_encoders(encoder)
    result = measure_robustness(
        [item.encoder for item in found],
        Collection.open(data),
        points=points,
        seeds=seeds,
        folds=folds,
        test_shapes=test_shapes,
        device=usual_device(device),
        names=[item.name for item in found],
        result=result_path(output, found[0].run, "robustness"),
    )
    save(result, output, found[0].run, "robustness")
    return result
