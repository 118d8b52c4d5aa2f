"""Pinhole cameras around an object, y up."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from adacross.errors import UserError

FIELD_OF_VIEW = 35.0
ELEVATIONS = (25.0, 30.0)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that takes square images, y up; the origin lands in the middle."""

    position: tuple[float, float, float]
    # tangent of half the field of view: half an image's width at distance 1
    slope: ClassVar[float] = math.tan(math.radians(FIELD_OF_VIEW) / 2)

    @cached_property
    def rotation(self) -> Float64[np.ndarray, "3 3"]:
        """World to camera, `(3, 3)`: the rows are the camera's right, up and backward directions."""
        backward = np.array(self.position)
        backward = backward / np.linalg.norm(backward)
        x, y, z = backward.tolist()
        right = np.array((z, 0.0, -x))  # the y axis x backward, without the costs of np.cross
        if np.linalg.norm(right) < 1e-9:  # straight from above or below: any horizontal direction will do
            right = np.array((1.0, 0.0, 0.0))
        right = right / np.linalg.norm(right)
        across, _, away = right.tolist()
        up = (y * away, z * across - x * away, -y * across)  # backward x right
        rotation = np.stack([right, up, backward])
        rotation.flags.writeable = False
        return rotation

    def projection(self, size: int) -> Float64[np.ndarray, "3 4"]:
        """Return the matrix that takes a world point (x, y, z, 1) to (column w, row w, w), with w its depth.

        Whole columns and rows are the centers of an image's `size` pixels. A point with w <= 0 is behind the
        camera, which is why the division is left to the caller.
        """
        right, up, backward = self.rotation
        column = (right / self.slope - backward) * (size / 2) + 0.5 * backward
        row = -(backward + up / self.slope) * (size / 2) + 0.5 * backward
        turn = np.stack([column, row, -backward])
        return np.concatenate([turn, -turn @ np.array(self.position)[:, None]], axis=1)


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
