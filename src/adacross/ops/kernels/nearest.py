"""The k nearest points of every query.

A row of distances becomes a tournament: level by level the smaller of two entries goes on, until two to four
times k winners are left. The k-th smallest winner bounds the k-th smallest distance, and on the way back down
only entries within the bound are followed, hardly more than k of them. A tournament of `width * 2^n` entries
is an array of twice that size: entry `g` of the level of `w` entries lies at `w + g`, and is the smaller of
entries `g` and `w + g` of the level of `2 w`.

Distances are kept as integers in the same order, made of their bits: minima and counts of integers vectorize,
and NaN has its place among them. No table of distances leaves the first-level cache. Those in space are made
of differences; those between features are `|p|^2 - 2 p q`, four queries at a time, from panels of the points
that lie channel by channel.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import pad

from adacross.ops.compiler import function, kernel

_LANES = 16  # numbers in a vector instruction
_FOUR = 4  # queries, and channels, of one pass over a panel: 16 factors stay in registers
_PANEL = 512  # points
_LOWEST, _HIGHEST = np.int32(-(2**31)), np.int32(2**31 - 1)
_LARGEST = np.finfo(np.float32).max  # stands for NaN and infinity, too


def nearest(
    points: Float[Tensor, "B N C"], k: int, queries: Float[Tensor, "B M C"], own: bool
) -> Int64[Tensor, "B M k"]:
    """Find the k points nearest to every query; with `own`, point i is always among those of query i."""
    B, M, C = queries.shape
    N = points.shape[1]
    chosen = torch.empty(B, M, k, dtype=torch.int64)
    places, sizes = chosen.numpy(), _tournament(N, k)
    if C == 3:
        planes = points.mT.contiguous()
        _nearest_in_space.over(B * M, planes.numpy(), queries.contiguous().numpy(), own, *sizes, places)
        return chosen
    center = points.mean(1, keepdim=True)  # |p|^2 - 2 p q loses digits far from the origin
    points, factors = points - center, (queries - center).mul_(-2)
    norms = points.square().sum(2)
    panels = pad(points, (0, -C % _FOUR, 0, -N % _PANEL)).unflatten(1, (-1, _PANEL)).mT.flatten(2)
    factors = pad(factors, (0, -C % _FOUR, 0, -M % _FOUR))
    fours = B * (factors.shape[1] // _FOUR)
    _nearest_features.over(fours, panels.numpy(), norms.numpy(), factors.numpy(), own, *sizes, places)
    return chosen


def _tournament(N: int, k: int) -> tuple[int, int]:
    """Return the numbers of winners and of entries of a tournament of N."""
    width, levels = N, 0
    while width >= max(4 * k, 2 * _LANES):
        width, levels = -(-width // 2), levels + 1
    width += -width % _LANES
    return width, width << levels


@function
def _bounds(keys: np.ndarray, k: int) -> tuple[np.int64, np.int64]:
    """Return (low, high): fewer than k keys are `low` at most; k, or more if equal, are `high` at most."""
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


@function
def _winners(
    tree: np.ndarray, width: int, found: np.ndarray, keys: np.ndarray, best: np.ndarray, places: np.ndarray
) -> None:
    """Fill in the places of the smallest entries of a tournament, whose last half is given.

    No step branches on a distance. The scratch arrays `found`, `keys` and `best` have an entry more.
    """
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
        best[n] = found[i]
        n += keys[i] <= low
    for i in range(count):
        best[n] = found[i]
        n += (low < keys[i]) & (keys[i] <= high)
    for i in range(k):
        places[i] = best[i]


@kernel
def _nearest_in_space(
    first: int,
    last: int,
    planes: np.ndarray,
    queries: np.ndarray,
    own: bool,
    width: int,
    entries: int,
    places: np.ndarray,
) -> None:
    """Fill in `places (B, M, k)` from coordinates `(B, 3, N)` and queries `(B, M, 3)`."""
    N, M = planes.shape[2], queries.shape[1]
    tree = np.empty(2 * entries, np.int32)
    for j in range(2 * entries):
        tree[j] = _HIGHEST
    scratch = np.empty((3, entries + 1), np.int32)
    leaves = tree[entries : entries + N]
    for i in range(first, last):
        b, m = i // M, i % M
        x, y, z = planes[b, 0], planes[b, 1], planes[b, 2]
        px, py, pz = queries[b, m, 0], queries[b, m, 1], queries[b, m, 2]
        for j in range(N):
            dx, dy, dz = x[j] - px, y[j] - py, z[j] - pz
            d = np.float32(dx * dx + dy * dy + dz * dz)
            leaves[j] = np.float32(d if d < _LARGEST else _LARGEST).view(np.int32)
        if own:
            leaves[m] = _LOWEST
        _winners(tree, width, scratch[0], scratch[1], scratch[2], places[b, m])


@kernel
def _nearest_features(
    first: int,
    last: int,
    panels: np.ndarray,
    norms: np.ndarray,
    factors: np.ndarray,
    own: bool,
    width: int,
    entries: int,
    places: np.ndarray,
) -> None:
    """Fill in `places (B, M, k)`, four queries at a time.

    Args:
        first, last: fours of queries, of all clouds.
        panels: `(B, P, C * 512)` the points' features, a panel channel by channel.
        norms: `(B, N)` the points' |p|^2.
        factors: `(B, M', C)` the queries' -2 q; M' and C are multiples of four.
    """
    N, M, C = norms.shape[1], places.shape[1], factors.shape[2]
    fours = factors.shape[1] // _FOUR
    trees = np.empty((_FOUR, 2 * entries), np.int32)
    for t in range(_FOUR):
        for j in range(2 * entries):
            trees[t, j] = _HIGHEST
    scratch = np.empty((3, entries + 1), np.int32)
    sums = np.empty(_FOUR * _PANEL, np.float32)
    for i in range(first, last):
        b, m = i // fours, _FOUR * (i % fours)
        for start in range(0, N, _PANEL):
            panel = panels[b, start // _PANEL]
            size = min(_PANEL, N - start)
            norm = norms[b, start : start + size]
            for j in range(size):
                sums[j] = sums[_PANEL + j] = sums[2 * _PANEL + j] = sums[3 * _PANEL + j] = norm[j]
            for c in range(0, C, _FOUR):
                channels = panel[c * _PANEL :]
                p0, p1, p2, p3 = factors[b, m, c : c + 4]
                q0, q1, q2, q3 = factors[b, m + 1, c : c + 4]
                r0, r1, r2, r3 = factors[b, m + 2, c : c + 4]
                s0, s1, s2, s3 = factors[b, m + 3, c : c + 4]
                for j in range(size):
                    w, x = channels[j], channels[_PANEL + j]
                    y, z = channels[2 * _PANEL + j], channels[3 * _PANEL + j]
                    sums[j] += p0 * w + p1 * x + p2 * y + p3 * z
                    sums[_PANEL + j] += q0 * w + q1 * x + q2 * y + q3 * z
                    sums[2 * _PANEL + j] += r0 * w + r1 * x + r2 * y + r3 * z
                    sums[3 * _PANEL + j] += s0 * w + s1 * x + s2 * y + s3 * z
            for t in range(_FOUR):
                leaves, row = trees[t, entries + start :], sums[t * _PANEL :]
                for j in range(size):
                    bits = np.float32(row[j] if row[j] < _LARGEST else _LARGEST).view(np.int32)
                    leaves[j] = bits ^ ((bits >> 31) & _HIGHEST)  # negative numbers in their order, too
        for t in range(min(_FOUR, M - m)):
            if own:
                trees[t, entries + m + t] = _LOWEST
            _winners(trees[t], width, scratch[0], scratch[1], scratch[2], places[b, m + t])
