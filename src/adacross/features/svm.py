"""The linear SVM of the field's protocol, with C chosen only on the training features.

The machines are those of scikit-learn's `SVC(kernel="linear")`: one against one, libsvm's solver, its votes.
libsvm's time goes into products of two rows, made one by one and again for every pair of classes, every C
and every row it predicts. Here they are made once, as one matrix in double precision (the Gram matrix), in
which a class's rows lie together; libsvm solves on it, step by step as it would have done alone. What it
found becomes a weight vector a pair of classes, so that predicting is one matrix product.
"""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from adacross.errors import UserError

# In units of 1 / mean variance of a feature: an untrained network's features are hundreds of times smaller
# than a trained one's, and a grid of bare numbers would suit one of them only.
C_GRID = (0.001, 0.01, 0.1, 1.0, 10.0)

# Rows of one Gram matrix of all classes, 1.2 GB. Of more rows each pair of classes has its own: the same
# machines, in the memory of the largest pair, but with more calls of libsvm, which few rows would feel.
LARGEST_GRAM = 12_000
_FLAT = 1e-4  # mean variance of features over their mean square, below which they are centered

Rows = Float[np.ndarray, "n D"]
Doubles = Float64[np.ndarray, "n D"]
Labels = Int64[np.ndarray, " n"]
Fold = tuple[np.ndarray, np.ndarray]  # rows to fit on and to check, ascending


@dataclass(frozen=True, eq=False)
class Machines:
    """A linear machine for each pair of K classes, and the C they were fitted with."""

    classes: Int64[np.ndarray, " K"]  # labels, ascending
    # P = K (K - 1) / 2 pairs, (0, 1), (0, 2), ... (K - 2, K - 1); one is for its first class where
    # `weights @ x + intercept` is above 0.
    weights: Float64[np.ndarray, "P D"]
    intercepts: Float64[np.ndarray, " P"]
    C: float  # the penalty

    def predict(self, features: Float[np.ndarray, "m D"]) -> Int64[np.ndarray, " m"]:
        """Classes `(m,)` of features `(m, D)`; features that are not finite are refused."""
        return _elect(_double(features) @ self.weights.T + self.intercepts, self.classes)

    def moved(self, center: Float64[np.ndarray, " D"]) -> "Machines":
        """Return the machines for features from which `center` was not subtracted."""
        return replace(self, intercepts=self.intercepts - self.weights @ center)


@contextmanager
def _few_rows_a_class() -> Iterator[None]:
    """Silence what scikit-learn says of classes with a shape or two."""
    with warnings.catch_warnings():
        for text in ("The number of unique classes is greater than 50%", "The least populated class"):
            warnings.filterwarnings("ignore", text, UserWarning)
        yield


@_few_rows_a_class()
def fit_svm(train: Rows, train_labels: Labels, folds: int, seed: int) -> Machines:
    """Fit a linear SVM whose C is chosen by cross-validation on the same features.

    SVC (one against one), features as they are; those that hardly differ (a collapsed encoder's) are
    centered, since libsvm may not end on them. The candidates for C are `C_GRID` divided by the training
    features' mean variance, so that their unit does not matter. Folds are stratified and drawn by `seed`;
    every fold and every C share one Gram matrix. Of equally good C the smallest is taken, also where no class
    has two rows. Features that are not finite are refused.
    """
    features, labels, order = _by_class(train, train_labels)
    candidates = [c / _unit(features) for c in C_GRID]
    center = features.mean(axis=0) * (features.var(axis=0).mean() < _FLAT * np.square(features).mean())
    features -= center
    gram = _gram(features)
    if np.unique(labels, return_counts=True)[1].max() < 2:
        return _fit(features, labels, candidates[0], gram).moved(center)
    splits = _folds(train_labels, folds, seed, np.argsort(order))
    if gram is None:
        means = _accuracies_by_pairs(features, labels, splits, candidates)
    else:
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # libsvm lets other threads run
            found = [threads.submit(_accuracies, gram, labels, *fold, candidates) for fold in splits]
            means = np.mean([each.result() for each in found], axis=0)
    return _fit(features, labels, candidates[int(means.round(9).argmax())], gram).moved(center)


def _folds(labels: Labels, folds: int, seed: int, places: Labels) -> list[Fold]:
    """Return the folds of the rows as they came, which are now at `places`."""
    from sklearn.model_selection import StratifiedKFold

    split = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
    return [(np.sort(places[fit]), np.sort(places[check])) for fit, check in split]


def _accuracies(
    gram: Float64[np.ndarray, "n n"],
    labels: Labels,
    fit: Int64[np.ndarray, " a"],
    check: Int64[np.ndarray, " b"],
    candidates: list[float],
) -> list[float]:
    """Return the accuracy on the rows to check of the machines fitted with each C on the others."""
    if len(seen := np.unique(labels[fit])) < 2:  # all rows of the other class are in this fold
        return [float(np.mean(labels[check] == seen))] * len(candidates)
    to_fit, to_check = gram[np.ix_(fit, fit)], gram[np.ix_(fit, check)]
    found = []
    for penalty in candidates:
        machine = _solve(to_fit, labels[fit], penalty)
        sums, intercepts = _over_pairs(machine, to_check)
        predicted = _elect(sums.T + intercepts, machine.classes_)
        found.append(float(np.mean(predicted == labels[check])))
    return found


def _accuracies_by_pairs(
    features: Doubles, labels: Labels, splits: list[Fold], candidates: list[float]
) -> Float64[np.ndarray, " c"]:
    """Return the accuracy of cross-validation for each C, a pair of classes at a time."""
    classes, codes = np.unique(labels, return_inverse=True)
    votes = np.zeros((len(candidates), len(labels), len(classes)), dtype=np.uint16)
    for pair, rows in _pairs(codes):
        gram = _gram(features[rows])
        for fit, check in splits:
            chosen = np.isin(rows, fit, assume_unique=True)
            known = rows[chosen]
            seen = np.unique(codes[known])
            if len(seen) < 2:  # classes of so few rows that all of them are in this fold
                votes[:, check[:, None], seen] += 1
                continue
            for place, penalty in enumerate(candidates):
                weights, intercept = _machine(features, codes, known, gram, chosen, penalty)
                first = features[check] @ weights + intercept > 0
                votes[place, check[first], pair[0]] += 1
                votes[place, check[~first], pair[1]] += 1
    right = votes.argmax(axis=2) == codes
    return np.mean([right[:, check].mean(axis=1) for _, check in splits], axis=0)


def _fit(
    features: Doubles, labels: Labels, penalty: float, gram: Float64[np.ndarray, "n n"] | None
) -> Machines:
    """Fit the machines on one Gram matrix, or, where it is None, on one a pair of classes."""
    if gram is not None:
        machine = _solve(gram, labels, penalty)
        return Machines(machine.classes_, *_over_pairs(machine, features), penalty)
    classes, codes = np.unique(labels, return_inverse=True)
    fitted = [
        _machine(features, codes, rows, _gram(features[rows]), np.ones(len(rows), dtype=bool), penalty)
        for _, rows in _pairs(codes)
    ]
    weights, intercepts = zip(*fitted, strict=True)
    return Machines(classes, np.stack(weights), np.array(intercepts), penalty)


def _pairs(codes: Labels) -> Iterator[tuple[tuple[int, int], Int64[np.ndarray, " p"]]]:
    """Yield every pair of classes with its rows; rows are sorted by class."""
    members = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    for pair in combinations(range(len(members)), 2):
        yield pair, np.concatenate([members[code] for code in pair])


def _gram(rows: Float64[np.ndarray, "p D"]) -> Float64[np.ndarray, "p p"] | None:
    return rows @ rows.T if len(rows) <= LARGEST_GRAM else None


def _machine(
    features: Doubles,
    codes: Labels,
    rows: Int64[np.ndarray, " f"],
    gram: Float64[np.ndarray, "p p"] | None,
    chosen: Bool[np.ndarray, " p"],
    penalty: float,
) -> tuple[Float64[np.ndarray, " D"], float]:
    """Fit the machine of two classes on `rows`; its weights and intercept are positive for the first class.

    `gram` is of the pair's rows, of which `rows` are the `chosen` ones; where it is None they are too many,
    and libsvm makes the products itself.
    """
    if gram is None:
        machine = _solve(features[rows], codes[rows], penalty, kernel="linear")
    else:
        machine = _solve(gram[np.ix_(chosen, chosen)], codes[rows], penalty)
    return -(machine.dual_coef_[0] @ features[rows[machine.support_]]), -float(machine.intercept_[0])


@_few_rows_a_class()
def fixed_svm(
    train: Rows, train_labels: Labels, test: Float[np.ndarray, "m D"], C: float
) -> Int64[np.ndarray, " m"]:
    """Predict with a linear SVC (one against one) of a given C, features as they are; they must be finite."""
    features, labels, _ = _by_class(train, train_labels)
    return _fit(features, labels, C, _gram(features)).predict(test)


def _double(features: Rows) -> Doubles:
    """Features in double precision, as libsvm computes."""
    if not np.isfinite(features).all():
        raise UserError(
            "an encoder gave features that are not finite numbers; expected finite ones. "
            "Check its weights, and the clouds with `adacross inspect`."
        )
    return features.astype(np.float64)


def _by_class(train: Rows, labels: Labels) -> tuple[Doubles, Labels, Labels]:
    """Features and labels, one class after the other, and where they were; libsvm sorts in the same way."""
    order = np.argsort(labels, kind="stable")
    return _double(train[order]), labels[order], order


def _solve(
    rows: Float64[np.ndarray, "n d"],
    labels: Labels,
    C: float,
    kernel: Literal["precomputed", "linear"] = "precomputed",
) -> Any:
    """scikit-learn's SVC, fitted on a Gram matrix or on features whose rows are sorted by class."""
    from sklearn.svm import SVC

    return SVC(kernel=kernel, C=C, cache_size=1000).fit(rows, labels)


def _over_pairs(
    machine: Any, rows: Float64[np.ndarray, "n d"]
) -> tuple[Float64[np.ndarray, "P d"], Float64[np.ndarray, " P"]]:
    """Sums of the training rows, weighted by each pair's dual coefficients, and the pairs' intercepts.

    Of features the sums are weight vectors; of rows of a Gram matrix they are decisions without intercept.
    """
    ends = np.cumsum(machine.n_support_)[:-1]
    duals = np.split(machine.dual_coef_, ends, axis=1)  # of a class: a row for every other class
    support = np.split(machine.support_, ends)
    of_class = [dual @ rows[where] for dual, where in zip(duals, support, strict=True)]
    pairs = combinations(range(len(of_class)), 2)
    sums = np.array([of_class[i][j - 1] + of_class[j][i] for i, j in pairs])
    sign = -1 if len(of_class) == 2 else 1  # of two classes scikit-learn turns libsvm's signs
    return sign * sums, sign * machine.intercept_


def _elect(
    decisions: Float64[np.ndarray, "m P"], classes: Int64[np.ndarray, " K"]
) -> Int64[np.ndarray, " m"]:
    """Return the class with most votes, a vote a pair; of equals the first, as in libsvm."""
    first, second = np.triu_indices(len(classes), 1)
    vote = np.eye(len(classes))
    won = decisions > 0
    return classes[(won @ vote[first] + ~won @ vote[second]).argmax(axis=1)]


def enough_folds(labels: Labels, folds: int) -> int:
    """Return `folds`, or as many as the smallest class has rows if that is less, but 2 at least.

    Example:
        >>> enough_folds(np.array([0, 0, 0, 1, 1, 1, 1]), 5)
        3
    """
    return max(2, min(folds, int(np.unique(labels, return_counts=True)[1].min())))


def at_edge(C: float, train: Rows) -> bool:
    """Return whether a chosen C is the smallest or the largest of the grid."""
    relative = C * _unit(train.astype(np.float64))
    return bool(np.isclose(relative, (C_GRID[0], C_GRID[-1]), rtol=1e-6).any())


def _unit(features: Doubles) -> float:
    """Return the mean variance of a feature, above 0; of features that are all but constant, their size."""
    variance, size = float(features.var(axis=0).mean()), float(np.square(features).mean())
    return variance if variance > 1e-16 * size else size or 1.0
