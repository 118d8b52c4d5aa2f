"""PLY files: meshes of polygons or triangle strips, and clouds, in text or binary."""

import codecs
import re
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from adacross.data.formats.polygons import GRAY, cloud_of, color_bytes, mean_colors, triangulate
from adacross.data.formats.scene import texture_beside
from adacross.data.formats.text import decode_text, integers, numbers
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud
from adacross.errors import shortened

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}  # of struct
_END = re.compile(rb"(?:^|[\r\n])[ \t]*end_header[ \t]*")
_COLORS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
_COORDINATES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
_NOUNS = {"vertex": "points", "face": "faces", "tristrips": "strips"}
_MOST_TEXTURES = 100
_CORNERS = ("vertex_indices", "vertex_index")


class _Property(NamedTuple):
    name: str
    type: str  # NumPy's name of it
    counts: str = ""  # type of a list's length; "" for a single value


class _List(NamedTuple):
    """A list a row: its lengths, and all values, one row after the other."""

    sizes: Int64[np.ndarray, " n"]
    values: Shaped[np.ndarray, " m"]


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property]


class _Header(NamedTuple):
    format: str  # a key of `_ORDERS`
    elements: list[_Element]
    textures: list[str]  # names of their files
    length: int  # bytes


_Column = Shaped[np.ndarray, " n"] | _List
_Columns = dict[str, _Column]  # of an element, by name


def read_ply(data: bytes, folder: Path) -> Mesh | PointCloud:
    """Read a PLY file: a mesh if it has faces or triangle strips, else its points, in the file's order.

    Colors are those of textures, of faces, or of vertices. Textures are looked up in `folder` and below.
    Raises BrokenShapeError if the file is not PLY, is shorter than its header promises, or holds no point.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    header = _header(data)
    found = _elements(data, header)
    columns, face = found.get("vertex", {}), found.get("face", {})
    points = _stacked(columns, "xyz")
    if points is None:
        raise BrokenShapeError("there is neither a face nor a point in it")
    colors = _colors(columns)
    if not face and "tristrips" not in found:
        return cloud_of(points.astype(np.result_type(points, np.float32)), colors)
    vertices = points.astype(np.float64)
    polygons, strips = _corners(face), _unrolled(_corners(found.get("tristrips", {})))
    corners = np.concatenate([polygons.values, strips.values])
    cut = triangulate(vertices, corners, np.concatenate([polygons.sizes, strips.sizes]))
    faces = corners[cut.places]
    face_colors, warnings = None if colors is None else mean_colors(colors, faces), cut.warnings
    corner_uv = (_stacked(columns, names) for names in _COORDINATES)
    uv = next((values[faces] for values in corner_uv if values is not None), None)
    used = np.zeros(len(faces), np.int64)
    if not len(strips.sizes):  # which have nothing of their own
        own, wedges, numbered = _colors(face), face.get("texcoord"), face.get("texnumber")
        face_colors = face_colors if own is None else own[cut.owners]
        if isinstance(wedges, _List) and (wedges.sizes == 2 * polygons.sizes).all():
            uv = wedges.values.reshape(-1, 2)[cut.places]
        if isinstance(numbered, np.ndarray):
            used = numbered[cut.owners]
    for number, name in enumerate(header.textures[:_MOST_TEXTURES]):
        mine = used == number
        if uv is None or not mine.any():
            continue
        texture = texture_beside(folder, name)
        warnings += texture.warnings
        if texture.pixels is not None:
            face_colors = np.full(faces.shape, GRAY, np.uint8) if face_colors is None else face_colors
            face_colors[mine] = texture.at(uv[mine])
    return Mesh(vertices, faces, face_colors, warnings=warnings)


def ply_counts(data: bytes) -> dict[str, int]:
    """Return how many of each element a PLY header promises, `{"vertex": 2048}`; nothing if it has no end."""
    rows = [line.split() for line in data[: max(data.find(b"end_header"), 0)].splitlines()]
    counts = [row[1:] for row in rows if len(row) == 3 and row[0] == b"element" and row[2].isdigit()]
    return {name.decode("latin-1"): int(count) for name, count in counts}


def _header(data: bytes) -> _Header:
    """Read the lines up to `end_header`; BrokenShapeError for another header."""
    first, end = re.match(rb"(?i:ply)[ \t]*(\r\n|\n|\r)", data), _END.search(data)
    if not first or not end:
        raise BrokenShapeError("not a readable PLY file (no header from ply to end_header)")
    format, elements, textures = "", [], []
    for line in decode_text(data[first.end() : end.start()]).split("\n"):
        match line.split():
            case [] | ["obj_info", *_]:
                continue
            case ["comment", *words]:
                if len(words) > 1 and words[0].lower() == "texturefile":
                    textures.append(line.split(maxsplit=2)[2].strip())
            case ["format", format, *_]:
                continue
            case ["element", name, count] if count.isdigit():
                elements.append(_Element(name.lower(), int(count), []))
            case ["property", "list", counts, values, name] if {counts, values} <= _TYPES.keys() and elements:
                elements[-1].properties.append(_Property(name.lower(), _TYPES[values], _TYPES[counts]))
            case ["property", kind, name] if kind in _TYPES and elements:
                elements[-1].properties.append(_Property(name.lower(), _TYPES[kind]))
            case _:
                raise BrokenShapeError(f"not a readable PLY file (in its header: {shortened(line.strip())})")
    if format not in _ORDERS:
        raise BrokenShapeError(f"not a readable PLY file (its format is {shortened(format) or 'missing'})")
    length = end.end() + (len(first[1]) if data.startswith(first[1], end.end()) else 1)
    return _Header(format, elements, textures, length)


def _elements(data: bytes, header: _Header) -> dict[str, _Columns]:
    """Read all elements, of those of one name the first; text as if it were a binary file of doubles."""
    text = header.format == "ascii"
    body = memoryview(data)[header.length :]
    if text:
        body = memoryview(numbers(decode_text(bytes(body))).astype("<f8").tobytes())
    found: dict[str, _Columns] = {}
    at = 0
    for element in header.elements:
        if not element.count or not element.properties:
            continue
        stored = [(prop.type, prop.counts) for prop in element.properties]
        if text:
            stored = [("f8", "f8" * bool(counts)) for _, counts in stored]
        rows, at = _rows(body, at, element, stored, _ORDERS[header.format])
        columns: _Columns = {}
        for row, prop in zip(rows, element.properties, strict=True):
            if not isinstance(row, _List) and prop.type[0] in "iu":  # text's fractions keep all their digits
                with np.errstate(invalid="ignore"):
                    row = row.astype(prop.type)  # noqa: PLW2901
            columns.setdefault(prop.name, row)
        found.setdefault(element.name, columns)
    return found


def _rows(
    body: memoryview, at: int, element: _Element, types: list[tuple[str, str]], order: str
) -> tuple[list[_Column], int]:
    """Read the rows of an element that starts at a byte, and return its columns and where it ends.

    `types` holds the type of each column's values and, of a list, of its length. Rows whose lists are all as
    long as those of the first are one array; others are read one by one.
    """
    count = element.count
    what = f"{count} {_NOUNS.get(element.name, element.name)}"
    uniform = _uniform(body, at, types, order)
    if uniform is not None and count * uniform.itemsize <= len(body) - at:
        table = np.frombuffer(body, uniform, count, at)
        lists = [name for name, (_, counts) in zip(uniform.names or (), types, strict=True) if counts]
        if all((table[name]["size"] == table[name]["size"][0]).all() for name in lists):
            columns = [table[name] for name in uniform.names or ()]
            return [
                _List(integers(column["size"]), column["values"].reshape(-1)) if counts else column
                for column, (_, counts) in zip(columns, types, strict=True)
            ], at + table.nbytes
    elif not any(counts for _, counts in types):
        there = (len(body) - at) // uniform.itemsize if uniform is not None else 0
        raise BrokenShapeError(f"truncated: {what} promised, {there} there")
    sizes, pieces = [array("q") for _ in types], [bytearray() for _ in types]
    lengths = [struct.Struct(order + _CODES[counts]) if counts else None for _, counts in types]
    widths = [int(kind[1]) for kind, _ in types]
    for row in range(count):
        for column, (length, width) in enumerate(zip(lengths, widths, strict=True)):
            size = 1
            if length is not None and at + length.size <= len(body):
                size = int(length.unpack_from(body, at)[0])
                if size < 0:
                    raise BrokenShapeError(f"a list of {size} values")
                sizes[column].append(size)
            at += length.size if length is not None else 0
            pieces[column] += body[at : at + size * width]
            at += size * width
        if at > len(body):
            raise BrokenShapeError(f"truncated: {what} promised, {row} there")
    values = [np.frombuffer(piece, order + kind) for piece, (kind, _) in zip(pieces, types, strict=True)]
    return [
        _List(np.array(size, dtype=np.int64), value) if counts else value
        for size, value, (_, counts) in zip(sizes, values, types, strict=True)
    ], at


def _uniform(body: memoryview, at: int, types: list[tuple[str, str]], order: str) -> np.dtype[Any] | None:
    """Return the type of a row whose lists are as long as the first row's; None if that one is not there."""
    fields: list[tuple[str, Any]] = []
    for column, (kind, counts) in enumerate(types):
        value: Any = order + kind
        if counts:
            if at + int(counts[1]) > len(body):
                return None
            size = int(np.frombuffer(body, order + counts, 1, at)[0])
            at += int(counts[1])
            if not 0 <= size <= len(body) - at:
                return None
            value = [("size", order + counts), ("values", value, (size,))]
            at += size * int(kind[1])
        else:
            at += int(kind[1])
        fields.append((str(column), value))
    return np.dtype(fields) if at <= len(body) else None


def _corners(columns: _Columns) -> _List:
    """Return the corners of faces or strips; none where there are no faces."""
    found = next((columns[name] for name in _CORNERS if name in columns), None)
    if isinstance(found, _List):
        return _List(found.sizes, integers(found.values))
    if columns:
        raise BrokenShapeError("its faces have no list of corners (vertex_indices)")
    return _List(np.zeros(0, np.int64), np.zeros(0, np.int64))


def _unrolled(strips: _List) -> _List:
    """Return the triangles of strips, which -1 separates within a list; every other one is turned around."""
    ends = np.cumsum(strips.sizes)
    corners = np.insert(strips.values, ends, -1)
    places = np.arange(len(corners))
    begins = np.maximum.accumulate(np.where(corners < 0, places + 1, 0))[:-2]
    triangles = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    odd = (places[:-2] - begins) % 2 == 1
    triangles[odd] = triangles[odd][:, [1, 0, 2]]
    a, b, c = triangles.T
    triangles = triangles[(triangles >= 0).all(1) & (a != b) & (b != c) & (a != c)]
    return _List(np.full(len(triangles), 3), triangles.reshape(-1))


def _colors(columns: _Columns) -> UInt8[np.ndarray, "n 3"] | None:
    """Return the colors of vertices or faces: bytes, 16-bit integers, or fractions up to 1."""
    for names in _COLORS:
        if (values := _stacked(columns, names)) is not None:
            if values.dtype.kind == "f":
                return color_bytes(values.astype(np.float64), whole=bool((values > 1).any()))
            return color_bytes(
                values / 257 if values.dtype.itemsize == 2 else values.astype(float), whole=True
            )
    return None


def _stacked(columns: _Columns, names: Sequence[str]) -> Shaped[np.ndarray, "n C"] | None:
    """Return columns of single values side by side; None if one is missing."""
    found = [column for name in names if isinstance(column := columns.get(name), np.ndarray)]
    return np.stack(found, axis=1) if len(found) == len(names) else None
