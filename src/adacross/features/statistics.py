"""Uncertainty of a figure and of a difference, over what the claim is about.

A claim about one encoder is about shapes that were not tested: its figures have a 95 % interval over test
shapes. A claim about a method is about pre-trainings that were not run: its figures have a standard deviation
over pre-trainings. Cross-validation folds and repetitions on the same shapes are evidence of neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
Groups = Int64[np.ndarray, " u"] | None  # class of each unit, for means over classes


@dataclass(frozen=True)
class Estimate:
    """A figure with its uncertainty.

    Attributes:
        mean: the figure, a share from 0 to 1.
        low: lower end of the 95 % interval over units (test shapes, episodes); None over networks.
        high: upper end.
        std: standard deviation (n - 1) over networks; None for one network.
        count: number of networks.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    std: float | None = None
    count: int = 1

    def __str__(self) -> str:
        """Return the figure in per cent: "70.8 % [66.1, 75.0]", "71.2 ± 0.9 %" or "2.5 %"."""
        if self.std is not None:
            return f"{100 * self.mean:.1f} ± {100 * self.std:.1f} %"
        interval = "" if self.low is None or self.high is None else f" {brackets(self.low, self.high)}"
        return f"{100 * self.mean:.1f} %{interval}"


@dataclass(frozen=True)
class Difference:
    """A difference of two figures.

    Attributes:
        mean: the first figure minus the second.
        low: lower end of its 95 % interval; None where there is no test.
        high: upper end.
        p: two-sided p-value; None where there is no test.
        test: name of the test, or the reason why there is none.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    test: str

    def __str__(self) -> str:
        """Return the difference in percentage points: "+9.8 [+6.0, +13.5]"."""
        interval = "" if self.low is None or self.high is None else f" {brackets(self.low, self.high, '+')}"
        return f"{100 * self.mean:+.1f}{interval}"

    @property
    def significant(self) -> bool:
        """True if p is below 0.05."""
        return self.p is not None and self.p < 1 - CONFIDENCE


def brackets(low: float, high: float, sign: str = "") -> str:
    """Return an interval in per cent: "[66.1, 75.0]"."""
    return f"[{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"


def estimate(outcomes: Float[np.ndarray, "n u"], groups: Groups = None) -> Estimate:
    """Summarize the outcomes of n networks on u units.

    Args:
        outcomes: `(n, u)`, 0 or 1 for wrong or right, or any share such as an IoU.
        groups: `(u,)` class of each unit, for a mean over classes instead of over units.

    Example:
        >>> right = np.array([[1.0] * 70 + [0.0] * 30])
        >>> print(estimate(right))
        70.0 % [60.4, 78.1]
        >>> print(estimate(np.array([[0.6, 0.8], [0.7, 0.9]])))
        75.0 ± 7.1 %
    """
    means = [grouped_mean(row, groups) for row in outcomes]
    if len(means) > 1:
        return Estimate(float(np.mean(means)), std=float(np.std(means, ddof=1)), count=len(means))
    low, high = mean_interval(outcomes[0], groups)
    return Estimate(means[0], low, high)


def difference(
    first: Float[np.ndarray, "n u"],
    second: Float[np.ndarray, "m v"],
    groups: Groups = None,
    *,
    fresh: tuple[Float[np.ndarray, "k u"] | None, Float[np.ndarray, "l u"] | None] = (None, None),
) -> Difference:
    """Compare two figures.

    With several networks a side, Welch's t-test over networks. With a single one on either side, two tests,
    of which the larger p-value counts: a test over units, paired (McNemar's exact test where all outcomes are
    0 or 1, else a t-test), and Welch's test over seeds, in which the spread of untrained networks stands for
    the unknown one of the single network. The first would call two networks different that
    differ only in their seed.

    Args:
        first: `(n, u)` outcomes of n networks on u units.
        second: `(m, v)`; v is u, and the units are the same, unless both sides have several networks.
        groups: `(u,)` class of each unit, for means over classes.
        fresh: outcomes of several untrained networks of each side's architecture. By default those of the
            other side, if it has several.

    Example:
        >>> a, b = np.repeat([1.0, 0.0], [70, 30])[None], np.repeat([1.0, 0.0], [60, 40])[None]
        >>> found = difference(a, b)
        >>> print(found, found.test, round(found.p, 3))
        +10.0 [+4.0, +16.0] McNemar's exact test over 100 units 0.002
    """
    sides = (first, second)
    means = [float(np.mean([grouped_mean(row, groups) for row in side])) for side in sides]
    mean = means[0] - means[1]
    alone = len(first) == 1 or len(second) == 1
    spread = [  # networks that tell each side's variance over seeds
        own if len(own) > 1 else other if standing is None else standing
        for own, other, standing in zip(sides, (second, first), fresh, strict=True)
    ]
    tests = [_over_units(first, second, groups, mean)] if alone else []
    if all(len(rows) > 1 for rows in spread):
        tests += _over_seeds(mean, sides, spread, groups)
    tests = [each for each in tests if each.p is not None] or tests
    if not tests:
        return Difference(mean, None, None, None, "no test: all networks of a side reach the same figure")
    least = max(tests, key=lambda each: each.p or 0.0)
    half = max((each.high - mean for each in tests if each.high is not None), default=None)
    if half is None:
        return least
    return Difference(mean, mean - half, mean + half, least.p, ", ".join(each.test for each in tests))


def _over_seeds(
    mean: float,
    sides: Sequence[Float[np.ndarray, "_ _"]],
    spread: Sequence[Float[np.ndarray, "_ _"]],
    groups: Groups,
) -> list[Difference]:
    """Test a difference against the variance of both sides over seeds (Welch); not where there is none."""
    from scipy import stats

    variances = [float(np.var([grouped_mean(row, groups) for row in rows], ddof=1)) for rows in spread]
    parts = [variance / len(side) for variance, side in zip(variances, sides, strict=True)]
    total = sum(parts)
    if total <= 1e-24:
        return []
    if np.array_equal(spread[0], spread[1]):  # one estimate for both sides
        freedom = float(len(spread[0]) - 1)
    else:
        freedom = total**2 / sum(part**2 / (len(rows) - 1) for part, rows in zip(parts, spread, strict=True))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * float(np.sqrt(total))
    p = float(2 * stats.t.sf(abs(mean) / np.sqrt(total), freedom))
    test = f"Welch's t-test over {len(sides[0])} and {len(sides[1])} networks"
    if min(map(len, sides)) == 1:
        test = f"the spread of {min(map(len, spread))} initializations"
    return [Difference(mean, mean - half, mean + half, p, test)]


def _over_units(
    first: Float[np.ndarray, "n u"],
    second: Float[np.ndarray, "m u"],
    groups: Groups,
    mean: float,
) -> Difference:
    """Test a difference, paired over units; of several networks on a side the mean counts."""
    from scipy import stats

    apart = first.mean(axis=0) - second.mean(axis=0)
    if len(apart) < 2:
        return Difference(mean, None, None, None, "no test: a single unit")
    error, freedom = _standard_error(apart, groups, (-1.0, 0.0, 1.0))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    values = np.unique(np.concatenate([first.ravel(), second.ravel()]))
    if groups is None and len(first) == len(second) == 1 and np.isin(values, (0.0, 1.0)).all():
        better, worse = int((apart > 0).sum()), int((apart < 0).sum())
        p = float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0
        test = f"McNemar's exact test over {len(apart)} units"
    else:
        p = float(2 * stats.t.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
        test = f"paired t-test over {len(apart)} units"
    return Difference(mean, mean - half, mean + half, p, test)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm, A simple sequentially rejective procedure, 1979).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is below the one before it, nor
    above 1.

    Example:
        >>> holm([0.01, 0.5, 0.02])
        [0.03, 0.5, 0.04]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def mean_interval(
    values: Float[np.ndarray, " u"], groups: Groups = None
) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a mean of shares over units; None for a single unit.

    Wilson's (1927) where all values are 0 or 1, Student's t otherwise, within 0 and 1; of differences, which
    may be negative, down to the smallest. With `groups`, the class of each unit, the mean is over classes,
    and each class is a stratum.

    Example:
        >>> low, high = mean_interval(np.repeat([1.0, 0.0], [70, 30]))
        >>> round(low, 3), round(high, 3)
        (0.604, 0.781)
    """
    from scipy import stats

    if len(values) < 2:
        return None, None
    if groups is None and np.isin(values, (0.0, 1.0)).all():
        found = stats.binomtest(int(values.sum()), len(values)).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)
    error, freedom = _standard_error(values, groups)
    mean, half = grouped_mean(values, groups), float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return max(min(0.0, float(values.min())), mean - half), min(1.0, mean + half)


def grouped_mean(values: ArrayLike, groups: Groups = None) -> float:
    """Return the mean of values, or the mean over groups of each group's mean.

    Example:
        >>> grouped_mean([1.0, 1.0, 1.0, 0.0], np.array([0, 0, 0, 1]))
        0.5
    """
    array = np.asarray(values, dtype=np.float64)
    if groups is None:
        return float(array.mean())
    return float(np.mean([array[groups == group].mean() for group in np.unique(groups)]))


def _standard_error(
    values: Float64[np.ndarray, " u"], groups: Groups, possible: tuple[float, ...] = (0.0, 1.0)
) -> tuple[float, int]:
    """Return the standard error of `grouped_mean` and its degrees of freedom.

    Where all values are `possible` ones (right and wrong answers, or their differences -1, 0 and 1), a
    class's variance is that of smoothed shares, (units with the value + 1) / (units + possible values): a
    class of a few units that are all right is not known exactly. A class with a single unit has the variance
    of all units.
    """
    if groups is None:
        return float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1
    strata = [values[groups == group] for group in np.unique(groups)]
    if np.isin(values, possible).all():
        each = np.array(possible)
        shares = [((s[:, None] == each).sum(0) + 1) / (len(s) + len(each)) for s in strata]
        variances = [(q @ each**2 - (q @ each) ** 2) / len(s) for q, s in zip(shares, strata, strict=True)]
    else:
        overall = float(values.var(ddof=1))
        variances = [(s.var(ddof=1) if len(s) > 1 else overall) / len(s) for s in strata]
    return float(np.sqrt(np.sum(variances)) / len(strata)), max(1, len(values) - len(strata))
