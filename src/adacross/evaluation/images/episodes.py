"""Few-shot episodes of pictures: how they are drawn, and how one is solved."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int64
from rich.progress import Progress, TaskID
from torch import nn

from adacross.data.image_set import ImageSet
from adacross.data.transforms import plain_views
from adacross.distributed.device import find_device
from adacross.encoders.frozen import frozen, in_batches

PENALTY = 1.0  # C of the logistic regression
PIXELS = 32  # side of the pictures whose pixels are a baseline


@dataclass(frozen=True, eq=False)
class Episode:
    """A small classification task.

    Attributes:
        classes: `(W,)` labels of the classes.
        support: `(W, K)` indices of the pictures that are learnt from.
        queries: `(W, Q)` indices of the pictures that are asked for.
    """

    classes: Int64[np.ndarray, " W"]
    support: Int64[np.ndarray, "W K"]
    queries: Int64[np.ndarray, "W Q"]


def draw_episodes(
    labels: Int64[np.ndarray, " n"], ways: int, shots: int, queries: int, count: int, seed: int
) -> list[Episode]:
    """Draw episodes, the same for the same seed: classes, and pictures of each, without replacement.

    Args:
        labels: `(n,)`; every class has `shots + queries` pictures at least.
        ways: classes an episode (W).
        shots: pictures of each that are learnt from (K).
        queries: pictures of each that are asked for (Q).
        count: how many episodes.
        seed: of the choice.
    """
    rng = np.random.default_rng([seed, ways, shots, queries])
    members = {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}
    episodes = []
    for _ in range(count):
        classes = rng.permutation(list(members))[:ways]
        drawn = [rng.permutation(members[int(label)])[: shots + queries] for label in classes]
        chosen = np.stack(drawn).astype(np.int64)
        episodes.append(Episode(classes.astype(np.int64), chosen[:, :shots], chosen[:, shots:]))
    return episodes


def solve(features: Float[np.ndarray, "n D"], episode: Episode) -> Int64[np.ndarray, "W Q"]:
    """Which of the episode's classes, 0 to W - 1, each query is taken for.

    Multinomial logistic regression on the support set, scikit-learn's, with an L2 penalty at C = 1. Its
    weights lie in the span of the support features, so it is fitted in coordinates of that span, of which
    there are as many as pictures at most: the same function, whatever D is.

    Args:
        features: `(n, D)` of all pictures, float64.
        episode: indices into them.
    """
    from sklearn import config_context
    from sklearn.linear_model import LogisticRegression

    ways, shots = episode.support.shape
    support, queries = features[episode.support.ravel()], features[episode.queries.ravel()]
    if len(support) < support.shape[1]:
        _, _, axes = np.linalg.svd(support, full_matrices=False)
        support, queries = support @ axes.T, queries @ axes.T
    truth = np.repeat(np.arange(ways), shots)
    with config_context(assume_finite=True, skip_parameter_validation=True):  # half the time of small fits
        machine = LogisticRegression(C=PENALTY, max_iter=1000).fit(support, truth)
        predicted: np.ndarray = machine.predict(queries)
    return predicted.reshape(episode.queries.shape).astype(np.int64)


def accuracy(predicted: Int64[np.ndarray, "W Q"]) -> float:
    """Share of an episode's queries that are taken for their own class."""
    return float((predicted == np.arange(len(predicted))[:, None]).mean())


def half_width(values: Sequence[float]) -> float:
    """Half the width of the 95 % confidence interval of a mean (Student's t), 0 for a single value."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return 0.0
    return float(t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count))


@dataclass(frozen=True, eq=False)
class Study:
    """Pictures, and the episodes to solve on them.

    Attributes:
        data: the pictures.
        size: side that they are resized to.
        gray: whether the towers look at one channel.
        ways: classes of an episode, every number of them with every number of `shots`.
        shots: pictures of each class that are learnt from.
        queries: pictures of each class that are asked for.
        episodes: of a seed.
        device: where features are computed.
    """

    data: ImageSet
    size: int
    gray: bool
    ways: Sequence[int]
    shots: Sequence[int]
    queries: int
    episodes: int
    device: str

    @property
    def settings(self) -> list[tuple[int, int]]:
        """Every number of ways with every number of shots."""
        return list(product(self.ways, self.shots))

    def drawn(self, ways: int, shots: int, seed: int, count: int | None = None) -> list[Episode]:
        """A seed's episodes of one setting, or the first `count` of them."""
        return draw_episodes(self.data.labels, ways, shots, self.queries, count or self.episodes, seed)

    def features(self, tower: nn.Module | None) -> Float[np.ndarray, "n D"]:
        """Features of all pictures, each divided by its length; of None the pixels of small pictures."""
        target = find_device(self.device)
        side = self.size if tower else min(self.size, PIXELS)

        def function(views: torch.Tensor) -> torch.Tensor:
            images = plain_views(views, side, gray=self.gray)
            return tower(images) if tower else images.flatten(1)

        with frozen(tower.to(target) if tower else torch.nn.Identity()):
            rows = in_batches(function, self.data.pictures, 64, target).astype(np.float64)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    def accuracies(
        self, towers: Mapping[str, nn.Module | None], seed: int, progress: Progress, task: TaskID
    ) -> dict[str, list[list[float]]]:
        """Accuracies of a seed's episodes, one list a setting, by the names of the towers."""
        from sklearn.linear_model import LogisticRegression  # noqa: F401  loaded before its threads are limited
        from threadpoolctl import threadpool_limits

        features = {name: self.features(tower) for name, tower in towers.items()}
        found: dict[str, list[list[float]]] = {name: [] for name in features}
        with threadpool_limits(1):  # threads cost small fits ten times what they bring
            for ways, shots in self.settings:
                episodes = self.drawn(ways, shots, seed)
                for name, rows in features.items():
                    found[name].append([])
                    for episode in episodes:
                        found[name][-1].append(accuracy(solve(rows, episode)))
                        progress.advance(task)
        return found
