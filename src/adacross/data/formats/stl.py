"""STL files, in text or binary."""

import re
import struct

import numpy as np

from adacross.data.formats.text import decode_text, numbers
from adacross.data.shape import BrokenShapeError, Mesh

_HEAD, _FACET = 84, 50  # bytes of a binary file
_UNKNOWN = (0, 2**32 - 1)  # counts that programs leave which do not go back to write the right one
_TEXT = re.compile(r"facet|endsolid", re.IGNORECASE)
_VERTEX = re.compile(r"^[ \t]*vertex\b(.*)$", re.IGNORECASE | re.MULTILINE)
_ANYWHERE = re.compile(r"\svertex\b((?:\s+[-+.\w]+){3})", re.IGNORECASE)  # without lines


def read_stl(data: bytes) -> Mesh:
    """Read an STL file; all solids of a text become one mesh. Raises BrokenShapeError if it is cut short.

    A binary file may start with "solid", too: it is one whose size has room for the triangles that it counts,
    which no text has, because letters as a count are more than any file holds.
    """
    count = struct.unpack_from("<I", data, _HEAD - 4)[0] if len(data) >= _HEAD else -1
    if count < 0 or _HEAD + _FACET * count > len(data):
        if (text := _text_of(data)) is not None:
            return _read_text(text)
        if count < 0:
            raise BrokenShapeError(
                f"truncated: a binary STL file has at least {_HEAD} bytes, this one {len(data)}"
            )
    there = (len(data) - _HEAD) // _FACET
    warnings: tuple[str, ...] = ()
    if count in _UNKNOWN and there:
        warnings = (f"its header counts {count:,} triangles; all {there:,} that are in it are read",)
        count = there
    need = _HEAD + _FACET * count
    if need > len(data):
        raise BrokenShapeError(f"truncated: {count} triangles take {need} bytes, the file has {len(data)}")
    if data[need:].strip(b"\0 \t\r\n"):
        warnings += (f"{len(data) - need:,} bytes after its last triangle are not read",)
    rows = np.frombuffer(data, [("numbers", "<f4", (4, 3)), ("more", "<u2")], count, _HEAD)
    return _mesh(rows["numbers"][:, 1:], warnings)


def _text_of(data: bytes) -> str | None:
    """Return the text of an STL file that is one, None for others."""
    try:
        start = decode_text(data[: 2 * _HEAD])  # whole characters of UTF-16, and of all that matters here
        if start.lstrip()[:5].lower() != "solid":
            return None
        text = decode_text(data)
    except BrokenShapeError:  # binary
        return None
    return text if _TEXT.search(text) else None


def _read_text(text: str) -> Mesh:
    found = _VERTEX.findall(text) or _ANYWHERE.findall(text)
    values = numbers("\n".join(found))
    if len(values) != 3 * len(found) or len(found) % 3:
        raise BrokenShapeError(f"truncated: {len(found)} corners of {len(values)} numbers are not triangles")
    return _mesh(values)


def _mesh(values: np.ndarray, warnings: tuple[str, ...] = ()) -> Mesh:
    vertices = values.astype(np.float64).reshape(-1, 3)
    return Mesh(vertices, np.arange(len(vertices)).reshape(-1, 3), warnings=warnings)
