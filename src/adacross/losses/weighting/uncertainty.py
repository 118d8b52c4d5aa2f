"""Weights learnt as the noise of each term: homoscedastic uncertainty."""

import math

from adacross.errors import UserError
from adacross.losses.weighting.base import Weighting, refuse_negative

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's usual constants, Kingma & Ba 2015, arXiv 1412.6980
_FURTHEST = 20.0  # s beyond e^20 = 5e8 is held: a loss that stays at 0 would drive it to overflow
_LARGEST = 1e100  # what a gradient is held to: its square is finite


class Uncertainty(Weighting):
    """Homoscedastic uncertainty: Kendall, Gal & Cipolla 2018, arXiv 1705.07115, eqs. 5 to 10.

    Each term has one number s = log sigma^2, and network and s together minimise

        total = sum exp(-s) * L + s / 2.

    Why this form. NT-Xent is a cross entropy: -log softmax(f)_p, f the similarities over the temperature, p
    the partner. Give the softmax a noise, softmax(f / sigma^2). Then

        -log softmax(f / sigma^2)_p = -f_p / sigma^2 + log sum exp(f / sigma^2)
                                    = L / sigma^2 + log [ sum exp(f / sigma^2) / (sum exp f)^(1 / sigma^2) ],

    and the paper takes the last logarithm for log sigma = s / 2: exact at sigma = 1, rough far from it. The
    form for regression, from a Gaussian, is exp(-s) * L / 2 + s / 2 with L a squared error. It is the same
    objective with s moved by log 2, so it differs in where weights start (1/2) and not in where they go.

    The network's gradient sees exp(-s) only; that is the weight. The gradient for s is 1/2 - exp(-s) * L, so
    it rests at

        weight = 1 / (2 L):

    each term then contributes 1/2, whatever its size. This equalises contributions; it does not ask which
    term learns more slowly. A term that becomes small gains weight without bound (s is held within 20 of 0,
    weights within 2e-9 and 5e8, lest it overflow). The weights do not sum to the number of terms: the network
    receives the gradient of sum (log L) / 2, without L's units. Adam does not see the common factor; SGD and
    weight decay do.

    s is learnt by Adam with the closed-form gradient. As in joint training, a step's weights are those from
    before the step of s, so they start at 1.

    Args:
        learning_rate: Adam's for s. The paper learns s with the network; apart from it, s may be quicker. At
            0.01 a term that stays at 4 has its weight within 5 % after 700 steps, half an epoch of ShapeNet
            at batch 32, and a batch noise of 4 % moves a weight by 1 to 2 %. Larger is quicker and noisier.
            It does not follow the network's schedule.

    Raises:
        UserError: the learning rate is not positive; from `update`, a loss is negative, whose weight would
            grow for ever.
    """

    def __init__(self, learning_rate: float = 0.01) -> None:
        if not 0 < learning_rate < math.inf:
            raise UserError(
                f"learning_rate is {learning_rate}; expected a positive number. 0.01 is a good beginning."
            )
        super().__init__("log_variance", "first_moment", "second_moment", "steps")
        self.learning_rate = learning_rate

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        refuse_negative(losses, "an uncertainty")
        weights = {name: math.exp(-self.state["log_variance"].get(name, 0.0)) for name in losses}
        for name, loss in losses.items():
            self._learn(name, 0.5 - min(weights[name] * loss, _LARGEST))
        return weights

    def _learn(self, name: str, gradient: float) -> None:
        """One step of Adam for one term's s (Kingma & Ba 2015, algorithm 1)."""
        quantities = ("log_variance", "first_moment", "second_moment", "steps")
        values, first, second, steps = (self.state[quantity] for quantity in quantities)
        steps[name] = steps.get(name, 0.0) + 1
        first[name] = _BETA_1 * first.get(name, 0.0) + (1 - _BETA_1) * gradient
        second[name] = _BETA_2 * second.get(name, 0.0) + (1 - _BETA_2) * gradient * gradient
        mean = first[name] / (1 - _BETA_1 ** steps[name])
        square = second[name] / (1 - _BETA_2 ** steps[name])
        moved = values.get(name, 0.0) - self.learning_rate * mean / (math.sqrt(square) + _EPSILON)
        values[name] = max(-_FURTHEST, min(_FURTHEST, moved))
