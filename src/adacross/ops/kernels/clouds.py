"""Augmentation of clouds: unit sphere, scale, turn about the up axis, shift, noise, dropout."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from adacross.ops.compiler import FAST_MATH, Kernel


def augment_clouds(
    points: Float[Tensor, "B N 3"],
    scale: Float[Tensor, " B"],
    angle: Float[Tensor, " B"],
    shift: Float[Tensor, "B 3"],
    noise: Float[Tensor, "B N 3"],
    rate: Float[Tensor, " B"],
    draws: Float[Tensor, "B N"],
    std: float,
    clip: float,
) -> Float[Tensor, "B N 3"]:
    """Return clouds changed by what was drawn for them, as `data.transforms.augment_points` does.

    Args:
        points: `(B, N, 3)`, y up.
        scale: of each cloud in the unit sphere.
        angle: of its turn about +y in radians.
        shift: along each axis in parts of the turned cloud's extent.
        noise: standard normal numbers, which are multiplied by `std` and clipped at `clip` on both sides.
        rate: a point whose draw is below it takes the place of the cloud's point 0.
        draws: 0 to 1, one a point.
    """
    augmented = torch.empty_like(points, memory_format=torch.contiguous_format)
    numbers = torch.column_stack([scale, angle.cos(), angle.sin(), rate, shift])
    limits = np.array([std, clip], dtype=np.float32)
    arrays: list[Any] = [each.detach().contiguous().numpy() for each in (points, numbers, noise, draws)]
    _augment.over(len(points), *arrays, limits, augmented.numpy())
    return augmented


def _augment_rows(
    first: int,
    last: int,
    points: np.ndarray,
    numbers: np.ndarray,
    noise: np.ndarray,
    draws: np.ndarray,
    limits: np.ndarray,
    augmented: np.ndarray,
) -> None:
    """Fill in `augmented`: one pass each for the centroid, the radius, the extent and the result.

    In between a cloud lies in three arrays, one a coordinate, that stay in the cache.
    """
    size = points.shape[1]
    x, y, z = np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, np.float32)
    std, clip = limits
    for b in range(first, last):
        stored, jitter, out = points[b], noise[b], augmented[b]
        mx = my = mz = np.float32(0)
        for i in range(size):
            x[i], y[i], z[i] = stored[i, 0], stored[i, 1], stored[i, 2]
            mx += x[i]
            my += y[i]
            mz += z[i]
        mx, my, mz = mx / np.float32(size), my / np.float32(size), mz / np.float32(size)
        radius = np.float32(0)
        for i in range(size):
            x[i], y[i], z[i] = x[i] - mx, y[i] - my, z[i] - mz
            radius = max(radius, x[i] * x[i] + y[i] * y[i] + z[i] * z[i])
        scale, cos, sin, rate, sx, sy, sz = numbers[b]
        scale = scale / max(np.sqrt(radius), _TINY)
        cos, sin = scale * cos, scale * sin
        lx = ly = lz = np.float32(np.inf)
        ux = uy = uz = np.float32(-np.inf)
        for i in range(size):
            px, py, pz = cos * x[i] + sin * z[i], scale * y[i], cos * z[i] - sin * x[i]
            x[i], y[i], z[i] = px, py, pz
            lx, ly, lz = min(lx, px), min(ly, py), min(lz, pz)
            ux, uy, uz = max(ux, px), max(uy, py), max(uz, pz)
        sx, sy, sz = sx * (ux - lx), sy * (uy - ly), sz * (uz - lz)
        px = x[0] + sx + min(max(std * jitter[0, 0], -clip), clip)
        py = y[0] + sy + min(max(std * jitter[0, 1], -clip), clip)
        pz = z[0] + sz + min(max(std * jitter[0, 2], -clip), clip)
        for i in range(size):
            kept = draws[b, i] >= rate
            out[i, 0] = x[i] + sx + min(max(std * jitter[i, 0], -clip), clip) if kept else px
            out[i, 1] = y[i] + sy + min(max(std * jitter[i, 1], -clip), clip) if kept else py
            out[i, 2] = z[i] + sz + min(max(std * jitter[i, 2], -clip), clip) if kept else pz


_TINY = np.finfo(np.float32).tiny
# Without NaN maxima take vector instructions; a NaN is passed on all the same, and nothing is indexed by one.
_augment = Kernel(_augment_rows, FAST_MATH | {"nnan"})
