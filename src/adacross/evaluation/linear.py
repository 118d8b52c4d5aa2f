"""Linear SVM on frozen features, beside the same encoder untrained."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adacross.console import Table, progress_bar
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.evaluation.labelled import check_points
from adacross.evaluation.probe import PRESETS, Probe
from adacross.evaluation.results import Figure, Paper, check_output, save
from adacross.features.sources import find_encoders, untrained_like, usual_device


@dataclass(frozen=True)
class Score:
    """Accuracies of one encoder.

    Attributes:
        accuracy: one a repetition, 0 to 1.
        mean: their mean.
        std: their standard deviation (n - 1), 0 for one repetition.
        C: the penalty in each repetition, as given or as cross-validation chose it.
    """

    accuracy: list[float]
    mean: float
    std: float
    C: list[float]

    @classmethod
    def of(cls, accuracy: list[float], chosen: list[float]) -> "Score":
        """Summarise repetitions."""
        figure = Figure.of(accuracy)
        return cls(figure.values, figure.mean, figure.std, chosen)

    def __str__(self) -> str:
        return str(self.figure)

    @property
    def figure(self) -> Figure:
        """The accuracies alone."""
        return Figure(self.accuracy, self.mean, self.std)


@dataclass(frozen=True)
class LinearResult:
    """What `evaluate linear` measured, and under which protocol."""

    task: str
    data: str
    encoders: list[str]
    points: int
    train: int
    test: int
    protocol: str
    classifier: str
    spread: str
    seeds: list[int]
    classes: list[str]
    pretrained: Score
    untrained: Score
    gain: float
    confusion: list[list[int]]

    def table(self) -> Table:
        """Render as a rich table."""
        title = f"{self.data}: {self.classifier}, {self.points} points, {self.train} train / {self.test} test"
        table = Table(title=title, caption=self.spread)
        for column in ("encoder", "accuracy", "each", "C"):
            table.add_column(column)
        for name, score in (("pre-trained", self.pretrained), ("untrained", self.untrained)):
            table.add_row(name, str(score), score.figure.each, " ".join(f"{c:.2g}" for c in score.C))
        table.add_row("gain", f"{100 * self.gain:+.1f} points")
        return table


def measure_linear(
    encoders: Sequence[Encoder],
    collection: Collection,
    *,
    points: int | None = None,
    seeds: int = 3,
    folds: int = 5,
    device: str = "cpu",
    names: Sequence[str] = ("encoder",),
    C: float | None = None,
    as_: Paper | None = None,
) -> LinearResult:
    """Fit a linear SVM on the training split's features, score it on the test split, several times.

    Nothing is chosen on the test split: C comes from cross-validation on the training split. A repetition
    draws the points anew (where fewer are asked for than stored) and the folds; beside it, an untrained
    encoder with a new initialisation goes through exactly the same. Several encoders, which should differ
    in their pre-training seed only, take turns, one a repetition.

    As a paper measures, C is the paper's, on features that are not scaled, and the points are the first that
    are stored. Then nothing is drawn, and each encoder is measured once; untrained ones still `seeds` times.

    Args:
        encoders: one or more pre-trained encoders of one architecture.
        collection: with classes and a test split.
        points: points of each cloud; the paper's, else 1,024, or all there are if not given.
        seeds: repetitions, at least one for each encoder.
        folds: of the cross-validation; not used where C is given.
        device: where features are computed.
        names: the encoders' names, for the record.
        C: of the SVM, instead of cross-validation or of the paper's.
        as_: the paper whose setting to use; what is given beside it wins.

    Raises:
        UserError: no classes, no test split, too few shapes, points or C that are not above 0.
    """
    check_points(points, collection)
    preset = PRESETS[as_] if as_ else None
    if preset:
        C = preset.penalty(collection) if C is None else C
        points = preset.points if points is None else points
    elif points is None:
        points = 1024
    probe = Probe.of(collection, points, folds, device, C, first=preset is not None)
    repetitions = list(range(max(seeds, len(encoders))))
    varies = probe.draws or C is None
    measured = len(repetitions) if varies else len(encoders)
    trained, untrained = [], []
    known: dict[int, list[np.ndarray]] = {}  # features that no draw of points can change
    with progress_bar("probes") as progress:
        task = progress.add_task("linear probe", total=measured + len(repetitions), note="")
        for seed in repetitions:
            which = seed % len(encoders)
            if seed < measured:
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
        train=len(probe.labels[0]),
        test=len(probe.labels[1]),
        protocol=as_ or "ours",
        classifier=probe.classifier + (f" ({preset.words}); the first stored points" if preset else ""),
        spread=_spread(len(encoders), probe, len(repetitions)),
        seeds=repetitions,
        classes=collection.info.classes,
        pretrained=scores[0],
        untrained=scores[1],
        gain=scores[0].mean - scores[1].mean,
        confusion=confusion.tolist(),
    )


def _spread(encoders: int, probe: Probe, repetitions: int) -> str:
    """Describe what the standard deviation is taken over."""
    several = f"{encoders} pre-training seeds" if encoders > 1 else ""
    folds = "" if probe.C else "cross-validation folds"
    varied = [words for words in (several, "the points drawn" if probe.draws else "", folds) if words]
    measured = encoders if probe.C and not probe.draws else repetitions
    spread = f"mean ± standard deviation of {measured}: {', '.join(varied)}" if varied else "measured once"
    if not probe.C:
        return f"{spread}; untrained: also the initialisation"
    return (
        f"{spread}; untrained: {repetitions} initialisations. One C for all suits features of one scale, and "
        "untrained ones have another: with a fixed C the gain is not due to pre-training alone"
    )


def evaluate_linear(
    encoder: str | list[str],
    data: str,
    points: int | None = None,
    seeds: int = 3,
    folds: int = 5,
    C: float | None = None,
    as_: Paper | None = None,
    device: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
) -> LinearResult:
    """Fit a linear SVM on frozen features, and on those of the untrained encoder.

    Fits on the collection's training split and scores on its test split; C is chosen by cross-validation on
    the training split; the encoder is frozen in eval mode.

    With --as, a paper's C and points instead, to check a published figure. That result has a file of its own,
    `linear-as-PAPER.json` (`linear-C-0.1.json` where C alone is given), so that `linear.json` stays the
    figure for which nothing was fixed by hand.

    Args:
        encoder: a run, an encoder folder, hf://owner/name or builtin-small; several runs that differ in their
            seed are measured together.
        data: a collection with classes.
        points: points per cloud; 1,024 by default, or all if fewer are stored.
        seeds: repetitions, each with its own points, folds and untrained encoder.
        folds: cross-validation folds that choose C.
        C: SVM penalty; chosen by cross-validation by default.
        as_: use the C and the points of a paper's program: C is 0.01 for crosspoint (0.1 in its training
            loop: --C 0.1), crossnet and adacrossnet, 0.012 for point-m2ae and joint-mae (0.042 on
            ScanObjectNN); points are the first 1,024 stored ones, all for adacrossnet. --C and --points take
            precedence.
        device: cpu or cuda; cuda if available.
        output: JSON file to write; by default `evaluation/linear.json` in the (first) run,
            `linear-as-PAPER.json` with --as, `linear-C-0.1.json` with --C 0.1.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such encoder or collection, no classes, too few shapes, points or C not above 0.
    """
    check_output(output, overwrite)
    found = find_encoders(encoder)
    result = measure_linear(
        [item.encoder for item in found],
        Collection.open(data),
        points=points,
        seeds=seeds,
        folds=folds,
        device=usual_device(device),
        names=[item.name for item in found],
        C=C,
        as_=as_,
    )
    other = f"-as-{as_}" if as_ else f"-C-{C:g}" if C else ""
    save(result, output, found[0].run, f"linear{other}")
    return result
