"""Semantic segmentation: a class for every point of a room, cut into blocks; whole areas are held out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from adacross.console import Table, progress_bar
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.labelled import check_points
from adacross.evaluation.results import Figure, Ledger, Paper, check_output, result_path, save, subject
from adacross.evaluation.segmentation.metrics import mean_of_known, scene_ious
from adacross.evaluation.segmentation.presets import SCENE_PRESETS, SCENES, chosen
from adacross.evaluation.segmentation.scene_task import (
    COORDINATES,
    Coordinates,
    Held,
    SceneTask,
    held_out,
    of_rooms,
)
from adacross.evaluation.segmentation.training import ARMS, Example, Protocol, mean_over_seeds
from adacross.features.sources import find_encoders, untrained_like, usual_device


@dataclass(frozen=True)
class SceneScores:
    """How well points were classified.

    Attributes:
        miou: mean of the classes' IoU, from intersections and unions over all blocks; a class that is
            nowhere and that nobody predicted does not count.
        accuracy: share of all points that are right.
        classes: each class's IoU, over seeds.
    """

    miou: Figure
    accuracy: Figure
    classes: list[float | None]


@dataclass(frozen=True)
class Fold:
    """What was held out, and how both starts did on it.

    Attributes:
        name: of the area, or of the split.
        train: blocks; 0 where several areas are put together.
        test: blocks.
        pretrained: the encoder given.
        scratch: the same network, freshly drawn.
        gain: of mIoU, seed by seed.
    """

    name: str
    train: int
    test: int
    pretrained: SceneScores
    scratch: SceneScores
    gain: Figure


@dataclass(frozen=True)
class SemSegResult:
    """What `evaluate sem-seg` measured, and under which protocol."""

    task: str
    data: str
    encoders: list[str]
    points: int
    stored: int
    coordinates: str
    classes: list[str]
    protocol: str
    spread: str
    seeds: list[int]
    folds: list[Fold]
    together: Fold
    examples: list[Example]

    def table(self) -> Table:
        """Render as a rich table."""
        title = f"{self.data}: {len(self.classes)} classes, {self.points} of {self.stored} points a block"
        table = Table(title=f"{title}, {self.coordinates}", caption=f"{self.protocol}; {self.spread}")
        for column in ("held out", "train / test blocks", "start", "mIoU", "points right"):
            table.add_column(column)
        for fold in [*self.folds, *([self.together] if len(self.folds) > 1 else [])]:
            first = (fold.name, f"{fold.train or '–'} / {fold.test}")
            for name, scores in (("pre-trained", fold.pretrained), ("from scratch", fold.scratch)):
                table.add_row(*first, name, str(scores.miou), str(scores.accuracy))
            table.add_row(*first, "gain", f"{100 * fold.gain.mean:+.1f} ± {100 * fold.gain.std:.1f}")
        return table


def measure_semantic_segmentation(
    encoders: Sequence[Encoder],
    collection: Collection,
    protocol: Protocol = SCENES,
    *,
    areas: Sequence[int] | None = None,
    coordinates: Coordinates | None = None,
    seeds: int = 3,
    device: str = "cpu",
    names: Sequence[str] = ("encoder",),
    result: Path | None = None,
) -> SemSegResult:
    """Train encoder and head on the blocks of all areas but one, score on that one; for each area asked for.

    The last step is the result. Beside it the same network from scratch learns the same blocks in the same
    order, with the same head. A collection without areas is tested on its own test split. Points without a
    class do not count. Several encoders take turns, one a repetition.

    Args:
        encoders: one or more pre-trained encoders of one architecture.
        collection: with parts, which are the classes.
        protocol: of the training.
        areas: to hold out, one at a time; 5 if not given.
        coordinates: "source": the source's unit, metres in S3DIS, each block in the middle of the ground
            plane at its own height; "unit": as the collection stores them, in the unit sphere. If not given,
            "source" where there are areas.
        seeds: repetitions, at least one for each encoder: other order, points, heads.
        device: where to train.
        names: the encoders' names, for the record.
        result: where the result will be written; what is finished is kept beside it until then.

    Raises:
        UserError: no parts, an area that is not there, no test split.
        Interrupted: asked to stop; the same call goes on.
    """
    if seeds < 1:
        raise UserError(f"seeds is {seeds}; expected at least 1.")
    info = collection.info
    folds = held_out(collection, areas)
    unit = coordinates or ("source" if of_rooms(collection) else "unit")
    protocol = replace(protocol, points=min(protocol.points, info.points))
    task = SceneTask(collection, protocol, unit, device)
    ledger = Ledger(
        result,
        {"protocol": asdict(protocol), "coordinates": unit} | subject(collection, encoders),
    )
    repetitions = list(range(max(seeds, len(encoders))))
    with progress_bar("steps") as progress:
        pieces = [_pieces(task, ledger, progress, encoders, fold, repetitions) for fold in folds]
    shown = [pieces[0][arm][0]["shown"] for arm in ARMS]
    return SemSegResult(
        task="sem-seg",
        data=info.name,
        encoders=list(names),
        points=protocol.points,
        stored=info.points,
        coordinates=COORDINATES[unit],
        classes=info.parts,
        protocol=protocol.words,
        spread=f"mean ± standard deviation of {len(repetitions)} seeds (points, order, head; "
        f"{len(encoders)} pre-training{'s' if len(encoders) > 1 else ''}; from scratch: all weights)",
        seeds=repetitions,
        folds=[
            _fold(fold.name, len(fold.train), len(fold.test), found)
            for fold, found in zip(folds, pieces, strict=True)
        ],
        together=_together(folds, pieces),
        examples=task.examples(folds[0], shown),
    )


def _pieces(
    task: SceneTask,
    ledger: Ledger,
    progress: Progress,
    encoders: Sequence[Encoder],
    fold: Held,
    repetitions: Sequence[int],
) -> dict[str, list[dict[str, Any]]]:
    """Counts of both starts for every repetition, with one area held out."""
    pieces: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for seed in repetitions:
        given = encoders[seed % len(encoders)]
        for arm in ARMS:
            encoder = given if arm == "pretrained" else untrained_like(given, seed)
            name = f"{arm}-{fold.name.replace(' ', '-')}-seed{seed}"
            note = f"without {fold.name}, {arm}, seed {seed}"
            how = {"progress": progress, "note": note, "checkpoint": ledger.checkpoint(name)}
            pieces[arm].append(ledger.once(name, partial(task.measure, encoder, fold, seed, **how)))
    return pieces


def _fold(name: str, train: int, test: int, pieces: dict[str, list[dict[str, Any]]]) -> Fold:
    """One area's figures, or all areas' together, from counts."""
    scores = {arm: _scores(pieces[arm]) for arm in ARMS}
    values = (scores[arm].miou.values for arm in ARMS)
    gain = Figure.of([one - other for one, other in zip(*values, strict=True)])
    return Fold(name, train, test, scores["pretrained"], scores["scratch"], gain)


def _scores(pieces: Sequence[dict[str, Any]]) -> SceneScores:
    classes = [scene_ious(np.array(piece["intersection"]), np.array(piece["union"])) for piece in pieces]
    accuracy = [sum(piece["intersection"]) / piece["points"] for piece in pieces]
    return SceneScores(
        Figure.of([mean_of_known(values) for values in classes]),
        Figure.of(accuracy),
        mean_over_seeds(classes),
    )


def _together(folds: Sequence[Held], pieces: Sequence[dict[str, list[dict[str, Any]]]]) -> Fold:
    """All held-out areas as one: their points counted together, seed by seed."""
    summed = {
        arm: [
            {name: np.sum([piece[name] for piece in seed], 0) for name in ("intersection", "union", "points")}
            for seed in zip(*(found[arm] for found in pieces), strict=True)
        ]
        for arm in ARMS
    }
    name = " and ".join(fold.name for fold in folds) if len(folds) < 3 else f"{len(folds)} areas together"
    train = len(folds[0].train) if len(folds) == 1 else 0
    return _fold(name, train, sum(len(fold.test) for fold in folds), summed)


def evaluate_sem_seg(
    encoder: str | list[str],
    data: str,
    as_: Paper | None = None,
    areas: list[int] | None = None,
    coordinates: Coordinates | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    points: int | None = None,
    neighbors: int | None = None,
    seeds: int = 3,
    device: str | None = None,
    output: str | None = None,
    overwrite: bool = False,
) -> SemSegResult:
    """Segment rooms, whole areas held out, also with a network from scratch.

    Trains on the blocks of all other areas, whatever the collection's split says, and scores on the area held
    out; the last step is the result. Blocks come from S3DIS; any other collection with parts is measured on
    its own split. Ctrl-C keeps what is done; the same command goes on.

    Args:
        encoder: a run, an encoder folder, hf://owner/name or builtin-small; several runs that differ in their
            seed are measured together.
        data: a collection of S3DIS, or any other with parts.
        as_: use crossnet's optimizer, schedule, points and neighbors. Other options take precedence.
        areas: areas to hold out, one at a time; 5 by default.
        coordinates: source (meters, as the published program) or unit (the unit sphere); source by default
            where there are areas.
        epochs: passes over the training blocks.
        batch_size: blocks per step.
        learning_rate: peak learning rate.
        points: points per block; 1,024 by default, or all if fewer are stored.
        neighbors: k of a DGCNN during fine-tuning; as in pre-training by default.
        seeds: repetitions, each with another order and head.
        device: cpu or cuda; cuda if available.
        output: JSON file to write; by default `evaluation/sem-seg.json` in the (first) run,
            `sem-seg-as-PAPER.json` with --as.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such encoder or collection, no parts, an area that is not there, an option out of range.
    """
    check_output(output, overwrite)
    task = f"sem-seg-as-{as_}" if as_ else "sem-seg"
    found = find_encoders(encoder)
    collection = Collection.open(data)
    check_points(points, collection)
    protocol = chosen(
        SCENE_PRESETS, SCENES, as_, found[0].encoder, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, points=points, neighbors=neighbors,
    )  # fmt: skip
    result = measure_semantic_segmentation(
        [item.encoder for item in found],
        collection,
        protocol,
        areas=areas,
        coordinates=coordinates,
        seeds=seeds,
        device=usual_device(device),
        names=[item.name for item in found],
        result=result_path(output, found[0].run, task),
    )
    save(result, output, found[0].run, task)
    return result
