"""Weights that keep the terms' gradients in proportion: GradNorm."""

import math
from typing import ClassVar

from adacross.errors import UserError
from adacross.losses.weighting.base import Weighting, refuse_negative

_SMALLEST = 1e-3  # of a weight, before weights are normalised


class GradNorm(Weighting):
    """GradNorm: Chen et al. 2018, arXiv 1711.02257, eqs. 1 and 2, algorithm 1.

    With g a term's gradient norm, L its loss and L_0 its first loss, at every step

        G = mean of w * g,     r = (L / L_0) / mean of (L / L_0),     L_grad = sum |w * g - G * r^alpha|;

    one gradient step on w with the target G * r^alpha held constant; then w times K / sum w, so that K terms'
    weights sum to K. A term whose loss has fallen less than the others' has r above 1 and gets the larger
    gradient. A step's weights are those from before its step on w, as in algorithm 1, so they start at 1.

    Where the paper leaves things open, by us:

    - The step. L_grad's gradient for w is g * sign(w * g - target), in the unit of g: the same learning rate
      would be nothing for one network and throw w below 0 for another. We step on log w and keep the sign,

          w <- w * exp(-learning_rate * sign(w * g - target)),

      so that w stays positive, the unit of g drops out, and a weight moves by `learning_rate` of itself; near
      w = 1 this is the paper's step without the factor g. w is held at 1e-3 or more before it is normalised,
      for a term without gradient.
    - L_0. One batch's loss is noisy, and the error would stay in r for ever. It is the mean of the first
      `first_steps` losses, and until then of those there have been; 1 is the paper's.
    - L is this batch's loss, as in the paper: a single sign moves a weight so little that it averages.
    - The target. Unless alpha is 0 or 1, the r^alpha do not average 1, and no weights meet all targets. With
      alpha above 1 all terms may be below theirs; then all step alike, normalising undoes it and the weights
      stand still, short of the targets by (mean of r^alpha - 1) * G on average.
    - Where L_0 is 0, L / L_0 is taken as 1, and r as 1 where all losses are 0.

    Near the target weights go back and forth by a step, as with any sign.

    Args:
        alpha: how strongly rates matter: 0 for equal gradient norms, 1.5 in the paper for tasks that differ.
        learning_rate: relative change of a weight at a step, before weights are normalised; 0.025 is the
            paper's, for its own step.
        first_steps: steps whose mean loss is the first loss.

    Raises:
        UserError: an argument is out of range; from `update`, a loss is negative.
    """

    needs_gradient_norms: ClassVar[bool] = True

    def __init__(self, alpha: float = 1.5, learning_rate: float = 0.025, first_steps: int = 10) -> None:
        if not (0 <= alpha < math.inf and 0 < learning_rate < 1 and first_steps >= 1):
            raise UserError(
                f"alpha {alpha}, learning_rate {learning_rate}, first_steps {first_steps}; "
                "expected alpha >= 0, learning_rate between 0 and 1, first_steps >= 1."
            )
        super().__init__("weight", "first", "steps")
        self.alpha = alpha
        self.learning_rate = learning_rate
        self.first_steps = first_steps

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        refuse_negative(losses, "a training rate")
        weights = {name: self.state["weight"].get(name, 1.0) for name in losses}
        self._remember(losses)
        rates = relative_rates(losses, self.state["first"])
        weighted = {name: weights[name] * gradient_norms[name] for name in losses}
        mean = sum(weighted.values()) / len(weighted)
        moved = {}
        for name, weight in weights.items():
            above = _sign(weighted[name] - mean * rates[name] ** self.alpha)
            moved[name] = max(_SMALLEST, weight * math.exp(-self.learning_rate * above))
        total = sum(moved.values())
        self.state["weight"] = {name: len(moved) * weight / total for name, weight in moved.items()}
        return weights

    def _remember(self, losses: dict[str, float]) -> None:
        """Take the losses into the means of the first ones, while these are not complete."""
        first, steps = self.state["first"], self.state["steps"]
        for name, loss in losses.items():
            if steps.get(name, 0.0) < self.first_steps:
                steps[name] = steps.get(name, 0.0) + 1
                first[name] = first.get(name, 0.0) + (loss - first.get(name, 0.0)) / steps[name]


def relative_rates(losses: dict[str, float], first: dict[str, float]) -> dict[str, float]:
    """GradNorm's relative inverse training rates r, which average 1 (Chen et al. 2018, section 3.1).

    Args:
        losses: 0 or more.
        first: the same terms' first losses.

    Returns:
        r per term, in no unit; above 1 for a term that has fallen less than the others.
    """
    ratios = {name: loss / first[name] if first[name] else 1.0 for name, loss in losses.items()}
    mean = sum(ratios.values()) / len(ratios)
    return {name: ratio / mean if mean else 1.0 for name, ratio in ratios.items()}


def _sign(x: float) -> float:
    """-1, 0 or 1."""
    return float((x > 0) - (x < 0))
