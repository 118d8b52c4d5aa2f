"""Members of groups beside their group's maximum to one token a group, without keeping what is between.

A small PointNet embeds a group in two halves (Point-BERT's, then Point-M2AE's: Zhang et al. 2022,
arXiv 2205.14401, section 3.1). Of its members r_j, after a first layer, it makes

    x_j = U r_j + u,   g = max_j x_j,   z_j = A g + B x_j + c,
    h_j = ReLU(gain * (z_j - mean) / std + bias),   t = max_j V h_j + v,

mean and std over all members of all groups. With 128 channels of r, 256 of x, 512 of z and 96 of t this was
most of a pre-training step. Two things make it small. B x_j is (B U) r_j but for a constant, and r has half
the channels of x, so x is made only for its maximum. And a maximum's gradient has one entry for each group
and channel, not one for each member. Only z is kept, around its mean, which is A avg(max_j U r_j) +
B U avg(r) but for constants; what follows from it is made again for the gradient, block by block, in a
processor's cache. The result and all gradients equal the plain layers' to rounding.
"""

from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adacross.distributed.batch import batch_reducer, unbiased
from adacross.ops.fused import group_passes
from adacross.ops.fused.group_passes import Hidden, blocks
from adacross.ops.fused.layer import NormalizedLayer
from adacross.ops.kernels import use_kernels


def pooled_groups(
    members: Float[Tensor, "n k F"],
    local: Float[Tensor, "L F"],
    local_shift: Float[Tensor, " L"],
    layer: NormalizedLayer,
    shift: Float[Tensor, " S"],
    last: Float[Tensor, "D S"],
    last_shift: Float[Tensor, " D"],
) -> Float[Tensor, "n D"]:
    """`(n, k, F)` members of n groups to `(n, D)` tokens.

    U, u, c, V and v of the equations are `local`, `local_shift`, `shift`, `last`, `last_shift`; the layer's
    weight is `(S, 2 * L)`, A and B side by side. Of members with the same maximum one receives its gradient
    (in evaluation mode they share it).
    """
    dtype = torch.promote_types(members.dtype, torch.float32)
    with torch.autocast(members.device.type, enabled=False):
        x, layer = members.to(dtype).contiguous(), layer.to(dtype)
        local, last = local.to(dtype), last.to(dtype)
        to_group, to_member = layer.weight.split(len(local), 1)
        constant = torch.mv(to_group + to_member, local_shift.to(dtype)) + shift.to(dtype)  # A u + B u + c
        if layer.training:
            tokens, mean, var = _NormalizedPool.apply(
                x,
                local,
                layer.weight,
                constant,
                layer.gain,
                layer.bias,
                last,
                layer.eps,
                layer.negative_slope,
            )
            layer.update(mean, var)
        else:
            scale, offset = layer.evaluated()
            constant = torch.addcmul(offset, constant, scale)
            weight = layer.weight * scale[:, None]
            tokens = _scaled_pool(x, local, weight, constant, last, layer.negative_slope)
        return (tokens + last_shift.to(dtype)).to(members.dtype)


def _scaled_pool(
    x: Tensor, local: Tensor, weight: Tensor, constant: Tensor, last: Tensor, slope: float
) -> Tensor:
    """max_j V LeakyReLU(A max_j U r_j + B U r_j + constant)."""
    to_group, to_member = weight.split(len(local), 1)
    joined = to_member @ local

    def pooled(x: Tensor) -> Tensor:
        whole = nn.functional.linear(x, local).amax(1)
        once = nn.functional.linear(whole, to_group, constant)
        normal = nn.functional.linear(x, joined) + once[:, None]
        return nn.functional.linear(nn.functional.leaky_relu(normal, slope), last).amax(1)

    if torch.compiler.is_compiling():  # an exported graph must not depend on the number of groups
        return pooled(x)
    return torch.cat([pooled(x[groups]) for groups in blocks(x, len(weight))])


class _NormalizedPool(torch.autograd.Function):
    """Tokens without v, by the statistics of these groups; the mean of z, its variance over M - 1.

    With m_j = 1 where z_j passes the ReLU (`slope` elsewhere), e_j the gradient of V h_j (0 but where the
    maximum was found), s = gain / std, z counted from its mean, and sums over all M members,

        p_j = m_j V^T e_j,   dV = sum e_j h_j^T,   dbias = sum p_j,   dgain = sum p_j z_j / std,
        dz_j = s (p_j - dbias / M - z_j dgain / (M std)).

    Then dA = sum dz_j g^T, and for W = B U, as sum dz_j = 0: dW = sum dz_j r_j^T, dB = dW U^T.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        local: Tensor,
        weight: Tensor,
        constant: Tensor,
        gain: Tensor,
        bias: Tensor,
        last: Tensor,
        eps: float,
        slope: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        (n, k, _), (S, L) = x.shape, (len(weight), len(local))
        ctx.passes, ctx.average = group_passes_for(x, last), batch_reducer()
        to_group, to_member = weight.split(L, 1)
        joined = to_member @ local
        maxima = [ctx.passes.maxima(x[groups] @ local.T) for groups in blocks(x, L)]
        whole, wholes = (torch.cat(each) for each in zip(*maxima, strict=True))
        mean, _ = ctx.average(to_group @ whole.mean(0) + joined @ x.mean((0, 1)), n * k)
        once = torch.addmm(-mean, whole, to_group.T)
        z = x.new_empty(n, k, S)
        squares = torch.zeros_like(mean, dtype=torch.float64)
        for groups in blocks(x, S):
            torch.mm(x[groups].flatten(0, 1), joined.T, out=z[groups].flatten(0, 1))
            squares += ctx.passes.centered(z[groups], once[groups])
        var, count = ctx.average(squares / (n * k), n * k)
        inverse = torch.rsqrt(var + eps).to(x.dtype)
        var = unbiased(var, count).to(x.dtype)
        hidden = Hidden(z, gain * inverse, bias, slope)
        maxima = [
            ctx.passes.maxima(ctx.passes.activated(hidden.of(groups)) @ last.T) for groups in blocks(x, S)
        ]
        tokens, chosen = (torch.cat(each) for each in zip(*maxima, strict=True))
        ctx.save_for_backward(x, local, weight, gain, bias, last, whole, wholes, z, inverse, chosen)
        ctx.slope = slope
        mean = mean + constant
        ctx.mark_non_differentiable(mean, var)
        return tokens, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(grad.device.type, enabled=False):
            return (*_gradients(ctx, grad.contiguous()), None, None)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
    """Return the gradients of `_NormalizedPool`'s tensors."""
    x, local, weight, gain, bias, last, whole, wholes, z, inverse, chosen = ctx.saved_tensors
    (n, k, _), (S, L) = x.shape, (len(weight), len(local))
    to_group, to_member = weight.split(L, 1)
    joined = to_member @ local
    hidden = Hidden(z, gain * inverse, bias, ctx.slope)
    to_last, to_bias, by_product = ctx.passes.last_gradients(hidden, last, grad, chosen)
    to_gain = by_product * inverse
    averages, _ = ctx.average(torch.stack([to_bias, to_gain * inverse]) / (n * k), n * k)
    constant, along = -hidden.scale * averages

    to_x, to_joined, once = torch.empty_like(x), torch.zeros_like(joined), z.new_empty(n, S)
    for groups in blocks(x, S):
        to_z, once[groups] = ctx.passes.product_gradients(
            hidden.of(groups), last, grad[groups], chosen[groups], constant, along
        )
        rows = to_z.flatten(0, 1)
        to_joined.addmm_(rows.T, x[groups].flatten(0, 1))
        torch.mm(rows, joined, out=to_x[groups].flatten(0, 1))
    to_local = ctx.passes.through_maximum(once @ to_group, wholes, x, local, to_x)
    to_local.addmm_(to_member.T, to_joined)
    to_weight = torch.cat([once.T @ whole, to_joined @ local.T], 1)
    return to_x, to_local, to_weight, torch.zeros_like(bias), to_gain, to_bias, to_last


def group_passes_for(*tensors: Tensor) -> ModuleType:
    """Compiled passes, or those in plain torch."""
    if use_kernels(*tensors):
        from adacross.ops.kernels import groups

        return groups
    return group_passes
