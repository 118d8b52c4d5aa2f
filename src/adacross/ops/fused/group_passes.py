"""Passes of `group_pool` between its matrix products, in plain torch; `ops.kernels.groups` has them compiled.

The gradient of a maximum is spread over the members of its group, 0 but where it was found, so that what
follows from it are products, too.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from adacross.ops.fused.blocks import outputs_at_a_time


class Hidden(NamedTuple):
    """The wide layer of n groups before its BatchNorm, and what follows: LeakyReLU(scale * z + bias)."""

    z: Float[Tensor, "n k S"]  # products, counted from their mean
    scale: Float[Tensor, " S"]  # gain / std
    bias: Float[Tensor, " S"]
    slope: float  # of LeakyReLU; 0 for ReLU

    def of(self, groups: slice) -> "Hidden":
        """The same of some groups."""
        return self._replace(z=self.z[groups])

    def normal(self) -> Float[Tensor, "n k S"]:
        """BatchNorm's output."""
        return torch.addcmul(self.bias, self.z, self.scale)


def blocks(x: Float[Tensor, "n k _"], S: int) -> list[slice]:
    """Groups of which S channels are worked on at a time."""
    size = outputs_at_a_time("group pool", x, S)
    return [slice(first, first + size) for first in range(0, len(x), size)]


def maxima(products: Float[Tensor, "b k C"]) -> tuple[Float[Tensor, "b C"], Int[Tensor, "b C"]]:
    """Each group's maximum, and the member that has it."""
    largest, places = products.max(1)
    return largest, places


def centered(z: Float[Tensor, "b k S"], once: Float[Tensor, "b S"]) -> Float[Tensor, " S"]:
    """Add to `z`, in place, what the members of a group share; return the sum of squares."""
    return z.add_(once[:, None]).square().sum((0, 1)).double()


def activated(hidden: Hidden) -> Float[Tensor, "b k S"]:
    """The wide layer's output."""
    normal = hidden.normal()
    return normal.relu_() if hidden.slope == 0 else nn.functional.leaky_relu_(normal, hidden.slope)


def last_gradients(
    hidden: Hidden, last: Float[Tensor, "D S"], grad: Float[Tensor, "n D"], places: Int[Tensor, "n D"]
) -> tuple[Float[Tensor, "D S"], Float[Tensor, " S"], Float[Tensor, " S"]]:
    """Return dV, dbias and the sum of p_j z_j, as `group_pool._NormalizedPool` names them."""
    by_mask, by_mask_and_product = torch.zeros_like(last), torch.zeros_like(last)
    for groups in blocks(hidden.z, len(hidden.bias)):
        part = hidden.of(groups)
        errors = _spread(grad[groups], places[groups], part.z.shape[1]).flatten(0, 1).T
        mask = _mask(part).flatten(0, 1)
        by_mask.addmm_(errors, mask)
        by_mask_and_product.addmm_(errors, mask.mul_(part.z.flatten(0, 1)))
    to_last = by_mask * hidden.bias + by_mask_and_product * hidden.scale
    return to_last, (last * by_mask).sum(0), (last * by_mask_and_product).sum(0)


def product_gradients(
    hidden: Hidden,
    last: Float[Tensor, "D S"],
    grad: Float[Tensor, "b D"],
    places: Int[Tensor, "b D"],
    constant: Float[Tensor, " S"],
    along: Float[Tensor, " S"],
) -> tuple[Float[Tensor, "b k S"], Float[Tensor, "b S"]]:
    """Return dz_j = scale * p_j + constant + along * z_j, and its sum over each group."""
    mask = _mask(hidden)
    passed = (_spread(grad, places, mask.shape[1]) @ last).mul_(mask)
    to_z = torch.addcmul(constant, hidden.z, along, out=mask).addcmul_(passed, hidden.scale)
    return to_z, to_z.sum(1)


def through_maximum(
    grad: Float[Tensor, "n L"],
    places: Int[Tensor, "n L"],
    x: Float[Tensor, "n k F"],
    weight: Float[Tensor, "L F"],
    to_x: Float[Tensor, "n k F"],
) -> Float[Tensor, "L F"]:
    """Return the gradient of `weight` from that of the maxima of `weight x`; add that of `x` to `to_x`."""
    to_weight = torch.zeros_like(weight)
    for groups in blocks(x, len(weight)):
        errors = _spread(grad[groups], places[groups], x.shape[1]).flatten(0, 1)
        to_weight.addmm_(errors.T, x[groups].flatten(0, 1))
        to_x[groups].flatten(0, 1).addmm_(errors, weight)
    return to_weight


def _mask(hidden: Hidden) -> Float[Tensor, "b k S"]:
    """The (Leaky)ReLU's slope: 1 above 0, `slope` elsewhere. Comparing is slower."""
    mask = hidden.normal().relu_().sign_()
    return mask if hidden.slope == 0 else mask.mul_(1 - hidden.slope).add_(hidden.slope)


def _spread(grad: Float[Tensor, "b C"], places: Int[Tensor, "b C"], k: int) -> Float[Tensor, "b k C"]:
    """A maximum's gradient, at the member where it was found."""
    return grad.new_zeros(len(grad), k, grad.shape[1]).scatter_(1, places[:, None], grad[:, None])
