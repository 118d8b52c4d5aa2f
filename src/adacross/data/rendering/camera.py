"""Pinhole cameras around an object, y up."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float, Float64, Int64

from adacross.errors import UserError

FIELD_OF_VIEW = 35.0
ELEVATIONS = (25.0, 30.0)
_ROUNDING = 0.01  # pixels
_BESIDE = 1e-6  # depth, below which projecting says nothing


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that takes square images, y up; `target` lands in the middle."""

    position: tuple[float, float, float]
    target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    field_of_view: float = FIELD_OF_VIEW

    @cached_property
    def rotation(self) -> Float64[np.ndarray, "3 3"]:
        """World to camera, `(3, 3)`: the rows are the camera's right, up and backward directions."""
        backward = np.subtract(self.position, self.target)
        backward = backward / np.linalg.norm(backward)
        right = np.cross((0.0, 1.0, 0.0), backward)
        if np.linalg.norm(right) < 1e-9:  # straight from above or below: any horizontal direction will do
            right = np.array((1.0, 0.0, 0.0))
        right = right / np.linalg.norm(right)
        rotation = np.stack([right, np.cross(backward, right), backward])
        rotation.flags.writeable = False
        return rotation

    @property
    def slope(self) -> float:
        """Tangent of half the field of view: half the picture's width at distance 1."""
        return math.tan(math.radians(self.field_of_view) / 2)

    def view(self, points: Float[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
        """Return world points `(N, 3)` in camera coordinates: x right, y up, z backward (seen: z < 0)."""
        return (points - np.array(self.position)) @ self.rotation.T

    def homogeneous(self, points: Float[np.ndarray, "N 3"], size: int) -> Float64[np.ndarray, "N 3"]:
        """Return `(x w, y w, w)` of world points: integer x, y are a pixel's center, w is the depth.

        A point with w <= 0 is behind the camera, which is why the division is left to the caller.
        """
        seen = self.view(points)
        w = -seen[:, 2]
        x = (seen[:, 0] / self.slope + w) * (size / 2) - 0.5 * w
        y = (w - seen[:, 1] / self.slope) * (size / 2) - 0.5 * w
        return np.stack([x, y, w], axis=1)

    def surroundings(self, points: Float[np.ndarray, "N 3"], size: int) -> Int64[np.ndarray, " P"]:
        """Return the pixels that a shape with these corners may touch, as flat indices, ascending.

        They touch the octagon around the projected points; all, if a point is beside or behind the camera.
        """
        if len(points) == 0:
            return np.zeros(0, dtype=np.int64)
        x, y, w = self.homogeneous(points, size).T
        if not w.min() > _BESIDE:
            return np.arange(size * size)
        x, y = x / w, y / w
        half, whole = 0.5 + _ROUNDING, 1 + _ROUNDING  # how far a pixel's square reaches along, and across
        rows = np.arange(size)
        rising, falling = x + y, x - y
        left = np.maximum(rising.min() - whole - rows, falling.min() - whole + rows).clip(x.min() - half)
        right = np.minimum(rising.max() + whole - rows, falling.max() + whole + rows)
        right = np.minimum(right, x.max() + half)
        right[(rows < y.min() - half) | (rows > y.max() + half)] = -1
        columns = np.arange(size)
        return np.flatnonzero((columns >= left[:, None]) & (columns <= right[:, None]))

    def rays(self, size: int, pixels: np.ndarray | None = None) -> Float[np.ndarray, "R 3"]:
        """Return world directions `(R, 3)` through the centers of pixels, row * size + column (None for all).

        A direction advances one unit along the camera's axis, so the ray's parameter at a hit is the depth.
        """
        grid = _grid(size)
        chosen = grid if pixels is None else grid.take(pixels, axis=0)
        scale = np.array([[self.slope], [self.slope], [1.0]])
        return chosen @ (scale * self.rotation).astype(np.float32)


@lru_cache(maxsize=8)
def _grid(size: int) -> Float[np.ndarray, "R 3"]:
    """Pixel centers as `(x, y, -1)` with x, y in -1..1: the same for every camera, so made once."""
    steps = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    grid = np.stack([*np.meshgrid(steps, -steps), np.full((size, size), -1, np.float32)], axis=2)
    grid.flags.writeable = False
    return grid.reshape(-1, 3)


def orbit(views: int, rng: np.random.Generator | None = None) -> list[Camera]:
    """Return cameras around the y axis that all hold the unit sphere exactly.

    Azimuths are one full turn in equal steps, elevations 25 to 30 degrees, as in the ShapeNet renderings of
    3D-R2N2 (Choy et al., ECCV 2016) that the methods were published with. Field of view and distance are our
    choice: the unit sphere touches the image's borders and is never cut. `rng` draws each azimuth within its
    step and each elevation; None starts 30 degrees right of the front, at elevation 27.5.
    """
    if views < 1:
        raise UserError(f"views is {views}; a shape needs at least 1 view.")
    low, high = ELEVATIONS
    shift = np.full(views, views / 12) if rng is None else rng.random(views)
    elevation = np.full(views, (low + high) / 2) if rng is None else rng.uniform(low, high, views)
    azimuth = 2 * np.pi * (np.arange(views) + shift) / views
    height = np.radians(elevation)
    flat = np.cos(height)
    directions = np.stack([np.sin(azimuth) * flat, np.sin(height), np.cos(azimuth) * flat], axis=1)
    distance = 1 / math.sin(math.radians(FIELD_OF_VIEW) / 2)
    return [Camera((float(x), float(y), float(z))) for x, y, z in directions * distance]
