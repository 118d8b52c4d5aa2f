"""What test clouds go through in `robustness`, and how many are still recognised."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64
from rich.progress import Progress, TaskID

from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode
from adacross.encoders.inputs import MIN_POINTS
from adacross.errors import UserError
from adacross.evaluation.results import Ledger
from adacross.evaluation.robustness.corruptions import KINDS, LEAST_POINTS, SEVERITIES, corrupt, rotate
from adacross.features.svm import Machines, fit_svm

Clouds = Float32[np.ndarray, "n N 3"]
Changed = Float32[np.ndarray, "n M 3"]
Shapes = Int64[np.ndarray, " n"]
Change = Callable[[np.ndarray, int, np.ndarray], np.ndarray]  # (clouds, seed, shapes) -> clouds


def plan(fewer: Sequence[int]) -> dict[str, list[Change]]:
    """What is measured, piece by piece: the changes that test clouds go through."""
    corrupted: dict[str, list[Change]] = {
        kind: [partial(_corrupted, kind, severity) for severity in SEVERITIES] for kind in KINDS
    }
    return {
        "clean": [_same],
        **corrupted,
        "rotated": [partial(_rotated, "any"), partial(_rotated, "y")],
        "fewer": [partial(_first, count) for count in fewer],
    }


def try_out(encoder: Encoder, cloud: Float32[np.ndarray, "1 N 3"], device: str) -> None:
    """Let an encoder read one cloud under each corruption at its worst, before anything long begins.

    Raises:
        UserError: it has too few points to be corrupted, or then too few for the encoder.
    """
    count = cloud.shape[1]
    if count < LEAST_POINTS:
        raise UserError(f"robustness was to use {count} points; expected at least {LEAST_POINTS} a cloud.")
    for kind in KINDS:
        worst = corrupt(kind, cloud, SEVERITIES[-1], 0, np.zeros(1, dtype=np.int64))
        try:
            encode(encoder, worst, device=device)
        except UserError as error:
            raise UserError(
                f"the corruption {kind!r} keeps only {worst.shape[1]} of {count} points: {error}"
            ) from None


def fewer_points(encoder: Encoder, cloud: Float32[np.ndarray, "1 N 3"], device: str) -> list[int]:
    """A half of the points, a quarter and so on, as far as the encoder can read them."""
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


@dataclass(frozen=True)
class Recognised:
    """Accuracies of one repetition.

    Attributes:
        accuracy: by piece of the plan, a list a network, a number a change.
        C: of each network's SVM.
    """

    accuracy: dict[str, list[list[float]]]
    C: list[float]


@dataclass(frozen=True, eq=False)
class Repetition:
    """One repetition: its clouds, and the networks that go through the same.

    Attributes:
        networks: frozen.
        collection: of the shapes.
        train: which to fit on.
        test: which to change and to score on.
        points: how many (`clouds_of`).
        folds: of the cross-validation.
        seed: of everything that is drawn.
        device: where features are computed.
    """

    networks: tuple[Encoder, ...]
    collection: Collection
    train: Int64[np.ndarray, " n"]
    test: Int64[np.ndarray, " m"]
    points: int
    folds: int
    seed: int
    device: str

    @cached_property
    def classifiers(self) -> list[Machines]:
        """An SVM a network, on its features of clean training clouds; fitted when it is first asked for."""
        clouds, labels = self._clouds(self.train), self.collection.labels[self.train]
        return [
            fit_svm(encode(network, clouds, device=self.device), labels, self.folds, self.seed)
            for network in self.networks
        ]

    def measure(
        self, pieces: Mapping[str, Sequence[Change]], ledger: Ledger, progress: Progress, bar: TaskID
    ) -> Recognised:
        """Accuracies of all networks after all changes; what the ledger holds is not measured again."""
        clouds = self._clouds(self.test)
        end = progress.tasks[progress.task_ids.index(bar)].completed
        found: dict[str, list[list[float]]] = {}
        progress.update(bar, note=f"fitting, seed {self.seed}")
        penalties = ledger.once(f"C-seed{self.seed}", lambda: [machine.C for machine in self.classifiers])
        for name, changes in pieces.items():
            progress.update(bar, note=f"{name}, seed {self.seed}")

            def accuracies(changes: Sequence[Change] = changes) -> list[list[float]]:
                scores = [self._scores(change, clouds, progress, bar) for change in changes]
                return np.array(scores).reshape(-1, len(self.networks)).T.tolist()

            found[name] = ledger.once(f"{name}-seed{self.seed}", accuracies)
            end += len(self.networks) * len(changes)
            progress.update(bar, completed=end)
        return Recognised(found, penalties)

    def _scores(self, change: Change, clouds: Clouds, progress: Progress, bar: TaskID) -> list[float]:
        """Accuracy of each network on the same changed clouds."""
        changed = change(clouds, self.seed, self.test)
        labels = self.collection.labels[self.test]
        scores = []
        for network, machine in zip(self.networks, self.classifiers, strict=True):
            predicted = machine.predict(encode(network, changed, device=self.device))
            scores.append(float(np.mean(predicted == labels)))
            progress.advance(bar)
        return scores

    def _clouds(self, shapes: Shapes) -> Clouds:
        return clouds_of(self.collection, shapes, self.points, self.seed)


def clouds_of(collection: Collection, shapes: Shapes, points: int, seed: int) -> Clouds:
    """Clouds of some shapes; of more stored points the seed draws `points`, the same numbers in each."""
    clouds = collection.points(shapes)
    stored = collection.info.points
    return clouds if points == stored else clouds[:, np.random.default_rng(seed).permutation(stored)[:points]]


def _same(clouds: Clouds, seed: int, shapes: Shapes) -> Changed:
    return clouds


def _first(count: int, clouds: Clouds, seed: int, shapes: Shapes) -> Changed:
    return clouds[:, :count]


def _corrupted(kind: str, severity: int, clouds: Clouds, seed: int, shapes: Shapes) -> Changed:
    return corrupt(kind, clouds, severity, seed, shapes)


def _rotated(about: Literal["any", "y"], clouds: Clouds, seed: int, shapes: Shapes) -> Changed:
    return rotate(about, clouds, seed, shapes)
