"""What every weighting is: from the values of a method's loss terms to the weights of their sum."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar

from adacross.errors import UserError


class Weighting(ABC):
    """A rule that turns the terms' values into weights, step by step, with state of its own. Abstract.

    Weights are plain numbers: no gradient flows through them. A rule that learns by gradient keeps its
    parameters in `state` like any other and takes its step in `weigh`.

    Attributes:
        state: named quantities, each a number per term; all that the rule remembers.
        needs_gradient_norms: whether `update` must be given `gradient_norms`. They cost a backward pass a
            term, so nobody computes them for a rule that does not ask.
    """

    needs_gradient_norms: ClassVar[bool] = False

    def __init__(self, *quantities: str) -> None:
        self.state: dict[str, dict[str, float]] = {name: {} for name in quantities}

    def update(
        self, losses: Mapping[str, float], gradient_norms: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Weights for this step's terms; call it once a step, before the backward pass.

        Args:
            losses: this step's value of every term, the same terms at every step.
            gradient_norms: Euclidean norm of each unweighted term's gradient with respect to the last
                parameters that all terms share. Not looked at unless `needs_gradient_norms`.

        Returns:
            A weight per term.

        Raises:
            UserError: there is no term, a value is not finite, or the terms are not those of the step before;
                where gradient norms are needed, they are missing, of other terms, not finite or negative.
                Nothing of the step is then remembered.
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
        norms = {}
        if self.needs_gradient_norms:
            norms = checked_norms(type(self).__name__, losses, gradient_norms)
        return self.weigh({name: float(value) for name, value in losses.items()}, norms)

    @abstractmethod
    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        """Update `state` and return the weights.

        Args:
            losses: finite, at least one, always the same terms.
            gradient_norms: the same terms, finite and 0 or more; empty unless `needs_gradient_norms`.
        """

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


def checked_norms(
    rule: str, losses: Mapping[str, float], gradient_norms: Mapping[str, float] | None
) -> dict[str, float]:
    """`gradient_norms` as plain numbers, once it is certain that each belongs to a term.

    Args:
        rule: who needs them, for the message.
        losses: the terms.
        gradient_norms: see `Weighting.update`.

    Raises:
        UserError: they are missing, of other terms, not finite or negative.
    """
    if gradient_norms is None:
        raise UserError(
            f"{rule} was given losses alone; it also needs the norm of every term's gradient. "
            "Give `gradient_norms` to `update`, or choose a weighting that needs none, such as 'convergence'."
        )
    if gradient_norms.keys() != losses.keys():
        raise UserError(
            f"gradient norms are of {sorted(gradient_norms)}; expected {sorted(losses)}, the loss terms. "
            "Give one norm for every term."
        )
    for name, norm in gradient_norms.items():
        if not (math.isfinite(norm) and norm >= 0):
            raise UserError(
                f"the gradient norm of loss term {name!r} is {norm}; expected a finite number of 0 or more. "
                "Lower the learning rate or use precision float32."
            )
    return {name: float(norm) for name, norm in gradient_norms.items()}


def refuse_negative(losses: Mapping[str, float], what: str) -> None:
    """Refuse losses below 0.

    Args:
        losses: the terms' values.
        what: what cannot be had from a negative value, for the message.

    Raises:
        UserError: a value is negative.
    """
    if any(loss < 0 for loss in losses.values()):
        raise UserError(
            f"loss terms are {losses}; {what} needs values of 0 or more. "
            "Use the weighting 'fixed' or 'adacrossnet'."
        )
