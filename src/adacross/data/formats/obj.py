"""OBJ files with their materials: meshes of polygons, and clouds."""

import re
from array import array
from collections import Counter
from collections.abc import MutableSequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from adacross.data.formats.polygons import GREY, Triangles, cloud_of, color_bytes, mean_colors, triangulate
from adacross.data.formats.textures import companion, read_texture
from adacross.data.formats.tokens import decode_text, refuse_decimal_commas
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud
from adacross.errors import listed
from adacross.io.files import read_bytes

_MOST_LIBRARIES = 100  # in one line
_UNREAD = ("l", "curv", "curv2", "surf")
_OPTION = re.compile(
    r"-(?P<name>[ost])((?:\s+[-+.\d][-+.\deE]*){1,3})\s+|-mm\s+\S+\s+\S+\s+|-[a-z]+\s+\S+\s+", re.IGNORECASE
)


@dataclass(frozen=True)
class _Material:
    """Color of a surface, RGB as fractions, and its texture with `(scale, offset)` of its coordinates."""

    color: tuple[float, ...] = ()
    texture: str = ""
    folder: Path | None = None  # of the file that names it
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass
class _Content:
    """Numbers of an OBJ file, as they stand there."""

    points: MutableSequence[float] = field(default_factory=lambda: array("d"))  # x, y, z of each vertex
    colors: MutableSequence[float] = field(
        default_factory=lambda: array("f")
    )  # r, g, b of each vertex; NaN for none
    coordinates: MutableSequence[float] = field(default_factory=lambda: array("d"))  # u, v
    corners: MutableSequence[int] = field(
        default_factory=lambda: array("q")
    )  # vertex, from 1 or backwards from the end
    wedges: MutableSequence[int] = field(
        default_factory=lambda: array("q")
    )  # its texture coordinates, 0 for none
    sizes: MutableSequence[int] = field(default_factory=lambda: array("q"))  # corners of each face
    before: MutableSequence[int] = field(
        default_factory=lambda: array("q")
    )  # vertices, coordinates read before each face
    materials: MutableSequence[int] = field(
        default_factory=lambda: array("q")
    )  # of each face, position in `names`
    names: dict[str, int] = field(default_factory=lambda: {"": 0})
    libraries: list[str] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)


def read_obj(data: bytes, folder: Path) -> Mesh | PointCloud:
    """Read an OBJ file: a mesh, or a cloud if it holds points only.

    A face has the color of its material's texture, else of its vertices, else of its material. Materials and
    textures are looked up in `folder` and below. Raises BrokenShapeError if the file is not OBJ.
    """
    text = decode_text(data).replace("\\\n", " ")
    try:
        found = _content(text)
    except ValueError as error:
        if not isinstance(error, BrokenShapeError):
            refuse_decimal_commas(str(error))
        raise
    points = np.array(found.points).reshape(-1, 3)
    painted = np.array(found.colors, dtype=np.float64).reshape(-1, 3)
    colors = None
    if not np.isnan(painted).all():
        colors = color_bytes(painted, whole=bool((painted > 1).any()))
    number = found.unread.total()
    warnings = (f"{number:,} lines or free-form surfaces ({', '.join(found.unread)}) are not read",)
    warnings = warnings if number else ()
    if not found.sizes:
        if number or not len(points):
            raise BrokenShapeError(f"there is no face in it{f', only {warnings[0]}' if number else ''}")
        return cloud_of(points, colors)
    sizes = _integers(found.sizes)
    before = _integers(found.before).reshape(-1, 2)
    corners = _from_zero(_integers(found.corners), sizes, before[:, 0])
    cut = triangulate(points, corners, sizes)
    faces = corners[cut.places]
    face_colors = None if colors is None else mean_colors(colors, faces)
    materials, said = _materials(found, folder)
    wedges = _from_zero(_integers(found.wedges), sizes, before[:, 1])[cut.places]
    face_colors, unusable = _painted(found, materials, folder, cut, wedges, face_colors)
    return Mesh(points, faces, face_colors, warnings=(*warnings, *cut.warnings, *said, *unusable))


def _content(text: str) -> _Content:
    found = _Content()
    points, coordinates, material = 0, 0, 0
    for line in text.split("\n"):
        words = line.split()
        if not words:
            continue
        key = words[0].lower()
        if "#" in line and key in ("v", "vt", "f"):
            words = line.split("#", 1)[0].split()
        if key == "v":
            if len(words) < 4:
                raise BrokenShapeError(f"a vertex of {len(words) - 1} coordinates, expected three")
            found.points.extend(map(float, words[1:4]))
            found.colors.extend(map(float, words[4:7]) if len(words) > 6 else (np.nan,) * 3)
            points += 1
        elif key == "f":
            for word in words[1:]:
                place = word.split("/")
                found.corners.append(int(place[0]))
                found.wedges.append(int(place[1]) if len(place) > 1 and place[1] else 0)
            found.sizes.append(len(words) - 1)
            found.before.extend((points, coordinates))
            found.materials.append(material)
        elif key == "vt":
            found.coordinates.extend(map(float, (words[1:3] + ["0"] * 2)[:2]))
            coordinates += 1
        elif key == "usemtl":
            material = found.names.setdefault(_rest(line), len(found.names))
        elif key == "mtllib":
            found.libraries.append(_rest(line))
        elif key in _UNREAD:
            found.unread[key] += 1
    return found


def _rest(line: str) -> str:
    """Return what follows a line's first word; names may have spaces in them."""
    return "".join(line.split(maxsplit=1)[1:]).strip()


def _integers(values: MutableSequence[int]) -> Int64[np.ndarray, " n"]:
    return np.array(values, dtype=np.int64)


def _from_zero(
    written: Int64[np.ndarray, " C"], sizes: Int64[np.ndarray, " P"], before: Int64[np.ndarray, " P"]
) -> Int64[np.ndarray, " C"]:
    """Return positions from 0: those in a file count from 1, or from the last one before a face backwards."""
    return np.where(written < 0, np.repeat(before, sizes) + written, written - 1)


def _materials(found: _Content, folder: Path) -> tuple[list[_Material], tuple[str, ...]]:
    """Return the material of each of the file's names, and a sentence about missing files or names."""
    defined: dict[str, _Material] = {}
    unreadable: list[str] = []
    files: dict[Path, None] = {}
    for line in dict.fromkeys(found.libraries):
        # One name, which may have spaces in it or a comment behind it, or several names.
        for names in ([line], [line.split(" #")[0]], line.split()[:_MOST_LIBRARIES]):
            if paths := [path for name in names if (path := companion(folder, name))]:
                files |= dict.fromkeys(paths)
                break
        else:
            unreadable.append(line)
    for path in files:
        try:
            library = _library(decode_text(read_bytes(path)), path.parent)
        except (OSError, BrokenShapeError):
            unreadable.append(path.name)
            continue
        defined = library | defined
    materials = [defined.get(name) or defined.get(name.split(" #")[0].strip()) for name in found.names]
    unknown = [name for name, material in zip(found.names, materials, strict=True) if name and not material]
    said: tuple[str, ...] = ()
    if unreadable:
        said = (f"its materials ({listed(unreadable, 3)}) are not beside it, or not to be read",)
    elif unknown and files:
        said = (f"the files of its materials do not define {listed(unknown, 3)}",)
    return [material or _Material() for material in materials], said


def _library(text: str, folder: Path) -> dict[str, _Material]:
    """Read the materials of an MTL file that lies in `folder`; what is no color or texture is passed over."""
    materials: dict[str, _Material] = {}
    name = ""
    for line in text.split("\n"):
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        if key.lower() == "newmtl":
            name = rest.strip()
            materials[name] = _Material()
        elif name in materials and key.lower() == "kd":
            with suppress(ValueError):
                color = np.array([float(word) for word in rest.split("#")[0].split()[:3]])
                if color.size in (1, 3) and np.isfinite(color).all():
                    color = np.broadcast_to(color / (255 if color.max() > 1 else 1), 3).clip(0, 1)
                    materials[name] = replace(materials[name], color=tuple(color.tolist()))
        elif name in materials and key.lower() == "map_kd":
            with suppress(ValueError):
                materials[name] = replace(materials[name], folder=folder, **_map(rest.strip()))
    return materials


def _map(rest: str) -> dict[str, Any]:
    """Read a texture's options and name, `-s 2 2 1 -o 0.5 0 0 wood.png`."""
    found: dict[str, Any] = {}
    while option := _OPTION.match(rest):
        rest = rest[option.end() :]
        values = [float(word) for word in (option[2] or "").split()]
        if option["name"] and option["name"].lower() != "t":
            key, default = ("scale", 1.0) if option["name"].lower() == "s" else ("offset", 0.0)
            found[key] = (*values, default)[0], (*values, default, default)[1]
    return found | {"texture": rest.strip()}


def _painted(
    found: _Content,
    materials: list[_Material],
    folder: Path,
    cut: Triangles,
    wedges: Int64[np.ndarray, "T 3"],
    colors: UInt8[np.ndarray, "T 3"] | None,
) -> tuple[UInt8[np.ndarray, "T 3"] | None, tuple[str, ...]]:
    """Return the triangles' colors, texels in place of `colors`, and sentences about unusable textures."""
    owners = _integers(found.materials)[cut.owners]
    if colors is None and any(material.color for material in materials):
        flat = np.array([material.color or (np.nan,) * 3 for material in materials])
        colors = color_bytes(flat[owners], whole=False)
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], np.arange(len(materials) + 1))
    uv = np.array(found.coordinates).reshape(-1, 2)
    users: dict[Path, list[int]] = {}
    missing: dict[str, None] = {}
    for number, material in enumerate(materials):
        if not material.texture:
            continue
        path = companion(folder, material.texture, material.folder)
        if path is None:
            missing[material.texture] = None
        else:
            users.setdefault(path, []).append(number)
    warnings = (f"its texture {listed(missing, 3)} is not beside it",) * bool(missing)
    for path, numbers in users.items():
        texture = read_texture(path)
        warnings += texture.warnings
        for number in numbers if texture.pixels is not None else ():
            mine, material = order[ends[number] : ends[number + 1]], materials[number]
            mine = mine[((wedges[mine] >= 0) & (wedges[mine] < len(uv))).all(1)]
            if not len(mine):
                continue
            texels = texture.at(uv[wedges[mine]] * material.scale + material.offset)
            colors = np.full(wedges.shape, GREY, np.uint8) if colors is None else colors
            colors[mine] = (texels * np.array(material.color or (1.0,))).round()
    return colors, warnings
