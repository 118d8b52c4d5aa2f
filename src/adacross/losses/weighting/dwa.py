"""Dynamic weight average: a softmax of how each loss moved over a period."""

from adacross.errors import UserError
from adacross.losses.weighting.periods import Periodic, softmax


class DynamicWeightAverage(Periodic):
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
        super().__init__(period)
        self.temperature = temperature

    def compare(self, last: dict[str, float], before: dict[str, float]) -> dict[str, float]:
        ratios = {name: last[name] / before[name] if before[name] else 1.0 for name in last}
        return softmax({name: ratio / self.temperature for name, ratio in ratios.items()})
