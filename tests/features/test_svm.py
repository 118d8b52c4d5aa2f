"""The linear SVM against scikit-learn's SVC: same machines, same predictions, same choice of C."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC

from adacross.errors import UserError
from adacross.features import svm as module
from adacross.features.svm import C_GRID, Machines, enough_folds, fit_svm, fixed_svm

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def blobs(seed: int, counts: list[int], width: int, spread: float) -> Rows:
    """Training rows with so many of each class, shuffled, their labels, and as many test rows."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((len(counts), width))
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))

    def draw() -> np.ndarray:
        return (centers[labels] + spread * rng.standard_normal((len(labels), width))).astype(np.float32)

    return draw(), labels, draw()


def pooled(seed: int) -> Rows:
    """Features like an untrained PointNet's: maxima of ReLUs over points; large means, tiny scale."""
    rng = np.random.default_rng(seed)
    layers = [rng.standard_normal(shape) / shape[0] ** 0.5 for shape in ((3, 32), (32, 96))]
    shapes = rng.standard_normal((6, 40, 3))
    labels = rng.permutation(np.repeat(np.arange(6), 25))

    def draw() -> np.ndarray:
        clouds = shapes[labels] + 0.6 * rng.standard_normal((len(labels), 40, 3))
        for layer in layers:
            clouds = np.maximum(clouds @ layer, 0)
        return (clouds.max(axis=1) / 500).astype(np.float32)

    return draw(), labels, draw()


def repeated() -> Rows:
    """Rows that repeat within a class, rows that two classes share, labels that skip numbers."""
    train, labels, test = blobs(2, [15, 15, 15], 4, 1.0)
    shared = (labels[:6] + 1) % 3
    return (
        np.concatenate([train, train[:20], train[:6]]),
        np.concatenate([labels, labels[:20], shared]) * 7 - 3,
        test,
    )


CASES: dict[str, Rows] = {
    "apart": blobs(0, [20, 20, 20], 8, 0.3),
    "overlapping": blobs(1, [30, 30, 30, 30], 5, 2.0),
    "unbalanced": blobs(2, [60, 4, 2, 25], 12, 1.0),
    "one row a class": blobs(3, [1, 1, 1], 6, 1.0),
    "two classes": blobs(4, [17, 23], 3, 1.0),
    "more features than rows": blobs(5, [6, 7, 5], 200, 1.0),
    "many classes": blobs(6, [6] * 12, 10, 1.5),
    "repeated rows": repeated(),
    "pooled": pooled(7),
}


@pytest.mark.parametrize("C", [1e-4, 0.01, 1.0, 100.0])
@pytest.mark.parametrize("case", CASES)
def test_predictions_are_those_of_svc(case: str, C: float):
    train, labels, test = CASES[case]
    expected = SVC(kernel="linear", C=C).fit(train, labels).predict(test)
    assert np.array_equal(fixed_svm(train, labels, test, C), expected)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 300.0])
def test_features_of_any_size(scale: float):
    for name in ("overlapping", "pooled"):
        train, labels, test = CASES[name]
        train, test = train * np.float32(scale), test * np.float32(scale)
        for c in (0.01, 1.0):
            C = c / float(train.astype(np.float64).var(axis=0).mean())
            expected = SVC(kernel="linear", C=C).fit(train, labels).predict(test)
            assert np.array_equal(fixed_svm(train, labels, test, C), expected)
            assert len(np.unique(expected)) > 2


@pytest.mark.parametrize("case", [case for case in CASES if case != "one row a class"])  # folds need two
def test_weights_and_intercepts_are_those_of_svc(case: str):
    """libsvm stops at its tolerance; that both stop at the same place says that every step was the same."""
    train, labels, test = CASES[case]
    C = 0.1 / float(train.astype(np.float64).var(axis=0).mean())
    plain = SVC(kernel="linear", C=C, decision_function_shape="ovo").fit(train, labels)
    ours = fitted(train, labels, C)
    sign = -1 if len(ours.classes) == 2 else 1
    size = np.abs(plain.coef_).max()
    np.testing.assert_allclose(sign * ours.weights / size, plain.coef_ / size, atol=1e-9)
    np.testing.assert_allclose(sign * ours.intercepts, plain.intercept_, atol=1e-9)
    decisions = test.astype(np.float64) @ ours.weights.T + ours.intercepts
    expected = plain.decision_function(test).reshape(len(test), -1)
    np.testing.assert_allclose(sign * decisions, expected, atol=1e-7)


def fitted(train: np.ndarray, labels: np.ndarray, C: float) -> Machines:
    """Our machines of a given C: the grid of one candidate."""
    unit = float(train.astype(np.float64).var(axis=0).mean())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "C_GRID", (C * unit,))
        return fit_svm(train, labels, 2, 0)


def elected_plainly(decisions: np.ndarray, classes: np.ndarray) -> list[int]:
    """Votes counted one by one."""
    found = []
    for row in decisions:
        votes = [0] * len(classes)
        for decision, (i, j) in zip(row, combinations(range(len(classes)), 2), strict=True):
            votes[i if decision > 0 else j] += 1
        found.append(int(classes[votes.index(max(votes))]))
    return found


def test_every_pair_has_a_vote_and_of_equals_the_first_class_wins():
    classes = np.array([3, 5, 9])
    around = np.array([[1.0, -1.0, 1.0]])  # 3 beats 5, 9 beats 3, 5 beats 9: a vote each
    assert Machines(classes, np.zeros((3, 2)), around[0], 1.0).predict(np.zeros((1, 2))).tolist() == [3]
    rng = np.random.default_rng(0)
    for count in (2, 3, 5, 9):
        intercepts = rng.integers(-1, 2, size=count * (count - 1) // 2).astype(float)  # zeros, too
        weights = rng.integers(-1, 2, size=(len(intercepts), 4)).astype(float)
        rows = rng.integers(-1, 2, size=(50, 4)).astype(float)
        machines = Machines(np.arange(count) * 2, weights, intercepts, 1.0)
        expected = elected_plainly(rows @ weights.T + intercepts, machines.classes)
        assert machines.predict(rows).tolist() == expected


@pytest.mark.parametrize("case", ["overlapping", "unbalanced folds", "two classes", "pooled"])
def test_c_is_the_one_that_a_grid_search_over_the_same_folds_finds(case: str):
    train, labels, test = CASES.get(case) or blobs(8, [40, 5, 4, 25], 6, 1.5)
    unit = train.astype(np.float64).var(axis=0).mean()
    grid = {"C": [c / unit for c in C_GRID]}
    for seed in range(3):
        folds = StratifiedKFold(4, shuffle=True, random_state=seed)
        search = GridSearchCV(SVC(kernel="linear"), grid, cv=folds).fit(train, labels)
        machines = fit_svm(train, labels, 4, seed)
        scores = search.cv_results_["mean_test_score"].round(9)
        assert pytest.approx(grid["C"][int(scores.argmax())]) == machines.C
        expected = SVC(kernel="linear", C=machines.C).fit(train, labels).predict(test)
        assert np.array_equal(machines.predict(test), expected)


def test_accuracies_of_all_folds_are_those_of_svc():
    """Not only the best C: each candidate's accuracy in each fold."""
    train, labels, _ = CASES["overlapping"]
    candidates = [0.01, 0.3, 10.0]
    order = np.argsort(labels, kind="stable")
    features = train[order].astype(np.float64)
    moved = module._folds(labels, 3, 5, np.argsort(order))
    plain = StratifiedKFold(3, shuffle=True, random_state=5).split(train, labels)
    for (fit, check), (a, b) in zip(plain, moved, strict=True):
        assert set(order[a]) == set(fit)
        assert set(order[b]) == set(check)
        machines = [SVC(kernel="linear", C=C).fit(train[fit], labels[fit]) for C in candidates]
        expected = [machine.score(train[check], labels[check]) for machine in machines]
        found = module._accuracies(features @ features.T, labels[order], a, b, candidates)
        assert found == pytest.approx(expected)


def test_without_room_for_the_gram_matrix_predictions_are_the_same(monkeypatch: pytest.MonkeyPatch):
    train, labels, test = CASES["unbalanced"]
    expected = fixed_svm(train, labels, test, 0.1)
    monkeypatch.setattr(module, "LARGEST_GRAM", len(train) - 1)
    assert np.array_equal(fixed_svm(train, labels, test, 0.1), expected)


@pytest.mark.parametrize("seed", range(6))
def test_two_classes_of_one_row_may_share_a_fold(seed: int, monkeypatch: pytest.MonkeyPatch):
    """Without room for the Gram matrix that was an IndexError: their pair has no row to fit."""
    train, labels, test = blobs(seed, [1, 12, 1, 12, 1], 6, 1.0)
    together = fit_svm(train, labels, 2, seed)
    monkeypatch.setattr(module, "LARGEST_GRAM", 10)
    apart = fit_svm(train, labels, 2, seed)
    assert apart.C == together.C
    assert np.array_equal(apart.predict(test), together.predict(test))


@pytest.mark.parametrize("labels", [[0, 0, 0, 1], [1, 0], [2, 2, 2, 2, 0, 1]])
def test_a_class_of_one_row_has_no_other_fold(labels: list[int]):
    train = np.random.default_rng(0).normal(size=(len(labels), 8)).astype(np.float32)
    machines = fit_svm(train, np.array(labels), enough_folds(np.array(labels), 5), 0)
    assert machines.C > 0
    assert set(machines.predict(train)) <= set(labels)


FLAT = """
import numpy as np
from adacross.features.svm import fit_svm

rng = np.random.default_rng(0)
labels = np.arange(200) % 4
noise = rng.normal(size=(200, 16)) + 3 * rng.normal(size=(4, 16))[labels]
for base, size in ((0, 0), (0.1, 0), (1, 1e-6), (1, 1e-5), (100, 1e-4), (1e-20, 1e-26)):
    features = (base + size * noise).astype(np.float32)
    found = fit_svm(features, labels, 5, 0)
    share = float(np.mean(found.predict(features) == labels))
    assert share == 0.25 if size == 0 else share > 0.9, (base, size, share)
"""


def test_features_of_a_collapsed_encoder_end_soon():
    """libsvm counted digits of the mean against each other, without end and deaf to Ctrl-C."""
    subprocess.run([sys.executable, "-c", FLAT], check=True, timeout=300)


def test_features_that_are_not_finite_are_refused():
    train, labels, test = (values.copy() for values in CASES["apart"])
    machines = fit_svm(train, labels, 3, 0)
    test[3, 1] = np.nan
    with pytest.raises(UserError, match="not finite"):
        machines.predict(test)
    train[0, 0] = np.inf
    for fit in (lambda: fit_svm(train, labels, 3, 0), lambda: fixed_svm(train, labels, test, 1.0)):
        with pytest.raises(UserError, match="not finite"):
            fit()


@pytest.mark.slow
@pytest.mark.parametrize("largest", [10, 40])
@pytest.mark.parametrize("case", ["overlapping", "unbalanced", "many classes", "repeated rows"])
def test_machines_of_many_rows_are_the_same_a_pair_of_classes_at_a_time(
    case: str, largest: int, monkeypatch: pytest.MonkeyPatch
):
    """40,000 shapes took 60 GB in the first edition. Of a pair with too many rows libsvm multiplies."""
    train, labels, test = CASES[case]
    together = fit_svm(train, labels, 3, 0)
    fixed = fixed_svm(train, labels, test, together.C)
    monkeypatch.setattr(module, "LARGEST_GRAM", largest)
    apart = fit_svm(train, labels, 3, 0)
    assert apart.C == together.C
    same = np.isclose(apart.weights, together.weights, atol=1e-9).all(axis=1)
    assert same.mean() > 0.9  # libsvm may stop at another point of its tolerance
    for predicted in (apart.predict(test), fixed_svm(train, labels, test, together.C)):
        assert (predicted == fixed).mean() >= 0.97


@pytest.mark.slow
def test_no_matrix_of_all_rows_is_made_of_many(monkeypatch: pytest.MonkeyPatch):
    train, labels, _ = CASES["many classes"]
    made = []
    real = module._solve

    def solving(rows: np.ndarray, *given: object, **named: object) -> object:
        made.append(rows.shape)
        return real(rows, *given, **named)

    monkeypatch.setattr(module, "_solve", solving)
    monkeypatch.setattr(module, "LARGEST_GRAM", 40)
    fit_svm(train, labels, 3, 0)
    assert max(shape[0] for shape in made) <= 12  # two classes of six
