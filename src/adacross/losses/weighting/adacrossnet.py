"""AdaCrossNet's weights, as released."""

import math

from adacross.losses.weighting.base import Weighting


class AdaCrossNetWeighting(Weighting):
    """AdaCrossNet's rule as released (doi 10.22266/ijies2025.0229.11; its program, the paper was not seen).

    For each term, with the weight starting at 1 and the previous loss at 0, at every step

        change = loss - previous loss
        weight = beta * weight + (1 - beta) * sigmoid(alpha * change).

    What it does: weights tend to 0.5, whatever the losses are. A sigmoid is 1/2 at 0 and nowhere steeper than
    1/4, so |sigmoid(alpha * change) - 1/2| <= alpha * |change| / 4, and by induction

        |weight_t - 1/2| <= beta^t / 2 + alpha / 4 * largest average change of the last steps,

    where the average has weights (1 - beta) * beta^s, s steps back. The first part halves every 13.5 steps at
    beta 0.95. The second is below 0.0125 for changes of 1 from step to step, and its sign alternates with the
    noise of the loss: to first order it is alpha / 4 * (1 - beta) = 0.000625 times (current loss - running
    mean of past losses). So after some hundred steps the sum is half of CrossNet's, which Adam does not
    see. `ConvergenceRate` is a rule that does what the paper's abstract says.

    Args:
        alpha: how much a change of the loss matters.
        beta: how much of the old weight is kept at a step.
    """

    def __init__(self, alpha: float = 0.05, beta: float = 0.95) -> None:
        super().__init__("weight", "previous")
        self.alpha = alpha
        self.beta = beta

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        weights, previous = self.state["weight"], self.state["previous"]
        for name, loss in losses.items():
            share = _sigmoid(self.alpha * (loss - previous.get(name, 0.0)))
            weights[name] = self.beta * weights.get(name, 1.0) + (1 - self.beta) * share
            previous[name] = loss
        return dict(weights)


def _sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
