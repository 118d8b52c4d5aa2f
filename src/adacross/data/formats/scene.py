"""Scenes: parts that a file places in a common frame, and the files beside it, textures among them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, UInt8

from adacross.data.formats.archives import is_file, read_bytes
from adacross.data.formats.base import printable, readable
from adacross.data.formats.polygons import GRAY
from adacross.data.images import FORMATS, IMAGE_ERRORS, open_picture
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud
from adacross.data.workers.local import shortage
from adacross.errors import one_line, shortened

MOST_PLACED = 30_000_000  # corners, points and attributes of a small file that repeats what it holds
_FORMATS = (*FORMATS, "GIF", "TGA", "TIFF")


@dataclass(frozen=True, eq=False)
class Part:
    """Triangles of a scene, or loose points, in its common frame.

    Attributes:
        name: of the object that it belongs to; parts of one name are one part of the shape.
        vertices: `(V, 3)` coordinates.
        faces: `(F, 3)` vertex indices; none where the vertices are a cloud.
        colors: `(F, 3)` RGB of the faces, `(V, 3)` of a cloud, or None.
        normals: `(V, 3)` unit normals of a cloud, or None.
        place: what tells it from parts of the same name that stand elsewhere.
    """

    name: str
    vertices: Float64[np.ndarray, "V 3"]
    faces: Int64[np.ndarray, "F 3"]
    colors: UInt8[np.ndarray, "n 3"] | None = None
    normals: Float32[np.ndarray, "V 3"] | None = None
    place: tuple[int, ...] = ()

    def placed(self, transform: Float64[np.ndarray, "4 4"]) -> "Part":
        """Return the part where a matrix puts its column vectors; a mirror turns the faces around."""
        linear = transform[:3, :3]
        with np.errstate(all="ignore"):  # what is not finite is named when all is joined
            vertices = self.vertices @ linear.T + transform[:3, 3]
            mirrored = np.linalg.det(linear) < 0
            normals = None if self.normals is None else _turned(self.normals, linear)
        faces = self.faces[:, ::-1] if mirrored else self.faces
        return replace(self, vertices=vertices, faces=faces, normals=normals)


class Allowance:
    """Bound on the corners and points that a file of `size` bytes stands for by repeating what it holds."""

    def __init__(self, size: int) -> None:
        self._size, self._taken = size, 0

    def take(self, count: int) -> None:
        """Count what is about to be made; BrokenShapeError if a file of this size may not have so much."""
        self._taken += count
        if self._taken > max(MOST_PLACED, 2 * self._size):
            raise BrokenShapeError(
                f"its parts repeat so often that {self._taken:,} corners and points are to be placed, "
                f"more than the {MOST_PLACED:,} that a file of {self._size:,} bytes may have"
            )


def joined(parts: Sequence[Part], unit: str, warnings: Sequence[str] = ()) -> Mesh | PointCloud:
    """Return the parts as one mesh whose `part_names` are theirs, or the points where there are no faces.

    Parts of one name and place are a body of the mesh.

    Raises BrokenShapeError if there is nothing, or a coordinate is not finite.
    """
    solid = [part for part in parts if len(part.faces)]
    loose = [part for part in parts if not len(part.faces) and len(part.vertices)]
    used = solid or loose
    if not used:
        raise BrokenShapeError("there is neither a face nor a point in it")
    if solid and loose:
        count = sum(len(part.vertices) for part in loose)
        warnings = [*warnings, f"{count:,} loose points beside the faces are passed over"]
    vertices = np.concatenate([part.vertices for part in used])
    sizes = [len(part.faces if solid else part.vertices) for part in used]
    numbers: dict[str, int] = {}  # by name
    labels = np.repeat([numbers.setdefault(printable(part.name), len(numbers)) for part in used], sizes)
    names = tuple(numbers)
    colors = None
    if any(part.colors is not None for part in used):
        colors = np.full((sum(sizes), 3), GRAY, dtype=np.uint8)
        for part, end, size in zip(used, np.cumsum(sizes), sizes, strict=True):
            if part.colors is not None:
                colors[end - size : end] = part.colors
    if not solid:
        whole = all(part.normals is not None for part in used)
        normals = np.concatenate([part.normals for part in used]) if whole else None
        check_finite(vertices)
        return PointCloud(vertices, normals, colors, labels, names, tuple(warnings))
    starts = np.cumsum([0, *(len(part.vertices) for part in used)])
    faces = np.concatenate([part.faces + start for part, start in zip(used, starts, strict=False)])
    check_finite(vertices[faces])
    places: dict[tuple[str, tuple[int, ...]], int] = {}
    bodies = np.repeat([places.setdefault((part.name, part.place), len(places)) for part in used], sizes)
    return Mesh(vertices, faces, colors, labels, names, tuple(warnings), unit, bodies)


def body_names(mesh: Mesh) -> list[str]:
    """Return the name of each body of a mesh, no two alike; none for a mesh without bodies."""
    if mesh.face_bodies is None or mesh.face_parts is None:
        return []
    _, first = np.unique(mesh.face_bodies, return_index=True)
    names: dict[str, None] = {}
    times: Counter[str] = Counter()
    for part in mesh.face_parts[first]:
        name = mesh.part_names[part]
        times[name] += 1
        while (given := name if times[name] == 1 else f"{name} {times[name]}") in names:
            times[name] += 1
        names[given] = None
    return list(names)


def body_of(mesh: Mesh, number: int) -> Mesh:
    """Return one body of a mesh, with the vertices that it uses."""
    if mesh.face_bodies is None or not (chosen := mesh.face_bodies == number).any():
        raise BrokenShapeError(f"there is no body {number} in it")
    used, corners = np.unique(mesh.faces[chosen], return_inverse=True)
    faces = corners.reshape(-1, 3).astype(np.int64)
    colors = None if mesh.face_colors is None else mesh.face_colors[chosen]
    parts = None if mesh.face_parts is None else mesh.face_parts[chosen]
    vertices = mesh.vertices[used]
    return Mesh(vertices, faces, colors, parts, mesh.part_names, mesh.warnings, mesh.unit)


def companion(folder: Path, name: str, other: Path | None = None) -> Path | None:
    """Return the file of a name in a mesh's own folder, a resolved path, or below it; None if there is none.

    The name may be a path on somebody else's machine, as exporters write it: then the file's own name is
    looked for. A comment may follow it. `other` is a second folder to look in, that of the file that has the
    name. Nothing outside `folder` is opened, and no other host is asked: on Windows that would send it the
    user's credentials.
    """
    written = (PureWindowsPath(text.strip().strip('"')) for text in (name, name.partition(" #")[0]))
    names = dict.fromkeys(
        text for path in written for text in (path.relative_to(path.anchor).as_posix(), path.name)
    )
    for place in dict.fromkeys((folder, other or folder)):
        for relative in names:
            try:
                found = (place / relative).resolve()
                if found.is_relative_to(folder) and is_file(found):
                    return found
            except (OSError, ValueError):  # too long for a name, or none at all
                continue
    return None


@dataclass(frozen=True, eq=False)
class Texture:
    """An image that colors a surface; without pixels, and with a warning, if it cannot be used."""

    pixels: UInt8[np.ndarray, "H W 3"] | None
    warnings: tuple[str, ...] = ()

    def at(self, uv: Float[np.ndarray, "T 3 2"]) -> UInt8[np.ndarray, "T 3"]:
        """Return the texel at the center of each triangle.

        Texture coordinates repeat beyond 0..1 and grow upwards. Without pixels a texture has none.
        """
        if self.pixels is None:
            raise ValueError("a texture without pixels has no color")
        height, width = self.pixels.shape[:2]
        with np.errstate(invalid="ignore", over="ignore"):
            u, v = np.nan_to_num(uv.astype(np.float64).mean(1) % 1.0).T
        column = np.minimum((u * width).astype(np.int64), width - 1)
        row = np.minimum(((1 - v) * height).astype(np.int64), height - 1)
        return self.pixels[row, column]


def texture_beside(folder: Path, name: str) -> Texture:
    """Read the texture of a name that `companion` finds."""
    if path := companion(folder, name):
        return read_texture(path)
    return Texture(None, (f"its texture {shortened(name)} is not beside it",))


def read_texture(path: Path) -> Texture:
    """Read the texture in a file."""
    try:
        image = open_picture(read_bytes(path), formats=_FORMATS).convert("RGB")
    except IMAGE_ERRORS as error:
        if shortage(error):  # no fault of the file
            raise
        reason = one_line(error, 120).replace(str(path), path.name)
        return Texture(None, (f"its texture {shortened(path.name)} cannot be used ({reason})",))
    return Texture(np.asarray(image))


def beside(path: Path, name: str) -> Path:
    """Return the file of a name, as `companion` finds it; FileNotFoundError if there is none."""
    found = companion(path.resolve().parent, name)
    if found is None:
        raise FileNotFoundError(f"{name} is not in its folder")
    return found


@contextmanager
def content_of(path: Path, *errors: type[Exception]) -> Iterator[bytes]:
    """Yield a file's bytes; what parsers raise on them, and `errors`, becomes a BrokenShapeError."""
    try:
        data = read_bytes(path)
    except OSError as error:
        raise BrokenShapeError(error.strerror or str(error)) from error
    if not data.strip():
        raise BrokenShapeError("the file is empty")
    with readable(path.suffix[1:].upper(), *errors):
        yield data


def check_finite(points: np.ndarray) -> None:
    """Raise BrokenShapeError if a coordinate is not finite."""
    if not np.isfinite(points).all():
        raise BrokenShapeError("NaN or infinite coordinates")


def _turned(
    normals: Float32[np.ndarray, "V 3"], linear: Float64[np.ndarray, "3 3"]
) -> Float32[np.ndarray, "V 3"]:
    """Return unit normals after a linear map of the surface: its cofactors map them, as areas."""
    a, b, c = linear
    turned = normals @ np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)]).T
    length = np.linalg.norm(turned, axis=1, keepdims=True)
    return np.divide(turned, length, where=length > 0, out=np.zeros_like(turned)).astype(np.float32)
