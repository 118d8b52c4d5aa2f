"""Fine-tuning for classification: what pre-training saves in labels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from adacross.console import Table, progress_bar
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.classification import OURS, PRESETS, Protocol, Task
from adacross.evaluation.labelled import check_points, labelled
from adacross.evaluation.results import Figure, Ledger, Paper, check_output, result_path, save, subject
from adacross.features.sources import find_encoders, untrained_like, usual_device

ARMS = ("pretrained", "scratch")


@dataclass(frozen=True)
class Arm:
    """Test accuracies of one kind of start.

    Attributes:
        overall: share of the test shapes that are right.
        per_class: mean over classes of that share.
        voted: `overall` with scores added over augmented copies of every test shape; None: not asked for.
    """

    overall: Figure
    per_class: Figure
    voted: Figure | None


@dataclass(frozen=True)
class Labels:
    """Both starts with a part of the labels.

    Attributes:
        fraction: of the training shapes.
        shapes: how many that are.
        pretrained: the encoder given.
        scratch: the same network, freshly drawn.
    """

    fraction: float
    shapes: int
    pretrained: Arm
    scratch: Arm


@dataclass(frozen=True)
class FineTuneResult:
    """What `evaluate fine-tune` measured, and under which protocol."""

    task: str
    data: str
    encoders: list[str]
    points: int
    train: int
    test: int
    classes: list[str]
    protocol: str
    spread: str
    seeds: list[int]
    votes: int
    labels: list[Labels]

    def table(self) -> Table:
        """Render as a rich table."""
        title = f"{self.data}: fine-tuned, {self.points} points, {self.train} train / {self.test} test"
        table = Table(title=title, caption=f"{self.protocol}; {self.spread}")
        for column in ("labels", "shapes", "start", "accuracy", "each", "per class"):
            table.add_column(column)
        if self.votes:
            table.add_column(f"{self.votes} votes")
        for row in self.labels:
            for name, arm in (("pre-trained", row.pretrained), ("from scratch", row.scratch)):
                cells = (f"{100 * row.fraction:g} %", str(row.shapes), name, str(arm.overall))
                voted = (str(arm.voted),) if arm.voted else ()
                table.add_row(*cells, arm.overall.each, str(arm.per_class), *voted)
        return table


def fraction_of(labels: Int64[np.ndarray, " n"], fraction: float, seed: int) -> Int64[np.ndarray, " k"]:
    """Positions of a part of labelled shapes: the fraction of each class, one shape of it at the least.

    A smaller fraction's shapes are among a larger one's of the same seed.
    """
    order = np.random.default_rng([seed, 5]).permutation(len(labels))
    chosen: list[np.ndarray] = []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen.append(members[: max(1, round(fraction * len(members)))])
    return np.sort(np.concatenate(chosen))


def measure_fine_tune(
    encoders: Sequence[Encoder],
    collection: Collection,
    protocol: Protocol = OURS,
    *,
    fractions: Sequence[float] = (0.01, 0.1, 1.0),
    seeds: int = 3,
    votes: int = 0,
    device: str = "cpu",
    names: Sequence[str] = ("encoder",),
    result: Path | None = None,
) -> FineTuneResult:
    """Train encoder and head on parts of the training split's labels, score on the test split.

    The last step is the result. Beside it the same network from scratch learns the same shapes in the same
    order, with the same head. Several encoders take turns, one a repetition.

    Args:
        encoders: one or more pre-trained encoders of one architecture.
        collection: with classes and a test split.
        protocol: of the training.
        fractions: of the labels, above 0 up to 1; every class keeps one shape at the least.
        seeds: repetitions, at least one for each encoder: other shapes, order, heads.
        votes: augmented copies of each test shape whose scores are added, reported beside the plain accuracy.
        device: where to train.
        names: the encoders' names, for the record.
        result: where the result will be written; what is finished is kept beside it until then.

    Raises:
        UserError: no classes, no test split, a fraction out of range, points that are not there.
        Interrupted: asked to stop; the same call goes on.
    """
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise UserError(f"fractions are {list(fractions)}; expected some above 0, up to 1.")
    if seeds < 1 or votes < 0:
        raise UserError(f"seeds is {seeds} and votes {votes}; expected at least 1 and at least 0.")
    train, test = labelled(collection)
    protocol = replace(protocol, points=min(protocol.points, collection.info.points))
    labels = collection.labels
    task = Task(
        clouds=(collection.points(train), collection.points(test)),
        labels=(labels[train], labels[test]),
        classes=len(collection.info.classes),
        protocol=protocol,
        votes=votes,
        device=device,
    )
    repetitions = list(range(max(seeds, len(encoders))))
    ledger = Ledger(
        result,
        {"protocol": asdict(protocol), "votes": votes} | subject(collection, encoders),
    )
    rows = []
    with progress_bar("steps") as progress:
        for fraction in fractions:
            scores: dict[str, list[list[float]]] = {arm: [] for arm in ARMS}
            for seed in repetitions:
                chosen = fraction_of(labels[train], fraction, seed)
                given = encoders[seed % len(encoders)]
                for arm in ARMS:
                    encoder = given if arm == "pretrained" else untrained_like(given, seed)
                    name = f"{arm}-{fraction:g}-seed{seed}"
                    note = f"{100 * fraction:g} % of labels, {arm}, seed {seed}"
                    kept = ledger.checkpoint(name)
                    once = partial(task.measure, encoder, chosen, seed, progress, note, kept)
                    scores[arm].append(ledger.once(name, once))
            rows.append(Labels(fraction, len(chosen), *(_arm(scores[arm], votes) for arm in ARMS)))
    return FineTuneResult(
        task="fine-tune",
        data=collection.info.name,
        encoders=list(names),
        points=protocol.points,
        train=len(train),
        test=len(test),
        classes=collection.info.classes,
        protocol=protocol.words,
        spread=f"mean ± standard deviation of {len(repetitions)} seeds (labelled shapes, order, head; "
        f"{len(encoders)} pre-training{'s' if len(encoders) > 1 else ''})",
        seeds=repetitions,
        votes=votes,
        labels=rows,
    )


def _arm(scores: list[list[float]], votes: int) -> Arm:
    overall, per_class, *voted = (Figure.of(values) for values in zip(*scores, strict=True))
    return Arm(overall, per_class, voted[0] if votes else None)


def evaluate_fine_tune(
    encoder: str | list[str],
    data: str,
    as_: Paper | None = None,
    fractions: list[float] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    points: int | None = None,
    seeds: int = 3,
    votes: int = 0,
    device: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
) -> FineTuneResult:
    """Fine-tune the whole network with 1 %, 10 % and 100 % of the labels, and train one from scratch.

    Labels come from the collection's training split, accuracy from its test split; the last step is the
    result. Ctrl-C keeps what is done; the same command goes on.

    Args:
        encoder: a run, an encoder folder, hf://owner/name or builtin-small; several runs that differ in their
            seed are measured together.
        data: a collection with classes.
        as_: use a paper's head, optimizer and schedule with all labels (crossnet, adacrossnet, point-m2ae or
            joint-mae). Other options take precedence.
        fractions: fractions of the labels; 0.01, 0.1 and 1.0 by default, 1.0 with --as.
        epochs: passes over the labeled shapes; 20 by default, and at least 200 steps.
        batch_size: shapes per step; 32 by default.
        learning_rate: peak learning rate; 0.001 with Adam by default.
        points: points per cloud; 1,024 by default, or all if fewer are stored.
        seeds: repetitions, each with other labeled shapes, order and head.
        votes: number of test-time augmentations, reported separately; 10 in some papers, 0 for none.
        device: cpu or cuda; cuda if available.
        output: JSON file to write; by default `evaluation/fine-tune.json` in the (first) run,
            `fine-tune-as-PAPER.json` with --as.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such encoder or collection, no classes, an option out of its range, a paper that did not
            fine-tune classifiers.
    """
    check_output(output, overwrite)
    if as_ and as_ not in PRESETS:
        raise UserError(f"{as_} published no fine-tuned classification; --as knows {', '.join(PRESETS)}.")
    protocol = PRESETS[as_] if as_ else OURS
    schedule = protocol.schedule.changed(epochs, batch_size, learning_rate)
    task = f"fine-tune-as-{as_}" if as_ else "fine-tune"
    found = find_encoders(encoder)
    collection = Collection.open(data)
    check_points(points, collection)
    result = measure_fine_tune(
        [item.encoder for item in found],
        collection,
        replace(protocol, schedule=schedule, points=points or protocol.points),
        fractions=fractions or ([1.0] if as_ else [0.01, 0.1, 1.0]),
        seeds=seeds,
        votes=votes,
        device=usual_device(device),
        names=[item.name for item in found],
        result=result_path(output, found[0].run, task),
    )
    save(result, output, found[0].run, task)
    return result
