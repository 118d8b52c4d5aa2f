"""The passes over the product that a maximum and a mean over points take, besides `maxima`."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from adacross.ops.compiler import kernel

_ROWS = 256  # that a thread works on at a time
_CHANNELS = 256


def positives(
    z: Float[Tensor, "B N C"], threshold: Float[Tensor, " C"]
) -> tuple[Float[Tensor, "B C"], Float[Tensor, "B C"]]:
    """Count the points above the threshold, and sum them."""
    B, _, C = z.shape
    count, above = z.new_empty(B, C), z.new_empty(B, C)
    arrays = (z, threshold, count, above)
    _positives.over(B * -(-C // _CHANNELS), *(each.numpy() for each in arrays))
    return count, above


def gradient(
    z: Float[Tensor, "B N C"],
    threshold: Float[Tensor, " C"],
    levels: tuple[Float[Tensor, "B C"], Float[Tensor, "B C"]],
    growth: Float[Tensor, " C"],
    chosen: Int[Tensor, "B C"],
    to_best: Float[Tensor, "B C"],
) -> Float[Tensor, "B N C"]:
    """Make z's gradient: the first level or, above the threshold, the second; growth * z; the maximum's."""
    B, N, _ = z.shape
    to_z = torch.empty_like(z)
    arrays = (z, torch.stack([threshold, growth]), torch.stack([*levels, to_best], 1), chosen, to_z)
    _gradient.over(B * -(-N // _ROWS), *(each.contiguous().numpy() for each in arrays))
    return to_z


@kernel
def _positives(
    first: int, last: int, z: np.ndarray, threshold: np.ndarray, count: np.ndarray, above: np.ndarray
) -> None:
    """Fill in the last two."""
    B, N, C = z.shape
    zero, one = np.float32(0), np.float32(1)
    number, total = np.empty((2, _CHANNELS), np.float32)
    for row in range(first, last):
        b, c0 = row % B, row // B * _CHANNELS
        width = min(_CHANNELS, C - c0)
        limit = threshold[c0:]
        for c in range(width):
            number[c] = 0
            total[c] = 0
        i = 0
        while i + 4 <= N:
            z0, z1, z2, z3 = z[b, i, c0:], z[b, i + 1, c0:], z[b, i + 2, c0:], z[b, i + 3, c0:]
            for c in range(width):
                t, x0, x1, x2, x3 = limit[c], z0[c], z1[c], z2[c], z3[c]
                n0, n1 = one if x0 > t else zero, one if x1 > t else zero
                n2, n3 = one if x2 > t else zero, one if x3 > t else zero
                number[c] += (n0 + n1) + (n2 + n3)
                x0, x1 = x0 if x0 > t else zero, x1 if x1 > t else zero
                x2, x3 = x2 if x2 > t else zero, x3 if x3 > t else zero
                total[c] += (x0 + x1) + (x2 + x3)
            i += 4
        while i < N:
            z0 = z[b, i, c0:]
            for c in range(width):
                number[c] += one if z0[c] > limit[c] else zero
                total[c] += z0[c] if z0[c] > limit[c] else zero
            i += 1
        to_count, to_above = count[b, c0:], above[b, c0:]
        for c in range(width):
            to_count[c] = number[c]
            to_above[c] = total[c]


@kernel
def _gradient(
    first: int,
    last: int,
    z: np.ndarray,
    affine: np.ndarray,
    clouds: np.ndarray,
    chosen: np.ndarray,
    to_z: np.ndarray,
) -> None:
    """Fill in the last, from threshold and growth `(2, C)`, and levels and the maximum's `(B, 3, C)`."""
    _, N, C = z.shape
    blocks = (N + _ROWS - 1) // _ROWS
    threshold, growth = affine[0], affine[1]
    for row in range(first, last):
        b, start = row // blocks, row % blocks * _ROWS
        stop = min(start + _ROWS, N)
        below, above, to_best = clouds[b, 0], clouds[b, 1], clouds[b, 2]
        for i in range(start, stop):
            given, result = z[b, i], to_z[b, i]
            for c in range(C):
                x, low, high = given[c], below[c], above[c]
                result[c] = (high if x > threshold[c] else low) + growth[c] * x
        for c in range(C):
            place = chosen[b, c]
            if place >= start and place < stop:
                to_z[b, place, c] += to_best[c]
