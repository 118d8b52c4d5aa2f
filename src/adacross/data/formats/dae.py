"""COLLADA: scenes in XML, read by pycollada."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import NoneType
from typing import Any
from urllib.parse import unquote

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from adacross.data.formats.archives import read_bytes
from adacross.data.formats.base import optional
from adacross.data.formats.polygons import color_bytes, mean_colors, triangulate
from adacross.data.formats.scene import Allowance, Part, Texture, beside, content_of, joined, texture_beside
from adacross.data.sampling import to_y_up
from adacross.data.shape import Axis, BrokenShapeError, Mesh, PointCloud

_UNITS = {0.001: "mm", 0.01: "cm", 1.0: "m", 0.0254: "in", 0.3048: "ft"}  # by their length in meters
_UP: dict[str, Axis] = {"X_UP": "x", "Z_UP": "z"}


def read_dae(path: Path) -> Mesh | PointCloud:
    """Read a COLLADA file as one mesh in the file's own unit, turned to y up as the file says.

    Its parts are its geometries, by name. Colors of textures, vertices and materials are kept. Raises
    BrokenShapeError if the file is damaged or has no faces, or without pycollada.
    """
    collada = optional("collada", "COLLADA files are read by pycollada, which is not installed", "cad")
    common = collada.common
    with content_of(path, common.DaeError) as data:
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise BrokenShapeError("its XML declares a document type, which is not read")
        ignored = [common.DaeUnsupportedError, common.DaeBrokenRefError]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses numpy's matrices
            file = collada.Collada(
                BytesIO(data), ignore=ignored, aux_file_loader=lambda name: read_bytes(beside(path, name))
            )
            remarks: dict[str, None] = {}  # in order, each once
            parts = list(_parts(file, path.resolve().parent, len(data), remarks))
        up = _UP.get(str(file.assetInfo.upaxis), "y")
        unit = _UNITS.get(round(float(file.assetInfo.unitmeter or 1), 6), "")
    return joined([replace(part, vertices=to_y_up(part.vertices, up)) for part in parts], unit, [*remarks])


def _parts(file: Any, folder: Path, size: int, remarks: dict[str, None]) -> Iterator[Part]:
    """Yield the faces of the scene where it places them, and remark on what is passed over."""
    allowance = Allowance(size)
    textures: dict[str, Texture] = {}
    for number, geometry in enumerate(file.scene.objects("geometry") if file.scene else ()):
        name = str(geometry.original.name or geometry.original.id)
        for primitive in geometry.primitives():
            kind = type(primitive).__name__
            if kind not in ("BoundTriangleSet", "BoundPolylist", "BoundPolygons") or primitive.vertex is None:
                remarks["lines are passed over"] = None
                continue
            vertices = np.asarray(primitive.vertex, dtype=np.float64).reshape(-1, 3)
            corners = np.asarray(primitive.vertex_index, dtype=np.int64).reshape(-1)
            sizes = np.full(len(corners) // 3, 3)
            if kind != "BoundTriangleSet":
                sizes = np.diff(np.asarray(primitive.polyindex, dtype=np.int64).reshape(-1, 2))[:, 0]
            allowance.take(len(vertices) + len(corners))
            cut = triangulate(vertices, corners, sizes)
            remarks |= dict.fromkeys(cut.warnings)
            colors = _colors(primitive, cut.places, folder, textures, remarks)
            yield Part(name, vertices, corners[cut.places], colors, place=(number,))


def _colors(
    primitive: Any,
    wedges: Int64[np.ndarray, "F 3"],
    folder: Path,
    textures: dict[str, Texture],
    remarks: dict[str, None],
) -> UInt8[np.ndarray, "F 3"] | None:
    """Return the faces' colors: of a texture, the corners or the material; None where there are none."""
    diffuse = getattr(getattr(primitive.material, "effect", None), "diffuse", None)
    sources = primitive.original.sources
    if not isinstance(diffuse, tuple | NoneType):
        name = unquote(str(diffuse.sampler.surface.image.path)).removeprefix("file://")
        texture = textures[name] = textures.get(name) or texture_beside(folder, name)
        remarks |= dict.fromkeys(texture.warnings)
        wanted = (primitive.inputmap or {}).get(diffuse.texcoord, ("", "0"))[1]
        inputs = sorted(sources.get("TEXCOORD", ()), key=lambda given: given[3] != wanted)
        if texture.pixels is not None and inputs:
            return texture.at(_of_corners(primitive, inputs[0])[wedges][..., :2])
    if inputs := sources.get("COLOR"):
        fractions = _of_corners(primitive, inputs[0])[:, :3]
        return mean_colors(color_bytes(fractions, whole=False), wedges)
    if not isinstance(diffuse, tuple):
        return None
    return np.tile(color_bytes(np.array([diffuse[:3]], dtype=np.float64), whole=False), (len(wedges), 1))


def _of_corners(primitive: Any, given: tuple[Any, ...]) -> Float64[np.ndarray, "C n"]:
    """Return what an input of a primitive gives to each corner."""
    data = np.asarray(given[4].data, dtype=np.float64)
    index = np.asarray(primitive.index, dtype=np.int64)
    return data[index.reshape(-1, index.shape[-1])[:, given[0]]]
