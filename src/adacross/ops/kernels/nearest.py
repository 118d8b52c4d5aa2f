"""The k nearest points of every query.

A row of distances becomes a tournament: level by level the smaller of two entries goes on, until few more
than k winners are left. The k-th smallest winner bounds the k-th smallest distance, so only entries below it
are looked at on the way back down, hardly more than k of them. Distances are kept as the integers of their
bits in the order of the numbers: minima and counts of integers vectorize, and NaN cannot upset them.

A tournament of `width * 2^n` entries is an array of twice that size. Entry `g` of the level of `w` entries
lies at `w + g`, and is the smaller of entries `g` and `w + g` of the level of `2 w`.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from adacross.ops.kernels.compiler import kernel

_LANES = 16  # numbers of a vector instruction
_LOWEST, _HIGHEST = np.int32(-(2**31)), np.int32(2**31 - 1)
_LARGEST = np.finfo(np.float32).max


def nearest_points(
    points: Float[Tensor, "B N 3"], k: int, queries: Float[Tensor, "B M 3"], own: bool
) -> Int64[Tensor, "B M k"]:
    """Find the k points nearest to every query; with `own`, query i's point i is always among them."""
    chosen = torch.empty(*queries.shape[:2], k, dtype=torch.int64)
    planes, asking = points.detach().mT.contiguous().numpy(), queries.detach().contiguous().numpy()
    places = chosen.view(-1, k).numpy()
    _nearest.over(len(places), planes, asking, own, *_tournament(points.shape[1], k), places)
    return chosen


def smallest(rows: Float[Tensor, "B M N"], k: int, own: int | None) -> Int64[Tensor, "B M k"]:
    """Find the k smallest entries of every row, always among them entry `own + i` of a cloud's row i."""
    chosen = torch.empty(*rows.shape[:2], k, dtype=torch.int64)
    places = chosen.view(-1, k).numpy()
    first = -rows.shape[1] if own is None else own  # below 0: none
    _smallest.over(len(places), rows.contiguous().numpy(), first, *_tournament(rows.shape[2], k), places)
    return chosen


def _tournament(N: int, k: int) -> tuple[int, int]:
    """Return the winners, about 2 k to 4 k, and the entries of a tournament of N."""
    width, levels = N, 0
    while width >= max(4 * k, 2 * _LANES):
        width, levels = -(-width // 2), levels + 1
    width += -width % _LANES
    return width, width << levels


def _bounds_of(keys: np.ndarray, k: int) -> tuple[int, int]:
    """Return (low, high): fewer than k keys are at most `low`, and k, or more that are equal, at most `high`."""
    least, most = _HIGHEST, _LOWEST
    for i in range(len(keys)):
        least = min(least, keys[i])
        most = max(most, keys[i])
    low, high = np.int64(least) - 1, np.int64(most)
    count = 0
    while high - low > 1 and count != k:
        middle = (low + high) >> 1
        limit = np.int32(middle)
        count = 0
        for i in range(len(keys)):
            count += keys[i] <= limit
        low = middle if count < k else low
        high = high if count < k else middle
    return low, high


_bounds = kernel(_bounds_of).compiled


def _winners_of(tree: np.ndarray, width: int, found: np.ndarray, keys: np.ndarray, nearest: np.ndarray, places: np.ndarray) -> None:
    """Fill in the places of the smallest entries of a tournament, whose last half is given; two scratch arrays."""
    entries, k = len(tree) // 2, len(places)
    w = entries
    while w > width:
        w //= 2
        level, left, right = tree[w : 2 * w], tree[2 * w : 3 * w], tree[3 * w : 4 * w]
        for g in range(w):
            level[g] = min(left[g], right[g])

    limit = np.int32(_bounds(tree[width : 2 * width], k)[1])
    count = 0
    for g in range(width):
        found[count] = g
        count += tree[width + g] <= limit
    while w < entries:
        left, right = tree[2 * w : 3 * w], tree[3 * w : 4 * w]
        more = count
        for i in range(count):
            g = found[i]
            found[i] = g + w * (left[g] > limit)
            found[more] = g + w
            more += (left[g] <= limit) & (right[g] <= limit)
        count = more
        w *= 2

    for i in range(count):
        keys[i] = tree[entries + found[i]]
    low, high = _bounds(keys[:count], k)
    n = 0
    for i in range(count):
        nearest[n] = found[i]
        n += keys[i] <= low
    for i in range(count):
        nearest[n] = found[i]
        n += (low < keys[i]) & (keys[i] <= high)
    for i in range(k):
        places[i] = nearest[i]


_winners = kernel(_winners_of).compiled


@kernel
def _nearest(
    first: int,
    last: int,
    planes: np.ndarray,
    queries: np.ndarray,
    own: bool,
    width: int,
    entries: int,
    places: np.ndarray,
) -> None:
    """Fill in `places (B M, k)` from coordinates `(B, 3, N)` and queries `(B, M, 3)`."""
    N, M = planes.shape[2], queries.shape[1]
    tree = np.full(2 * entries, _HIGHEST)
    leaves = tree[entries : entries + N]
    found, keys, nearest = np.empty(entries + 1, np.int32), np.empty(entries, np.int32), np.empty(entries + 1, np.int32)
    for i in range(first, last):
        b, m = i // M, i % M
        x, y, z = planes[b, 0], planes[b, 1], planes[b, 2]
        px, py, pz = queries[b, m, 0], queries[b, m, 1], queries[b, m, 2]
        for j in range(N):
            dx, dy, dz = x[j] - px, y[j] - py, z[j] - pz
            distance = np.float32(dx * dx + dy * dy + dz * dz)
            leaves[j] = np.float32(distance if distance < _LARGEST else _LARGEST).view(np.int32)
        if own:
            leaves[m] = _LOWEST
        _winners(tree, width, found, keys, nearest, places[i])


@kernel
def _smallest(
    first: int, last: int, rows: np.ndarray, own: int, width: int, entries: int, places: np.ndarray
) -> None:
    """Fill in `places (B M, k)` from rows `(B, M, N)`."""
    M, N = rows.shape[1], rows.shape[2]
    tree = np.full(2 * entries, _HIGHEST)
    leaves = tree[entries : entries + N]
    found, keys, nearest = np.empty(entries + 1, np.int32), np.empty(entries, np.int32), np.empty(entries + 1, np.int32)
    for i in range(first, last):
        b, m = i // M, i % M
        row = rows[b, m]
        for j in range(N):
            bits = np.float32(row[j] if row[j] < _LARGEST else _LARGEST).view(np.int32)
            leaves[j] = bits ^ ((bits >> 31) & _HIGHEST)  # negative numbers in their order, too
        if own + m >= 0:
            leaves[own + m] = _LOWEST
        _winners(tree, width, found, keys, nearest, places[i])
