"""SoftAdapt: a softmax of each loss's rate of change."""

import math

from adacross.errors import UserError
from adacross.losses.weighting.base import refuse_negative
from adacross.losses.weighting.periods import Periodic, softmax


class SoftAdapt(Periodic):
    """SoftAdapt: Heydari, Thompson & Mehmood 2019, arXiv 1912.12355.

    Each of K terms has a scalar loss f, its mean over the last period, and a rate of change s, which is f
    minus the mean over the period before: a finite difference in units of the loss per period. Then

        weight = K * exp(beta * s) / sum exp(beta * s),

    and in the paper's two variants, which can be combined,

        normalized:       s / sum |s| in place of s, in no unit and between -1 and 1;
        loss-weighted:    weight = K * f * exp(beta * s) / sum f * exp(beta * s).

    With beta above 0 the term that falls most slowly, or rises, weighs more; with beta below 0 the one that
    falls fastest. `normalized` alone decides by how rates compare, `loss_weighted` also favors large losses.

    Open in the paper or changed, by us: the paper's weights sum to 1 and here to K, as those of the other
    rules do, so that the sum of the terms and with it the step is as large as without weights. The paper
    takes the difference over a few iterations; one batch's loss is noisier than it falls in a few steps, so
    periods are longer by default. At beta 0.1, the paper's, weights leave 1 little: terms whose normalized
    rates are -1 and 0 have weights 0.95 and 1.05.

    Args:
        beta: sharpness of the softmax.
        period: steps whose losses are averaged before they are compared; 1 is the plain difference.
        normalized: divide rates by the sum of their absolute values.
        loss_weighted: multiply by the loss.

    Raises:
        UserError: beta is not finite or the period below 1; from `update`, a negative loss with
            `loss_weighted`.

    Example:
        >>> weighting = SoftAdapt(period=1, normalized=True)
        >>> for loss in (5.0, 4.0, 4.0):
        ...     weights = weighting.update({"intra": loss, "cross": 6.0})
        >>> {name: round(weight, 2) for name, weight in weights.items()}
        {'intra': 0.95, 'cross': 1.05}
    """

    def __init__(
        self, beta: float = 0.1, period: int = 100, normalized: bool = False, loss_weighted: bool = False
    ) -> None:
        if not math.isfinite(beta) or period < 1:
            raise UserError(
                f"beta {beta}, period {period}; expected a finite beta and a period of at least 1."
            )
        super().__init__(period)
        self.beta = beta
        self.normalized = normalized
        self.loss_weighted = loss_weighted

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        if self.loss_weighted:
            refuse_negative(losses, "loss-weighted SoftAdapt")
        return super().weigh(losses, gradient_norms)

    def compare(self, last: dict[str, float], before: dict[str, float]) -> dict[str, float]:
        rates = {name: last[name] - before[name] for name in last}
        if self.normalized:
            total = sum(map(abs, rates.values())) or 1.0
            rates = {name: rate / total for name, rate in rates.items()}
        exponents = {name: self.beta * rate for name, rate in rates.items()}
        return softmax(exponents, last if self.loss_weighted else None)
