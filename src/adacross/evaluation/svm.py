"""The linear SVM of the field's protocol, with C chosen on the training features alone."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float, Int64

# In units of 1 / mean variance of a feature: an untrained network's features are hundreds of times smaller
# than a trained one's, and a grid of bare numbers would suit one of them only.
C_GRID = (0.001, 0.01, 0.1, 1.0, 10.0)


def svm(
    train: Float[np.ndarray, "n D"],
    train_labels: Int64[np.ndarray, " n"],
    test: Float[np.ndarray, "m D"],
    folds: int,
    seed: int,
) -> tuple[Int64[np.ndarray, " m"], float]:
    """Predict with a linear SVM whose C is chosen by cross-validation on the training features alone.

    scikit-learn's SVC (one against one), features as they are. The candidates for C are `C_GRID` divided by
    the training features' mean variance, so that their unit does not matter. The Gram matrix is computed
    once and shared by every fold and every C, which changes the time, not the predictions. Of equally good
    C the smallest is taken.

    Args:
        train: `(n, D)` features to fit on.
        train_labels: `(n,)` their classes.
        test: `(m, D)` features to predict.
        folds: of the stratified cross-validation.
        seed: of the folds.

    Returns:
        Predictions `(m,)` and the chosen C.
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
    return machine.predict(test.astype(np.float64) @ features.T), best
