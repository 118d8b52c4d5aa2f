"""Intervals and tests against their definitions, and against what they promise."""

import numpy as np
import pytest
from scipy import stats

from adacross.features.statistics import (
    Estimate,
    difference,
    estimate,
    grouped_mean,
    holm,
    mean_interval,
)


def right(count: int, of: int) -> np.ndarray:
    return np.repeat([1.0, 0.0], [count, of - count])[None]


@pytest.mark.parametrize(("count", "of"), [(0, 5), (5, 5), (7, 10), (283, 400), (1, 2)])
def test_right_and_wrong_answers_have_wilsons_interval(count: int, of: int):
    share, z = count / of, stats.norm.ppf(0.975)
    center = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * np.sqrt(share * (1 - share) / of + (z / (2 * of)) ** 2)
    found = estimate(right(count, of))
    assert (found.low, found.high) == pytest.approx((center - half, center + half), abs=1e-12)


def test_no_plus_minus_for_a_single_number():
    """The headline of the first edition was "70.8 ± 0.0 %" on 400 shapes."""
    assert str(estimate(right(283, 400))) == "70.8 % [66.1, 75.0]"
    assert str(estimate(np.array([[0.025]]))) == "2.5 %"
    assert str(Estimate(0.712, std=0.009, count=3)) == "71.2 ± 0.9 %"


def test_shares_have_students_interval():
    values = np.random.default_rng(0).uniform(0.2, 0.9, 40)
    expected = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)


def test_a_mean_over_classes_is_a_stratified_mean():
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    values = np.array([0.1, 0.4, 0.3, 0.9, 0.7, 0.5, 0.2, 0.8, 0.6])
    means = [values[groups == g].mean() for g in range(3)]
    assert grouped_mean(values, groups) == pytest.approx(np.mean(means))
    error = np.sqrt(sum(values[groups == g].var(ddof=1) / (groups == g).sum() for g in range(3))) / 3
    low, high = mean_interval(values, groups)
    half = stats.t.ppf(0.975, 6) * error
    assert (low, high) == pytest.approx((np.mean(means) - half, np.mean(means) + half))


def test_classes_that_are_all_right_are_not_known_exactly():
    """A network that always answers one class had "2.3 % [2.3, 2.3]" as its mean class accuracy."""
    groups = np.repeat(np.arange(10), 3)
    low, high = mean_interval((groups == 0).astype(float), groups)
    assert low < 0.05
    assert high > 0.15


def test_several_networks_have_a_deviation():
    outcomes = np.random.default_rng(1).integers(0, 2, (4, 50)).astype(float)
    found = estimate(outcomes)
    assert (found.mean, found.std) == pytest.approx((outcomes.mean(), outcomes.mean(1).std(ddof=1)))
    assert (found.low, found.high, found.count) == (None, None, 4)


def test_one_network_a_side_is_mcnemars_test():
    rng = np.random.default_rng(2)
    first, second = (rng.integers(0, 2, (1, 60)).astype(float) for _ in range(2))
    better, worse = ((first > second).sum(), (first < second).sum())
    found = difference(first, second)
    assert found.p == pytest.approx(stats.binomtest(int(better), int(better + worse)).pvalue)
    assert found.mean == pytest.approx((better - worse) / 60)
    assert "McNemar" in found.test
    assert difference(first, first).p == 1


def test_shares_are_compared_by_a_paired_t_test():
    rng = np.random.default_rng(3)
    first, second = rng.uniform(size=(1, 30)), rng.uniform(size=(3, 30))
    expected = stats.ttest_rel(first[0], second[0])
    found = difference(first, second[:1])
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_a_single_network_against_several_is_judged_by_their_spread_too():
    rng = np.random.default_rng(3)
    first, second = (
        rng.uniform(size=(1, 3000)),
        rng.uniform(size=(3, 3000)) + np.array([[-0.1], [0.0], [0.1]]),
    )
    found = difference(first, second)
    spread = second.mean(1).std(ddof=1)
    half = stats.t.ppf(0.975, 2) * spread * np.sqrt(1 + 1 / 3)
    assert found.high - found.mean == pytest.approx(half, rel=0.2)
    assert found.p > stats.ttest_rel(first[0], second.mean(0)).pvalue


@pytest.mark.parametrize(("n", "m"), [(3, 3), (3, 4), (5, 7), (4, 6)])
def test_several_networks_a_side_are_welchs_test(n: int, m: int):
    """The first edition gave no p for 3 against 4, though the figures are ten points apart."""
    rng = np.random.default_rng(4)
    first = np.clip(0.7 + 0.01 * rng.standard_normal((n, 1)) + np.zeros((n, 20)), 0, 1)
    second = np.clip(0.6 + 0.01 * rng.standard_normal((m, 1)) + np.zeros((m, 25)), 0, 1)
    found = difference(first, second)
    expected = stats.ttest_ind(first.mean(1), second.mean(1), equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.p < 0.001
    assert found.significant


def test_networks_without_spread_are_not_tested():
    found = difference(np.full((3, 4), 0.5), np.full((3, 4), 0.25))
    assert (found.mean, found.p) == (0.25, None)
    assert found.test.startswith("no test")


@pytest.mark.slow
@pytest.mark.parametrize("sides", [(1, 1), (1, 3), (4, 4)])
def test_of_equal_networks_at_most_five_percent_are_called_different(sides: tuple[int, int]):
    """Networks that err independently, with the same probability on each shape."""
    rng = np.random.default_rng(7)
    called = 0
    for _ in range(2000):
        hard = rng.uniform(size=100)
        first, second = ((rng.uniform(size=(n, 100)) < hard).astype(float) for n in sides)
        called += difference(first, second).significant
    assert called / 2000 <= 0.065  # 5 % and three standard errors of 2,000 draws


@pytest.mark.slow
@pytest.mark.parametrize("units", [90, 400, 2000])
def test_networks_that_differ_in_their_seed_alone_are_seldom_called_different(units: int):
    """Seeds differ by a standard deviation of 1.2 points: over 2,000 units McNemar's test alone sees that."""
    rng = np.random.default_rng(11)

    def network(base: np.ndarray) -> np.ndarray:
        chance = np.clip(base + rng.normal(0, 0.15, units) + rng.normal(0, 0.012), 0, 1)
        return (rng.uniform(size=units) < chance).astype(float)

    called = []
    for _ in range(600):
        base = np.clip(rng.normal(0.6, 0.35, units), 0.01, 0.99)
        first, second = network(base)[None], network(base)[None]
        fresh = np.stack([network(base) for _ in range(4)])
        pair = difference(first, second, fresh=(fresh, fresh)), difference(first, second)
        called.append([each.significant for each in pair])
    both, units_alone = np.mean(called, axis=0)
    assert both <= 0.06
    assert units < 2000 or units_alone > 0.1


def test_holm_is_never_below_the_one_before():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_difference_of_means_over_classes_does_not_depend_on_the_order():
    """One order had p = 0 and an interval of no width."""
    groups, right = np.repeat(np.arange(3), 4), np.ones((1, 12))
    wrong = right.copy()
    wrong[0, :4] = 0
    one, other = difference(right, wrong, groups), difference(wrong, right, groups)
    assert one.p is not None
    assert 0 < one.p == pytest.approx(other.p)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.low < one.mean < one.high


def test_class_means_of_two_equal_networks_differ_as_seldom_as_they_should():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(5), (3, 5, 8, 12, 20))
    found = [difference(*(rng.random((2, 1, 48)) < 0.9).astype(float), groups).p for _ in range(400)]
    assert np.mean(np.array(found) < 0.05) < 0.07
