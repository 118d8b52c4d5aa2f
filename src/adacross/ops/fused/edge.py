"""DGCNN's edge convolution without edges.

The published layer (Wang et al. 2019, arXiv 1801.07829, eq. 7-8) computes for every point i and neighbor j

    e_ij = W [x_j - x_i ; x_i],     y_i = max_j LeakyReLU(gain * (e_ij - mean) / std + bias),

with mean and variance over all edges of the batch. Split W = [A D]: then e_ij = u_j + v_i with u = A x and
v = (D - A) x, so that

* the matrix product is over points, not edges: k times less arithmetic;
* sum e and sum e^2 follow from sums over points of u, v, u^2, v^2 and v_i * sum_j u_j;
* the maximum commutes with everything that is monotone: only max_j u_j is needed. Where the gain is
  negative the channel's sign is turned first, which makes it the minimum.

The result and all gradients equal the published layer's to rounding; no `(B, C, N, k)` tensor exists.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adacross.distributed.batch import batch_reducer, mean_point, unbiased
from adacross.ops.fused.blocks import block_size
from adacross.ops.fused.layer import NormalizedLayer


def edge_convolution(
    x: Float[Tensor, "B N Cin"], neighbors: Int64[Tensor, "B N k"], layer: NormalizedLayer
) -> Float[Tensor, "B N C"]:
    """1x1 convolution of the edges, BatchNorm, LeakyReLU and maximum over neighbors, as published.

    Where several neighbors share the maximum, one of them receives the gradient: the one with the largest
    index; with a gain of 0, where all do, the point itself (the published layer's first neighbor).

    Args:
        x: `(B, N, Cin)` features of the points.
        neighbors: `(B, N, k)` indices of each point's neighbors, usually with the point itself.
        layer: of the edges `[x_j - x_i ; x_i]`; weight `(C, 2 * Cin)`.

    Returns:
        `(B, N, C)` in the type of `x`.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        points, layer = x.to(dtype), layer.to(dtype)
        if not layer.training:
            scale, offset = layer.evaluated()
            neighbor_weight, center_weight = _split(layer.weight * scale[:, None])
            v = nn.functional.linear(points, center_weight, offset)
            best = neighbor_max(nn.functional.linear(points, neighbor_weight), neighbors)
            return nn.functional.leaky_relu(best + v, layer.negative_slope).to(x.dtype)

        # BatchNorm does not see a shift of all points; around their mean, squares lose no digits.
        shift, sign = mean_point(points), layer.sign
        neighbor_weight, center_weight = _split(layer.weight * sign[:, None])
        centered = points - shift
        u, v = nn.functional.linear(centered, neighbor_weight), nn.functional.linear(centered, center_weight)
        normal, mean, var = _NormalizedEdgeMax.apply(u, v, neighbors, layer.eps, layer.gain == 0)
        layer.update(sign * mean + layer.weight[:, x.shape[2] :] @ shift, var)
        best = torch.addcmul(layer.bias, normal, layer.gain * sign)
        return nn.functional.leaky_relu(best, layer.negative_slope).to(x.dtype)


def neighbor_max(u: Float[Tensor, "B N C"], neighbors: Int64[Tensor, "B M k"]) -> Float[Tensor, "B M C"]:
    """Largest value among the neighbors, channel by channel: `(B, N, C)` and `(B, M, k)` give `(B, M, C)`.

    Differentiable; of several equal maxima the one with the largest index receives the gradient.
    """
    if torch.is_grad_enabled() and u.requires_grad:
        return _NeighborMax.apply(u, neighbors)
    if torch.compiler.is_compiling():  # an exported graph must not depend on the number of clouds
        rows = flat_rows(neighbors, u.shape[1])
        return u.flatten(0, 1)[rows].amax(1).unflatten(0, neighbors.shape[:2])
    return _largest(u, neighbors, None)


def _split(weight: Float[Tensor, "C twice_Cin"]) -> tuple[Float[Tensor, "C Cin"], Float[Tensor, "C Cin"]]:
    """The weights of u and v: `[A D]` becomes `A` and `D - A`."""
    neighbor, center = weight.chunk(2, 1)
    return neighbor, center - neighbor


def flat_rows(neighbors: Int64[Tensor, "B M k"], N: int) -> Int64[Tensor, "BM k"]:
    """Indices into the clouds' points laid end to end."""
    B, _, k = neighbors.shape
    offsets = torch.arange(B, device=neighbors.device) * N
    return (neighbors + offsets[:, None, None]).view(-1, k)


def _largest(
    u: Float[Tensor, "B N C"], neighbors: Int64[Tensor, "B M k"], chosen: Int64[Tensor, "BM C"] | None
) -> Float[Tensor, "B M C"]:
    """Maximum over neighbors; into `chosen` goes the row (of all clouds end to end) it came from.

    Rows are gathered and reduced in blocks that stay in cache. The row is found by comparing with the maximum
    and keeping the largest index: vector instructions only, about 5 times faster than `max` with indices. An
    index is exact in float32 up to 2^24 points a cloud.
    """
    B, N, C = u.shape
    M, k = neighbors.shape[1:]
    flat, rows = u.reshape(B * N, C), flat_rows(neighbors, N)
    step = block_size("edge", k * C * u.element_size(), u.device)
    best = u.new_empty(B * M, C)
    labels = neighbors.reshape(B * M, k, 1)
    for start in range(0, B * M, step):
        block = slice(start, start + step)
        values = flat.index_select(0, rows[block].reshape(-1)).view(-1, k, C)
        best[block] = values.amax(1)
        if chosen is not None:
            chosen[block] = values.eq_(best[block, None]).mul_(labels[block].to(u.dtype)).amax(1)
    if chosen is not None:
        chosen.view(B, M, C).add_((torch.arange(B, device=u.device) * N)[:, None, None])
    return best.view(B, M, C)


def _unfilled(u: Float[Tensor, "B N C"], neighbors: Int64[Tensor, "B M k"]) -> Int64[Tensor, "BM C"]:
    """Room for the rows that `_largest` chooses."""
    return torch.empty(len(u) * neighbors.shape[1], u.shape[2], dtype=torch.int64, device=u.device)


class _NeighborMax(torch.autograd.Function):
    """`neighbor_max` with its gradient: each output's goes to the one row it came from."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, neighbors: Tensor) -> Tensor:
        chosen = _unfilled(u, neighbors)
        best = _largest(u, neighbors, chosen)
        ctx.save_for_backward(chosen)
        ctx.shape = u.shape
        return best

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (chosen,) = ctx.saved_tensors
        B, N, C = ctx.shape
        total = grad.new_zeros(B * N, C).scatter_add_(0, chosen, grad.reshape(-1, C))
        return total.view(B, N, C), None


class _NormalizedEdgeMax(torch.autograd.Function):
    """h_i = (max_j u_j + v_i - mean) / std, mean and variance over all edges e_ij = u_j + v_i.

    Also that mean, and the variance that divides by one edge less.

    Backward is BatchNorm's with all but the chosen edges' gradients 0. With g the gradient of h and averages
    over the E = B * N * k edges,

        de_ij = (g_i [j chosen] - avg(g) - (e_ij - mean) / std * avg(g h)) / std,

    summed over i for u_j and over j for v_i. Those sums need how often a point is a neighbor (its degree),
    sum_j u_j over a point's neighbors and sum_i v_i over those whose neighbor it is.
    """

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, v: Tensor, neighbors: Tensor, eps: float, zero_gain: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        B, N, C = u.shape
        k = neighbors.shape[2]
        edges = B * N * k
        chosen = _unfilled(u, neighbors)
        best = _largest(u, neighbors, chosen)
        if zero_gain.any():
            best = torch.where(zero_gain, u, best)
            chosen = torch.where(zero_gain, torch.arange(B * N, device=u.device)[:, None], chosen)
        rows = flat_rows(neighbors, N)
        around = nn.functional.embedding_bag(rows, u.view(-1, C), mode="sum").view(B, N, C)
        degree = torch.bincount(rows.view(-1), minlength=B * N).to(u.dtype).view(B, N, 1)
        # Sums over points in the tensors' own type, over clouds in float64: no digits lost, no second pass.
        total = torch.add(around, v, alpha=k).sum(1).sum(0, dtype=torch.float64)
        squares = torch.addcmul(torch.add(around, v, alpha=0.5 * k).mul_(v).mul_(2), u * degree, u)
        squares = squares.sum(1).sum(0, dtype=torch.float64)
        ctx.average = batch_reducer()
        (mean, square), count = ctx.average(torch.stack([total, squares]) / edges, edges)
        var = (square - mean.square()).clamp_min(0)
        inverse = torch.rsqrt(var + eps).to(u.dtype)
        mean, var = mean.to(u.dtype), unbiased(var, count).to(u.dtype)
        normal = best.add_(v).sub_(mean).mul_(inverse)
        ctx.save_for_backward(u, v, neighbors, chosen, around, degree, mean, inverse, normal)
        ctx.mark_non_differentiable(mean, var)
        return normal, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        u, v, neighbors, chosen, around, degree, mean, inverse, normal = ctx.saved_tensors
        B, N, C = u.shape
        k = neighbors.shape[2]
        grad = grad.contiguous()
        buffer = grad * normal
        sums = torch.stack([grad.sum((0, 1)), buffer.sum((0, 1))])
        (constant, slope), _ = ctx.average(sums / (B * N * k), B * N * k)
        slope = slope * inverse
        constant = constant - slope * mean

        order = flat_rows(neighbors, N).view(-1).argsort()
        starts = degree.view(-1).to(torch.int64).cumsum(0) - degree.view(-1).to(torch.int64)
        asking = nn.functional.embedding_bag(order // k, v.view(-1, C), starts, mode="sum").view(B, N, C)

        to_u = grad.new_zeros(B * N, C).scatter_add_(0, chosen, grad.view(-1, C)).view(B, N, C)
        to_u.sub_(asking.addcmul_(degree, u).mul_(slope)).addcmul_(degree, constant, value=-1).mul_(inverse)
        to_v = torch.add(around, v, alpha=k, out=buffer).mul_(slope).add_(k * constant)
        return to_u, torch.sub(grad, to_v, out=buffer).mul_(inverse), None, None, None
