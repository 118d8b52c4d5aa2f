"""One mesh file in, one `Mesh` (of a PLY file without faces one `PointCloud`) out, or the reason why not."""

import io
import json
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import EpsImagePlugin

from adacross.data.formats.off import read_off
from adacross.data.images import FORMATS, IMAGE_ERRORS, LARGEST_SIDE
from adacross.data.shape import Axis, BrokenShapeError, Mesh, PointCloud
from adacross.errors import one_line
from adacross.io.files import read_bytes

# The axis that points up by the format's rule or, where it has none, by habit.
# GLB: y, by its specification. OFF: z, as in ModelNet. OBJ, PLY, STL: y, as most modeling programs export.
UP: dict[str, Axis] = {".glb": "y", ".obj": "y", ".off": "z", ".ply": "y", ".stl": "z"}

GREY = (200, 200, 200)
_TEXTURES = (*FORMATS, "GIF", "TGA", "TIFF", None)  # None: made by trimesh itself
# What trimesh paints a file that names no material, as a color and as a texture: stands for no color.
_UNTOUCHED = ((102, 102, 102), (100, 100, 100))
MOST_MATERIALS = 2_000  # of an OBJ file
MOST_PLACED = 30_000_000  # corners, points and attributes of a GLB file whose nodes share meshes
_MATERIAL = re.compile(rb"^[ \t]*usemtl([^\r\n]*)", re.MULTILINE)

# What trimesh's parsers raise on bytes that are not what they expect. Anything else ends the worker
# process, and the file is named for that.
_PARSER_ERRORS = (*IMAGE_ERRORS, AssertionError, ImportError, NameError)


def read_mesh(path: Path) -> Mesh:
    """Read an OFF, OBJ, PLY, STL or GLB file as one triangle mesh, or raise BrokenShapeError.

    A scene's parts are put where its graph places them. Colors are kept: of faces, of vertices (mean over the
    face), of materials (OBJ's .mtl, GLB's base color), of textures (the texel at the face's center).
    Materials and textures are looked up in the mesh's own folder and below, nowhere else.
    """
    with _reasons(path):
        data = _content(path)
        suffix = path.suffix.lower()
        if suffix == ".off":
            mesh = read_off(data.decode("utf-8", errors="replace"))
        else:
            if suffix == ".glb":
                _check_glb(data)
            promised = _promised_faces(data, suffix)
            is_text = suffix == ".obj" or _is_text_stl(data, suffix)
            mesh = _join(_scene(path, _text(data) if is_text else data))
            if len(mesh.faces) < promised:
                raise BrokenShapeError(f"truncated: {promised} faces promised, {len(mesh.faces)} there")
    return _checked(mesh)


def read_ply(path: Path) -> Mesh | PointCloud:
    """Read a PLY file as a mesh if its header promises faces, else as its points, in the file's order."""
    with _reasons(path):
        data = _content(path)
        promised = ply_counts(data)
        if promised.get("face"):
            return read_mesh(path)
        parts = list(_scene(path, data).geometry.values())
        points = np.concatenate([np.zeros((0, 3)), *(part.vertices for part in parts)]).astype(np.float32)
        if len(points) < promised.get("vertex", 0):
            raise BrokenShapeError(f"truncated: {promised['vertex']} points promised, {len(points)} there")
        if len(points) == 0:
            raise BrokenShapeError("there is neither a face nor a point in it")
        colors = np.concatenate([np.asarray(part.colors).reshape(-1, 4)[:, :3] for part in parts])
    return PointCloud(points, colors=colors.astype(np.uint8) if len(colors) == len(points) else None)


def ply_counts(data: bytes) -> dict[str, int]:
    """Return how many of each element a PLY header promises, `{"vertex": 2048}`; nothing if it has no end."""
    rows = [line.split() for line in data[: max(data.find(b"end_header"), 0)].splitlines()]
    counts = [row[1:] for row in rows if len(row) == 3 and row[0] == b"element" and row[2].isdigit()]
    return {name.decode("latin-1"): int(count) for name, count in counts}


def _content(path: Path) -> bytes:
    data = read_bytes(path)
    if not data.strip():
        raise BrokenShapeError("the file is empty")
    return data


@contextmanager
def _reasons(path: Path) -> Iterator[None]:
    """Turn what parsers raise into a reason."""
    try:
        yield
    except BrokenShapeError:
        raise
    except _PARSER_ERRORS as error:
        text = one_line(error, 200)
        raise BrokenShapeError(f"not a readable {path.suffix[1:].upper()} file ({text})") from error


def _checked(mesh: Mesh) -> Mesh:
    if len(mesh.faces) == 0:
        points = f" (only {len(mesh.vertices)} points)" if len(mesh.vertices) else ""
        raise BrokenShapeError(f"there is no face in it{points}")
    low, high = int(mesh.faces.min()), int(mesh.faces.max())
    if low < 0 or high >= len(mesh.vertices):
        wrong = low if low < 0 else high
        raise BrokenShapeError(f"a face points to vertex {wrong}, but there are only {len(mesh.vertices)}")
    if not np.isfinite(mesh.vertices[mesh.faces]).all():
        raise BrokenShapeError("NaN or infinite coordinates")
    return mesh


def _promised_faces(data: bytes, suffix: str) -> int:
    """Return how many faces a header promises, where trimesh would take fewer in silence."""
    if suffix == ".stl" and not _is_text_stl(data, suffix):
        size = len(data)
        if size < 84:
            raise BrokenShapeError(f"truncated: a binary STL file has at least 84 bytes, this one {size}")
        (count,) = struct.unpack("<I", data[80:84])
        if size < (need := 84 + 50 * count):
            raise BrokenShapeError(f"truncated: {count} triangles take {need} bytes, the file has {size}")
        return int(count)
    return ply_counts(data).get("face", 0) if suffix == ".ply" else 0


def _is_text_stl(data: bytes, suffix: str) -> bool:
    """Binary files may start with "solid", too; only text goes on with "facet"."""
    return suffix == ".stl" and data.lstrip()[:5].lower() == b"solid" and b"facet" in data[:4096].lower()


def _check_glb(data: bytes) -> None:
    """Refuse few bytes that stand for very much: accessors without data, meshes placed many times."""
    (length,) = struct.unpack("<I", data[12:16])
    content = json.loads(data[20 : 20 + length])
    accessors = content.get("accessors", [])
    nowhere = sum(accessor["count"] for accessor in accessors if "bufferView" not in accessor)
    if nowhere > len(data):
        raise BrokenShapeError(f"{nowhere:,} numbers promised that are not in the file")
    meshes = []  # of each, how many numbers it reads
    for mesh in content.get("meshes", []):
        parts = mesh.get("primitives", ())
        read = [place for part in parts for place in part.get("attributes", {}).values()]
        read += [part["indices"] for part in parts if "indices" in part]
        meshes.append(sum(accessors[place]["count"] for place in read))
    nodes = content.get("nodes", [])
    placed = sum(meshes) + sum(meshes[node["mesh"]] for node in nodes if "mesh" in node)
    if placed > max(MOST_PLACED, 2 * len(data)):
        raise BrokenShapeError(
            f"its nodes share meshes so often that {placed:,} corners and points are to be placed, more than "
            f"the {MOST_PLACED:,} that a file of {len(data):,} bytes may have"
        )


def _text(data: bytes) -> bytes:
    """Return text as UTF-8, which trimesh wants; refuse binary data, and more materials than it can take."""
    if b"\0" in data:
        raise BrokenShapeError("binary data where text belongs")
    materials = len(set(_MATERIAL.findall(data)))
    if materials > MOST_MATERIALS:
        raise BrokenShapeError(f"{materials:,} materials, more than the {MOST_MATERIALS:,} it may have")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1").encode("utf-8")
    return data


def _scene(path: Path, data: bytes) -> Any:
    import trimesh

    with _without_ghostscript():
        kind = path.suffix[1:].lower()
        options = {"resolver": _own_folder(path), "process": False, "force": "scene"}
        return trimesh.load(io.BytesIO(data), file_type=kind, **options)


@contextmanager
def _without_ghostscript() -> Iterator[None]:
    """Keep Pillow, by which trimesh reads textures, from starting a program for a texture in PostScript."""
    before, EpsImagePlugin.gs_binary = EpsImagePlugin.gs_binary, False
    try:
        yield
    finally:
        EpsImagePlugin.gs_binary = before


def _own_folder(path: Path) -> Any:
    """Return a trimesh resolver for files beside the mesh and below, whatever path the mesh asks for."""
    from trimesh.resolvers import Resolver

    folder = path.resolve().parent

    class OwnFolder(Resolver):
        def __init__(self) -> None:
            """Nothing to keep: the folder is this function's."""

        def get(self, name: str) -> bytes:
            # By name alone, too: exporters write absolute paths of somebody else's machine. Nobody looks for
            # these: on Windows `//host/share` would ask that host, with the user's credentials.
            wanted = PureWindowsPath(name.strip())
            for candidate in (folder / wanted.relative_to(wanted.anchor).as_posix(), folder / wanted.name):
                real = candidate.resolve()
                if real.is_relative_to(folder) and real.is_file():
                    found = read_bytes(real)
                    return _text(found) if real.suffix.lower() == ".mtl" else found
            raise FileNotFoundError(name)

        def write(self, name: str, data: Any) -> None:
            raise PermissionError(name)

        def namespaced(self, namespace: str) -> "OwnFolder":
            return self

        def keys(self) -> list[str]:
            return []

    return OwnFolder()


def _join(scene: Any) -> Mesh:
    """Put a trimesh scene's geometries where its graph places them."""
    vertices, faces, colors, count = [], [], [], 0
    for node in sorted(scene.graph.nodes_geometry):
        transform, name = scene.graph[node]
        part = scene.geometry[name]
        if np.asarray(getattr(part, "faces", ())).size == 0:
            continue
        corners = np.asarray(part.faces, dtype=np.int64)
        points = np.asarray(part.vertices, dtype=np.float64)
        # would silently reach into the next part
        if int(corners.max()) >= len(points) or int(corners.min()) < 0:
            raise BrokenShapeError(
                f"a face points to vertex {corners.max()}, but there are only {len(points)}"
            )
        with np.errstate(invalid="ignore"):  # infinite coordinates are named later
            vertices.append(points @ transform[:3, :3].T + transform[:3, 3])
        faces.append(corners + count)
        colors.append(_face_colors(part.visual, corners))
        count += len(points)
    if not faces:
        loose = sum(len(getattr(g, "vertices", ())) for g in scene.geometry.values())
        return Mesh(np.zeros((loose, 3)), np.zeros((0, 3), dtype=np.int64))
    colored = any(color is not None for color in colors)
    plain = [np.full(f.shape, GREY, np.uint8) if c is None else c for c, f in zip(colors, faces, strict=True)]
    return Mesh(np.concatenate(vertices), np.concatenate(faces), np.concatenate(plain) if colored else None)


def _face_colors(visual: Any, faces: Int64[np.ndarray, "F 3"]) -> UInt8[np.ndarray, "F 3"] | None:
    """Return the color of each face of a trimesh visual, or None; a face's is the mean of its vertices'."""
    if visual.kind == "face":
        return np.asarray(visual.face_colors, dtype=np.uint8)[:, :3].copy()
    if visual.kind == "vertex":
        return np.asarray(visual.vertex_colors)[faces][..., :3].mean(1).round().astype(np.uint8)
    if visual.kind != "texture" or visual.material is None:
        return None
    material = visual.material
    factor = getattr(material, "baseColorFactor", getattr(material, "diffuse", None))
    color = None
    if factor is not None:
        values = np.asarray(factor)[:3]
        if values.dtype.kind == "f" and values.max() <= 1:
            values = (values * 255).round()
        color = None if tuple(values.tolist()) in _UNTOUCHED else values.astype(np.float64)
    image = getattr(material, "baseColorTexture", getattr(material, "image", None))
    image = None if visual.uv is None else _decoded(image)
    single = None if image is None else image.getcolors(1)  # None where there are several colors
    if image is not None and not (single and single[0][1] in _UNTOUCHED):
        # texture coordinates repeat beyond 0..1 and grow upwards
        pixels = np.asarray(image)
        height, width = pixels.shape[:2]
        u, v = np.nan_to_num(np.asarray(visual.uv, dtype=np.float64)[faces].mean(1)).T % 1.0
        column = np.minimum((u * width).astype(np.int64), width - 1)
        texels = pixels[np.minimum(((1 - v) * height).astype(np.int64), height - 1), column]
        return texels if color is None else (texels * (color / 255)).round().astype(np.uint8)
    return None if color is None else np.tile(color.astype(np.uint8), (len(faces), 1))


def _decoded(image: Any) -> Any:
    """Return a texture, which trimesh has opened and not read, as RGB; BrokenShapeError if it cannot be."""
    if image is None:
        return None
    try:
        if image.format not in _TEXTURES:
            raise ValueError(f"a {image.format} file")
        if max(image.size) > LARGEST_SIDE:
            raise ValueError(f"{image.width} x {image.height} pixels")
        return image.convert("RGB")
    except IMAGE_ERRORS as error:
        reason = one_line(error, 120)
        raise BrokenShapeError(f"its texture cannot be read ({reason})") from error
