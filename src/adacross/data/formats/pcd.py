"""PCD files, the Point Cloud Library's: ascii, binary and binary_compressed."""

from pathlib import Path

import numpy as np

from adacross.data.formats.archives import read_bytes
from adacross.data.formats.base import as_points
from adacross.data.shape import BrokenShapeError, PointCloud
from adacross.errors import one_line
from adacross.io.files import MOST_PACKED

_LONGEST_HEADER = 100_000  # bytes
_MOST_NUMBERS = 1_000  # a point
_KINDS = {"F": "f", "I": "i", "U": "u"}


def read_pcd(path: Path) -> PointCloud:
    """Read the points of a PCD file and their colors (`rgb`); points without a measurement are NaN.

    Raises BrokenShapeError if the header is not whole, has no x, y and z, or promises more than there is.
    """
    header, content = _header(read_bytes(path))
    try:
        names = header["FIELDS"]
        repeats = [int(word) for word in header.get("COUNT", ["1"] * len(names))]
        sizes = zip(header["TYPE"], header["SIZE"], strict=True)
        types = [np.dtype(f"<{_KINDS[kind]}{int(size)}") for kind, size in sizes]
        count = int(header["POINTS"][0]) if "POINTS" in header else int(header["WIDTH"][0])
        storage = header["DATA"][0].lower()
        found = enumerate(zip(names, types, repeats, strict=True))
        fields = [(f"{i}", kind, repeat) for i, (_, kind, repeat) in found]
    except (LookupError, ValueError, TypeError) as error:
        raise BrokenShapeError("not a PCD file: FIELDS, SIZE, TYPE, POINTS or DATA is missing") from error
    if count < 1 or min(repeats) < 1 or sum(repeats) > _MOST_NUMBERS:
        raise BrokenShapeError(f"a PCD header of {count:,} points with {sum(repeats):,} numbers each")
    if missing := [axis for axis in "xyz" if axis not in names]:
        raise BrokenShapeError(f"its fields are {' '.join(names)[:80]}; there is no {', '.join(missing)}")
    wanted = [*"xyz", "rgb", "rgba"]
    chosen = {name: names.index(name) for name in wanted if name in names}
    size = sum(kind.itemsize * repeat for kind, repeat in zip(types, repeats, strict=True))
    if storage == "ascii":
        table = _table(content, [sum(repeats[:i]) for i in chosen.values()], count)
        with np.errstate(invalid="ignore", over="ignore"):
            columns = {name: table[:, k].astype(types[i]) for k, (name, i) in enumerate(chosen.items())}
    elif storage == "binary":
        _check_length(len(content) // size, count)
        rows = np.frombuffer(content, [(name, kind, (repeat,)) for name, kind, repeat in fields], count)
        columns = {name: rows[f"{i}"][:, 0] for name, i in chosen.items()}
    elif storage == "binary_compressed":  # one field after the other, not point by point
        unpacked = _unpacked(content, count, size)
        (whole,) = np.frombuffer(unpacked, [(name, kind, (count, repeat)) for name, kind, repeat in fields])
        columns = {name: whole[f"{i}"][:, 0] for name, i in chosen.items()}
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


def _table(content: bytes, columns: list[int], count: int) -> np.ndarray:
    """Return some numbers of each line of text."""
    lines = [line for line in content.decode("latin-1").splitlines() if line.strip()]
    _check_length(len(lines), count)
    try:
        return np.loadtxt(lines[:count], usecols=columns, comments=None, ndmin=2)
    except ValueError as error:
        raise BrokenShapeError(f"truncated or damaged ({one_line(error, 200)})") from error


def _check_length(there: int, promised: int) -> None:
    if there < promised:
        raise BrokenShapeError(f"truncated: {promised:,} points promised, {there:,} there")


def _unpacked(content: bytes, count: int, size: int) -> bytes:
    """Unpack LZF: bytes as they are, or a length and how far back the same bytes stand."""
    there, promised = (int(number) for number in np.frombuffer(content[:8].ljust(8, b"\0"), "<u4"))
    if there > len(content) - 8 or promised != count * size or promised > MOST_PACKED * there:
        raise BrokenShapeError(
            f"truncated: {count:,} points take {count * size:,} bytes, but {there:,} compressed bytes for "
            f"{promised:,} are promised and {max(len(content) - 8, 0):,} are there"
        )
    packed, made = content[8 : 8 + there], bytearray()
    place = 0
    try:
        while place < there and len(made) <= promised:
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
    if len(made) != promised:
        raise BrokenShapeError("its compressed points are damaged")
    return bytes(made)
