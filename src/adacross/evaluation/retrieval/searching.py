"""Shapes found by shapes and pictures, and pictures by shapes: one repetition of `retrieval`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64

from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode, frozen, in_batches
from adacross.encoders.inputs import MIN_POINTS
from adacross.evaluation.retrieval.result import RANKS
from adacross.features.metrics import (
    chance_hit_at,
    chance_precision,
    cosine_ranking,
    hit_at,
    mean_average_precision,
    recall_at,
    without_self,
)
from adacross.methods import CrossModal

RESULTS = 5  # of an example

Figures = dict[str, float]


@dataclass(frozen=True, eq=False)
class Gallery:
    """The test shapes of a collection, which search each other.

    Attributes:
        collection: where they and their pictures are.
        test: `(n,)` their indices.
        clouds: `(n, N, 3)` with all stored points.
        points: of each that are used.
        device: where features are computed.
        known: features of encoders that no draw of points can change.
    """

    collection: Collection
    test: Int64[np.ndarray, " n"]
    clouds: Float32[np.ndarray, "n N 3"]
    points: int
    device: torch.device
    known: dict[int, Float[np.ndarray, "n D"]] = field(default_factory=dict)

    @property
    def labels(self) -> Int64[np.ndarray, " n"]:
        """Classes, -1 for none."""
        return self.collection.labels[self.test]

    @property
    def labelled(self) -> Bool[np.ndarray, " n"]:
        """Which shapes have a class that another one has."""
        labels = self.labels
        counts = np.bincount(labels[labels >= 0], minlength=1)
        return (labels >= 0) & (counts[labels] > 1)

    @property
    def draws(self) -> bool:
        """Whether a repetition draws points, or takes all there are."""
        return self.points < self.clouds.shape[1]

    @property
    def pair_points(self) -> int:
        """Points of each of two clouds of one shape that share none; 0 where there are not enough."""
        points = min(self.points, self.clouds.shape[1] // 2)
        return points if self.draws and points >= MIN_POINTS else 0

    def features(self, encoder: Encoder, seed: int, key: int | None = None) -> Float[np.ndarray, "n D"]:
        """An encoder's features, of points drawn by `seed`; kept under `key` where nothing is drawn."""
        if key in self.known:
            return self.known[key]
        drawn = self._order(seed)[: self.points] if self.draws else slice(None)
        found = encode(encoder, self.clouds[:, drawn], device=self.device)
        if key is not None and not self.draws:
            self.known[key] = found
        return found

    def _order(self, seed: int) -> Int64[np.ndarray, " N"]:
        return np.random.default_rng([seed, 3]).permutation(self.clouds.shape[1])

    def shapes(self, encoder: Encoder, features: Float[np.ndarray, "n D"], seed: int) -> dict[str, Figures]:
        """Shapes found by shapes: of the same class, and the very object from other points."""
        found = {}
        if self.labelled.any():
            known = self.labels >= 0
            ranking, labels = (
                without_self(cosine_ranking(features[known], features[known])),
                self.labels[known],
            )
            hits = hit_at(ranking, labels, labels, RANKS)
            found["shape_to_shape"] = _named(hits) | {"mAP": mean_average_precision(ranking, labels, labels)}
        if half := self.pair_points:
            order = self._order(seed)
            one, other = (
                encode(encoder, self.clouds[:, part], device=self.device)
                for part in (order[:half], order[half : 2 * half])
            )
            found["same_object"] = _named(recall_at(one, other, RANKS))
        return found

    def pictures(
        self, method: CrossModal, features: Float[np.ndarray, "n D"], seed: int, examples: int
    ) -> tuple[dict[str, Figures], dict[str, list[dict[str, Any]]]]:
        """Shapes found by one picture of each, and pictures by shapes; and examples of both."""
        drawn, shown = self.drawn_views(seed, examples)
        views = np.stack(
            [self.collection.view(int(i), int(v)) for i, v in zip(self.test, drawn, strict=True)]
        )
        method.to(self.device)
        with frozen(method):
            shapes = in_batches(method.point_head, features, 256, self.device)
            pictures = in_batches(method.embed_pictures, views, 32, self.device)
        by_picture, by_shape = cosine_ranking(pictures, shapes), cosine_ranking(shapes, pictures)
        figures = {
            "image_to_shape": self._both(pictures, shapes),
            "shape_to_image": self._both(shapes, pictures),
        }
        return figures, {
            "examples": [self._example(i, by_picture[i], int(drawn[i])) for i in shown],
            "shape_examples": [self._example(i, by_shape[i], 0, drawn) for i in shown],
        }

    def neighbours(
        self, features: Float[np.ndarray, "n D"], seed: int, examples: int
    ) -> list[dict[str, Any]]:
        """Shapes and those nearest to them, without themselves."""
        ranking = without_self(cosine_ranking(features, features))
        return [self._example(i, ranking[i], 0) for i in self.drawn_views(seed, examples)[1]]

    def drawn_views(self, seed: int, examples: int) -> tuple[Int64[np.ndarray, " n"], list[int]]:
        """One picture of every shape, and the positions of the examples."""
        rng = np.random.default_rng(seed)
        drawn = rng.integers(max(self.collection.info.views, 1), size=len(self.test))
        return drawn, np.sort(rng.permutation(len(self.test))[:examples]).tolist()

    def chances(self) -> dict[str, Figures]:
        """What a random ranking gives, by kind of search."""
        labels, count = self.labels, len(self.test)
        known = labels[labels >= 0]
        relevant = np.bincount(known, minlength=1)[known] if len(known) else known
        own = {k: min(k / count, 1.0) for k in RANKS}
        others = chance_hit_at(relevant - 1, len(known) - 1, RANKS)
        precision = {"mAP": chance_precision(relevant, len(known))} if len(known) else {}
        return {
            "pictures": _named(own) | precision,
            "shape_to_shape": _named(others) | {"mAP": chance_precision(relevant - 1, len(known) - 1)},
            "same_object": _named(own),
        }

    def _both(self, queries: Float[np.ndarray, "n D"], gallery: Float[np.ndarray, "n D"]) -> Figures:
        """Recall of the very object, and mAP of its class where there are classes."""
        figures = _named(recall_at(queries, gallery, RANKS))
        known = self.labels >= 0
        if known.any():
            ranking, labels = cosine_ranking(queries[known], gallery[known]), self.labels[known]
            figures["mAP"] = mean_average_precision(ranking, labels, labels)
        return figures

    def _example(
        self,
        query: int,
        ranking: Int64[np.ndarray, " g"],
        view: int,
        drawn: Int64[np.ndarray, " n"] | None = None,
    ) -> dict[str, Any]:
        first = ranking[:RESULTS]
        return {
            "query": int(self.test[query]),
            "view": view,
            "results": self.test[first].tolist(),
            "views": [] if drawn is None else drawn[first].tolist(),
        }


def _named(recall: dict[int, float]) -> Figures:
    return {f"recall@{k}": value for k, value in recall.items()}
