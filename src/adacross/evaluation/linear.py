"""Linear SVM on frozen features, beside the same encoder untrained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from adacross.console import progress_bar
from adacross.data.collection import Collection
from adacross.encoders import Encoder
from adacross.evaluation.features import encode
from adacross.evaluation.labelled import labelled
from adacross.evaluation.results import save
from adacross.evaluation.sources import find_encoders, untrained_like
from adacross.evaluation.svm import svm


@dataclass(frozen=True)
class Score:
    """Accuracies of one encoder.

    Attributes:
        accuracy: one a repetition, 0 to 1.
        mean: their mean.
        std: their standard deviation (n - 1), 0 for one repetition.
        C: the penalty that cross-validation chose in each repetition.
    """

    accuracy: list[float]
    mean: float
    std: float
    C: list[float]

    @classmethod
    def of(cls, accuracy: list[float], chosen: list[float]) -> "Score":
        """Summarise repetitions."""
        std = float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else 0.0
        return cls(accuracy, float(np.mean(accuracy)), std, chosen)

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} ± {100 * self.std:.1f} %"


@dataclass(frozen=True)
class LinearResult:
    """What `evaluate linear` measured, and under which protocol."""

    task: str
    data: str
    encoders: list[str]
    points: int
    train: int
    test: int
    classifier: str
    spread: str
    seeds: list[int]
    classes: list[str]
    pretrained: Score
    untrained: Score
    gain: float
    confusion: list[list[int]]

    def table(self) -> Table:
        """The result as people read it."""
        title = f"{self.data}: {self.classifier}, {self.points} points, {self.train} train / {self.test} test"
        table = Table(title=title, caption=self.spread)
        for column in ("encoder", "accuracy", "each", "C"):
            table.add_column(column)
        for name, score in (("pre-trained", self.pretrained), ("untrained", self.untrained)):
            each = " ".join(f"{100 * value:.1f}" for value in score.accuracy)
            table.add_row(name, str(score), each, " ".join(f"{c:.2g}" for c in score.C))
        table.add_row("gain", f"{100 * self.gain:+.1f} points")
        return table


@dataclass(frozen=True)
class _Probe:
    """A labelled collection, ready to be probed.

    Attributes:
        clouds: of the training and of the test shapes, with all their stored points.
        labels: of the same.
        points: how many of the stored points to use.
        folds: of the cross-validation.
        device: where features are computed.
    """

    clouds: tuple[np.ndarray, np.ndarray]
    labels: tuple[np.ndarray, np.ndarray]
    points: int
    folds: int
    device: str

    @property
    def draws(self) -> bool:
        """Whether a repetition draws points, or takes all there are."""
        return self.points < self.clouds[0].shape[1]

    def features(self, encoder: Encoder, seed: int) -> list[np.ndarray]:
        """Training and test features, of points drawn by `seed`, the same numbers for every cloud."""
        stored = self.clouds[0].shape[1]
        drawn = np.random.default_rng(seed).permutation(stored)[: self.points] if self.draws else slice(None)
        return [encode(encoder, clouds[:, drawn], device=self.device) for clouds in self.clouds]

    def predict(self, features: list[np.ndarray], seed: int) -> tuple[np.ndarray, float, float]:
        """Predictions for the test shapes, their accuracy and the chosen C."""
        predicted, penalty = svm(features[0], self.labels[0], features[1], self.folds, seed)
        return predicted, float(np.mean(predicted == self.labels[1])), penalty


def measure_linear(
    encoders: Sequence[Encoder],
    collection: Collection,
    *,
    points: int | None = None,
    seeds: int = 3,
    folds: int = 5,
    device: str = "cpu",
    names: Sequence[str] = ("encoder",),
) -> LinearResult:
    """Fit a linear SVM on the training split's features, score it on the test split, several times.

    Nothing is chosen on the test split: C comes from cross-validation on the training split. A repetition
    draws the points anew (where fewer are asked for than stored) and the folds; beside it, an untrained
    encoder with a new initialisation goes through exactly the same. Several encoders, which should differ
    in their pre-training seed only, take turns, one a repetition.

    Args:
        encoders: one or more pre-trained encoders of one architecture.
        collection: with classes and a test split.
        points: points of each cloud; 1,024 or all there are if not given.
        seeds: repetitions, at least one for each encoder.
        folds: of the cross-validation.
        device: where features are computed.
        names: the encoders' names, for the record.

    Raises:
        UserError: no classes, no test split, too few shapes.
    """
    train, test = labelled(collection, folds)
    probe = _Probe(
        clouds=(collection.points(train), collection.points(test)),
        labels=(collection.labels[train], collection.labels[test]),
        points=min(points or 1024, collection.info.points),
        folds=folds,
        device=device,
    )
    repetitions = list(range(max(seeds, len(encoders))))
    trained, untrained = [], []
    known: dict[int, list[np.ndarray]] = {}  # features that no draw of points can change
    with progress_bar("probes") as progress:
        task = progress.add_task("linear probe", total=2 * len(repetitions), note="")
        for seed in repetitions:
            which = seed % len(encoders)
            if probe.draws or which not in known:
                known[which] = probe.features(encoders[which], seed)
            trained.append(probe.predict(known[which], seed))
            progress.advance(task)
            fresh = untrained_like(encoders[which], seed)
            untrained.append(probe.predict(probe.features(fresh, seed), seed))
            progress.advance(task)
    scores = [Score.of([a for _, a, _ in runs], [c for _, _, c in runs]) for runs in (trained, untrained)]
    confusion = np.zeros((len(collection.info.classes),) * 2, dtype=np.int64)
    np.add.at(confusion, (probe.labels[1], trained[0][0]), 1)
    return LinearResult(
        task="linear",
        data=collection.info.name,
        encoders=list(names),
        points=probe.points,
        train=len(train),
        test=len(test),
        classifier=f"linear SVM (SVC), C by {folds}-fold cross-validation on the training split",
        spread=_spread(len(encoders), probe.draws, len(repetitions)),
        seeds=repetitions,
        classes=collection.info.classes,
        pretrained=scores[0],
        untrained=scores[1],
        gain=scores[0].mean - scores[1].mean,
        confusion=confusion.tolist(),
    )


def _spread(encoders: int, drawn: bool, repetitions: int) -> str:
    """What the ± stands for, in words."""
    varied = ["cross-validation folds"]
    if drawn:
        varied.insert(0, "the points drawn")
    if encoders > 1:
        varied.insert(0, f"{encoders} pre-training seeds")
    return (
        f"mean ± standard deviation of {repetitions}: {', '.join(varied)}; untrained: also the initialisation"
    )


def evaluate_linear(
    encoder: str | list[str],
    data: str,
    points: int | None = None,
    seeds: int = 3,
    folds: int = 5,
    device: str | None = None,
    output: str | None = None,
) -> LinearResult:
    """Linear SVM on frozen features, beside the same encoder untrained.

    Fits on the collection's training split and scores on its test split; C is chosen by cross-validation on
    the training split; the encoder is frozen in eval mode.

    Args:
        encoder: a run, an encoder folder, a hub id, or several runs that differ in their seed, as a list or
            as a quoted pattern ('runs/shapes-seed*').
        data: a prepared collection with classes.
        points: points of each cloud; 1,024 or all there are if not given.
        seeds: repetitions; each draws points and folds anew, and a new untrained encoder.
        folds: of the cross-validation.
        device: cpu or cuda; cuda if there is one.
        output: where to write the result as JSON; by default `evaluation/linear.json` of the (first) run.

    Raises:
        UserError: no such encoder or collection, no classes, too few shapes.
    """
    found = find_encoders(encoder)
    result = measure_linear(
        [item.encoder for item in found],
        Collection.open(Path(data)),
        points=points,
        seeds=seeds,
        folds=folds,
        device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
        names=[item.name for item in found],
    )
    save(result, output, found[0].run, "linear")
    return result
