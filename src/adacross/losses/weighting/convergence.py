"""AdaCrossNet's weights, as its abstract means them."""

import math

from adacross.errors import UserError
from adacross.losses.weighting.base import Weighting, refuse_negative


class ConvergenceRate(Weighting):
    """AdaCrossNet as its abstract intends, by us: the term that converges more slowly weighs more.

    Each loss has two exponentially weighted means, one over about `short` steps and one over about `long`.
    Their ratio q is below 1 while the loss falls, 1 when it stands still and above 1 when it rises, in no
    unit. Weights are

        weight = K * r / sum r,     r = (q / geometric mean of all q)^sharpness,

    with r held between 1 / sqrt(limit) and sqrt(limit), so K terms' weights sum to K and no weight is more
    than `limit` times another. As in the released rule, a loss that rises gains weight. Weights start at 1,
    and return to 1 when all terms converge alike.

    Args:
        short: steps of the recent mean; long enough to hide one batch's luck.
        long: steps of the mean it is compared with.
        sharpness: exponent of the ratio; 0 for equal weights.
        limit: largest ratio of two weights.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(
        self, short: float = 50.0, long: float = 500.0, sharpness: float = 5.0, limit: float = 4.0
    ) -> None:
        if not (1 <= short < long and sharpness >= 0 and limit >= 1):
            raise UserError(
                f"short {short}, long {long}, sharpness {sharpness}, limit {limit}; "
                "expected 1 <= short < long, sharpness >= 0, limit >= 1."
            )
        super().__init__("recent", "lasting", "steps")
        self.short = short
        self.long = long
        self.sharpness = sharpness
        self.limit = limit

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        refuse_negative(losses, "a convergence rate")
        rates = {}
        for name, loss in losses.items():
            steps = self.state["steps"].get(name, 0.0) + 1
            recent = self._mean("recent", self.short, name, loss, steps)
            lasting = self._mean("lasting", self.long, name, loss, steps)
            self.state["steps"][name] = steps
            rates[name] = math.log(recent / lasting) if recent > 0 and lasting > 0 else 0.0
        usual = sum(rates.values()) / len(rates)
        bound = math.log(self.limit) / 2
        shares = {
            name: math.exp(max(-bound, min(bound, self.sharpness * (rate - usual))))
            for name, rate in rates.items()
        }
        total = sum(shares.values())
        return {name: len(shares) * share / total for name, share in shares.items()}

    def _mean(self, quantity: str, window: float, name: str, loss: float, steps: float) -> float:
        """Exponentially weighted mean; at the start, when the window is not yet full, the plain mean."""
        share = 1 / min(window, steps)
        means = self.state[quantity]
        means[name] = (1 - share) * means.get(name, loss) + share * loss
        return means[name]
