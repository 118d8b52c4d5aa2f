"""Edge convolutions with two layers before the maximum, as DGCNN's segmentation networks have them.

The published layer (Wang et al. 2019, arXiv 1801.07829, figure 3) computes for every point i and neighbor j

    h_ij = LeakyReLU(BN(W [x_j - x_i ; x_i])),     y_i = max_j LeakyReLU(BN(W' h_ij)).

The first product splits as in `ops.fused.edge`: it is u_j + v_i, made of products over points, and its
mean and variance over edges follow from sums over points. What is left is done edge by edge, in blocks of
points that stay in cache: the activation, the second product, its sums for BatchNorm and its maximum, which
commutes with everything monotone after it. Backward makes the activations again, but not the second product:
BatchNorm's part of the gradient is affine in the activations, and the maximum's has one entry for each point
and channel. No tensor over all edges exists; the result and all gradients equal the published layer's to
rounding.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adacross.distributed.batch import mean_point
from adacross.ops.fused.blocks import block_size
from adacross.ops.fused.edge import edge_moments, edge_products, flat_rows
from adacross.ops.fused.group_pool import group_passes_for
from adacross.ops.fused.layer import NormalizedLayer
from adacross.ops.fused.maxima import maxima
from adacross.ops.kernels import use_kernels


def edge_pair_convolution(
    x: Float[Tensor, "B N Cin"],
    neighbors: Int64[Tensor, "B N k"],
    first: NormalizedLayer,
    second: NormalizedLayer,
) -> Float[Tensor, "B N C"]:
    """Two 1x1 convolutions of the edges, each with BatchNorm and LeakyReLU, and the maximum over neighbors.

    Where several neighbors share the maximum, the last of them receives the gradient; with a second gain of
    0, where all do, the one with the largest product.

    Args:
        x: `(B, N, Cin)` features of the points.
        neighbors: `(B, N, k)` indices of each point's neighbors, usually with the point itself.
        first: of the edges `[x_j - x_i ; x_i]`; weight `(H, 2 * Cin)`.
        second: of the first's result; weight `(C, H)`.

    Returns:
        `(B, N, C)` in the type of `x`.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        first, second, points = first.to(dtype), second.to(dtype), x.to(dtype)
        if first.training:
            # BatchNorm does not see a shift of all points; around their mean, squares lose no digits.
            shift = mean_point(points)
            u, v = edge_products(points - shift, first.weight)
            moments = edge_moments(u, v, neighbors)
            scale, offset = first.by_batch(moments, neighbors.numel(), first.weight[:, x.shape[2] :] @ shift)
        else:
            u, v = edge_products(points, first.weight)
            scale, offset = first.evaluated()
        u, v = u * scale, torch.addcmul(offset, v, scale)

        weight = second.weight * second.sign[:, None]
        best, moments = mixed_neighbor_max(
            u, v, neighbors, weight, first.negative_slope, moments=second.training
        )
        if second.training:
            affine = second.by_batch(second.turned(moments), neighbors.numel())
        else:
            affine = second.evaluated()
        return second.activated(best, *affine).to(x.dtype)


def mixed_neighbor_max(
    u: Float[Tensor, "B N H"],
    v: Float[Tensor, "B N H"],
    neighbors: Int64[Tensor, "B N k"],
    weight: Float[Tensor, "C H"],
    slope: float,
    *,
    moments: bool,
) -> tuple[Float[Tensor, "B N C"], Float64[Tensor, "2 C"]]:
    """max_j z_ij with z_ij = W LeakyReLU(u_j + v_i), and the means of z and z^2 over all edges.

    Differentiable in u, v and W. The means are made for `moments`; otherwise they may be 0.
    """
    if torch.compiler.is_compiling():  # an exported graph must not depend on the number of clouds
        edges = u.flatten(0, 1)[flat_rows(neighbors, u.shape[1])] + v.flatten(0, 1)[:, None]
        z = nn.functional.linear(nn.functional.leaky_relu(edges, slope), weight)
        means = torch.stack([z, z.square()]).mean((1, 2), dtype=torch.float64)
        return z.amax(1).unflatten(0, neighbors.shape[:2]), means
    best, means = _MixedNeighborMax.apply(u, v, neighbors, weight, slope, moments)
    return best, means


def _blocks(
    u: Float[Tensor, "BN H"],
    v: Float[Tensor, "BN H"],
    rows: Int64[Tensor, "BN k"],
    width: int,
    slope: float,
) -> Iterator[tuple[slice, Float[Tensor, "b k H"]]]:
    """Block by block: which points, and the activations of their edges; `width` channels fit the cache."""
    step = block_size("edge pair", rows.shape[1] * width * u.element_size(), u.device)
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        yield block, _activated(u, v[block], rows[block], slope)


class _MixedNeighborMax(torch.autograd.Function):
    """`mixed_neighbor_max`. E edges; gradients g_i of the maxima, a of the mean, b of the mean square:

        dz_ij = g_i [j chosen] + a / E + 2 b z_ij / E.

    With z = W h, those of W and h follow from `sum_ij h_ij h_ij^T` and `W^T diag(2 b / E) W`, and from the
    chosen edges.
    """

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, v: Tensor, neighbors: Tensor, weight: Tensor, slope: float, moments: bool
    ) -> tuple[Tensor, Tensor]:
        B, N, H = u.shape
        C, rows = len(weight), flat_rows(neighbors, N)
        best, chosen = u.new_empty(B * N, C), rows.new_empty(B * N, C, dtype=torch.int32)
        sums = torch.zeros(2, C, dtype=torch.float64, device=u.device)
        needed = moments or any(ctx.needs_input_grad)
        for block, active in _blocks(u.reshape(-1, H), v.reshape(-1, H), rows, max(H, C), slope):
            z = nn.functional.linear(active, weight)
            if needed:
                best[block], chosen[block], found = maxima(z, last=True)
                sums += found
            else:
                torch.amax(z, 1, out=best[block])
        ctx.save_for_backward(u, v, rows, weight, chosen)
        ctx.slope = slope
        return best.view(B, N, C), sums / rows.numel()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, to_best: Tensor, to_means: Tensor
    ) -> tuple[Tensor, Tensor, None, Tensor, None, None]:
        u, v, rows, weight, chosen = ctx.saved_tensors
        C, H = weight.shape
        passes, to_best = group_passes_for(u, to_best), to_best.reshape(-1, C)
        constant, growth = (to_means / rows.numel()).to(u.dtype)
        growth = 2 * growth[:, None] * weight
        offset, slant = constant @ weight, weight.T @ growth
        to_u, to_v = u.new_zeros(u.shape), torch.empty_like(v)
        to_u, to_v = to_u.view(-1, H), to_v.view(-1, H)
        to_weight, total, squares = torch.zeros_like(weight), u.new_zeros(H), u.new_zeros(H, H)
        for block, active in _blocks(u.reshape(-1, H), v.reshape(-1, H), rows, H, ctx.slope):
            flat = active.flatten(0, 1)
            total += flat.sum(0)
            squares.addmm_(flat.T, flat)
            to_edges = torch.addmm(offset, flat, slant).view_as(active)
            to_weight += passes.through_maximum(to_best[block], chosen[block], active, weight, to_edges)
            _collect(to_edges, active, rows[block], ctx.slope, to_u, to_v[block])
        to_weight += torch.outer(constant, total) + growth @ squares
        return to_u.view_as(u), to_v.view_as(v), None, to_weight, None, None


def _activated(
    u: Float[Tensor, "BN H"], v: Float[Tensor, "b H"], rows: Int64[Tensor, "b k"], slope: float
) -> Float[Tensor, "b k H"]:
    """Activations of some points' edges, LeakyReLU(u_j + v_i)."""
    if use_kernels(u, v):
        from adacross.ops.kernels.edge_pair import activated

        return activated(u, v, rows, slope)
    edges = u.index_select(0, rows.flatten()).view(*rows.shape, -1)
    return nn.functional.leaky_relu_(edges.add_(v[:, None]), slope)


def _collect(
    to_edges: Float[Tensor, "b k H"],
    active: Float[Tensor, "b k H"],
    rows: Int64[Tensor, "b k"],
    slope: float,
    to_u: Float[Tensor, "BN H"],
    to_v: Float[Tensor, "b H"],
) -> None:
    """Sum the gradients of activations to those of `v`, and add them to those of `u`."""
    if use_kernels(to_edges, active):
        from adacross.ops.kernels.edge_pair import collect

        collect(to_edges, active, rows, slope, to_u, to_v)
        return
    to_edges = torch.where(active > 0, to_edges, to_edges * slope)
    torch.sum(to_edges, 1, out=to_v)
    to_u.index_add_(0, rows.flatten(), to_edges.flatten(0, 1))
