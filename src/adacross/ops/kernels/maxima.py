"""The maximum of many rows, its place, and the rows' sums, in one pass while they are in cache."""

import numpy as np
import torch
from jaxtyping import Float, Float64, Int32
from torch import Tensor

from adacross.ops.compiler import kernel

_ROWS = 512  # of z, that a thread works on at a time, or one group
_CHANNELS = 256
_FLUSH = 32  # rows whose sums are float32


def maxima(
    z: Float[Tensor, "G n C"], last: bool
) -> tuple[Float[Tensor, "G C"], Int32[Tensor, "G C"], Float64[Tensor, "2 C"]]:
    """Compute `ops.fused.maxima.maxima`."""
    G, n, C = z.shape
    together = max(1, _ROWS // n)
    best, chosen = z.new_empty(G, C), torch.empty(G, C, dtype=torch.int32)
    sums = torch.empty(-(-G // together), 2, C, dtype=torch.float64)
    arrays = (z, best, chosen, sums)
    _maxima.over(len(sums) * -(-C // _CHANNELS), *(each.detach().numpy() for each in arrays), together, last)
    return best, chosen, sums.sum(0)


@kernel
def _maxima(
    first: int,
    last: int,
    z: np.ndarray,
    best: np.ndarray,
    chosen: np.ndarray,
    sums: np.ndarray,
    together: int,
    backwards: bool,
) -> None:
    """Fill in `best`, `chosen` and `sums`, the latter for so many groups together.

    Rows are read backwards where the last of equal maxima is wanted: the first one read is kept.
    """
    G, n, C = z.shape
    # One array of a size known to the compiler, which vectorizes because nothing else can overlap it.
    greatest, place, total, square = np.empty((4, _CHANNELS), np.float32)
    for row in range(first, last):
        block, c0 = row % len(sums), row // len(sums) * _CHANNELS
        width = min(_CHANNELS, C - c0)
        to_total, to_square = sums[block, 0, c0:], sums[block, 1, c0:]
        for c in range(width):
            to_total[c] = 0
            to_square[c] = 0
        for g in range(block * together, min((block + 1) * together, G)):
            start, step = (n - 1, -1) if backwards else (0, 1)
            for c in range(width):
                greatest[c] = -np.inf
                place[c] = start
                total[c] = 0
                square[c] = 0
            i = 0
            while i < n:
                stop = min(i + _FLUSH, n)
                while i + 4 <= stop:
                    r0 = start + step * i
                    r1, r2, r3 = r0 + step, r0 + 2 * step, r0 + 3 * step
                    z0, z1, z2, z3 = z[g, r0, c0:], z[g, r1, c0:], z[g, r2, c0:], z[g, r3, c0:]
                    p0, p1, p2, p3 = np.float32(r0), np.float32(r1), np.float32(r2), np.float32(r3)
                    for c in range(width):
                        x0, x1, x2, x3 = z0[c], z1[c], z2[c], z3[c]
                        total[c] += (x0 + x1) + (x2 + x3)
                        square[c] += (x0 * x0 + x1 * x1) + (x2 * x2 + x3 * x3)
                        x, p = greatest[c], place[c]
                        p = p0 if x0 > x else p
                        x = x0 if x0 > x else x
                        p = p1 if x1 > x else p
                        x = x1 if x1 > x else x
                        p = p2 if x2 > x else p
                        x = x2 if x2 > x else x
                        p = p3 if x3 > x else p
                        x = x3 if x3 > x else x
                        greatest[c], place[c] = x, p
                    i += 4
                while i < stop:
                    r0 = start + step * i
                    z0, p0 = z[g, r0, c0:], np.float32(r0)
                    for c in range(width):
                        x0, x, p = z0[c], greatest[c], place[c]
                        total[c] += x0
                        square[c] += x0 * x0
                        place[c] = p0 if x0 > x else p
                        greatest[c] = x0 if x0 > x else x
                    i += 1
                for c in range(width):
                    to_total[c] += total[c]
                    to_square[c] += square[c]
                for c in range(width):  # no comparison finds what is not a number, but its square remains
                    greatest[c] = greatest[c] if square[c] == square[c] else np.nan
                    total[c] = 0
                    square[c] = 0
            to_best, to_chosen = best[g, c0:], chosen[g, c0:]
            for c in range(width):
                to_best[c] = greatest[c]
            for c in range(width):
                to_chosen[c] = np.int32(place[c])
