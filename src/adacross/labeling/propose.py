"""Semi-supervised classification of features, the shapes to label next, and labels that look wrong."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Float64, Int64

from adacross.features.metrics import unit_rows

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FEWEST = 3  # labels of a class below which none of them is doubted
CANDIDATES = 10  # uncertain shapes for each shape to choose (beta = 10 of Zhdanov, 2019)
_C = 10.0  # inverse of the weights' penalty, for features of length 1


@dataclass(frozen=True, eq=False)
class Proposal:
    """Proposed classes of n shapes, and the shapes to label next.

    Attributes:
        label: `(n,)` proposed class; the known one of labeled shapes; -1 if none can be proposed.
        confidence: `(n,)` the classifier's probability; 1 for labeled shapes, 0 if no class can be proposed.
            It ranks shapes; with few labels it is not calibrated.
        order: `(m,)` the most informative shapes to label next, best first.
    """

    label: Int64[np.ndarray, " n"]
    confidence: Float64[np.ndarray, " n"]
    order: Int64[np.ndarray, " m"]


def propose(
    features: Float32[np.ndarray, "n D"], labels: Int64[np.ndarray, " n"], *, ask: int = 20, seed: int = 0
) -> Proposal:
    """Propose a class for every unlabeled shape, and choose the next shapes to label.

    Classes: multinomial logistic regression on centered features of length 1, classes weighted equally.
    Nothing is proposed with fewer than two labeled classes.

    Next shapes: diverse mini-batches (Zhdanov, Diverse mini-batch Active Learning, 2019): the `10 * ask` most
    uncertain shapes are clustered by weighted k-means into `ask` clusters, and the shape nearest to each mean
    is chosen. Uncertainty is 1 minus the margin between the two most probable classes. With fewer than two
    classes all shapes are equally uncertain, and the choice covers the whole collection.

    Args:
        features: `(n, D)` of all shapes.
        labels: `(n,)` class of each shape, -1 for none.
        ask: number of shapes to choose; at most all unlabeled ones.
        seed: of k-means.

    Example:
        >>> features = np.eye(4, dtype=np.float32).repeat(3, axis=0)
        >>> labels = np.array([0, -1, -1, 1, -1, -1, -1, -1, -1, -1, -1, -1])
        >>> proposal = propose(features, labels, ask=2)
        >>> proposal.label[:6].tolist(), len(proposal.order)
        ([0, 0, 0, 1, 1, 1], 2)
    """
    points = unit_rows(features - features.mean(axis=0)).astype(np.float32)
    unlabeled = np.flatnonzero(labels < 0)
    label, confidence = labels.astype(np.int64), (labels >= 0).astype(np.float64)
    uncertainty = np.ones(len(unlabeled))
    if len(unlabeled) and len(np.unique(labels[labels >= 0])) > 1:
        probability, classes = _classify(points, labels, unlabeled)
        ranked = np.sort(probability, axis=1)
        label[unlabeled] = classes[probability.argmax(axis=1)]
        confidence[unlabeled] = ranked[:, -1]
        uncertainty = 1 - (ranked[:, -1] - ranked[:, -2])
    chosen = _select(points[unlabeled], uncertainty, min(ask, len(unlabeled)), seed)
    return Proposal(label, confidence, unlabeled[chosen])


def doubtful(features: Float32[np.ndarray, "n D"], labels: Int64[np.ndarray, " n"]) -> dict[int, int]:
    """Find labels that look wrong, and the class that each looks like, the most doubtful first.

    Each labeled shape is classified by the others in cross-validation. Its label is doubtful where another
    class is more probable, and at least as probable as it is on average for the shapes labeled so (Northcutt,
    Jiang and Chuang, Confident Learning, 2021). Classes of fewer than three labels are left out, as are
    shapes of label -1.

    Example:
        >>> features = np.eye(2, dtype=np.float32).repeat(6, axis=0)
        >>> doubtful(features, np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]))
        {5: 0}
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    counts = np.bincount(labels[labels >= 0], minlength=1)
    rows = np.flatnonzero((labels >= 0) & (counts[labels] >= FEWEST))
    classes, given = np.unique(labels[rows], return_inverse=True)
    if len(classes) < 2:
        return {}
    points = unit_rows(features - features.mean(axis=0)).astype(np.float32)[rows]
    folds = StratifiedKFold(min(5, counts[classes].min()), shuffle=True, random_state=0)
    probability = cross_val_predict(_classifier(), points, given, cv=folds, method="predict_proba")
    usual = np.array([probability[given == k, k].mean() for k in range(len(classes))])
    looks, place = probability.argmax(axis=1), np.arange(len(rows))
    more = probability[place, looks] - probability[place, given]
    wrong = np.flatnonzero((looks != given) & (probability[place, looks] >= usual[looks]))
    ranked = wrong[np.argsort(-more[wrong], kind="stable")]
    return {int(rows[i]): int(classes[looks[i]]) for i in ranked}


def _classifier() -> "LogisticRegression":
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=_C, class_weight="balanced", max_iter=1000)


def _classify(
    points: np.ndarray, labels: np.ndarray, rows: np.ndarray
) -> tuple[Float64[np.ndarray, "k C"], Int64[np.ndarray, " C"]]:
    """Return class probabilities of `rows`, and the classes."""
    known = np.flatnonzero(labels >= 0)
    model = _classifier()
    with warnings.catch_warnings():  # at first there are as many classes as labels
        warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
        model.fit(points[known], labels[known])
    return model.predict_proba(points[rows]).astype(np.float64), np.asarray(model.classes_, dtype=np.int64)


def _select(points: np.ndarray, uncertainty: np.ndarray, ask: int, seed: int) -> Int64[np.ndarray, " ask"]:
    """Choose uncertain shapes that differ from each other, the most uncertain first."""
    if not ask:
        return np.zeros(0, dtype=np.int64)
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    equal = bool((uncertainty == uncertainty[:1]).all())  # without a classifier, all are candidates
    near = np.arange(len(points)) if equal else np.argsort(-uncertainty, kind="stable")[: ask * CANDIDATES]
    weight = np.maximum(uncertainty[near], 1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct shapes than `ask`
        means = KMeans(ask, n_init=1, random_state=seed).fit(points[near], sample_weight=weight)
    distance = means.transform(points[near])
    chosen: list[int] = []
    for group in np.argsort(-np.bincount(means.labels_, weight, minlength=ask), kind="stable"):
        ranked = near[np.argsort(distance[:, group], kind="stable")]
        chosen.append(next(int(row) for row in ranked if row not in chosen))
    return np.array(chosen, dtype=np.int64)
