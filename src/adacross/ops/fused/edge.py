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

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adacross.distributed.batch import mean_point
from adacross.ops.fused.blocks import block_size
from adacross.ops.fused.layer import NormalizedLayer
from adacross.ops.kernels import use_kernels


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
            u, v = edge_products(points, layer.weight * scale[:, None], offset)
            return nn.functional.leaky_relu(edge_max(u, v, neighbors), layer.negative_slope).to(x.dtype)

        # BatchNorm does not see a shift of all points; around their mean, squares lose no digits.
        shift, sign = mean_point(points), layer.sign
        u, v = edge_products(points - shift, layer.weight * sign[:, None])
        best, moments = _Edges.apply(u, v, neighbors, True)
        if (layer.gain == 0).any():
            best = torch.where(layer.gain == 0, u + v, best)
        center_weight = layer.weight[:, x.shape[2] :]
        affine = layer.by_batch(layer.turned(moments), neighbors.numel(), center_weight @ shift)
        return layer.activated(best, *affine).to(x.dtype)


def edge_max(
    u: Float[Tensor, "B N C"], v: Float[Tensor, "B N C"], neighbors: Int64[Tensor, "B N k"]
) -> Float[Tensor, "B N C"]:
    """Largest edge u_j + v_i of each point i, over its neighbors j and channel by channel. Differentiable.

    Of several equal maxima the one with the largest index receives the gradient.
    """
    if torch.is_grad_enabled() and (u.requires_grad or v.requires_grad):
        best, _ = _Edges.apply(u, v, neighbors, True)
        return best
    if torch.compiler.is_compiling():  # an exported graph must not depend on the number of clouds
        rows = flat_rows(neighbors, u.shape[1])
        return u.flatten(0, 1)[rows].amax(1).unflatten(0, neighbors.shape[:2]) + v
    if use_kernels(u, v):
        from adacross.ops.kernels.edges import largest

        return largest(u, v, neighbors)
    return _largest(u, neighbors, None).add_(v)


def edge_moments(
    u: Float[Tensor, "B N C"], v: Float[Tensor, "B N C"], neighbors: Int64[Tensor, "B N k"]
) -> Float64[Tensor, "2 C"]:
    """Mean of all edges u_j + v_i, and mean of their squares. Differentiable."""
    _, moments = _Edges.apply(u, v, neighbors, False)
    return moments


def edge_products(
    points: Float[Tensor, "B N Cin"],
    weight: Float[Tensor, "C twice_Cin"],
    offset: Float[Tensor, " C"] | None = None,
) -> tuple[Float[Tensor, "B N C"], Float[Tensor, "B N C"]]:
    """u and v: the weight `[A D]` becomes `A` and `D - A`."""
    neighbor, center = weight.chunk(2, 1)
    linear = nn.functional.linear
    return linear(points, neighbor), linear(points, center - neighbor, offset)


def flat_rows(neighbors: Int64[Tensor, "B M k"], N: int) -> Int64[Tensor, "BM k"]:
    """Indices into the clouds' points laid end to end."""
    B, _, k = neighbors.shape
    offsets = torch.arange(B, device=neighbors.device) * N
    return (neighbors + offsets[:, None, None]).view(-1, k)


class _Edges(torch.autograd.Function):
    """The largest edge of every point, and the means of all edges e_ij = u_j + v_i and of their squares.

    With g_i the gradient of the maximum, a and b those of the two means, and E edges,

        de_ij = g_i [j chosen] + a / E + 2 b e_ij / E,

    summed over i for u_j and over j for v_i. Those sums need how often a point is a neighbor (its degree),
    sum_j u_j over a point's neighbors and sum_i v_i over those whose neighbor it is.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, v: Tensor, neighbors: Tensor, maximum: bool) -> tuple[Tensor, Tensor]:
        gather, ctx.spread = _ways(u, v)
        best, sums, saved = gather(u, v, neighbors, maximum)
        ctx.save_for_backward(u, v, *saved)
        ctx.edges = neighbors.numel()
        return best, sums / ctx.edges

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_best: Tensor, to_moments: Tensor) -> tuple[Tensor, Tensor, None, None]:
        u, v, *saved = ctx.saved_tensors
        constant, growth = (to_moments / ctx.edges).to(u.dtype)
        to_u, to_v = ctx.spread(u, v, tuple(saved), to_best, torch.stack([constant, 2 * growth]))
        return to_u, to_v, None, None


def _ways(u: Tensor, v: Tensor) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Functions that walk over edges, there (`_gather`) and back (`_spread`)."""
    if use_kernels(u, v):
        from adacross.ops.kernels import edges

        return edges.gather, edges.spread
    return _gather, _spread


def _gather(
    u: Float[Tensor, "B N C"], v: Float[Tensor, "B N C"], neighbors: Int64[Tensor, "B N k"], maximum: bool
) -> tuple[Float[Tensor, "B N C"], Float64[Tensor, "2 C"], tuple[Tensor, ...]]:
    """Find the largest edges, the sums of all edges and of their squares, and what `_spread` needs.

    Without `maximum` the largest edges are not found; their gradients are 0.
    """
    B, N, C = u.shape
    k = neighbors.shape[2]
    rows = flat_rows(neighbors, N)
    around = nn.functional.embedding_bag(rows, u.reshape(-1, C), mode="sum").view(B, N, C)
    degree = torch.bincount(rows.view(-1), minlength=B * N).to(u.dtype).view(B, N, 1)
    # Sums over points in the tensors' own type, over clouds in float64: no digits lost, no second pass.
    total = torch.add(around, v, alpha=k).sum(1).sum(0, dtype=torch.float64)
    squares = torch.addcmul(torch.add(around, v, alpha=0.5 * k).mul_(v).mul_(2), u * degree, u)
    sums = torch.stack([total, squares.sum(1).sum(0, dtype=torch.float64)])
    if not maximum:
        return u.new_zeros(()).expand_as(u), sums, (rows, around, degree)
    chosen = torch.empty(u.shape, dtype=torch.int64, device=u.device)
    best = _largest(u, neighbors, chosen).add_(v)
    return best, sums, (rows, around, degree, chosen)


def _spread(
    u: Float[Tensor, "B N C"],
    v: Float[Tensor, "B N C"],
    saved: tuple[Tensor, ...],
    to_best: Float[Tensor, "B N C"],
    affine: Float[Tensor, "2 C"],
) -> tuple[Float[Tensor, "B N C"], Float[Tensor, "B N C"]]:
    """Sum each edge's gradient `affine[0] + affine[1] * e`, and those of the largest, to those of u and v."""
    rows, around, degree, *chosen = saved
    k, (constant, growth) = rows.shape[1], affine
    order = rows.view(-1).argsort()
    starts = degree.view(-1).to(torch.int64).cumsum(0) - degree.view(-1).to(torch.int64)
    asking = nn.functional.embedding_bag(order // k, v.reshape(-1, v.shape[2]), starts, mode="sum")
    to_u = asking.view_as(u).addcmul_(degree, u).mul_(growth).addcmul_(degree, constant)
    to_v = torch.add(around, v, alpha=k).mul_(growth).add_(k * constant)
    if chosen:
        to_u.scatter_add_(1, chosen[0], to_best)
        to_v.add_(to_best)
    return to_u, to_v


def _largest(
    u: Float[Tensor, "B N C"], neighbors: Int64[Tensor, "B N k"], chosen: Int64[Tensor, "B N C"] | None
) -> Float[Tensor, "B N C"]:
    """Maximum over neighbors; into `chosen` goes the point it came from.

    Rows are gathered and reduced in blocks that stay in cache. The point is found by comparing with the
    maximum and keeping the largest index: vector instructions only, about 5 times faster than `max` with
    indices. An index is exact in float32 up to 2^24 points a cloud.
    """
    B, N, C = u.shape
    k = neighbors.shape[2]
    flat, rows = u.reshape(B * N, C), flat_rows(neighbors, N)
    step = block_size("edge", k * C * u.element_size(), u.device)
    best = u.new_empty(B * N, C)
    labels = neighbors.reshape(B * N, k, 1)
    for start in range(0, B * N, step):
        block = slice(start, start + step)
        values = flat.index_select(0, rows[block].reshape(-1)).view(-1, k, C)
        best[block] = values.amax(1)
        if chosen is not None:
            found = values.eq_(best[block, None]).mul_(labels[block].to(u.dtype)).amax(1)
            chosen.view(-1, C)[block] = found
    return best.view(B, N, C)
