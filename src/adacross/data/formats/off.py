"""OFF files, also those of ModelNet whose header runs into the counts ("OFF490 518 0")."""

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from adacross.data.formats.polygons import cloud_of, color_bytes, mean_colors, spans, triangulate
from adacross.data.formats.text import decode_text, integers, numbers
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud

_HEADER = re.compile(r"\s*((?:ST|C|N|4)*)OFF(?![A-Z])[ \t]*\n?", re.ASCII | re.IGNORECASE)
_BINARY = re.compile(rb"\s*\w*OFF[ \t]+BINARY", re.IGNORECASE)
_COMMENT = re.compile(r"#[^\n]*")


class _Layout(NamedTuple):
    """Numbers of an OFF file by what they mean."""

    vertices: Float64[np.ndarray, "V W"]
    sizes: Int64[np.ndarray, " P"]
    corners: Int64[np.ndarray, " C"]
    colors: Float64[np.ndarray, "P 3"] | None  # of the polygons; NaN for one without


def read_off(data: bytes) -> Mesh | PointCloud:
    """Read an OFF file: polygons of any size, with colors of vertices or faces, or only points.

    Of the letters before OFF, colors (C) are kept, normals (N), texture coordinates (ST) are not, and
    homogeneous coordinates (4) are divided. A face without a color of its own, in a file where others have
    one, is light gray. Raises BrokenShapeError if it is not OFF or is shorter than its header promises.
    """
    if _BINARY.match(data):
        raise BrokenShapeError("a binary OFF file, which is not read: save it as text")
    text = _COMMENT.sub("", decode_text(data))
    header = _HEADER.match(text)
    if header is None:
        raise BrokenShapeError("not an OFF file (its first line does not start with OFF)")
    if "nOFF" in header[0]:
        raise BrokenShapeError("an OFF file of points of n dimensions (nOFF); expected three")
    prefix = header[1].upper()
    found = _layout(text[header.end() :], prefix)
    rows = found.vertices
    points = np.ascontiguousarray(rows[:, :3])
    at = 3
    if "4" in prefix:
        points, at = points / rows[:, 3:4], 4
    colors = None
    if "N" in prefix and ("C" not in prefix or _unit(rows[:, at : at + 3])):
        at += 3
    if "C" in prefix and rows.shape[1] >= at + 3:
        values = rows[:, at : at + 3]
        colors = color_bytes(values, whole=bool((values > 1).any()))
    if not len(found.sizes):
        return cloud_of(points, colors)
    cut = triangulate(points, found.corners, found.sizes)
    faces = found.corners[cut.places]
    face_colors = None if colors is None else mean_colors(colors, faces)
    if found.colors is not None:
        face_colors = color_bytes(found.colors[cut.owners], whole=True)
    return Mesh(points, faces, face_colors, warnings=cut.warnings)


def _unit(rows: Float64[np.ndarray, "n W"]) -> bool:
    """Return whether rows may be normals; some programs write colors before them, others behind."""
    return bool(np.allclose(np.linalg.norm(rows, axis=1), 1, atol=0.01))


def _layout(text: str, prefix: str) -> _Layout:
    """Find vertices and faces by the lines they stand on; a file wrapped otherwise must come out even."""
    lines = [line for line in text.split("\n") if line and not line.isspace()]
    widths = np.array([len(line.split()) for line in lines], dtype=np.int64)
    values = numbers(text)
    if len(values) < 2:
        raise BrokenShapeError("an OFF file that ends after its header")
    points, polygons = (int(value) for value in values[:2])
    try:
        return _by_line(lines, widths, values, points, polygons)
    except BrokenShapeError:
        if (found := _free(values, prefix, points, polygons)) is None:
            raise
        return found


def _by_line(
    lines: list[str],
    widths: Int64[np.ndarray, " L"],
    values: Float64[np.ndarray, " n"],
    points: int,
    polygons: int,
) -> _Layout:
    if points < 0 or polygons < 0 or len(lines) < 1 + points + polygons:
        raise BrokenShapeError(
            f"truncated: the header promises {points} vertices and {polygons} faces, "
            f"but only {len(lines) - 1} lines follow"
        )
    starts = np.cumsum(widths) - widths
    width = int(widths[1]) if points else 3
    if width < 3 or (widths[1 : 1 + points] != width).any():
        raise BrokenShapeError("not a readable OFF file (its vertices have not three numbers each)")
    vertices = values[starts[1] :][: points * width].reshape(points, width) if points else np.zeros((0, 3))
    rows = slice(1 + points, 1 + points + polygons)
    starts, widths = starts[rows], widths[rows]
    sizes = integers(values[starts])
    if (short := np.flatnonzero((sizes < 0) | (sizes + 1 > widths))).size:
        promised, there = sizes[short[0]], widths[short[0]] - 1
        raise BrokenShapeError(f"truncated: a face promises {promised} corners and has {there}")
    corners = integers(values[spans(starts + 1, sizes)])
    colored = widths - sizes > 3  # a single number is an index into a table that is not in the file
    if not colored.any():
        return _Layout(vertices, sizes, corners, None)
    colors = np.full((polygons, 3), np.nan)
    colors[colored] = values[(starts + 1 + sizes)[colored, None] + np.arange(3)]
    # 1 is full as a fraction and nearly black as a byte: only its notation tells
    fractions = any("." in line for line in lines[rows])
    return _Layout(vertices, sizes, corners, colors * 255 if fractions else colors)


def _free(values: Float64[np.ndarray, " n"], prefix: str, points: int, polygons: int) -> _Layout | None:
    """Read numbers without regard to lines, where faces have no colors; None unless they come out even."""
    if points < 0 or polygons < 0:
        return None
    for channels in (4, 3) if "C" in prefix else (0,):
        width = 3 + channels + 3 * ("N" in prefix) + 2 * ("ST" in prefix) + ("4" in prefix)
        at = first = 3 + points * width
        sizes: list[int] = []
        while len(sizes) < polygons and at < len(values) and values[at] >= 1:
            sizes.append(int(values[at]))
            at += 1 + sizes[-1]
        if len(sizes) == polygons and at == len(values):
            size = np.array(sizes, dtype=np.int64)
            starts = first + np.arange(polygons) + np.cumsum(size) - size
            corners = integers(values[spans(starts + 1, size)])
            return _Layout(values[3:first].reshape(points, width), size, corners, None)
    return None
