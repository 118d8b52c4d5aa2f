"""What is learnt in a few-shot episode: a linear SVM on frozen features, or the whole network."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from jaxtyping import Float, Int64
from rich.progress import Progress

from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode
from adacross.evaluation import classification
from adacross.evaluation.few_shot.episodes import Episode, Setting
from adacross.evaluation.few_shot.protocol import FewShotProtocol
from adacross.evaluation.results import Ledger
from adacross.features.sources import untrained_like
from adacross.training.loader import step_seed

CHUNK = 128  # shapes encoded between two moves of the progress bar
UNTRAINED = 3  # initialisations at the least, where each has to encode many shapes


@dataclass
class Learner(ABC):
    """Measures episodes. Abstract.

    Attributes:
        encoders: pre-trained; they take turns.
        collection: whose shapes the episodes name.
        protocol: what is learnt.
        points: points of each cloud, at most as many as are stored.
        seed: of untrained encoders, points and training.
        device: where to compute.
        progress: a bar to add to.
        ledger: keeps what is finished.
    """

    encoders: Sequence[Encoder]
    collection: Collection
    protocol: FewShotProtocol
    points: int
    seed: int
    device: str
    progress: Progress
    ledger: Ledger

    @property
    @abstractmethod
    def turns(self) -> int | None:
        """How many untrained encoders (and draws of points) take turns; None: a new one in every episode."""

    @property
    @abstractmethod
    def draws(self) -> bool:
        """Whether the points of a cloud are drawn before it is encoded."""

    def __post_init__(self) -> None:
        self.places = {shape: i for i, shape in enumerate(self.collection.ids)}

    @abstractmethod
    def accuracies(self, setting: Setting, untrained: bool) -> list[float]:
        """The accuracy of every episode, 0 to 1."""

    def network(self, turn: int, untrained: bool) -> Encoder:
        """The encoder whose turn it is."""
        given = self.encoders[turn % len(self.encoders)]
        return untrained_like(given, self.seed + turn) if untrained else given

    def where(self, shapes: Sequence[str]) -> Int64[np.ndarray, " n"]:
        """Indices of shapes by their ids."""
        return np.array([self.places[shape] for shape in shapes], dtype=np.int64)


@dataclass
class Frozen(Learner):
    """A scaler and a linear SVM on frozen features. Final; a shape is encoded once for each network."""

    tables: dict[tuple[bool, int], "FeatureTable"] = field(default_factory=dict, init=False)

    @property
    def turns(self) -> int:
        """The smallest multiple of the encoders that is not below 3."""
        return -(-UNTRAINED // len(self.encoders)) * len(self.encoders)

    @property
    def draws(self) -> bool:
        """Whether there are points to choose from."""
        return not self.protocol.first and self.points < self.collection.info.points

    def accuracies(self, setting: Setting, untrained: bool) -> list[float]:
        """The accuracy of every episode; a piece of the ledger."""
        arm = "untrained" if untrained else "pretrained"
        name = f"{setting.ways}-way-{setting.shots}-shot-{arm}"
        return self.ledger.once(name, partial(self._measure, setting, untrained))

    def _measure(self, setting: Setting, untrained: bool) -> list[float]:
        tables = [self._table(number % self.turns, untrained) for number in range(len(setting.episodes))]
        for table in dict.fromkeys(tables):
            own = [e for e, t in zip(setting.episodes, tables, strict=True) if t is table]
            shapes = self.where([shape for episode in own for shape in (*episode.learnt, *episode.asked)])
            note = f"{setting.name}, {'untrained' if untrained else 'pre-trained'}"
            table.fill(shapes, self.progress, note)
        return [self._score(e, t) for e, t in zip(setting.episodes, tables, strict=True)]

    def _score(self, episode: Episode, table: "FeatureTable") -> float:
        learnt, asked = (table.rows[self.where(shapes)] for shapes in (episode.learnt, episode.asked))
        return episode_accuracy(learnt, asked, episode)

    def _table(self, turn: int, untrained: bool) -> "FeatureTable":
        """Features by the network, and of the points, whose turn it is."""
        own = turn if untrained or self.draws else turn % len(self.encoders)
        if (untrained, own) not in self.tables:
            stored = self.collection.info.points
            rng = np.random.default_rng([self.seed, own])
            points = rng.permutation(stored) if self.draws else np.arange(stored)
            network = self.network(own, untrained)
            table = FeatureTable(network, self.collection, points[: self.points], self.device)
            self.tables[untrained, own] = table
        return self.tables[untrained, own]


class FeatureTable:
    """Features of a collection's shapes by one network; those that were asked for so far."""

    def __init__(
        self, encoder: Encoder, collection: Collection, points: Int64[np.ndarray, " M"], device: str
    ) -> None:
        self.encoder = encoder
        self.collection = collection
        self.points = points
        self.device = device
        self.rows = np.empty((len(collection), encoder.dim), np.float32)
        self.known = np.zeros(len(collection), dtype=bool)

    def fill(self, shapes: Int64[np.ndarray, " k"], progress: Progress, note: str) -> None:
        """Encode those of the shapes that are not known yet."""
        missing = np.unique(shapes[~self.known[shapes]])
        bar = progress.add_task(note, total=len(missing), note="")
        for chunk in np.array_split(missing, -(-len(missing) // CHUNK)) if len(missing) else []:
            clouds = self.collection.points(chunk)[:, self.points]
            self.rows[chunk] = encode(self.encoder, clouds, device=self.device)
            self.known[chunk] = True
            progress.advance(bar, len(chunk))
        progress.remove_task(bar)


def episode_accuracy(
    learnt: Float[np.ndarray, "s D"], asked: Float[np.ndarray, "q D"], episode: Episode
) -> float:
    """Fit a scaler and a linear SVM (C = 1) on the support set; the mean over classes of right answers."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    known, truth = episode.targets
    machine = make_pipeline(StandardScaler(), SVC(kernel="linear", C=1.0)).fit(learnt, known)
    right = machine.predict(asked) == truth
    return float(np.mean([right[truth == label].mean() for label in np.unique(truth)]))


@dataclass
class FineTuned(Learner):
    """The whole network and a head, trained on the support set. Final; every episode is trained afresh."""

    @property
    def turns(self) -> None:
        """A new untrained encoder in every episode."""

    @property
    def draws(self) -> bool:
        """The points of a step are a matter of the training; those asked are the first stored."""
        return False

    def accuracies(self, setting: Setting, untrained: bool) -> list[float]:
        """The accuracy of every episode, each a piece of the ledger."""
        return [
            self._measure(setting, number, episode, untrained)
            for number, episode in enumerate(setting.episodes)
        ]

    def _measure(self, setting: Setting, number: int, episode: Episode, untrained: bool) -> float:
        arm = "untrained" if untrained else "pretrained"
        name = f"{setting.ways}-way-{setting.shots}-shot-{number}-{arm}"
        training = self.protocol.fine_tune or classification.OURS
        task = classification.Task(
            clouds=(
                self.collection.points(self.where(episode.learnt)),
                self.collection.points(self.where(episode.asked)),
            ),
            labels=episode.targets,
            classes=setting.ways,
            protocol=replace(training, points=self.points),
            votes=0,
            device=self.device,
        )

        def once() -> float:
            scores = task.measure(
                self.network(number, untrained),
                np.arange(len(episode.learnt)),
                step_seed(self.seed, number),
                self.progress,
                f"{setting.name}, episode {number + 1}, {arm}",
                self.ledger.checkpoint(name),
            )
            return scores[1]  # the mean over classes

        return self.ledger.once(name, once)
