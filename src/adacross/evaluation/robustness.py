"""Accuracy of a linear SVM under corruptions, rotations and fewer points."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64

from adacross.console import progress_bar
from adacross.data.sampling import stratified
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode
from adacross.encoders.inputs import MIN_POINTS
from adacross.errors import UserError, check_least
from adacross.evaluation.corruptions import KINDS, LEAST_POINTS, SEVERITIES, corrupt, rotate
from adacross.evaluation.corruptions.draws import Changed, Clouds
from adacross.evaluation.corruptions.modelnet_c import CLEAN, ModelNetC
from adacross.evaluation.driver import Bench, protocol
from adacross.evaluation.labeled import Labeled
from adacross.evaluation.linear import notes_on_C
from adacross.evaluation.result import CHANCE, HISTOGRAM, PRETRAINED, UNTRAINED, Measured, Score
from adacross.features.svm import Machines, at_edge, enough_folds, fit_svm

ALL = "all"
ACCURACY, MCE, NORMALIZED, LOST = "accuracy", "mCE", "normalized mCE", "accuracy lost"

Shapes = Int64[np.ndarray, " n"]
Change = Callable[[int, Shapes], Changed]  # of a seed and of positions among the tested shapes


@protocol("robustness")
def robustness(
    bench: Bench,
    points: int | None = None,
    seeds: int = 3,
    folds: int = 5,
    test_shapes: int | None = None,
    corrupted: str | None = None,
) -> Measured:
    """Measure accuracy under 15 corruptions at 5 severities, any rotation, and fewer points.

    A linear SVM is fitted on features of the training split's clean clouds and scored on corrupted test
    clouds, beside the same encoder untrained and a shape histogram. The kinds of corruption are
    ModelNet40-C's, but they are computed here: figures are not to be compared with published ones. A
    corrupted cloud is brought to the unit sphere again, as `prepare` would. Ctrl-C keeps what is done; the
    same command goes on.

    With --corrupted, the files of ModelNet-C (Ren et al., ICML 2022) are tested instead, as published, on a
    collection of ModelNet40.

    Args:
        points: points per cloud, the first ones stored; by default as the encoder was trained, with
            --corrupted as in its clean.h5.
        seeds: draws of the corruptions, and untrained encoders.
        test_shapes: maximum number of test shapes, drawn by class; all by default. Each is encoded 80 times
            or more per draw, by each encoder.
        corrupted: a folder of clean.h5 and NAME_SEVERITY.h5 (scale_0.h5 to add_local_4.h5 in ModelNet-C).

    Raises:
        UserError: no such encoder or collection, no classes, too few shapes or points, or corrupted files
            that do not suit the collection.

    Example:
        result = robustness("runs/parts", "collections/parts")
        print(result.score("pre-trained", "mCE").estimate)
    """
    # `details` holds `points`, `C` by network, `corruptions` (names that mCE counts), and, of our own
    # corruptions, `example`: a test shape to corrupt with seed 0 (`index`, `id`, `class`, `points` (N, 3)).
    check_least(seeds=seeds, test_shapes=test_shapes)
    check_least(2, folds=folds)
    shapes = Labeled.of(bench.collection)
    if corrupted is None:
        count = bench.points(points)
        tested = _own(bench, shapes, count, test_shapes)
    else:
        tested = _published(Path(corrupted), shapes, test_shapes)
        published = tested.conditions[0].changes[""](0, np.arange(1)).shape[1]
        count = bench.points(min(published, bench.collection.info.points) if points is None else points)
    _try_out(bench.encoders[0], tested.conditions, count, bench.device)
    used = enough_folds(shapes.labels[0], folds)
    classifiers = [
        Classifier(bench, shapes, count, used, network, number, encoder)
        for network, encoders in bench.networks(seeds).items()
        for number, encoder in enumerate(encoders)
    ]
    repetitions = range(bench.repetitions(seeds))
    penalties: dict[str, list[float]] = {}
    edges: set[str] = set()
    outcomes: dict[tuple[str, str, str], list[tuple[int, list[int]]]] = {}
    with progress_bar("corruptions") as progress:
        bar = progress.add_task("robustness", total=len(repetitions) * len(tested.conditions), note="fitting")
        for one in classifiers:
            C, edge = bench.ledger.once(f"C-{one.network}-{one.number}".replace(" ", "-"), one.penalty)
            penalties.setdefault(one.network, []).append(C)
            edges |= {one.network} if edge else set()
        for seed, condition in ((seed, condition) for seed in repetitions for condition in tested.conditions):
            progress.update(bar, note=f"{condition.name}, draw {seed + 1}")
            several = [one for one in classifiers if one.measured(seed, len(bench.encoders), condition.drawn)]
            piece = partial(_outcomes, several, condition, seed, tested.labels)
            found = bench.ledger.once(re.sub(r"\W+", "-", f"{condition.name}-seed{seed}"), piece)
            for one, rows in zip(several, found, strict=True):
                for severity, row in zip(condition.changes, rows, strict=True):
                    key = (condition.name, severity, one.network)
                    outcomes.setdefault(key, []).append((one.number, row))
            progress.advance(bar)
    scores = []
    for (name, severity, network), each in outcomes.items():
        numbers, rows = zip(*each, strict=True)
        setting = {"corruption": name} | ({"severity": severity} if severity else {})
        score = Score.of(network, ACCURACY, np.array(rows), networks=list(numbers), **setting)
        scores.append(replace(score, detail=bool(severity)))
    counting = [condition.name for condition in tested.conditions if condition.counts]
    chance = np.mean(tested.labels == np.bincount(shapes.labels[0]).argmax())
    clean = [*scores[:3], Score.of(CHANCE, ACCURACY, [chance], corruption=CLEAN)]
    data = shapes.data()
    return Measured(
        data=replace(data, test=len(tested.labels), left_out=data.left_out | tested.left_out),
        scores=[*clean, *summarize(scores, counting), *_over_severities(scores, counting), *scores[3:]],
        protocol=f"linear SVM (SVC) on clean training clouds of {count:,} points, C by {used}-fold "
        f"cross-validation; {tested.protocol}; mCE: mean error over corruptions and severities; normalized: "
        "the error of each corruption is divided by the untrained encoder's first",
        notes=[*tested.notes, *notes_on_C(folds, used, edges)],
        ids=tested.ids,
        truth=tested.labels.tolist(),
        details={"points": count, "C": penalties, "corruptions": counting} | tested.details,
    )


@dataclass(frozen=True)
class Condition:
    """A corruption that test clouds go through."""

    name: str
    changes: dict[str, Change]  # by severity; a single "" where there is none
    drawn: bool = False  # True if a seed changes it
    counts: bool = False  # True if it belongs to the mean corruption error


@dataclass(frozen=True, eq=False)
class Tested:
    """Test clouds, clean and corrupted."""

    labels: Shapes  # `(n,)` classes
    ids: list[str]  # of the shapes
    conditions: list[Condition]  # clean first
    left_out: dict[str, str]  # reasons by what was left out
    protocol: str  # their origin in a phrase
    notes: list[str] = field(default_factory=list)  # for the result
    details: dict[str, Any] = field(default_factory=dict)  # for the result


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network, or the shape histogram, and a linear SVM on its features of clean training clouds."""

    bench: Bench
    shapes: Labeled  # to fit on
    points: int  # of a training cloud
    folds: int  # of the cross-validation
    network: str  # kind of network
    number: int  # among its kind
    encoder: Encoder | None  # None for the shape histogram

    @cached_property
    def fitted(self) -> tuple[Machines, bool]:
        """The SVM, and True if its C lies at an edge of the grid; fitted when it is first asked for."""
        features = self.bench.features(self.encoder, self.points)[self.shapes.train]
        machine = fit_svm(features, self.shapes.labels[0], self.folds, seed=0)
        return machine, at_edge(machine.C, features)

    def penalty(self) -> tuple[float, bool]:
        """Return C, and True if it lies at an edge of its grid."""
        machine, edge = self.fitted
        return machine.C, edge

    def predict(self, clouds: Changed) -> Int64[np.ndarray, " n"]:
        """Return the classes of clouds."""
        return self.fitted[0].predict(self.bench.encode(self.encoder, clouds))

    def measured(self, seed: int, encoders: int, drawn: bool) -> bool:
        """Return whether a repetition measures it: once where nothing is drawn.

        Otherwise pre-trained encoders take turns, and untrained ones have a seed each.
        """
        turn = {PRETRAINED: seed % encoders, UNTRAINED: seed, HISTOGRAM: 0}[self.network]
        return turn == self.number and (drawn or seed == self.number)


def summarize(scores: Sequence[Score], counting: Sequence[str]) -> list[Score]:
    """Return the mean corruption error in both conventions, and the accuracy lost, of each network.

    The mean corruption error is plain, or normalized: the mean over corruptions of the error divided by a
    reference network's, both averaged over severities (Hendrycks and Dietterich, ICLR 2019, for ImageNet-C).
    The reference is the untrained encoder, mean over its initializations, where it makes errors. `scores` are
    accuracies of all networks in all settings; `counting` are the corruptions that count.
    """
    clean = {one.network: one.by_network for one in scores if one.setting["corruption"] == CLEAN}
    by_kind = _by_corruption(scores)
    errors = {  # of each corruption, mean over severities, (n, shapes)
        network: [np.mean([1 - rows for rows in by_kind[kind, network]], axis=0) for kind in counting]
        for network in clean
    }
    reference = np.array([error.mean() for error in errors[UNTRAINED]])
    found = []
    for network, each in errors.items():
        mean = np.mean(each, axis=0)
        found.append(Score.of(network, MCE, mean, corruption=ALL))
        if network != UNTRAINED and (reference > 0).all():
            ratios = (np.array([error.mean(axis=1) for error in each]) / reference[:, None]).mean(axis=0)
            found.append(Score.of(network, NORMALIZED, ratios[:, None], units="networks", corruption=ALL))
        found.append(Score.of(network, LOST, mean - (1 - clean[network]), corruption=ALL))
    return found


def _over_severities(scores: Sequence[Score], counting: Sequence[str]) -> list[Score]:
    """Return the accuracy under each corruption, mean over its severities."""
    return [
        Score.of(network, ACCURACY, np.mean(each, axis=0), corruption=kind)
        for (kind, network), each in _by_corruption(scores).items()
        if kind in counting
    ]


def _by_corruption(scores: Sequence[Score]) -> dict[tuple[str, str], list[Float64[np.ndarray, "n u"]]]:
    """Return the accuracies at each severity, by corruption and kind of network."""
    found: dict[tuple[str, str], list[Float64[np.ndarray, "n u"]]] = {}
    for one in scores:
        found.setdefault((one.setting["corruption"], one.network), []).append(one.by_network)
    return found


def _outcomes(
    classifiers: Sequence[Classifier], condition: Condition, seed: int, labels: Shapes
) -> list[list[list[int]]]:
    """Return 1 or 0 for right or wrong, by classifier, severity and test shape."""
    found = []
    for change in condition.changes.values():
        clouds = change(seed, np.arange(len(labels)))
        found.append([(one.predict(clouds) == labels).astype(int).tolist() for one in classifiers])
    return [list(each) for each in zip(*found, strict=True)]


def _own(bench: Bench, shapes: Labeled, count: int, most: int | None) -> Tested:
    """Take the collection's test clouds, and our corruptions; too few points are refused."""
    if count < LEAST_POINTS:
        raise UserError(
            f"robustness was to use {count} points; expected at least {LEAST_POINTS} a cloud. "
            f"Give --points {LEAST_POINTS} or more."
        )
    collection = shapes.collection
    test = shapes.test[stratified(shapes.labels[1], most or len(shapes.test))]
    clouds = collection.points(test)[:, :count]

    def own(kind: str, severity: int, seed: int, rows: Shapes) -> Changed:
        return corrupt(kind, clouds[rows], severity, seed, test[rows])

    def turned(about: Literal["any", "y"], seed: int, rows: Shapes) -> Clouds:
        return rotate(about, clouds[rows], seed, test[rows])

    def first(points: int, seed: int, rows: Shapes) -> Changed:
        return clouds[rows, :points]

    shown = int(np.random.default_rng(0).integers(len(test)))
    example = {
        "index": int(test[shown]),
        "id": collection.ids[test[shown]],
        "class": collection.info.classes[collection.labels[test[shown]]],
        "points": clouds[shown].round(4).tolist(),
    }
    return Tested(
        labels=collection.labels[test],
        ids=[collection.ids[i] for i in test],
        conditions=[
            Condition(CLEAN, {"": partial(first, count)}),
            Condition("any rotation", {"": partial(turned, "any")}, drawn=True),
            Condition("any rotation about y", {"": partial(turned, "y")}, drawn=True),
            *(
                Condition(f"{points} points", {"": partial(first, points)})
                for points in _fewer(bench.encoders[0], clouds[:1], bench.device)
            ),
            *(
                Condition(kind, {str(s): partial(own, kind, s) for s in SEVERITIES}, drawn=True, counts=True)
                for kind in KINDS
            ),
        ],
        left_out=_some(len(test), len(shapes.test)),
        protocol="test clouds corrupted here, not to be compared with published figures",
        details={"example": example},
    )


def _published(folder: Path, shapes: Labeled, most: int | None) -> Tested:
    """Take ModelNet-C's test clouds instead of the collection's, whose classes must be the same."""
    collection = shapes.collection
    files = ModelNetC.open(folder, collection.info.classes)
    own, labels = collection.labels[collection.indices("test")], files.labels
    same_number = len(own) == len(labels)
    if same_number and sorted(own[own >= 0]) != sorted(labels):
        raise UserError(
            f"{folder} has as many shapes as {collection.folder} has test shapes, but not of each class; "
            "expected the same classes in the same order, by name. Use a collection of ModelNet40."
        )
    unchecked = (
        f"{folder.name} has {len(labels)} shapes, the collection {len(own)} test shapes: the order of its "
        "classes could not be checked, and the SVM may have been fitted on shapes that are tested"
    )
    if missing := set(labels.tolist()) - set(shapes.labels[0].tolist()):
        name = collection.info.classes[missing.pop()]
        raise UserError(f"{folder} tests {name}, of which {collection.folder} has no training shape.")
    test = stratified(labels, most or len(labels))

    def read(name: str, severity: str, seed: int, rows: Shapes) -> Changed:
        return files.clouds(name, severity, test[rows])

    return Tested(
        labels=labels[test],
        ids=[files.items[CLEAN][""][row].id for row in test],
        conditions=[
            Condition(name, {s: partial(read, name, s) for s in each}, counts=name != CLEAN)
            for name, each in files.items.items()
        ],
        left_out={f"{len(own)} test shapes of the collection": f"those of {folder.name} are tested"}
        | _some(len(test), len(labels)),
        protocol=f"test clouds of {folder.name} as published",
        notes=[] if same_number else [unchecked],
    )


def _some(tested: int, available: int) -> dict[str, str]:
    """Return the reason for test shapes that were not drawn."""
    return {f"{available - tested} of {available} test shapes": "test_shapes"} if tested < available else {}


def _fewer(encoder: Encoder, cloud: Float32[np.ndarray, "1 N 3"], device: str) -> list[int]:
    """Return a half of the points, a quarter and so on, as far as the encoder can read them."""
    counts: list[int] = []
    count = cloud.shape[1] // 2
    while count >= MIN_POINTS:
        try:
            encode(encoder, cloud[:, :count], device=device)
        except UserError:
            break
        counts.append(count)
        count //= 2
    return counts


def _try_out(encoder: Encoder, conditions: Sequence[Condition], count: int, device: str) -> None:
    """Refuse conditions that leave an encoder too few points at their worst, before anything long begins."""
    for condition in conditions:
        worst = list(condition.changes.values())[-1](0, np.arange(1))
        try:
            encode(encoder, worst, device=device)
        except UserError as error:
            raise UserError(
                f"the corruption {condition.name!r} keeps only {worst.shape[1]} of {count} points: {error}"
            ) from None
