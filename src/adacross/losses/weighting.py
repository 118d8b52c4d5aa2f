"""From the values of a method's loss terms to the weights of their sum."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from adacross.errors import UserError


class Weighting(ABC):
    """A rule that turns the terms' values into weights, step by step, with state of its own. Abstract.

    Weights are plain numbers: no gradient flows through them. A rule that learns by gradient keeps its
    parameters in `state` like any other and takes its step in `_weigh`.

    Attributes:
        state: named quantities, each a number per term; all that the rule remembers.
    """

    def __init__(self, *quantities: str) -> None:
        self.state: dict[str, dict[str, float]] = {name: {} for name in quantities}

    def update(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Weights for this step's terms; call it once a step, before the backward pass.

        Args:
            losses: this step's value of every term, the same terms at every step.

        Raises:
            UserError: there is no term, a value is not finite, or the terms are not those of the step before.
        """
        if not losses:
            raise UserError("there are no loss terms to weigh; a method's `losses` must return at least one.")
        for name, value in losses.items():
            if not math.isfinite(value):
                raise UserError(
                    f"loss term {name!r} is {value}; expected a finite number. Lower the learning rate."
                )
        for known in self.state.values():
            if known and known.keys() != losses.keys():
                raise UserError(
                    f"loss terms are {sorted(losses)}; expected {sorted(known)}, as at the step before."
                )
        return self._weigh({name: float(value) for name, value in losses.items()})

    @abstractmethod
    def _weigh(self, losses: dict[str, float]) -> dict[str, float]:
        """Update `state` and return the weights."""

    def state_dict(self) -> dict[str, dict[str, float]]:
        """A copy of `state`, plain enough for JSON."""
        return deepcopy(self.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises:
            UserError: it is another weighting's state.
        """
        if state.keys() != self.state.keys():
            raise UserError(
                f"this state has {sorted(state)}; {type(self).__name__} expects {sorted(self.state)}. "
                "Resume with the weighting that the run began with."
            )
        self.state = {
            quantity: {name: float(value) for name, value in values.items()}
            for quantity, values in state.items()
        }


class Fixed(Weighting):
    """The same weight for ever: 1, as in CrossPoint and CrossNet, or the one given.

    Args:
        weights: per term; a term that is not named weighs 1.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.weights = dict(weights or {})

    def _weigh(self, losses: dict[str, float]) -> dict[str, float]:
        return {name: self.weights.get(name, 1.0) for name in losses}


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

    def _weigh(self, losses: dict[str, float]) -> dict[str, float]:
        weights, previous = self.state["weight"], self.state["previous"]
        for name, loss in losses.items():
            share = _sigmoid(self.alpha * (loss - previous.get(name, 0.0)))
            weights[name] = self.beta * weights.get(name, 1.0) + (1 - self.beta) * share
            previous[name] = loss
        return dict(weights)


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
        if not 1 <= short < long or sharpness < 0 or limit < 1:
            raise UserError(
                f"short {short}, long {long}, sharpness {sharpness}, limit {limit}; "
                "expected 1 <= short < long, sharpness >= 0, limit >= 1."
            )
        super().__init__("recent", "lasting", "steps")
        self.short = short
        self.long = long
        self.sharpness = sharpness
        self.limit = limit

    def _weigh(self, losses: dict[str, float]) -> dict[str, float]:
        if any(loss < 0 for loss in losses.values()):
            raise UserError(
                f"loss terms are {losses}; a convergence rate needs values of 0 or more. "
                "Use the weighting 'fixed' or 'adacrossnet'."
            )
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

    def _weigh(self, losses: dict[str, float]) -> dict[str, float]:
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


def _sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


WEIGHTINGS: dict[
    str, type[Fixed] | type[AdaCrossNetWeighting] | type[ConvergenceRate] | type[DynamicWeightAverage]
] = {
    "fixed": Fixed,
    "adacrossnet": AdaCrossNetWeighting,
    "convergence": ConvergenceRate,
    "dwa": DynamicWeightAverage,
}
