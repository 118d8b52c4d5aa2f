"""From the values of a method's loss terms to the weights of their sum, one rule a file."""

from collections.abc import Callable

from adacross.losses.weighting.adacrossnet import AdaCrossNetWeighting
from adacross.losses.weighting.base import Weighting
from adacross.losses.weighting.convergence import ConvergenceRate
from adacross.losses.weighting.dwa import DynamicWeightAverage
from adacross.losses.weighting.fixed import Fixed
from adacross.losses.weighting.gradnorm import GradNorm
from adacross.losses.weighting.soft_adapt import SoftAdapt
from adacross.losses.weighting.uncertainty import Uncertainty
from adacross.plugins import find

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
    """Return a built-in weighting, or the one that `package.module:Name` or an installed package names.

    Raises:
        UserError: there is none of that name.
    """
    return find("weighting", name, WEIGHTINGS, Weighting)


__all__ = [
    "WEIGHTINGS",
    "AdaCrossNetWeighting",
    "ConvergenceRate",
    "DynamicWeightAverage",
    "Fixed",
    "GradNorm",
    "SoftAdapt",
    "Uncertainty",
    "Weighting",
    "weighting_class",
]
