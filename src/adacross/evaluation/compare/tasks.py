"""What `evaluate compare` can measure: each task gives one accuracy for each seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.progress import Progress

from adacross.data.collection.collection import Collection
from adacross.distributed.device import find_device
from adacross.encoders import Encoder
from adacross.errors import UserError
from adacross.evaluation.few_shot.episodes import draw_episodes
from adacross.evaluation.few_shot.learners import FeatureTable, episode_accuracy
from adacross.evaluation.probe import Probe
from adacross.evaluation.retrieval.searching import Gallery
from adacross.features.metrics import cosine_ranking, mean_average_precision, without_self

EPISODES = 10  # of a seed


@dataclass(frozen=True)
class Options:
    """What a task may be told; each takes what concerns it.

    Attributes:
        points: points of each cloud, drawn by the seed where more are stored.
        folds: of the linear probe's cross-validation.
        ways: classes of an episode.
        shots: shapes of each class to learn from.
        device: where to compute.
    """

    points: int
    folds: int
    ways: int
    shots: int
    device: str


@dataclass(frozen=True)
class Task:
    """A measurement that can be repeated under the same seeds for every encoder.

    Attributes:
        protocol: in a line.
        figure: what is counted.
        varies: what a seed changes, in words; "" for nothing.
        train: shapes that a classifier may learn from.
        test: shapes that are asked.
        measure: the figure, 0 to 1, of one encoder under each of some seeds.
    """

    protocol: str
    figure: str
    varies: str
    train: int
    test: int
    measure: Callable[[Encoder, Sequence[int], Progress], list[float]]


def linear(collection: Collection, options: Options) -> Task:
    """The linear probe as `evaluate linear` measures it: a seed draws points and folds."""
    probe = Probe.of(collection, options.points, options.folds, options.device)

    def measure(encoder: Encoder, seeds: Sequence[int], progress: Progress) -> list[float]:
        found, features = [], None
        for seed in seeds:
            if features is None or probe.draws:
                features = probe.features(encoder, seed)
            found.append(probe.predict(features, seed)[1])
        return found

    varies = "points and cross-validation folds" if probe.draws else "cross-validation folds"
    counts = [len(labels) for labels in probe.labels]
    return Task(probe.classifier, "accuracy", varies, counts[0], counts[1], measure)


def few_shot(collection: Collection, options: Options) -> Task:
    """Frozen few-shot episodes as `evaluate few-shot` measures them: a seed draws 10 episodes, and points."""
    stored = collection.info.points
    draws = options.points < stored
    ways, shots = options.ways, options.shots
    draw_episodes(collection, [ways], [shots])  # says at once if the collection cannot fill them

    def measure(encoder: Encoder, seeds: Sequence[int], progress: Progress) -> list[float]:
        places = {shape: i for i, shape in enumerate(collection.ids)}
        found, table = [], None
        for seed in seeds:
            if table is None or draws:
                points = np.random.default_rng(seed).permutation(stored) if draws else np.arange(stored)
                table = FeatureTable(encoder, collection, points[: options.points], options.device)
            episodes = draw_episodes(collection, [ways], [shots], seed=seed).settings[0].episodes
            learnt = [np.array([places[shape] for shape in e.learnt]) for e in episodes]
            asked = [np.array([places[shape] for shape in e.asked]) for e in episodes]
            table.fill(np.concatenate([*learnt, *asked]), progress, f"episodes of seed {seed}")
            scores = [
                episode_accuracy(table.rows[known], table.rows[queries], episode)
                for known, queries, episode in zip(learnt, asked, episodes, strict=True)
            ]
            found.append(float(np.mean(scores)))
        return found

    return Task(
        f"{EPISODES} episodes of {ways}-way {shots}-shot, frozen features, StandardScaler and linear SVM "
        "(SVC, C = 1) fitted on the support set, test shapes asked",
        "accuracy",
        "points and episodes" if draws else "episodes",
        len(collection.indices("train")),
        len(collection.indices("test")),
        measure,
    )


def shape_retrieval(collection: Collection, options: Options) -> Task:
    """Test shapes look for those of their class, as in `evaluate retrieval`: mAP. A seed draws points."""
    test = collection.indices("test")
    test = test[collection.labels[test] >= 0]
    labels = collection.labels[test]
    target = find_device(options.device)
    gallery = Gallery(collection, test, collection.points(test), options.points, target)
    if not gallery.labelled.any():
        raise UserError(
            f"{collection.folder} has no two test shapes of a class; retrieval needs them. Prepare it again "
            "with classes and --test-fraction 0.2."
        )

    def measure(encoder: Encoder, seeds: Sequence[int], progress: Progress) -> list[float]:
        found: list[float] = []
        for seed in seeds:
            if found and not gallery.draws:
                found.append(found[0])
                continue
            features = gallery.features(encoder, seed)
            ranking = without_self(cosine_ranking(features, features))
            found.append(mean_average_precision(ranking, labels, labels))
        return found

    varies = "points" if gallery.draws else ""
    protocol = "shape to shape by the cosine of frozen features, among the test split; mean average precision"
    return Task(protocol, "mAP", varies, 0, len(test), measure)


TASKS: dict[str, Callable[[Collection, Options], Task]] = {
    "linear": linear,
    "few-shot": few_shot,
    "retrieval-shape": shape_retrieval,
}
