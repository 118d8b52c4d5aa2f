"""The linear SVM of the field's protocol, with C chosen on the training features alone."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64

# In units of 1 / mean variance of a feature: an untrained network's features are hundreds of times smaller
# than a trained one's, and a grid of bare numbers would suit one of them only.
C_GRID = (0.001, 0.01, 0.1, 1.0, 10.0)


@dataclass(frozen=True, eq=False)
class ChosenSVM:
    """A linear SVM and the C that cross-validation chose for it, ready for any number of test sets."""

    machine: Any
    train: Float64[np.ndarray, "n D"]
    C: float

    def predict(self, features: Float[np.ndarray, "m D"]) -> Int64[np.ndarray, " m"]:
        """Classes `(m,)` of features `(m, D)`."""
        return self.machine.predict(features.astype(np.float64) @ self.train.T)


def svm(
    train: Float[np.ndarray, "n D"],
    train_labels: Int64[np.ndarray, " n"],
    test: Float[np.ndarray, "m D"],
    folds: int,
    seed: int,
) -> tuple[Int64[np.ndarray, " m"], float]:
    """Predict with a linear SVM whose C is chosen by cross-validation on the training features alone.

    Args:
        train: `(n, D)` features to fit on.
        train_labels: `(n,)` their classes.
        test: `(m, D)` features to predict.
        folds: of the stratified cross-validation.
        seed: of the folds.

    Returns:
        Predictions `(m,)` and the chosen C (see `fit_svm`).
    """
    fitted = fit_svm(train, train_labels, folds, seed)
    return fitted.predict(test), fitted.C


def fit_svm(
    train: Float[np.ndarray, "n D"], train_labels: Int64[np.ndarray, " n"], folds: int, seed: int
) -> ChosenSVM:
    """Fit a linear SVM whose C is chosen by cross-validation on the same features.

    scikit-learn's SVC (one against one), features as they are. The candidates for C are `C_GRID` divided by
    the training features' mean variance, so that their unit does not matter. The Gram matrix is computed
    once and shared by every fold and every C, which changes the time, not the predictions. Of equally good
    C the smallest is taken.

    Args:
        train: `(n, D)` features to fit on.
        train_labels: `(n,)` their classes.
        folds: of the stratified cross-validation.
        seed: of the folds.
    """
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC

    features = train.astype(np.float64)
    candidates = [c / max(features.var(axis=0).mean(), 1e-300) for c in C_GRID]
    gram = features @ features.T
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, train_labels))

    def accuracies(fold: tuple[np.ndarray, np.ndarray]) -> list[float]:
        fit, check = fold
        to_fit, to_check = gram[np.ix_(fit, fit)], gram[np.ix_(check, fit)]
        machines = (SVC(kernel="precomputed", C=penalty, cache_size=1000) for penalty in candidates)
        predictions = (machine.fit(to_fit, train_labels[fit]).predict(to_check) for machine in machines)
        return [float(np.mean(predicted == train_labels[check])) for predicted in predictions]

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # libsvm lets other threads run
        means = np.mean(list(threads.map(accuracies, splits)), axis=0).round(9)
    best = candidates[int(means.argmax())]
    machine = SVC(kernel="precomputed", C=best, cache_size=1000).fit(gram, train_labels)
    return ChosenSVM(machine, features, best)


def fixed_svm(
    train: Float[np.ndarray, "n D"],
    train_labels: Int64[np.ndarray, " n"],
    test: Float[np.ndarray, "m D"],
    C: float,
) -> Int64[np.ndarray, " m"]:
    """Predict with scikit-learn's linear SVC (one against one) of a given C, features as they are.

    Args:
        train: `(n, D)` features to fit on.
        train_labels: `(n,)` their classes.
        test: `(m, D)` features to predict.
        C: the penalty.

    Returns:
        Predictions `(m,)`.
    """
    from sklearn.svm import SVC

    return SVC(kernel="linear", C=C, cache_size=1000).fit(train, train_labels).predict(test)
