"""Members of groups beside their group's maximum to one token a group, without keeping what is between.

A small PointNet embeds a group in two halves (Point-BERT's, then Point-M2AE's: Zhang et al. 2022,
arXiv 2205.14401, section 3.1). The second takes members x_j and their maximum g = max_j x_j to a token

    z_j = A g + B x_j + c,   h_j = ReLU(gain * (z_j - mean) / std + bias),   t = max_j V h_j + v,

mean and std over all members of all groups. With 512 channels before a token's 96, z and h were most of a
pre-training step's memory, and passing over them half of its time. Only z is kept, around its mean, which is
A avg(g) + B avg(x); what follows from it is made again for the gradient, block by block, in a processor's
cache. The result and all gradients equal the plain layers' to rounding.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adacross.distributed.batch import batch_reducer, unbiased
from adacross.ops.fused.blocks import outputs_at_a_time
from adacross.ops.fused.layer import NormalizedLayer


def pooled_groups(
    members: Float[Tensor, "n k L"],
    layer: NormalizedLayer,
    shift: Float[Tensor, " S"],
    last: Float[Tensor, "D S"],
    last_shift: Float[Tensor, " D"],
) -> Float[Tensor, "n D"]:
    """`(n, k, L)` members of n groups to `(n, D)` tokens.

    c, V and v of the equations are `shift`, `last` and `last_shift`; the layer's weight is `(S, 2 * L)`, A
    and B side by side. Members that equal their group's maximum share its gradient; of products with the same
    maximum one receives it (in evaluation mode they share it).
    """
    dtype = torch.promote_types(members.dtype, torch.float32)
    with torch.autocast(members.device.type, enabled=False):
        x, shift, last, layer = members.to(dtype), shift.to(dtype), last.to(dtype), layer.to(dtype)
        if layer.training:
            tokens, mean, var = _NormalizedPool.apply(
                x, layer.weight, shift, layer.gain, layer.bias, last, layer.eps, layer.negative_slope
            )
            layer.update(mean, var)
        else:
            scale, offset = layer.evaluated()
            constant = torch.addcmul(offset, shift, scale)
            tokens = _scaled_pool(x, layer.weight * scale[:, None], constant, last, layer.negative_slope)
        return (tokens + last_shift.to(dtype)).to(members.dtype)


def _scaled_pool(x: Tensor, weight: Tensor, constant: Tensor, last: Tensor, slope: float) -> Tensor:
    """max_j V LeakyReLU(A g + B x_j + constant)."""

    def pooled(x: Tensor) -> Tensor:
        to_group, to_member = weight.split(x.shape[2], 1)
        once = nn.functional.linear(x.amax(1), to_group, constant)
        normal = nn.functional.linear(x, to_member) + once[:, None]
        return nn.functional.linear(nn.functional.leaky_relu(normal, slope), last).amax(1)

    if torch.compiler.is_compiling():  # an exported graph must not depend on the number of groups
        return pooled(x)
    return torch.cat([pooled(x[block]) for block in _blocks(x, len(weight))])


class _NormalizedPool(torch.autograd.Function):
    """Tokens without v, by the statistics of these groups; the mean of z, its variance over M - 1.

    With m_j = 1 where z_j passes the ReLU (`slope` elsewhere), e_j the gradient of V h_j (0 but where the
    maximum was found), s = gain / std, z counted from its mean, and sums over all M members,

        P = sum e_j m_j^T,   Q = sum e_j (m_j z_j)^T,   dV = P diag(bias) + Q diag(s),
        dbias = sum_d V P,   dgain = sum_d V Q / std,
        dz_j = s (m_j V^T e_j - dbias / M - z_j dgain / (M std)).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        shift: Tensor,
        gain: Tensor,
        bias: Tensor,
        last: Tensor,
        eps: float,
        slope: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        n, k, L = x.shape
        to_group, to_member = weight.split(L, 1)
        whole = x.amax(1)
        ctx.average = batch_reducer()
        mean, _ = ctx.average(to_group @ whole.mean(0) + to_member @ x.mean((0, 1)), n * k)
        once = torch.addmm(-mean, whole, to_group.T)
        z = x.new_empty(n, k, len(weight))
        blocks = _blocks(x, len(weight))
        squares = torch.zeros_like(mean, dtype=torch.float64)
        for block in blocks:
            torch.mm(x[block].flatten(0, 1), to_member.T, out=z[block].flatten(0, 1))
            squares += z[block].add_(once[block, None]).square().sum((0, 1))
        var, count = ctx.average(squares / (n * k), n * k)
        inverse = torch.rsqrt(var + eps).to(x.dtype)
        var = unbiased(var, count).to(x.dtype)
        tokens = x.new_empty(n, len(last))
        chosen = torch.empty_like(tokens, dtype=torch.int64)
        for block in blocks:
            normal = torch.addcmul(bias, z[block], gain * inverse)
            torch.max(_activated(normal, slope) @ last.T, 1, out=(tokens[block], chosen[block]))
        ctx.save_for_backward(x, weight, gain, bias, last, whole, z, inverse, chosen)
        ctx.slope = slope
        mean = mean + shift
        ctx.mark_non_differentiable(mean, var)
        return tokens, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, gain, bias, last, whole, z, inverse, chosen = ctx.saved_tensors
        k, L, scale, blocks = x.shape[1], x.shape[2], gain * inverse, _blocks(x, len(weight))
        by_mask, by_product = torch.zeros_like(last), torch.zeros_like(last)
        for block in blocks:
            errors = _spread(grad[block], chosen[block], k).flatten(0, 1).T
            mask = _mask(torch.addcmul(bias, z[block], scale), ctx.slope).flatten(0, 1)
            by_mask.addmm_(errors, mask)
            by_product.addmm_(errors, mask.mul_(z[block].flatten(0, 1)))
        to_bias, to_gain = (last * by_mask).sum(0), (last * by_product).sum(0) * inverse
        averages, _ = ctx.average(torch.stack([to_bias, to_gain * inverse]) / (len(x) * k), len(x) * k)
        constant, along = -scale * averages

        to_x, to_weight = torch.empty_like(x), torch.zeros_like(weight)
        for block in blocks:
            mask = _mask(torch.addcmul(bias, z[block], scale), ctx.slope)
            passed = (_spread(grad[block], chosen[block], k) @ last).mul_(mask)
            to_z = torch.addcmul(constant, z[block], along, out=mask).addcmul_(passed, scale)
            once, rows = to_z.sum(1), to_z.flatten(0, 1)
            to_weight[:, :L].addmm_(once.T, whole[block])
            to_weight[:, L:].addmm_(rows.T, x[block].flatten(0, 1))
            torch.mm(rows, weight[:, L:], out=to_x[block].flatten(0, 1))
            largest = torch.eq(x[block], whole[block, None], out=torch.empty_like(x[block]))
            to_x[block].addcmul_(largest, (once @ weight[:, :L] / largest.sum(1))[:, None])
        to_last = by_mask * bias + by_product * scale
        return to_x, to_weight, torch.zeros_like(bias), to_gain, to_bias, to_last, None, None


def _blocks(x: Float[Tensor, "n k L"], S: int) -> list[slice]:
    """Groups that are worked on at a time."""
    size = outputs_at_a_time("group pool", x, S)
    return [slice(first, first + size) for first in range(0, len(x), size)]


def _activated(normal: Float[Tensor, "b k S"], slope: float) -> Float[Tensor, "b k S"]:
    """(Leaky)ReLU in place."""
    return normal.relu_() if slope == 0 else nn.functional.leaky_relu_(normal, slope)


def _mask(normal: Float[Tensor, "b k S"], slope: float) -> Float[Tensor, "b k S"]:
    """The (Leaky)ReLU's slope in place: 1 above 0, `slope` elsewhere. Comparing is slower."""
    mask = normal.relu_().sign_()
    return mask if slope == 0 else mask.mul_(1 - slope).add_(slope)


def _spread(grad: Float[Tensor, "b D"], chosen: Int64[Tensor, "b D"], k: int) -> Float[Tensor, "b k D"]:
    """A maximum's gradient, at the member where it was found."""
    return grad.new_zeros(len(grad), k, grad.shape[1]).scatter_(1, chosen[:, None], grad[:, None])
