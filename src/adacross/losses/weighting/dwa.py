"""Dynamic weight average: a softmax of how each loss moved over a period."""

import math

from adacross.errors import UserError
from adacross.losses.weighting.base import Weighting


class DynamicWeightAverage(Weighting):
    """Dynamic weight average: Liu et al. 2019, arXiv 1803.10704, eq. 7.

        weight = K * exp(w / T) / sum exp(w / T),     w = mean loss of the last period / of the one before

    The paper's period is an epoch. Here it is a number of steps, since a weighting is called once a step;
    with an epoch's steps it is the paper's rule. Weights are 1 for the first two periods and change only
    when a period ends.

    Args:
        period: steps whose losses are averaged.
        temperature: T, 2 in the paper; larger for more equal weights.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(self, period: int = 100, temperature: float = 2.0) -> None:
        if period < 1 or not temperature > 0:
            raise UserError(f"period {period}, temperature {temperature}; expected at least 1 and above 0.")
        super().__init__("sum", "steps", "last", "before")
        self.period = period
        self.temperature = temperature

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        sums, steps, last, before = (self.state[name] for name in ("sum", "steps", "last", "before"))
        if last and before:
            ratios = {name: last[name] / before[name] if before[name] else 1.0 for name in losses}
        else:
            ratios = dict.fromkeys(losses, 1.0)
        top = max(ratios.values())  # exp cannot overflow below it
        shares = {name: math.exp((ratio - top) / self.temperature) for name, ratio in ratios.items()}
        total = sum(shares.values())
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + loss
            steps[name] = steps.get(name, 0.0) + 1
        if all(steps[name] >= self.period for name in losses):
            self.state["before"] = dict(last)
            self.state["last"] = {name: sums[name] / steps[name] for name in losses}
            self.state["sum"], self.state["steps"] = {}, {}
        return {name: len(shares) * share / total for name, share in shares.items()}
