"""Which class each shape probably is, and which shapes are most worth a look, from a few labels."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

CANDIDATES = 10  # uncertain shapes to choose among, for each that is chosen (beta of Zhdanov, 2019, is 10)
_STRENGTH = 10.0  # inverse of the penalty on weights, for features of length 1


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a few labels say of all n shapes.

    Attributes:
        label: `(n,)` class proposed, the given one where one was given; -1 where nothing can be proposed.
        confidence: `(n,)` the classifier's probability of it, 1 where it was given, 0 where nothing can be
            proposed. It ranks shapes; with few labels it is no frequency of being right.
        order: `(m,)` shapes most worth labelling next, best first.
    """

    label: Int64[np.ndarray, " n"]
    confidence: Float64[np.ndarray, " n"]
    order: Int64[np.ndarray, " m"]


def propose(
    features: Float32[np.ndarray, "n D"], labels: Int64[np.ndarray, " n"], *, ask: int = 20, seed: int = 0
) -> Proposal:
    """Propose a class for every shape that has none, and choose the next shapes to label.

    Classes: multinomial logistic regression on features of length 1, classes weighted equally. With labels of
    one class there is nothing to tell apart, and without labels nothing to propose.

    Next shapes: diverse mini-batches (Zhdanov, Diverse mini-batch Active Learning, 2019): of the most
    uncertain shapes, ten for each that is asked, weighted k-means makes as many groups as are asked, and of
    each group the shape nearest to its mean is chosen. Uncertainty is 1 minus the margin between the two most
    probable classes. Before there are two classes every shape is as uncertain as any other, so what is asked
    first is what the collection consists of.

    Args:
        features: `(n, D)` of all shapes.
        labels: `(n,)` class of each shape, -1 for none.
        ask: shapes to choose; all that have no label where they are fewer.
        seed: of k-means.
    """
    points = _of_length_one(features)
    open_rows = np.flatnonzero(labels < 0)
    label, confidence = labels.astype(np.int64), (labels >= 0).astype(np.float64)
    uncertainty = np.ones(len(open_rows))
    if len(open_rows) and len(np.unique(labels[labels >= 0])) > 1:
        probability, classes = _classified(points, labels, open_rows)
        ranked = np.sort(probability, axis=1)
        label[open_rows] = classes[probability.argmax(axis=1)]
        confidence[open_rows] = ranked[:, -1]
        uncertainty = 1 - (ranked[:, -1] - ranked[:, -2])
    chosen = _diverse(points[open_rows], uncertainty, min(ask, len(open_rows)), seed)
    return Proposal(label, confidence, open_rows[chosen])


def _of_length_one(features: Float32[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
    """Centre the features and bring each to length 1: angles between what differs."""
    centred = features - features.mean(axis=0)
    return (centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def _classified(
    points: np.ndarray, labels: np.ndarray, rows: np.ndarray
) -> tuple[Float64[np.ndarray, "k C"], Int64[np.ndarray, " C"]]:
    """Probabilities of the classes of `rows`, and which classes they are."""
    from sklearn.linear_model import LogisticRegression

    known = np.flatnonzero(labels >= 0)
    model = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=1000)
    with warnings.catch_warnings():  # as many classes as labels is how labelling begins
        warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
        model.fit(points[known], labels[known])
    return model.predict_proba(points[rows]).astype(np.float64), np.asarray(model.classes_, dtype=np.int64)


def _diverse(points: np.ndarray, uncertainty: np.ndarray, ask: int, seed: int) -> Int64[np.ndarray, " ask"]:
    """Uncertain shapes that differ from each other, the most uncertain first."""
    if not ask:
        return np.zeros(0, dtype=np.int64)
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    level = bool((uncertainty == uncertainty[:1]).all())  # nothing is known yet: all shapes are candidates
    near = np.arange(len(points)) if level else np.argsort(-uncertainty, kind="stable")[: ask * CANDIDATES]
    weight = np.maximum(uncertainty[near], 1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different shapes than are asked
        means = KMeans(ask, n_init=1, random_state=seed).fit(points[near], sample_weight=weight)
    distance = means.transform(points[near])
    chosen: list[int] = []
    for group in np.argsort(-np.bincount(means.labels_, weight, minlength=ask), kind="stable"):
        ranked = near[np.argsort(distance[:, group], kind="stable")]
        chosen.append(next(int(row) for row in ranked if row not in chosen))
    return np.array(chosen, dtype=np.int64)
