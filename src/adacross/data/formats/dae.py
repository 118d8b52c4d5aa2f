"""COLLADA: scenes in XML, read by pycollada."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from adacross.data.formats.archives import read_bytes
from adacross.data.formats.polygons import check_corners
from adacross.data.formats.scene import Allowance, Part, beside, content_of, joined
from adacross.data.sampling import to_y_up
from adacross.data.shape import Axis, BrokenShapeError, Mesh, PointCloud
from adacross.errors import install, one_line

_UNITS = {0.001: "mm", 0.01: "cm", 1.0: "m", 0.0254: "in", 0.3048: "ft"}  # by their length in meters
_UP: dict[str, Axis] = {"X_UP": "x", "Z_UP": "z"}


def read_dae(path: Path) -> Mesh | PointCloud:
    """Read a COLLADA file as one mesh in the file's own unit, turned to y up as the file says.

    Its parts are its geometries, by name. Colors of materials are kept, those of textures and vertices are
    not. Raises BrokenShapeError if the file is damaged or has no faces, or without pycollada.
    """
    try:
        from collada import Collada, common
    except ImportError:
        raise BrokenShapeError(
            f"COLLADA files are read by pycollada, which is not installed. {install('cad')}"
        ) from None
    with content_of(path) as data:
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise BrokenShapeError("its XML declares a document type, which is not read")
        ignored = [common.DaeUnsupportedError, common.DaeBrokenRefError]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses numpy's matrices
            try:
                file = Collada(
                    BytesIO(data), ignore=ignored, aux_file_loader=lambda name: read_bytes(beside(path, name))
                )
                remarks: dict[str, None] = {}  # in order, each once
                parts = list(_parts(file, len(data), remarks))
            except common.DaeError as error:
                raise BrokenShapeError(f"not a readable DAE file ({one_line(error, 200)})") from error
        up = _UP.get(str(file.assetInfo.upaxis), "y")
        unit = _UNITS.get(round(float(file.assetInfo.unitmeter or 1), 6), "")
    return joined([replace(part, vertices=to_y_up(part.vertices, up)) for part in parts], unit, [*remarks])


def _parts(file: Any, size: int, remarks: dict[str, None]) -> Iterator[Part]:
    """Yield the triangles of the scene where it places them, and remark on what is passed over."""
    allowance = Allowance(size)
    for geometry in file.scene.objects("geometry") if file.scene else ():
        name = str(geometry.original.name or geometry.original.id)
        for primitive in geometry.primitives():
            triangles = primitive.triangleset() if hasattr(primitive, "triangleset") else primitive
            if type(triangles).__name__ != "BoundTriangleSet" or triangles.vertex_index is None:
                remarks["lines are passed over"] = None
                continue
            vertices = np.asarray(triangles.vertex, dtype=np.float64).reshape(-1, 3)
            faces = np.asarray(triangles.vertex_index, dtype=np.int64).reshape(-1, 3)
            check_corners(faces, len(vertices))
            allowance.take(len(vertices) + faces.size)
            diffuse = getattr(getattr(primitive.material, "effect", None), "diffuse", None)
            if not isinstance(diffuse, tuple | NoneType):
                remarks["its textures are passed over"] = None
            yield Part(name, vertices, faces, _colors(diffuse, faces))


def _colors(diffuse: Any, faces: Int64[np.ndarray, "F 3"]) -> UInt8[np.ndarray, "F 3"] | None:
    """Return the diffuse color of a material for each face, or None where it is none."""
    if not isinstance(diffuse, tuple):
        return None
    color = (255 * np.nan_to_num(np.array(diffuse[:3], dtype=np.float64)).clip(0, 1)).round()
    return np.tile(color.astype(np.uint8), (len(faces), 1))
