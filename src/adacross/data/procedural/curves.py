"""Curves that the solids are built from, and the dice that vary them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

T = TypeVar("T")
Rng = np.random.Generator
Number = float | int  # both: a checker at run time tells them apart, unlike mypy
# points of a path, a profile or an outline
Curve = NDArray[np.float64] | Sequence[Sequence[Number] | NDArray[np.float64]]


def chance(rng: Rng, probability: float) -> bool:
    """Return True with this probability."""
    return bool(rng.random() < probability)


def pick(rng: Rng, options: Sequence[T]) -> T:
    """Return one of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


@lru_cache(maxsize=64)
def circle(count: int) -> Float64[np.ndarray, "S 2"]:
    """Return `count` corners of the unit circle, counter-clockwise; read-only because it is shared."""
    angle = np.arange(count) * (2 * np.pi / count)
    points = np.stack((np.cos(angle), np.sin(angle)), 1)
    points.flags.writeable = False
    return points


def arc(radius: float, start: float, stop: float, count: int = 10) -> Float64[np.ndarray, "K 2"]:
    """Return points on a circle about the origin from angle `start` to `stop`, both included."""
    angle = np.linspace(start, stop, count)
    return radius * np.stack((np.cos(angle), np.sin(angle)), 1)


@lru_cache(maxsize=64)
def _catmull_rom(points: int, count: int) -> Float64[np.ndarray, "count points"]:
    """Weights of the Catmull-Rom spline through `points` knots at `count` even parameters."""
    t = np.linspace(0.0, points - 1.0, count)
    knot = np.minimum(t.astype(int), points - 2)
    f = (t - knot)[:, None]
    f2, f3 = f**2, f**3
    basis = np.concatenate((-f + 2 * f2 - f3, 2 - 5 * f2 + 3 * f3, f + 4 * f2 - 3 * f3, f3 - f2), 1)
    weights = np.zeros((count, points + 2))
    weights[np.arange(count)[:, None], knot[:, None] + np.arange(4)] = basis / 2
    # The two knots beyond the ends continue straight: p[-1] = 2 p[0] - p[1].
    inner = weights[:, 1:-1].copy()
    inner[:, 0] += 2 * weights[:, 0]
    inner[:, 1] -= weights[:, 0]
    inner[:, -1] += 2 * weights[:, -1]
    inner[:, -2] -= weights[:, -1]
    return inner


def smooth(points: Curve, count: int = 12) -> Float64[np.ndarray, "count D"]:
    """Return `count` points of the Catmull-Rom spline through two or more knots `(K, D)`, ends included."""
    knots = np.asarray(points, dtype=np.float64)
    return _catmull_rom(len(knots), count) @ knots


def regular(sides: int, radius: float, count: int) -> Float64[np.ndarray, "count 2"]:
    """Return a regular polygon as `count` points at even angles, so that they pair with `circle(count)`."""
    angle = np.arange(count) * (2 * np.pi / count)
    within = np.mod(angle, 2 * np.pi / sides) - np.pi / sides
    reach = radius * np.cos(np.pi / sides) / np.cos(within)
    return circle(count) * reach[:, None]
