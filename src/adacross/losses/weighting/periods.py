"""Weightings that compare a term's mean loss over one period with that over the period before."""

import math
from abc import abstractmethod
from collections.abc import Mapping

from adacross.losses.weighting.base import Weighting


class Periodic(Weighting):
    """A rule whose weights change when a period of steps ends. Abstract.

    Weights are 1 for the first two periods. One batch's luck averages out over a period; a period of one step
    compares each loss with the one before it.

    Args:
        period: steps whose losses are averaged, at least 1.
    """

    def __init__(self, period: int) -> None:
        super().__init__("sum", "steps", "last", "before")
        self.period = period

    @abstractmethod
    def compare(self, last: dict[str, float], before: dict[str, float]) -> dict[str, float]:
        """Return the weights of the next period from the mean losses of the last one and the one before."""

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        last, before = self.state["last"], self.state["before"]
        weights = self.compare(last, before) if before else dict.fromkeys(losses, 1.0)
        sums, steps = self.state["sum"], self.state["steps"]
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + loss
            steps[name] = steps.get(name, 0.0) + 1
        if all(count >= self.period for count in steps.values()):
            self.state["before"] = dict(last)
            self.state["last"] = {name: sums[name] / steps[name] for name in losses}
            self.state["sum"], self.state["steps"] = {}, {}
        return weights


def softmax(exponents: Mapping[str, float], factors: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return K * factor * exp(exponent) / sum of factor * exp(exponent), which sum to K for K terms.

    Args:
        exponents: a finite number a term.
        factors: 0 or more a term; 1 by default. If all are 0, so that nothing is left to divide, weights
            are 1.

    Example:
        >>> softmax({"intra": 0.0, "cross": 0.0})
        {'intra': 1.0, 'cross': 1.0}
    """
    top = max(exponents.values())  # exp cannot overflow below it
    shares = {name: math.exp(exponent - top) for name, exponent in exponents.items()}
    if factors is not None:
        shares = {name: factors[name] * share for name, share in shares.items()}
    total = sum(shares.values())
    return {name: len(shares) * share / total if total else 1.0 for name, share in shares.items()}
