"""A protocol: the nearest centroid of each class."""

import numpy as np

from adacross.encoders import Encoder
from adacross.evaluation.driver import Bench, protocol
from adacross.evaluation.labeled import Labeled
from adacross.evaluation.result import CHANCE, PRETRAINED, UNTRAINED, Measured, Score


@protocol("centroid")
def centroid(bench: Bench, points: int | None = None) -> Measured:
    """Classify by the nearest class centroid of frozen features.

    Args:
        bench: what to measure with.
        points: points per cloud; by default as the encoder was trained.
    """
    shapes, count = Labeled.of(bench.collection), bench.points(points)
    labels, truth = shapes.labels
    classes = np.unique(labels)

    def right(encoder: Encoder) -> np.ndarray:
        features = bench.features(encoder, count)
        centers = np.stack([features[shapes.train][labels == label].mean(0) for label in classes])
        far = np.linalg.norm(features[shapes.test][:, None] - centers, axis=2)
        return classes[far.argmin(1)] == truth

    scores = [
        Score.of(PRETRAINED, "accuracy", [right(encoder) for encoder in bench.encoders]),
        Score.of(UNTRAINED, "accuracy", [right(bench.untrained(seed)) for seed in range(3)]),
        Score.of(CHANCE, "accuracy", [shapes.majority]),
    ]
    return Measured(shapes.data(), scores, f"nearest centroid, {count} points", ids=shapes.ids)
