"""No rule at all: weights that do not move."""

from collections.abc import Mapping

from adacross.errors import one_of
from adacross.losses.weighting.base import Weighting


class Fixed(Weighting):
    """The same weight for ever: 1, as in CrossPoint and CrossNet, or the one given.

    Args:
        weights: per term; a term that is not named weighs 1.

    Raises:
        UserError: from `update`, a weight is given for a term that the method does not have.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.weights = dict(weights or {})

    def weigh(self, losses: dict[str, float], gradient_norms: dict[str, float]) -> dict[str, float]:
        for name in self.weights:
            one_of("loss term", name, losses)
        return {name: self.weights.get(name, 1.0) for name in losses}
