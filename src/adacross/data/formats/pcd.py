"""PCD files, the Point Cloud Library's: ascii, binary and binary_compressed."""

from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adacross.data.formats.archives import read_bytes
from adacross.data.formats.base import as_points
from adacross.data.shape import BrokenShapeError, PointCloud
from adacross.errors import one_line
from adacross.io.files import MOST_PACKED

_LONGEST_HEADER = 100_000  # bytes
_MOST_NUMBERS = 1_000  # a point
_KINDS = {"F": "f", "I": "i", "U": "u"}


class _Field(NamedTuple):
    name: str
    type: np.dtype
    repeats: int  # numbers a point
    before: int  # numbers of the fields before it


def read_pcd(path: Path) -> PointCloud:
    """Read the points of a PCD file and their colors (`rgb`); points without a measurement are NaN.

    Raises BrokenShapeError if the header is not whole, has no x, y and z, or promises more than there is.
    """
    data = read_bytes(path)
    header, content = _header(data)
    try:
        names = header["FIELDS"]
        repeats = [int(word) for word in header.get("COUNT", ["1"] * len(names))]
        sizes = zip(header["TYPE"], header["SIZE"], strict=True)
        types = [np.dtype(f"<{_KINDS[kind]}{int(size)}") for kind, size in sizes]
        count = int(header["POINTS"][0]) if "POINTS" in header else int(header["WIDTH"][0])
        storage = header["DATA"][0].lower()
        before = accumulate(repeats, initial=0)
        fields = [_Field(*field, next(before)) for field in zip(names, types, repeats, strict=True)]
    except (LookupError, ValueError, TypeError) as error:
        raise BrokenShapeError("not a PCD file: FIELDS, SIZE, TYPE, POINTS or DATA is missing") from error
    if count < 1 or min(repeats) < 1 or sum(repeats) > _MOST_NUMBERS:
        raise BrokenShapeError(f"a PCD header of {count:,} points with {sum(repeats):,} numbers each")
    chosen = {field.name: field for field in reversed(fields) if field.name in ("x", "y", "z", "rgb", "rgba")}
    if missing := [axis for axis in "xyz" if axis not in chosen]:
        raise BrokenShapeError(f"its fields are {' '.join(names)[:80]}; there is no {', '.join(missing)}")
    if storage == "ascii":
        columns = _from_text(content, chosen, count)
    elif storage in ("binary", "binary_compressed"):
        columns = _from_bytes(content, fields, count, packed=storage != "binary")
    else:
        raise BrokenShapeError(f"DATA {storage[:40]}, expected ascii, binary or binary_compressed")
    points = as_points(np.stack([columns[axis].astype(np.float64) for axis in "xyz"], axis=1))
    packed = columns.get("rgb", columns.get("rgba"))
    if packed is None or packed.dtype.itemsize != 4:
        return PointCloud(points)
    bits = np.ascontiguousarray(packed).view("<u4")
    colors = np.stack([(bits >> shift & 255).astype(np.uint8) for shift in (16, 8, 0)], axis=1)
    return PointCloud(points, colors=colors)


def _header(data: bytes) -> tuple[dict[str, list[str]], bytes]:
    """Return the words of each entry of a header, and what follows it."""
    entries: dict[str, list[str]] = {}
    start = 0
    while "DATA" not in entries and start < min(len(data), _LONGEST_HEADER):
        end = data.find(b"\n", start, _LONGEST_HEADER)
        end = len(data) if end < 0 else end
        name, *words = data[start:end].decode("latin-1").split() or ["#"]
        entries.setdefault("FIELDS" if name == "COLUMNS" else name.upper(), words)
        start = end + 1
    return entries, data[start:]


def _from_text(content: bytes, fields: dict[str, _Field], count: int) -> dict[str, np.ndarray]:
    lines = [line for line in content.decode("latin-1").splitlines() if line.strip()]
    _check_length(len(lines), count)
    try:
        table = np.loadtxt(
            lines[:count], usecols=[field.before for field in fields.values()], comments=None, ndmin=2
        )
    except ValueError as error:
        raise BrokenShapeError(f"truncated or damaged ({one_line(error, 200)})") from error
    with np.errstate(invalid="ignore", over="ignore"):
        return {name: table[:, i].astype(field.type) for i, (name, field) in enumerate(fields.items())}


def _from_bytes(content: bytes, fields: list[_Field], count: int, packed: bool) -> dict[str, np.ndarray]:
    size = sum(field.type.itemsize * field.repeats for field in fields)
    if not packed:
        _check_length(len(content) // size, count)
        kinds = [(f"{i}", field.type, (field.repeats,)) for i, field in enumerate(fields)]
        rows = np.frombuffer(content, kinds, count)
        return {field.name: rows[f"{i}"][:, 0] for i, field in reversed(list(enumerate(fields)))}
    there, promised = (int(number) for number in np.frombuffer(content[:8].ljust(8, b"\0"), "<u4"))
    if there > len(content) - 8 or promised != count * size or promised > MOST_PACKED * there:
        raise BrokenShapeError(
            f"truncated: {count:,} points take {count * size:,} bytes, but {there:,} compressed bytes for "
            f"{promised:,} are promised and {max(len(content) - 8, 0):,} are there"
        )
    unpacked = _unpacked(content[8 : 8 + there], promised)
    columns: dict[str, np.ndarray] = {}
    start = 0
    for field in fields:  # one after the other, not point by point
        numbers = np.frombuffer(unpacked, field.type, count * field.repeats, start)
        columns.setdefault(field.name, numbers.reshape(count, field.repeats)[:, 0])
        start += numbers.nbytes
    return columns


def _check_length(there: int, promised: int) -> None:
    if there < promised:
        raise BrokenShapeError(f"truncated: {promised:,} points promised, {there:,} there")


def _unpacked(packed: bytes, size: int) -> bytes:
    """Unpack LZF: bytes as they are, or a length and how far back the same bytes stand."""
    made = bytearray()
    place, end = 0, len(packed)
    try:
        while place < end and len(made) <= size:
            control = packed[place]
            place += 1
            if control < 32:
                made += packed[place : place + control + 1]
                place += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += packed[place]
                place += 1
            start = len(made) - ((control & 31) << 8) - packed[place] - 1
            place += 1
            if start < 0:
                raise IndexError
            length += 2
            while length > 0:  # the bytes may overlap those that they make
                piece = made[start : start + length]
                made += piece
                length -= len(piece)
    except IndexError:
        raise BrokenShapeError("its compressed points are damaged") from None
    if len(made) != size:
        raise BrokenShapeError("its compressed points are damaged")
    return bytes(made)
