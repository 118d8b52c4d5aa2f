"""Part segmentation: a part for every point of a shape whose category is known."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from adacross.console import Table, progress_bar
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.fine_tune import fraction_of
from adacross.evaluation.labelled import check_points
from adacross.evaluation.results import Figure, Ledger, Paper, check_output, result_path, save, subject
from adacross.evaluation.segmentation.part_task import CONVENTIONS, PartTask, part_task
from adacross.evaluation.segmentation.presets import PART_PRESETS, PARTS, chosen
from adacross.evaluation.segmentation.training import ARMS, Example, Protocol, examples, mean_over_seeds
from adacross.features.sources import find_encoders, untrained_like, usual_device


@dataclass(frozen=True)
class PartScores:
    """How well parts were found.

    Attributes:
        instance: mean over test shapes of the mean IoU over the parts of their category.
        by_class: mean over categories of their shapes' mean.
        accuracy: share of the points that are right.
        categories: mean IoU of each category's shapes, over seeds; None where none is tested.
    """

    instance: Figure
    by_class: Figure
    accuracy: Figure
    categories: list[float | None]


@dataclass(frozen=True)
class PartLabels:
    """Both starts with a part of the labels.

    Attributes:
        fraction: of the training shapes.
        shapes: how many that are.
        pretrained: the encoder given; every point's part is chosen among all (the contrastive programs').
        scratch: the same network, freshly drawn.
        gain: of instance mIoU, seed by seed.
        pretrained_known: as `pretrained`, chosen among the known category's parts (Point-M2AE's program).
        scratch_known: as `scratch`, likewise.
        gain_known: likewise.
    """

    fraction: float
    shapes: int
    pretrained: PartScores
    scratch: PartScores
    gain: Figure
    pretrained_known: PartScores
    scratch_known: PartScores
    gain_known: Figure


@dataclass(frozen=True)
class PartSegResult:
    """What `evaluate part-seg` measured, and under which protocol."""

    task: str
    data: str
    encoders: list[str]
    points: int
    train: int
    test: int
    categories: list[str]
    tested: list[int]
    parts: list[str]
    protocol: str
    spread: str
    seeds: list[int]
    labels: list[PartLabels]
    examples: list[Example]

    def table(self) -> Table:
        """Render as a rich table."""
        title = f"{self.data}, per cent: {len(self.parts)} parts, {self.points} points"
        table = Table(
            title=f"{title}, {self.train} train / {self.test} test", caption=f"{self.protocol}; {self.spread}"
        )
        for column in ("labels", "part among", "start", "instance mIoU", "class mIoU", "right points"):
            table.add_column(column)
        for row in self.labels:
            labels = f"{100 * row.fraction:g} % ({row.shapes})"
            for among, pretrained, scratch, gain in (
                ("all", row.pretrained, row.scratch, row.gain),
                ("its own", row.pretrained_known, row.scratch_known, row.gain_known),
            ):
                for name, scores in (("pre-trained", pretrained), ("from scratch", scratch)):
                    figures = (scores.instance, scores.by_class, scores.accuracy)
                    table.add_row(labels, among, name, *(str(figure).rstrip(" %") for figure in figures))
                table.add_row(labels, among, "gain", f"{100 * gain.mean:+.1f} ± {100 * gain.std:.1f}")
        return table


def measure_part_segmentation(
    encoders: Sequence[Encoder],
    collection: Collection,
    protocol: Protocol = PARTS,
    *,
    fractions: Sequence[float] = (0.1, 1.0),
    seeds: int = 3,
    device: str = "cpu",
    names: Sequence[str] = ("encoder",),
    result: Path | None = None,
) -> PartSegResult:
    """Train encoder and head on parts of the training split's labels, score on the test split.

    The last step is the result. Beside it the same network from scratch learns the same shapes in the same
    order, with the same head. The network is told each shape's category. Points without a part, shapes
    without such points, and test shapes of a category without training shapes do not count. Several encoders
    take turns, one a repetition.

    Args:
        encoders: one or more pre-trained encoders of one architecture.
        collection: with parts and a test split.
        protocol: of the training.
        fractions: of the labelled shapes, above 0 up to 1; every category keeps one at the least.
        seeds: repetitions, at least one for each encoder: other shapes, order, heads.
        device: where to train.
        names: the encoders' names, for the record.
        result: where the result will be written; what is finished is kept beside it until then.

    Raises:
        UserError: no parts, no test split, a fraction out of range.
        Interrupted: asked to stop; the same call goes on.
    """
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise UserError(f"fractions are {list(fractions)}; expected some above 0, up to 1.")
    if seeds < 1:
        raise UserError(f"seeds is {seeds}; expected at least 1.")
    protocol = replace(protocol, points=min(protocol.points, collection.info.points))
    task = part_task(collection, protocol, device)
    ledger = Ledger(result, {"protocol": asdict(protocol)} | subject(collection, encoders))
    repetitions = list(range(max(seeds, len(encoders))))
    with progress_bar("steps") as progress:
        rows = [
            _both(task, ledger, progress, encoders, fraction, repetitions) for fraction in sorted(fractions)
        ]
    info = collection.info
    categories = info.classes or ["shape"]
    return PartSegResult(
        task="part-seg",
        data=info.name,
        encoders=list(names),
        points=protocol.points,
        train=len(task.train),
        test=len(task.test),
        categories=categories,
        tested=np.bincount(task.test.labels, minlength=len(categories)).tolist(),
        parts=info.parts,
        protocol=protocol.words,
        spread=f"mean ± standard deviation of {len(repetitions)} seeds (labelled shapes, points, order, "
        f"head; {len(encoders)} pre-training{'s' if len(encoders) > 1 else ''}; from scratch: all weights)",
        seeds=repetitions,
        labels=[row for row, _ in rows],
        examples=_shown(task, collection, rows[-1][1]),
    )


def _both(
    task: PartTask,
    ledger: Ledger,
    progress: Any,
    encoders: Sequence[Encoder],
    fraction: float,
    repetitions: Sequence[int],
) -> tuple[PartLabels, list[Any]]:
    """Both starts with one fraction of the labels, and what the first seed's networks said."""
    pieces: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    chosen: np.ndarray = np.zeros(0)
    for seed in repetitions:
        chosen = fraction_of(task.train.labels, fraction, seed)
        given = encoders[seed % len(encoders)]
        for arm in ARMS:
            encoder = given if arm == "pretrained" else untrained_like(given, seed)
            name = f"{arm}-{fraction:g}-seed{seed}"
            note = f"{100 * fraction:g} % of labels, {arm}, seed {seed}"
            how = {"progress": progress, "note": note, "checkpoint": ledger.checkpoint(name)}
            pieces[arm].append(ledger.once(name, partial(task.measure, encoder, chosen, seed, **how)))
    row: dict[str, Any] = {}
    for convention in CONVENTIONS:
        end = "" if convention == "all" else "_known"
        scores = [_scores([piece[convention] for piece in pieces[arm]]) for arm in ARMS]
        row |= {f"{arm}{end}": score for arm, score in zip(ARMS, scores, strict=True)}
        values = (score.instance.values for score in scores)
        row[f"gain{end}"] = Figure.of([one - other for one, other in zip(*values, strict=True)])
    return PartLabels(fraction, len(chosen), **row), [pieces[arm][0]["shown"] for arm in ARMS]


def _scores(pieces: Sequence[dict[str, Any]]) -> PartScores:
    """What each seed measured under one convention, together."""
    instance, by_class, right = zip(*(piece["figures"] for piece in pieces), strict=True)
    categories = mean_over_seeds([piece["categories"] for piece in pieces])
    return PartScores(Figure.of(instance), Figure.of(by_class), Figure.of(right), categories)


def _shown(task: PartTask, collection: Collection, said: Sequence[Any]) -> list[Example]:
    """The test shapes that are shown, with the first seed's points and predictions."""
    clouds = task.test.thinned(task.protocol.points, 0).shapes(task.shown)
    classes = collection.info.classes or [""]
    names = [
        (collection.ids[index], classes[label])
        for index, label in zip(task.tested[task.shown], clouds.labels, strict=True)
    ]
    return examples(clouds, (np.array(said[0]), np.array(said[1])), names)


def evaluate_part_seg(
    encoder: str | list[str],
    data: str,
    as_: Paper | None = None,
    fractions: list[float] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    points: int | None = None,
    neighbors: int | None = None,
    seeds: int = 3,
    device: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
) -> PartSegResult:
    """Segment shapes into parts with 10 % and 100 % of the labels, and with a network from scratch.

    Parts come from the collection's training split, mIoU from its test split; the last step is the result.
    Both published ways to choose a part stand beside each other: among all parts, and among those of the
    shape's known category. Ctrl-C keeps what is done; the same command goes on.

    Args:
        encoder: a run, an encoder folder, hf://owner/name or builtin-small; several runs that differ in their
            seed are measured together.
        data: a collection with parts.
        as_: use a paper's optimizer, schedule, points and neighbors with all labels. Other options take
            precedence.
        fractions: fractions of the labeled shapes; 0.1 and 1.0 by default, 1.0 with --as.
        epochs: passes over the labeled shapes.
        batch_size: shapes per step.
        learning_rate: peak learning rate.
        points: points per cloud; 1,024 by default, or all if fewer are stored.
        neighbors: k of a DGCNN during fine-tuning; as in pre-training by default.
        seeds: repetitions, each with other labeled shapes, order and head.
        device: cpu or cuda; cuda if available.
        output: JSON file to write; by default `evaluation/part-seg.json` in the (first) run,
            `part-seg-as-PAPER.json` with --as.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such encoder or collection, no parts, an option out of its range.
    """
    check_output(output, overwrite)
    task = f"part-seg-as-{as_}" if as_ else "part-seg"
    found = find_encoders(encoder)
    collection = Collection.open(data)
    check_points(points, collection)
    protocol = chosen(
        PART_PRESETS, PARTS, as_, found[0].encoder, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, points=points, neighbors=neighbors,
    )  # fmt: skip
    result = measure_part_segmentation(
        [item.encoder for item in found],
        collection,
        protocol,
        fractions=fractions or ([1.0] if as_ else [0.1, 1.0]),
        seeds=seeds,
        device=usual_device(device),
        names=[item.name for item in found],
        result=result_path(output, found[0].run, task),
    )
    save(result, output, found[0].run, task)
    return result
