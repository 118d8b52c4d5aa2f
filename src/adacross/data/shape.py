"""Shapes: a mesh, a point cloud, and a prepared shape of a collection."""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, UInt8

Axis = Literal["x", "y", "z"]
Split = Literal["train", "test"]


class BrokenShapeError(ValueError):
    """One item cannot become a shape. The message is the reason that tables show beside its name."""


def _rendered(shape: "Mesh | PointCloud | Shape") -> str:
    """Return a rendered image as HTML, for notebooks; by name, because rendering lies above shapes."""
    html: str = resolve_name("adacross.data.rendering.notebook:shape_html")(shape)
    return html


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh, in the frame of its source.

    Attributes:
        vertices: `(V, 3)` coordinates, any unit.
        faces: `(F, 3)` vertex indices.
        face_colors: `(F, 3)` RGB, or None where the file has no color.
        face_parts: `(F,)` index into `part_names`, or None.
        part_names: names of the parts that `face_parts` points to.
        warnings: what is unusual about it, a sentence each.
        unit: of the coordinates ("mm", "m", "in", ...), "" where the file does not say.
        face_bodies: `(F,)` number of the body, a part in one of its places; or None.

    Example:
        >>> Mesh(np.eye(3), np.array([[0, 1, 2]])).faces.shape
        (1, 3)
    """

    vertices: Float64[np.ndarray, "V 3"]
    faces: Int64[np.ndarray, "F 3"]
    face_colors: UInt8[np.ndarray, "F 3"] | None = None
    face_parts: Int64[np.ndarray, " F"] | None = None
    part_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unit: str = ""
    face_bodies: Int64[np.ndarray, " F"] | None = None

    _repr_html_ = _rendered


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points on a surface, in the frame of their source.

    Attributes:
        points: `(N, 3)` coordinates, any unit; float64 where the source has more digits than float32 holds.
        normals: `(N, 3)` unit normals, or None.
        colors: `(N, 3)` RGB, or None.
        part: `(N,)` index into `part_names`, -1 for none; or None.
        part_names: names of the parts that `part` points to.
        warnings: what is unusual about it, a sentence each.

    Example:
        >>> len(PointCloud(np.zeros((5, 3), np.float32))[np.arange(2)].points)
        2
    """

    points: Float[np.ndarray, "N 3"]
    normals: Float32[np.ndarray, "N 3"] | None = None
    colors: UInt8[np.ndarray, "N 3"] | None = None
    part: Int64[np.ndarray, " N"] | None = None
    part_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __getitem__(self, rows: Int64[np.ndarray, " n"]) -> "PointCloud":
        """Return some of the points, with all that belongs to them."""
        normals, colors, part = (
            None if column is None else column[rows] for column in (self.normals, self.colors, self.part)
        )
        return PointCloud(self.points[rows], normals, colors, part, self.part_names, self.warnings)

    _repr_html_ = _rendered


@dataclass(frozen=True, eq=False)
class Shape:
    """One prepared object of a collection."""

    id: str  # unique within its collection; the source's relative path or index
    points: Float32[np.ndarray, "N 3"]  # y up, centroid 0, largest norm 1
    split: Split  # pre-training reads "train" only
    label: int | None  # index into the collection's classes
    part: Int64[np.ndarray, " N"] | None  # index into the collection's parts
    views: UInt8[np.ndarray, "V H W 3"]  # images, RGB

    _repr_html_ = _rendered
