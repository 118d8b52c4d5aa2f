"""The three things the data floor passes around: a mesh, a cloud, a prepared shape."""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

Split = Literal["train", "test"]


def _rendered(shape: "Mesh | Cloud | Shape") -> str:
    """Return a rendered image as HTML, for notebooks; by name, because rendering lies above shapes."""
    html: str = resolve_name("adacross.data.rendering.notebook:shape_html")(shape)
    return html


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh, y up unless its source says otherwise.

    Attributes:
        vertices: `(V, 3)` coordinates, any unit.
        faces: `(F, 3)` vertex indices.
        face_colors: `(F, 3)` RGB, or None where the file has no colour.
        face_parts: `(F,)` index into `part_names`, or None.
        part_names: names of the parts that `face_parts` points to.
    """

    vertices: Float64[np.ndarray, "V 3"]
    faces: Int64[np.ndarray, "F 3"]
    face_colors: UInt8[np.ndarray, "F 3"] | None = None
    face_parts: Int64[np.ndarray, " F"] | None = None
    part_names: tuple[str, ...] = ()

    _repr_html_ = _rendered


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points on a surface.

    Attributes:
        points: `(N, 3)` coordinates.
        normals: `(N, 3)` unit normals, or None.
        colors: `(N, 3)` RGB, or None.
        part: `(N,)` part index, or None.
    """

    points: Float32[np.ndarray, "N 3"]
    normals: Float32[np.ndarray, "N 3"] | None = None
    colors: UInt8[np.ndarray, "N 3"] | None = None
    part: Int64[np.ndarray, " N"] | None = None

    _repr_html_ = _rendered


@dataclass(frozen=True, eq=False)
class Shape:
    """One prepared object of a collection.

    Attributes:
        id: unique within its collection; the source's relative path or index.
        points: `(N, 3)`, y up, centroid 0, largest norm 1.
        split: "train" or "test"; pre-training reads "train" only.
        label: index into the collection's classes, or None.
        part: `(N,)` index into the collection's parts, or None.
        views: `(V, H, W, 3)` pictures, RGB.
    """

    id: str
    points: Float32[np.ndarray, "N 3"]
    split: Split
    label: int | None
    part: Int64[np.ndarray, " N"] | None
    views: UInt8[np.ndarray, "V H W 3"]

    _repr_html_ = _rendered
