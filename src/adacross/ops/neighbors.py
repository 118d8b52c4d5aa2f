"""Neighbors, farthest points, gathering, interpolation: plain torch, no CUDA build, bounded memory."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adacross.errors import UserError
from adacross.ops.fused.blocks import block_size
from adacross.ops.kernels import use_kernels
from adacross.ops.precision import exact_products

# Searches of at least so many entries per neighbor are done in groups, of this size.
_WORTH_GROUPING = 8
_GROUP = 4


def knn(
    points: Float[Tensor, "B N C"], k: int, queries: Float[Tensor, "B M C"] | None = None
) -> Int64[Tensor, "B M k"]:
    """Find each point's `k` nearest points by squared distance, in no particular order.

    Without `queries` every point asks for its own neighbors and is always one of them, however many
    duplicates it has. Among equally far points any may be returned, the same ones for the same input. Half
    precision is searched in float32. No gradient flows; at most a block of the distances exists at a time.

    Args:
        points: `(B, N, C)`, coordinates or features.
        k: neighbors per query, 1 to N.
        queries: `(B, M, C)` other points that ask for neighbors, or None for `points` themselves.

    Returns:
        `(B, M, k)` indices into the N points of the same cloud. Where coordinates are so large that squared
        distances overflow, or NaN, they are arbitrary but still indices of points.

    Raises:
        UserError: `k` is below 1 or above N.
    """
    N = points.shape[1]
    if not 1 <= k <= N:
        raise UserError(f"k is {k}, but each cloud has {N} points; give 1 to {N} neighbors or larger clouds.")
    with torch.no_grad(), exact_products(points.device):
        dtype = torch.promote_types(points.dtype, torch.float32)
        own = queries is None
        keys = points.to(dtype)
        asking = keys if queries is None else queries.to(dtype)
        if use_kernels(keys, asking):
            from adacross.ops.kernels.nearest import nearest

            return nearest(keys, k, asking, own)
        center = keys.mean(1, keepdim=True)  # |p|^2 - 2 p q loses digits far from the origin
        keys, asking = keys - center, asking - center
        if torch.compiler.is_compiling():  # a graph must not depend on the numbers of clouds and points
            return _search_plainly(*_as_product(keys, asking, 0), k, own)
        keys, asking = _as_product(keys, asking, -N % _multiple(N, k))
        M = asking.shape[1]
        rows, clouds = _block(keys, M)
        parts = [
            torch.cat(
                [_search(a, p, k, i * rows if own else None) for i, a in enumerate(q.split(rows, 1))], 1
            )
            for q, p in zip(asking.split(clouds), keys.split(clouds), strict=True)
        ]
        # Distances that overflow or are NaN tie with those of the padding, which is no point of the cloud.
        return torch.cat(parts).clamp_(max=N - 1)


def _search(
    asking: Float[Tensor, "B M D"], keys: Float[Tensor, "B P D"], k: int, own: int | None
) -> Int64[Tensor, "B M k"]:
    """Neighbors of one block of queries; `own` is the index of the first one's own point, if it has one."""
    distance = asking @ keys.mT
    if own is not None:
        distance.diagonal(offset=own, dim1=1, dim2=2).fill_(-math.inf)
    return _smallest(distance, k)


def _search_plainly(
    keys: Float[Tensor, "B N D"], asking: Float[Tensor, "B M D"], k: int, own: bool
) -> Int64[Tensor, "B M k"]:
    """Neighbors of all queries at once, from one table of distances and one search of its rows."""
    distance = asking @ keys.mT
    if own:
        places = torch.arange(keys.shape[1], device=keys.device)
        distance = distance.masked_fill(places[:, None] == places, -math.inf)
    return distance.topk(k, dim=2, largest=False).indices


def _multiple(N: int, k: int) -> int:
    """Return a number whose multiples of keys `_smallest` can divide evenly."""
    size = 1
    while N // size >= _WORTH_GROUPING * k:
        size *= _GROUP
    return size


def _as_product(
    keys: Float[Tensor, "B N C"], asking: Float[Tensor, "B M C"], padding: int
) -> tuple[Float[Tensor, "B P D"], Float[Tensor, "B M D"]]:
    """Vectors whose product is |key|^2 - 2 key * query: the squared distance but for a constant per query.

    `padding` keys at a very large distance are appended, so that groups come out even.
    """
    norms = keys.square().sum(2, keepdim=True)
    keys = torch.cat([keys.mul(-2), norms], 2)
    if padding:
        far = keys.new_zeros(len(keys), padding, keys.shape[2])
        far[:, :, -1] = torch.finfo(keys.dtype).max
        keys = torch.cat([keys, far], 1)
    return keys, torch.cat([asking, torch.ones_like(asking[:, :, :1])], 2)


def _block(keys: Float[Tensor, "B P D"], M: int) -> tuple[int, int]:
    """Return how many queries of how many clouds are searched at a time."""
    P = keys.shape[1]
    entries = block_size("knn", keys.element_size(), keys.device)
    rows = max(1, min(M, entries // P))
    return rows, max(1, entries // (rows * P))


def _smallest(distance: Float[Tensor, "B M P"], k: int) -> Int64[Tensor, "B M k"]:
    """Indices of the k smallest entries of every row.

    The k smallest lie in the k groups with the smallest minima (a group left out holds nothing below the k
    minima taken), and those groups are found in the same way: a few searches of a hundred entries replace one
    of thousands.
    """
    B, M, P = distance.shape
    if _WORTH_GROUPING * k > P:
        return distance.topk(k, dim=2, largest=False, sorted=False).indices
    groups = P // _GROUP
    nearest = _smallest(distance.view(B, M, _GROUP, groups).amin(2), k)
    members = torch.arange(_GROUP, device=distance.device)[:, None] * groups
    candidates = (nearest[:, :, None] + members).view(B, M, _GROUP * k)
    best = distance.gather(2, candidates).topk(k, dim=2, largest=False, sorted=False).indices
    return candidates.gather(2, best)


def farthest_point_sample(points: Float[Tensor, "B N D"], count: int) -> Int64[Tensor, "B count"]:
    """Choose points that cover the cloud: start at index 0, then always the point farthest from those chosen.

    Ties go to the smallest index. A cloud with fewer distinct points than `count` repeats index 0.

    Args:
        points: `(B, N, D)`.
        count: how many to choose, 1 to N.

    Returns:
        `(B, count)` indices, in the order chosen.

    Raises:
        UserError: `count` is below 1 or above N.
    """
    N = points.shape[1]
    if not 1 <= count <= N:
        raise UserError(f"cannot choose {count} points from clouds of {N}; give 1 to {N}, or larger clouds.")
    with torch.no_grad():
        wide = points.to(torch.promote_types(points.dtype, torch.float32))
        if torch.compiler.is_compiling():  # a loop that a compiler may not unroll is an operation of its own
            return _farthest_points(wide, count)
        if use_kernels(wide) and wide.shape[2] == 3:
            from adacross.ops.kernels.farthest_points import farthest_points

            return farthest_points(wide, count)
        return _farthest(wide, count)


def _farthest(points: Float[Tensor, "B N D"], count: int) -> Int64[Tensor, "B count"]:
    B, N, D = points.shape
    planes = points.mT.contiguous()  # sums over a short last axis are slow
    chosen = torch.zeros(B, count, dtype=torch.int64, device=points.device)
    distance = torch.full((B, N), math.inf, dtype=planes.dtype, device=points.device)
    for i in range(1, count):
        last = planes.gather(2, chosen[:, None, i - 1 : i].expand(-1, D, -1))
        distance = torch.minimum(distance, (planes - last).square_().sum(1))
        chosen[:, i] = distance.argmax(1)
    return chosen


@torch.library.custom_op("adacross::farthest_points", mutates_args=())
def _farthest_points(points: Tensor, count: int) -> Tensor:
    """`_farthest` as torch's compiler and the export to ONNX know it (`adacross.onnx.loops`)."""
    return _farthest(points, count)


@_farthest_points.register_fake
def _(points: Tensor, count: int) -> Tensor:
    return points.new_empty(points.shape[0], count, dtype=torch.int64)


def gather(
    features: Float[Tensor, "B N C"], indices: Int64[Tensor, "B *shape"]
) -> Float[Tensor, "B *shape C"]:
    """Pick each cloud's rows by index: `(B, N, C)` and `(B, ...)` give `(B, ..., C)`; differentiable."""
    B, _, C = features.shape
    flat = indices.reshape(B, -1, 1).expand(-1, -1, C)
    return features.gather(1, flat).view(*indices.shape, C)


def interpolate(
    targets: Float[Tensor, "B M 3"], sources: Float[Tensor, "B N 3"], features: Float[Tensor, "B N C"]
) -> Float[Tensor, "B M C"]:
    """Interpolate features at `targets`: the mean of the three nearest sources', by 1 / squared distance.

    PointNet++, Qi et al. 2017, arXiv 1706.02413, eq. 2. A target on a source takes that source's features.
    With fewer than three sources all are used. Gradient flows only to the features.
    """
    k = min(3, sources.shape[1])
    nearest = knn(sources, k, queries=targets)
    with torch.no_grad():
        dtype = torch.promote_types(sources.dtype, torch.float32)  # 1e-8 is 0 in float16
        distance = (gather(sources, nearest).to(dtype) - targets[:, :, None].to(dtype)).square().sum(3)
        weights = 1 / (distance + 1e-8)
        weights = (weights / weights.sum(2, keepdim=True)).to(features.dtype)
    return (weights[..., None] * gather(features, nearest)).sum(2)
