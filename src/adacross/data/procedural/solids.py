"""Boxes, cylinders and other common solids."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64

from adacross.data.procedural.curves import Number, circle
from adacross.data.procedural.kit import SEGMENTS, Solid, lathe, loft, rotation


def tapered_box(
    bottom: Sequence[Number], top: Sequence[Number], height: Number, shift: Number = 0.0
) -> Solid:
    """Return a box on y = 0 whose `(x, z)` size goes from `bottom` to `top`, which is moved along z."""
    corners = np.array(((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)))
    rings = np.zeros((2, 4, 3))
    rings[0, :, ::2], rings[1, :, ::2] = corners * np.array(bottom), corners * np.array(top)
    rings[1] += (0.0, height, shift)
    return loft(rings)


def box(x: Number, y: Number, z: Number) -> Solid:
    """Return a box of this size standing on y = 0, centered in x and z."""
    return tapered_box((x, z), (x, z), y)


def frustum(bottom: Number, top: Number, height: Number, segments: int = SEGMENTS) -> Solid:
    """Return a truncated cone of two radii standing on y = 0."""
    return lathe(((bottom, 0.0), (top, height)), segments)


def cylinder(radius: Number, height: Number, segments: int = SEGMENTS) -> Solid:
    """Return a cylinder standing on y = 0."""
    return frustum(radius, radius, height, segments)


def torus(radius: Number, thickness: Number, segments: int = SEGMENTS, sides: int = 10) -> Solid:
    """Return a torus about y, centered at the origin; `thickness` is the radius of its tube."""
    return lathe(circle(sides) * thickness + (radius, 0.0), segments, wrap=True)


def ellipsoid(x: Number, y: Number, z: Number, segments: int = SEGMENTS) -> Solid:
    """Return an ellipsoid with these half axes, centered at the origin."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    profile = np.stack((np.cos(latitude), np.sin(latitude)), 1)
    profile[[0, -1], 0] = 0.0
    return lathe(profile, segments).scale(x, y, z)


def rounded_box(x: Number, y: Number, z: Number, radius: Number, steps: int = 2) -> Solid:
    """Return a box standing on y = 0, rounded by a radius that is kept below 49 % of the smallest size."""
    half = np.array((x, y, z)) / 2
    radius = min(radius, 0.98 * float(half.min()))
    ramp = np.linspace(0.0, 1.0, steps + 1)  # entries beyond 1 lie in a corner's rounding
    grid, faces = cube_grid((*(-2.0 + ramp), *(2.0 - ramp[::-1])))
    core = np.sign(grid) * (half - radius)
    offset = np.sign(grid) * np.maximum(np.abs(grid) - 1.0, 0.0)
    offset *= radius / np.linalg.norm(offset, axis=1, keepdims=True)
    return Solid(core + offset + (0.0, y / 2, 0.0), faces)


@lru_cache(maxsize=8)
def cube_grid(line: tuple[float, ...]) -> tuple[Float64[np.ndarray, "V 3"], Int64[np.ndarray, "F 3"]]:
    """Return the six unwelded sides of a cube as grids whose lines lie at `line`, its ends the cube's."""
    u, v = (axis.ravel() for axis in np.meshgrid(line, line, indexing="ij"))
    side = np.stack((u, v, np.full_like(u, line[-1])), 1)
    index = np.arange(len(line) ** 2).reshape(len(line), -1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    quads = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    turns = [np.eye(3), *(rotation("x", k * np.pi / 2) for k in (1, 2, 3))]
    turns += [rotation("y", np.pi / 2), rotation("y", -np.pi / 2)]
    vertices = np.concatenate([side @ np.rint(turn).T for turn in turns])
    return vertices, np.concatenate([quads + k * len(side) for k in range(6)])
