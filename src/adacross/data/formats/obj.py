"""OBJ files with their materials: meshes of polygons, and clouds."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from adacross.data.formats.archives import read_bytes
from adacross.data.formats.polygons import GRAY, cloud_of, color_bytes, mean_colors, triangulate
from adacross.data.formats.scene import companion, read_texture
from adacross.data.formats.text import decode_text, integers, numbers
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud
from adacross.errors import listed

_MOST_LIBRARIES = 100  # of a file, and in one line of it
_UNREAD = ("l", "curv", "curv2", "surf")
_KEYWORDS = {"fo": "f"}  # of version 2.11
_OPEN = re.compile(r"/(?:\s|$)")  # a corner that ends with a slash
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
class _Lines:
    """Lines of an OBJ file by their keyword, without it."""

    vertices: list[str] = field(default_factory=list)
    coordinates: list[str] = field(default_factory=list)
    faces: list[str] = field(default_factory=list)
    before: list[int] = field(default_factory=list)  # vertices and coordinates that each face comes after
    materials: list[int] = field(default_factory=list)  # of each face, position in `names`
    names: dict[str, int] = field(default_factory=lambda: {"": 0})
    libraries: list[str] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)


def read_obj(data: bytes, folder: Path) -> Mesh | PointCloud:
    """Read an OBJ file: a mesh, or a cloud if it holds points only.

    A face has the color of its material's texture, else of its vertices, else of its material. Materials and
    textures are looked up in `folder` and below. Raises BrokenShapeError if the file is not OBJ.
    """
    found = _lines(decode_text(data))
    table = _table(found.vertices, 3, 6)
    points = np.ascontiguousarray(table[:, :3])
    painted = table[:, 3:]
    whole = ~np.isnan(painted).any(1)
    colors = color_bytes(painted, whole=bool((painted[whole] > 1).any())) if whole.any() else None
    number = found.unread.total()
    unread = f"{number:,} lines or free-form surfaces ({', '.join(found.unread)}) are not read"
    if not found.faces:
        if number or not len(points):
            raise BrokenShapeError(f"there is no face in it{f': {unread}' if number else ''}")
        return cloud_of(points, colors)
    corners, wedges, sizes = _corners(found)
    cut = triangulate(points, corners, sizes)
    faces = corners[cut.places]
    materials, said = _materials(found, folder)
    colors, unusable = _painted(
        None if colors is None else mean_colors(colors, faces),
        materials,
        np.array(found.materials)[cut.owners],
        _table(found.coordinates, 0, 2),
        wedges[cut.places],
        folder,
    )
    return Mesh(points, faces, colors, warnings=((unread,) * bool(number) + cut.warnings + said + unusable))


def _lines(text: str) -> _Lines:
    found = _Lines()
    numeric = {"v": found.vertices, "vt": found.coordinates, "f": found.faces}
    material = 0
    for line in text.replace("\\\n", " ").replace("\t", " ").split("\n"):
        key, _, rest = line.strip().partition(" ")
        key = _KEYWORDS.get(key, key).lower()
        if (lines := numeric.get(key)) is not None:
            lines.append(rest.partition("#")[0])
            if key == "f":
                found.before += len(found.vertices), len(found.coordinates)
                found.materials.append(material)
        elif key == "usemtl":
            material = found.names.setdefault(rest.strip(), len(found.names))
        elif key == "mtllib":
            found.libraries.append(rest.strip())
        elif key in _UNREAD:
            found.unread[key] += 1
    return found


def _table(lines: list[str], least: int, width: int) -> Float64[np.ndarray, "n width"]:
    """Return the first `width` numbers of each line, NaN where it has fewer; it must have `least`."""
    values = numbers("\n".join(lines))
    widths = np.array([len(line.split()) for line in lines], dtype=np.int64)
    if (widths < least).any():
        raise BrokenShapeError(f"a vertex of {widths.min()} coordinates, expected {least}")
    starts = np.cumsum(widths) - widths
    table = np.full((len(lines), width), np.nan)
    for column in range(width):
        there = widths > column
        table[there, column] = values[starts[there] + column]
    return table


def _corners(
    found: _Lines,
) -> tuple[Int64[np.ndarray, " C"], Int64[np.ndarray, " C"], Int64[np.ndarray, " P"]]:
    """Return the vertex and texture coordinates of each corner, -1 for none, and the sizes of the faces."""
    text = "\n".join(found.faces)
    sizes = np.array([len(line.split()) for line in found.faces], dtype=np.int64)
    total, slashes = int(sizes.sum()), text.count("/")
    width = slashes // max(total, 1) + 1
    if slashes == 0 or (slashes == 2 * total and not _OPEN.search(text)):  # all corners are v or v/vt/vn
        table = integers(numbers(text.replace("//", " 0 ").replace("/", " "))).reshape(total, width)
    else:
        words = ((word + "/0").split("/") for word in text.split())
        table = np.array([(int(word[0]), int(word[1] or 0)) for word in words], dtype=np.int64)
    table = np.pad(table, ((0, 0), (0, 1)))[:, :2].reshape(-1, 2)
    # from 1, or from the last one before the face backwards
    before = np.repeat(np.array(found.before, dtype=np.int64).reshape(-1, 2), sizes, axis=0)
    table = np.where(table < 0, before + table, table - 1)
    return table[:, 0], table[:, 1], sizes


def _materials(found: _Lines, folder: Path) -> tuple[list[_Material], tuple[str, ...]]:
    """Return the material of each of the file's names, and a sentence about missing files or names."""
    defined: dict[str, _Material] = {}
    unreadable: list[str] = []
    files: dict[Path, None] = {}
    for line in list(dict.fromkeys(found.libraries))[:_MOST_LIBRARIES]:
        several = line.split()[:_MOST_LIBRARIES]  # or one name with spaces in it
        one = companion(folder, line)
        paths = [one] if one else [path for name in several if (path := companion(folder, name))]
        files |= dict.fromkeys(paths)
        unreadable += [] if paths else [line]
    for path in files:
        try:
            defined = _library(decode_text(read_bytes(path)), path.parent) | defined
        except (OSError, BrokenShapeError):
            unreadable.append(path.name)
    materials = [defined.get(name) or defined.get(name.split(" #")[0].strip()) for name in found.names]
    unknown = [name for name, material in zip(found.names, materials, strict=True) if name and not material]
    said: tuple[str, ...] = ()
    if unreadable:
        said = (f"its materials ({listed(unreadable, 3)}) are not beside it or cannot be read",)
    elif unknown and files:
        said = (f"the files of its materials do not define {listed(unknown, 3)}",)
    return [material or _Material() for material in materials], said


def _library(text: str, folder: Path) -> dict[str, _Material]:
    """Read the materials of an MTL file that lies in `folder`; other entries are passed over."""
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
    read = 0
    while option := _OPTION.match(rest, read):
        read = option.end()
        values = [float(word) for word in (option[2] or "").split()]
        if option["name"] and option["name"].lower() != "t":
            key, default = ("scale", 1.0) if option["name"].lower() == "s" else ("offset", 0.0)
            found[key] = (*values, default)[0], (*values, default, default)[1]
    return found | {"texture": rest[read:].strip()}


def _painted(
    colors: UInt8[np.ndarray, "T 3"] | None,
    materials: list[_Material],
    owners: Int64[np.ndarray, " T"],
    uv: Float64[np.ndarray, "n 2"],
    wedges: Int64[np.ndarray, "T 3"],
    folder: Path,
) -> tuple[UInt8[np.ndarray, "T 3"] | None, tuple[str, ...]]:
    """Return the colors of triangles: of textures, else the vertices' `colors`, else of materials.

    A triangle has the material of its owner; a corner has the texture coordinates of its wedge, -1 for none.
    Beside the colors are sentences about unusable textures.
    """
    if colors is None and any(material.color for material in materials):
        flat = np.array([material.color or (np.nan,) * 3 for material in materials])
        colors = color_bytes(flat[owners], whole=False)
    users: dict[Path, list[int]] = {}  # materials of each texture
    missing: dict[str, None] = {}
    for number, material in enumerate(materials):
        if path := material.texture and companion(folder, material.texture, material.folder):
            users.setdefault(path, []).append(number)
        elif material.texture:
            missing[material.texture] = None
    warnings = (f"its texture {listed(missing, 3)} is not beside it",) * bool(missing)
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], np.arange(len(materials) + 1))
    known = np.all((wedges >= 0) & (wedges < len(uv)), axis=1)
    for path, using in users.items():
        texture = read_texture(path)
        warnings += texture.warnings
        for number in using if texture.pixels is not None else ():
            mine, material = order[ends[number] : ends[number + 1]], materials[number]
            mine = mine[known[mine]]
            texels = texture.at(uv[wedges[mine]] * material.scale + material.offset)
            colors = np.full(wedges.shape, GRAY, np.uint8) if colors is None else colors
            colors[mine] = (texels * np.array(material.color or (1.0,))).round()
    return colors, warnings
