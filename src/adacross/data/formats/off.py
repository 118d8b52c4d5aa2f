"""OFF files, ModelNet's own ones included.

Thousands of ModelNet's files run the header into the counts ("OFF490 518 0"), which most readers refuse.
"""

import re

import numpy as np
from jaxtyping import Int64, UInt8

from adacross.data.shape import BrokenShapeError, Mesh

_HEADER = re.compile(r"(C|N|CN)?OFF\s*", re.ASCII)


def read_off(text: str) -> Mesh:
    """Read an OFF, COFF, NOFF or CNOFF file: polygons of any size, colors of vertices or faces.

    Polygons become fans of triangles; a face without a color of its own, in a file where others have one, is
    light gray. Raises BrokenShapeError if the text is not OFF or is shorter than its header promises.
    """
    lines = [line for line in (line.split("#", 1)[0].strip() for line in text.splitlines()) if line]
    header = _HEADER.match(lines[0]) if lines else None
    if header is None:
        raise BrokenShapeError("not an OFF file (its first line does not start with OFF)")
    rest = lines[0][header.end() :]
    lines = [rest, *lines[1:]] if rest else lines[1:]
    try:
        return _read(lines, header[1] or "")
    except (ValueError, IndexError, OverflowError) as error:
        if isinstance(error, BrokenShapeError):
            raise
        raise BrokenShapeError(f"not a valid OFF file ({error})") from error


def _read(lines: list[str], prefix: str) -> Mesh:
    if not lines:
        raise BrokenShapeError("an OFF file that ends after its header")
    vertex_count, face_count = (int(word) for word in lines[0].split()[:2])
    if vertex_count < 0 or face_count < 0 or len(lines) < 1 + vertex_count + face_count:
        raise BrokenShapeError(
            f"truncated: the header promises {vertex_count} vertices and {face_count} faces, "
            f"but only {len(lines) - 1} lines follow"
        )
    rows = np.array([line.split() for line in lines[1 : 1 + vertex_count]], dtype=np.float64)
    rows = rows.reshape(vertex_count, -1) if vertex_count else np.zeros((0, 3))
    faces, face_colors = _faces(lines[1 + vertex_count : 1 + vertex_count + face_count])
    at = 6 if "N" in prefix else 3
    known = len(faces) > 0 and int(faces.min()) >= 0 and int(faces.max()) < vertex_count
    if face_colors is None and "C" in prefix and rows.shape[1] >= at + 3 and known:
        vertex_colors = _bytes(rows[:, at : at + 3], whole=bool((rows[:, at : at + 3] > 1).any()))
        face_colors = vertex_colors[faces].mean(1).round().astype(np.uint8)
    return Mesh(np.ascontiguousarray(rows[:, :3]), faces, face_colors)


def _faces(lines: list[str]) -> tuple[Int64[np.ndarray, "F 3"], UInt8[np.ndarray, "F 3"] | None]:
    """Read "n i j k ... [r g b [a]]" lines into triangles and their colors."""
    rows = [line.split() for line in lines]
    if rows and all(len(row) == 4 and row[0] == "3" for row in rows):  # nearly every file, and fast
        return np.array(rows, dtype=np.int64)[:, 1:].copy(), None
    triangles: list[tuple[int, int, int]] = []
    colors: list[list[str]] = []
    for row in rows:
        count = int(row[0])
        corners = [int(word) for word in row[1 : 1 + count]]
        if len(corners) < count:
            raise BrokenShapeError(f"truncated: a face promises {count} corners and has {len(corners)}")
        triangles += [(corners[0], corners[i], corners[i + 1]) for i in range(1, count - 1)]
        colors += [row[1 + count : 4 + count]] * max(count - 2, 0)
    faces = np.array(triangles, dtype=np.int64).reshape(-1, 3)
    if not any(len(color) == 3 for color in colors):
        return faces, None
    whole = all(word.isdigit() for color in colors for word in color)
    grey = ["200"] * 3 if whole else ["0.8"] * 3
    values = np.array([color if len(color) == 3 else grey for color in colors], dtype=np.float64)
    return faces, _bytes(values, whole)


def _bytes(values: np.ndarray, whole: bool) -> UInt8[np.ndarray, "n 3"]:
    """Colors as 0..255: integers are already, fractions are 0..1."""
    return (values if whole else values * 255).clip(0, 255).round().astype(np.uint8)
