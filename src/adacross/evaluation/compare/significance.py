"""Is a difference larger than chance? Paired t-tests, their intervals, and several tests at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 3  # differences that a test needs
CONFIDENCE = 0.95


@dataclass(frozen=True)
class PairedTest:
    """What a paired t-test says about differences.

    Attributes:
        low: end of the 95 % confidence interval of the mean difference.
        high: its other end.
        p: two-sided; the probability of a mean so far from 0 if there were no difference.
    """

    low: float
    high: float
    p: float


def paired_test(differences: Sequence[float]) -> PairedTest | None:
    """Student's t-test that the mean of paired differences is 0.

    None where it says nothing: fewer than 3 differences, or all of them alike (then nothing was varied that
    they depend on, and a p-value of 0 would be a lie).
    """
    if len(differences) < FEWEST or np.ptp(differences) <= 1e-12:
        return None
    from scipy import stats

    found = stats.ttest_1samp(differences, 0.0)
    interval = found.confidence_interval(CONFIDENCE)
    return PairedTest(float(interval.low), float(interval.high), float(found.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm, A simple sequentially rejective procedure, 1979).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is below the one before it, nor
    above 1. A corrected p below 0.05 for any of them is then wrong in at most 5 % of such families.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def independent(differences: Sequence[float], pretrainings: Sequence[int]) -> list[float]:
    """Differences that share no pre-training: the means of those, seed by seed, that do.

    Seed s was measured with pre-training s modulo n of an entry that has n of them, so that two entries of n
    and m meet again in the same pre-trainings every gcd(n, m) seeds. Counted one by one, repetitions on one
    pre-training would pass for many.

    Args:
        differences: one a seed, of two entries.
        pretrainings: how many each of them has; an entry with one does not vary, and is left out.
    """
    several = [n for n in pretrainings if n > 1]
    units = math.gcd(*several) if several else len(differences)
    return [float(np.mean(differences[unit::units])) for unit in range(units)]
