"""From the values of a method's loss terms to the weights of their sum."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, ClassVar

from adacross.errors import UserError, one_of
from adacross.plugins import find


class Weighting(ABC):
    """A rule that turns the terms' values into weights, step by step, with state of its own. Abstract.

    Weights are plain numbers: no gradient flows through them. A rule that learns by gradient keeps its
    parameters in `state` like any other and takes its step in `weigh`.

    Attributes:
        state: named quantities, each a number per term; all that the rule remembers.
        needs_gradient_norms: whether `update` needs `gradient_norms`, which cost a backward pass a term.
    """

    needs_gradient_norms: ClassVar[bool] = False

    def __init__(self, *quantities: str) -> None:
        self.state: dict[str, dict[str, float]] = {name: {} for name in quantities}

    def update(
        self, losses: Mapping[str, float], gradient_norms: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Return the weights of this step's terms; call it once a step, before the backward pass.

        Args:
            losses: this step's value of every term, the same terms at every step.
            gradient_norms: Euclidean norm of each unweighted term's gradient with respect to the last
                parameters that all terms share. Not looked at unless `needs_gradient_norms`.

        Raises:
            UserError: there is no term, a value is not finite, or the terms are not those of the step before;
                the same of gradient norms that are needed. Nothing of the step is then remembered.
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
        norms = self._checked(losses, gradient_norms) if self.needs_gradient_norms else {}
        return self.weigh({name: float(value) for name, value in losses.items()}, dict(norms))

    @abstractmethod
    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        """Update `state` and return the weights; arguments are those of `update`, checked."""

    def state_dict(self) -> dict[str, dict[str, float]]:
        """Return a copy of `state`, plain enough for JSON."""
        return deepcopy(self.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned; another weighting's state is refused."""
        if state.keys() != self.state.keys():
            raise UserError(
                f"this state has {sorted(state)}; {type(self).__name__} expects {sorted(self.state)}. "
                "Resume with the weighting that the run began with."
            )
        self.state = {
            quantity: {name: float(value) for name, value in values.items()}
            for quantity, values in state.items()
        }

    def _checked(
        self, losses: Mapping[str, float], gradient_norms: Mapping[str, float] | None
    ) -> Mapping[str, float]:
        if gradient_norms is None:
            raise UserError(
                f"{type(self).__name__} was given only losses; it also needs the norm of every term's "
                "gradient. Give `gradient_norms` to `update`, or choose a weighting that needs none, such as "
                "'convergence'."
            )
        if gradient_norms.keys() != losses.keys():
            raise UserError(
                f"gradient norms are of {sorted(gradient_norms)}; expected {sorted(losses)}, the loss terms. "
                "Give one norm for every term."
            )
        for name, norm in gradient_norms.items():
            if not (math.isfinite(norm) and norm >= 0):
                raise UserError(
                    f"the gradient norm of loss term {name!r} is {norm}; expected a finite number of 0 or "
                    "more. Lower the learning rate or use precision float32."
                )
        return gradient_norms


class Fixed(Weighting):
    """Constant weights: 1, as in CrossPoint and CrossNet, or those given.

    Args:
        weights: per term of the method; a term that is not named weighs 1.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.weights = dict(weights or {})

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        for name in self.weights:
            one_of("loss term", name, losses)
        return {name: self.weights.get(name, 1.0) for name in losses}


class AdaCrossNetWeighting(Weighting):
    """AdaCrossNet's rule as released (doi 10.22266/ijies2025.0229.11; its program, the paper was not seen).

    For each term, with the weight starting at 1 and the previous loss at 0, at every step

        change = loss - previous loss
        weight = beta * weight + (1 - beta) * sigmoid(alpha * change).

    Weights tend to 0.5, whatever the losses are (docs/weighting.md has the proof): after some hundred steps
    the sum is half of CrossNet's, which Adam does not see. `ConvergenceRate` does what the paper's abstract
    says.

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
            change = loss - previous.get(name, 0.0)
            share = (1 + math.tanh(self.alpha * change / 2)) / 2  # the sigmoid, without overflow
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
        short: steps of the recent mean, at least 1; long enough to hide one batch's luck.
        long: steps of the mean it is compared with.
        sharpness: exponent of the ratio, at least 0, for equal weights.
        limit: largest ratio of two weights, at least 1.
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
        _refuse_negative(losses, "a convergence rate")
        rates = {}
        for name, loss in losses.items():
            steps = self.state["steps"].get(name, 0.0) + 1
            recent = self._mean("recent", self.short, name, loss, steps)
            lasting = self._mean("lasting", self.long, name, loss, steps)
            self.state["steps"][name] = steps
            rates[name] = math.log(recent / lasting) if recent > 0 and lasting > 0 else 0.0
        usual = sum(rates.values()) / len(rates)
        bound = math.log(self.limit) / 2
        shares = {}
        for name, rate in rates.items():
            shares[name] = math.exp(max(-bound, min(bound, self.sharpness * (rate - usual))))
        return _summing_to_count(shares)

    def _mean(self, quantity: str, window: float, name: str, loss: float, steps: float) -> float:
        """Exponentially weighted mean; the plain mean while the window is not yet full."""
        share = 1 / min(window, steps)
        means = self.state[quantity]
        means[name] = (1 - share) * means.get(name, loss) + share * loss
        return means[name]


class Periodic(Weighting):
    """A rule that compares the mean losses of two periods of so many steps, and waits for them. Abstract.

    One batch's luck averages out over a period. Weights are 1 for the first two.
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


class DynamicWeightAverage(Periodic):
    """Dynamic weight average: Liu et al. 2019, arXiv 1803.10704, eq. 7.

        weight = K * exp(w / T) / sum exp(w / T),     w = mean loss of the last period / of the one before

    Weights are 1 for the first two periods and change only when a period ends.

    Args:
        period: steps whose losses are averaged, at least 1; the paper's is an epoch.
        temperature: T above 0, 2 in the paper; larger for more equal weights.
    """

    def __init__(self, period: int = 100, temperature: float = 2.0) -> None:
        if period < 1 or not temperature > 0:
            raise UserError(f"period {period}, temperature {temperature}; expected at least 1 and above 0.")
        super().__init__(period)
        self.temperature = temperature

    def compare(self, last: dict[str, float], before: dict[str, float]) -> dict[str, float]:
        ratios = {name: last[name] / before[name] if before[name] else 1.0 for name in last}
        return _softmax({name: ratio / self.temperature for name, ratio in ratios.items()})


class SoftAdapt(Periodic):
    """SoftAdapt: Heydari, Thompson & Mehmood 2019, arXiv 1912.12355.

    Each of K terms has a scalar loss f, its mean over the last period, and a rate of change s, which is f
    minus the mean over the period before: a finite difference in units of the loss per period. Then

        weight = K * exp(beta * s) / sum exp(beta * s),

    and in the paper's two variants, which can be combined,

        normalized:       s / sum |s| in place of s, in no unit and between -1 and 1;
        loss-weighted:    weight = K * f * exp(beta * s) / sum f * exp(beta * s).

    With beta above 0 the term that falls most slowly, or rises, weighs more; with beta below 0 the one that
    falls fastest. `normalized` decides by how rates compare, `loss_weighted` also favors large losses.

    By us: weights sum to K, not to 1, so that the step is as large as without weights. The paper takes the
    difference over a few iterations; one batch's loss is noisier than it falls in a few steps, so periods are
    longer by default. At beta 0.1, the paper's, weights leave 1 little: terms whose normalized rates are -1
    and 0 have weights 0.95 and 1.05.

    Args:
        beta: sharpness of the softmax.
        period: steps whose losses are averaged before they are compared; 1 is the plain difference.
        normalized: divide rates by the sum of their absolute values.
        loss_weighted: multiply by the loss, which must not be negative.

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
        self.normalized, self.loss_weighted = normalized, loss_weighted

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        if self.loss_weighted:
            _refuse_negative(losses, "loss-weighted SoftAdapt")
        return super().weigh(losses, gradient_norms)

    def compare(self, last: dict[str, float], before: dict[str, float]) -> dict[str, float]:
        rates = {name: last[name] - before[name] for name in last}
        if self.normalized:
            total = sum(map(abs, rates.values())) or 1.0
            rates = {name: rate / total for name, rate in rates.items()}
        exponents = {name: self.beta * rate for name, rate in rates.items()}
        return _softmax(exponents, last if self.loss_weighted else None)


class Uncertainty(Weighting):
    """Homoscedastic uncertainty: Kendall, Gal & Cipolla 2018, arXiv 1705.07115, eqs. 5 to 10.

    Each term has one number s = log sigma^2, and network and s together minimize

        total = sum exp(-s) * L + s / 2.

    This is the paper's form for a cross entropy, which NT-Xent is: -log softmax(f)_p, f the similarities over
    the temperature, p the partner. With a noise, softmax(f / sigma^2),

        -log softmax(f / sigma^2)_p = L / sigma^2 + log [ sum exp(f / sigma^2) / (sum exp f)^(1 / sigma^2) ],

    and the paper takes the last logarithm for log sigma = s / 2: exact at sigma = 1, rough far from it. The
    form for regression, exp(-s) * L / 2 + s / 2, is the same objective with s moved by log 2.

    The network's gradient sees exp(-s) only; that is the weight. The gradient for s is 1/2 - exp(-s) * L, so
    the weight rests at 1 / (2 L): each term then contributes 1/2, whatever its size, and one that becomes
    small gains weight without bound (s is held within 20 of 0). The weights do not sum to the number of
    terms; Adam does not see their common factor, SGD and weight decay do.

    s is learned by Adam. As in joint training, a step's weights are those from before the step of s, so they
    start at 1. Losses must not be negative.

    Args:
        learning_rate: Adam's for s, constant. At 0.01 a term that stays at 4 has its weight within 5 % after
            700 steps, half an epoch of ShapeNet at batch 32, and a batch noise of 4 % moves a weight by 1 to
            2 %. Larger is quicker and noisier.
    """

    def __init__(self, learning_rate: float = 0.01) -> None:
        if not 0 < learning_rate < math.inf:
            raise UserError(
                f"learning_rate is {learning_rate}; expected a positive number. 0.01 is a good beginning."
            )
        super().__init__("log_variance", "first_moment", "second_moment", "steps")
        self.learning_rate = learning_rate

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        _refuse_negative(losses, "an uncertainty")
        weights = {name: math.exp(-self.state["log_variance"].get(name, 0.0)) for name in losses}
        for name, loss in losses.items():
            self._learn(name, 0.5 - min(weights[name] * loss, 1e100))  # whose square is finite
        return weights

    def _learn(self, name: str, gradient: float) -> None:
        """Take a step of Adam on one term's s (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1)."""
        beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8
        farthest = 20.0  # of s from 0: a loss that stays at 0 would drive it to overflow
        quantities = ("log_variance", "first_moment", "second_moment", "steps")
        values, first, second, steps = (self.state[quantity] for quantity in quantities)
        steps[name] = steps.get(name, 0.0) + 1
        first[name] = beta_1 * first.get(name, 0.0) + (1 - beta_1) * gradient
        second[name] = beta_2 * second.get(name, 0.0) + (1 - beta_2) * gradient * gradient
        mean = first[name] / (1 - beta_1 ** steps[name])
        square = second[name] / (1 - beta_2 ** steps[name])
        moved = values.get(name, 0.0) - self.learning_rate * mean / (math.sqrt(square) + epsilon)
        values[name] = max(-farthest, min(farthest, moved))


class GradNorm(Weighting):
    """GradNorm: Chen et al. 2018, arXiv 1711.02257, eqs. 1 and 2, algorithm 1.

    With g a term's gradient norm, L its loss and L_0 its first loss, at every step

        G = mean of w * g,     r = (L / L_0) / mean of (L / L_0),     L_grad = sum |w * g - G * r^alpha|;

    one gradient step on w with the target G * r^alpha held constant; then w times K / sum w, so that K terms'
    weights sum to K. A term whose loss has fallen less than the others' has r above 1 and gets the larger
    gradient. A step's weights are those from before its step on w, as in algorithm 1, so they start at 1.

    By us, where the paper leaves things open:

    - L_grad's gradient for w is in the unit of g, so no learning rate suits all networks. The step is on
      log w and keeps only the sign, w <- w * exp(-learning_rate * sign(w * g - target)): near w = 1 the
      paper's without the factor g. w is at least 1e-3, for a term without gradient.
    - L_0 is the mean of the first `first_steps` losses: one batch's error would stay in r for ever.
    - With alpha above 1 all terms may be below their targets; then all step alike and weights stand still.
    - Where L_0 is 0, L / L_0 is taken as 1, and r as 1 where all losses are 0.

    Args:
        alpha: how strongly rates matter: 0 for equal gradient norms, 1.5 in the paper for tasks that differ.
        learning_rate: relative change of a weight at a step, before weights are normalized, between 0 and 1;
            0.025 is the paper's, for its own step.
        first_steps: steps whose mean loss is the first loss; 1 in the paper.
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
        _refuse_negative(losses, "a training rate")
        weights = {name: self.state["weight"].get(name, 1.0) for name in losses}
        first, steps = self.state["first"], self.state["steps"]
        for name, loss in losses.items():
            if steps.get(name, 0.0) < self.first_steps:
                steps[name] = steps.get(name, 0.0) + 1
                first[name] = first.get(name, 0.0) + (loss - first.get(name, 0.0)) / steps[name]
        rates = relative_rates(losses, first)
        weighted = {name: weights[name] * gradient_norms[name] for name in losses}
        mean = sum(weighted.values()) / len(weighted)
        moved = {}
        for name, weight in weights.items():
            target = mean * rates[name] ** self.alpha
            sign = (weighted[name] > target) - (weighted[name] < target)
            moved[name] = max(1e-3, weight * math.exp(-self.learning_rate * sign))
        self.state["weight"] = _summing_to_count(moved)
        return weights


def relative_rates(losses: dict[str, float], first: dict[str, float]) -> dict[str, float]:
    """Return GradNorm's relative inverse training rates r per term, which average 1 (section 3.1).

    r is above 1 for a term that has fallen less than the others since its `first` loss.
    """
    ratios = {name: loss / first[name] if first[name] else 1.0 for name, loss in losses.items()}
    mean = sum(ratios.values()) / len(ratios)
    return {name: ratio / mean if mean else 1.0 for name, ratio in ratios.items()}


def _summing_to_count(shares: dict[str, float]) -> dict[str, float]:
    """Scale shares to sum to their number; 1 each if all are 0."""
    total = sum(shares.values())
    return {name: len(shares) * share / total if total else 1.0 for name, share in shares.items()}


def _softmax(exponents: dict[str, float], factors: dict[str, float] | None = None) -> dict[str, float]:
    """Return factor * exp(exponent) of each of K terms, scaled to sum to K."""
    top = max(exponents.values())  # exp cannot overflow below it
    factors = factors or dict.fromkeys(exponents, 1.0)
    return _summing_to_count({name: factors[name] * math.exp(exponents[name] - top) for name in exponents})


def _refuse_negative(losses: Mapping[str, float], what: str) -> None:
    if any(loss < 0 for loss in losses.values()):
        raise UserError(
            f"loss terms are {losses}; {what} needs values of 0 or more. "
            "Use the weighting 'fixed' or 'adacrossnet'."
        )


WEIGHTINGS: dict[str, type[Weighting]] = {
    "fixed": Fixed,
    "adacrossnet": AdaCrossNetWeighting,
    "convergence": ConvergenceRate,
    "dwa": DynamicWeightAverage,
    "uncertainty": Uncertainty,
    "gradnorm": GradNorm,
    "softadapt": SoftAdapt,
}


def weighting_class(name: str) -> Callable[..., Weighting]:
    """Return a built-in weighting, or the one that `package.module:Name` or an installed package names."""
    return find("weighting", name, WEIGHTINGS, Weighting)
