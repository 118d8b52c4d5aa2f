"""A closed triangle surface and what can be done to any: move, turn, scale, join, measure."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from adacross.data.procedural.curves import Number

Axis = Literal["x", "y", "z"]


@dataclass(frozen=True, eq=False)
class Solid:
    """A closed triangle surface, wound outward.

    Attributes:
        vertices: `(V, 3)` coordinates.
        faces: `(F, 3)` vertex indices.
    """

    vertices: Float64[np.ndarray, "V 3"]
    faces: Int64[np.ndarray, "F 3"]

    def at(self, x: Number = 0.0, y: Number = 0.0, z: Number = 0.0) -> "Solid":
        """Return the solid moved by `(x, y, z)`."""
        return Solid(self.vertices + np.array((x, y, z)), self.faces)

    def turn(self, axis: Axis, angle: Number) -> "Solid":
        """Return the solid turned about a coordinate axis by the right-hand rule."""
        return Solid(self.vertices @ rotation(axis, angle).T, self.faces)

    def scale(self, x: Number = 1.0, y: Number = 1.0, z: Number = 1.0) -> "Solid":
        """Return the solid scaled along the axes; an odd number of mirrors keeps the winding outward."""
        faces = self.faces if x * y * z > 0 else self.faces[:, ::-1].copy()
        return Solid(self.vertices * np.array((x, y, z)), faces)


def rotation(axis: Axis, angle: Number) -> Float64[np.ndarray, "3 3"]:
    """Return the matrix that turns column vectors about `axis` by `angle`."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def join(*solids: Solid) -> Solid:
    """Put several solids into one, without welding or cutting where they overlap."""
    offsets = np.cumsum([0] + [len(solid.vertices) for solid in solids[:-1]])
    faces = [solid.faces + offset for solid, offset in zip(solids, offsets, strict=True)]
    return Solid(np.concatenate([solid.vertices for solid in solids]), np.concatenate(faces))


def volume(solid: Solid) -> float:
    """Return the enclosed volume by the divergence theorem, negative where the winding points inward."""
    vertices = solid.vertices - solid.vertices[0]
    a, b, c = vertices[solid.faces].transpose(1, 2, 0)
    triple = a[0] * (b[1] * c[2] - b[2] * c[1])
    triple += a[1] * (b[2] * c[0] - b[0] * c[2])
    triple += a[2] * (b[0] * c[1] - b[1] * c[0])
    return float(triple.sum()) / 6.0
