"""Sums and maxima over the edges of point clouds, and their gradients.

One walk over a point's neighbors takes the sum, the maximum and its place, four neighbors for each load and
store of what is known so far, while the features of one cloud stay in cache. Gradients go the other way: each
point collects from the points whose neighbor it is, so nothing is scattered but the gradient of the maximum.
"""

import numpy as np
import torch
from jaxtyping import Float, Float64, Int32, Int64
from torch import Tensor

from adacross.ops.compiler import kernel

_POINTS = 256  # of a cloud, that a thread works on at a time
_CHANNELS = 256


def gather(
    u: Float[Tensor, "B N C"],
    v: Float[Tensor, "B N C"],
    neighbors: Int64[Tensor, "B N k"],
    maximum: bool = True,
) -> tuple[Float[Tensor, "B N C"], Float64[Tensor, "2 C"], tuple[Tensor, ...]]:
    """Find the largest edges, the sums of all edges and of their squares, and what `spread` needs.

    All in one walk, so the largest edges are found without `maximum`, too.
    """
    u, v = u.contiguous(), v.contiguous()
    B, N, C = u.shape
    ordered, starts, asking = _both_ways(neighbors, N)
    best, around = torch.empty_like(u), torch.empty_like(u)
    chosen = torch.empty(B, N, C, dtype=torch.int32)
    blocks = -(-N // _POINTS)
    sums = torch.empty(B * blocks, 2, C, dtype=torch.float64)
    arrays = (u, v, ordered, starts, best, chosen, around, sums)
    _gather.over(B * blocks, *_arrays(*arrays))
    return best, sums.sum(0), (chosen, around, starts, asking)


def spread(
    u: Float[Tensor, "B N C"],
    v: Float[Tensor, "B N C"],
    saved: tuple[Tensor, ...],
    grad: Float[Tensor, "B N C"],
    affine: Float[Tensor, "2 C"],
) -> tuple[Float[Tensor, "B N C"], Float[Tensor, "B N C"]]:
    """Sum each edge's gradient `affine[0] + affine[1] * e`, and those of the largest, to those of u and v."""
    chosen, around, starts, asking = saved
    to_u, to_v = torch.empty_like(u), torch.empty_like(v)
    arrays = (u, v, chosen, around, starts, asking, grad, affine, to_u, to_v)
    _spread.over(len(u), *_arrays(*arrays))
    return to_u, to_v


def largest(
    u: Float[Tensor, "B N C"], v: Float[Tensor, "B N C"], neighbors: Int64[Tensor, "B N k"]
) -> Float[Tensor, "B N C"]:
    """Compute only the maximum of `gather`."""
    best = torch.empty_like(v)
    _largest.over(v.shape[0] * v.shape[1], *_arrays(u, v, neighbors, best))
    return best


def _both_ways(
    neighbors: Int64[Tensor, "B N k"], N: int
) -> tuple[Int32[Tensor, "B N k"], Int32[Tensor, "B N+1"], Int32[Tensor, "B Nk"]]:
    """Sort each point's neighbors; list those whose neighbor it is, from `starts[j]` to `starts[j + 1]`."""
    B, _, k = neighbors.shape
    ordered = torch.empty(B, N, k, dtype=torch.int32)
    starts, asking = torch.empty(B, N + 1, dtype=torch.int32), torch.empty(B, N * k, dtype=torch.int32)
    _sort.over(B, *_arrays(neighbors, ordered, starts, asking))
    return ordered, starts, asking


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [each.detach().contiguous().numpy() for each in tensors]


@kernel
def _sort(
    first: int, last: int, neighbors: np.ndarray, ordered: np.ndarray, starts: np.ndarray, asking: np.ndarray
) -> None:
    """Sort edges by counting, by neighbor and then back by point, whose neighbors come in order thereby."""
    _, N, k = neighbors.shape
    ends = np.empty(N + 1, np.int32)
    for b in range(first, last):
        for j in range(N + 1):
            ends[j] = 0
        for i in range(N):
            for n in range(k):
                j = neighbors[b, i, n]
                if j < 0 or j >= N:
                    raise IndexError("a neighbor's index is not one of the cloud's points")
                ends[j + 1] += 1
        for j in range(N):
            ends[j + 1] += ends[j]
        for j in range(N + 1):
            starts[b, j] = ends[j]
        for i in range(N):
            for n in range(k):
                j = neighbors[b, i, n]
                asking[b, ends[j]] = i
                ends[j] += 1
        for i in range(N):
            ends[i] = 0
        for j in range(N):
            for e in range(starts[b, j], starts[b, j + 1]):
                i = asking[b, e]
                ordered[b, i, ends[i]] = j
                ends[i] += 1


@kernel
def _gather(
    first: int,
    last: int,
    u: np.ndarray,
    v: np.ndarray,
    ordered: np.ndarray,
    starts: np.ndarray,
    best: np.ndarray,
    chosen: np.ndarray,
    around: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Fill in the last four. Neighbors are in order: the last of equal maxima has the largest index."""
    B, N, C = u.shape
    k = ordered.shape[2]
    blocks = len(sums) // B
    size = np.float32(k)
    # One array of a size known to the compiler, which vectorizes because nothing else can overlap it.
    total, greatest, place = np.empty((3, _CHANNELS), np.float32)
    for row in range(first, last):
        b, start = row // blocks, row % blocks * _POINTS
        sums[row] = 0
        for c0 in range(0, C, _CHANNELS):
            width = min(_CHANNELS, C - c0)
            sum_, squares = sums[row, 0, c0:], sums[row, 1, c0:]
            for i in range(start, min(start + _POINTS, N)):
                j0 = np.float32(ordered[b, i, 0])
                for c in range(width):
                    total[c] = 0
                    greatest[c] = -np.inf
                    place[c] = j0
                n = 0
                while n + 4 <= k:
                    j0, j1, j2, j3 = (
                        ordered[b, i, n],
                        ordered[b, i, n + 1],
                        ordered[b, i, n + 2],
                        ordered[b, i, n + 3],
                    )
                    u0, u1, u2, u3 = u[b, j0, c0:], u[b, j1, c0:], u[b, j2, c0:], u[b, j3, c0:]
                    p0, p1, p2, p3 = np.float32(j0), np.float32(j1), np.float32(j2), np.float32(j3)
                    for c in range(width):
                        x0, x1, x2, x3 = u0[c], u1[c], u2[c], u3[c]
                        total[c] += (x0 + x1) + (x2 + x3)
                        x, p = greatest[c], place[c]
                        p = p0 if x0 >= x else p
                        x = x0 if x0 >= x else x
                        p = p1 if x1 >= x else p
                        x = x1 if x1 >= x else x
                        p = p2 if x2 >= x else p
                        x = x2 if x2 >= x else x
                        p = p3 if x3 >= x else p
                        x = x3 if x3 >= x else x
                        greatest[c], place[c] = x, p
                    n += 4
                while n < k:
                    j0 = ordered[b, i, n]
                    u0, p0 = u[b, j0, c0:], np.float32(j0)
                    for c in range(width):
                        x0, x, p = u0[c], greatest[c], place[c]
                        total[c] += x0
                        place[c] = p0 if x0 >= x else p
                        greatest[c] = x0 if x0 >= x else x
                    n += 1
                degree = np.float32(starts[b, i + 1] - starts[b, i])
                u0, v0 = u[b, i, c0:], v[b, i, c0:]
                to_best, to_chosen, to_around = best[b, i, c0:], chosen[b, i, c0:], around[b, i, c0:]
                for c in range(width):
                    to_best[c] = greatest[c] + v0[c]
                for c in range(width):
                    to_chosen[c] = np.int32(place[c])
                for c in range(width):
                    to_around[c] = total[c]
                for c in range(width):
                    x, y, s = u0[c], v0[c], total[c]
                    sum_[c] += s + size * y
                    squares[c] += y * (s + s + size * y) + degree * x * x


@kernel
def _spread(
    first: int,
    last: int,
    u: np.ndarray,
    v: np.ndarray,
    chosen: np.ndarray,
    around: np.ndarray,
    starts: np.ndarray,
    asking: np.ndarray,
    grad: np.ndarray,
    affine: np.ndarray,
    to_u: np.ndarray,
    to_v: np.ndarray,
) -> None:
    """Fill in the last two."""
    _, N, C = u.shape
    size = np.float32(asking.shape[1] // N)
    constant, growth = affine
    total = np.empty(C, np.float32)
    for b in range(first, last):
        for j in range(N):
            for c in range(C):
                total[c] = 0
            e, end = starts[b, j], starts[b, j + 1]
            degree = np.float32(end - e)
            while e + 4 <= end:
                v0, v1, v2, v3 = (
                    v[b, asking[b, e]],
                    v[b, asking[b, e + 1]],
                    v[b, asking[b, e + 2]],
                    v[b, asking[b, e + 3]],
                )
                for c in range(C):
                    total[c] += (v0[c] + v1[c]) + (v2[c] + v3[c])
                e += 4
            while e < end:
                v0 = v[b, asking[b, e]]
                for c in range(C):
                    total[c] += v0[c]
                e += 1
            u0, out = u[b, j], to_u[b, j]
            for c in range(C):
                out[c] = growth[c] * (total[c] + degree * u0[c]) + degree * constant[c]
            v0, g0, s0, out = v[b, j], grad[b, j], around[b, j], to_v[b, j]
            for c in range(C):
                out[c] = g0[c] + size * constant[c] + growth[c] * (s0[c] + size * v0[c])
        for i in range(N):
            for c in range(C):
                to_u[b, chosen[b, i, c], c] += grad[b, i, c]


@kernel
def _largest(
    first: int, last: int, u: np.ndarray, v: np.ndarray, neighbors: np.ndarray, best: np.ndarray
) -> None:
    """Fill in the last."""
    _, N, C = u.shape
    k = neighbors.shape[2]
    greatest = np.empty(C, np.float32)
    for row in range(first, last):
        b, i = row // N, row % N
        for c in range(C):
            greatest[c] = -np.inf
        n = 0
        while n + 4 <= k:
            j0, j1, j2, j3 = (
                neighbors[b, i, n],
                neighbors[b, i, n + 1],
                neighbors[b, i, n + 2],
                neighbors[b, i, n + 3],
            )
            if min(j0, j1, j2, j3) < 0 or max(j0, j1, j2, j3) >= N:
                raise IndexError("a neighbor's index is not one of the cloud's points")
            u0, u1, u2, u3 = u[b, j0], u[b, j1], u[b, j2], u[b, j3]
            for c in range(C):
                greatest[c] = max(greatest[c], max(max(u0[c], u1[c]), max(u2[c], u3[c])))
            n += 4
        while n < k:
            j0 = neighbors[b, i, n]
            if j0 < 0 or j0 >= N:
                raise IndexError("a neighbor's index is not one of the cloud's points")
            u0 = u[b, j0]
            for c in range(C):
                greatest[c] = max(greatest[c], u0[c])
            n += 1
        v0, out = v[b, i], best[b, i]
        for c in range(C):
            out[c] = greatest[c] + v0[c]
