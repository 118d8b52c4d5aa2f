"""LAS and LAZ files, of laser scans; z is up."""

import struct
from pathlib import Path

import numpy as np

from adacross.data.formats.archives import file_size, open_file, read_head
from adacross.data.formats.base import as_points, optional, readable
from adacross.data.shape import BrokenShapeError, PointCloud
from adacross.io.files import LARGEST, MOST_PACKED

_HEADER, _RECORD, _CHUNK = 227, 54, 8  # bytes, at least
_AT_ONCE = 1_000_000  # points


def read_las(path: Path) -> PointCloud:
    """Read the points of a LAS or LAZ file, and their colors where the file has some.

    Raises BrokenShapeError if the file is not readable, promises more points than it can hold, or laspy is
    not installed.
    """
    laspy, _ = (optional(name, "LAS and LAZ files need laspy", "clouds") for name in ("laspy", "lazrs"))
    size = _checked_size(path)
    with (
        readable("LAS", laspy.errors.LaspyException),
        open_file(path) as stream,
        laspy.open(stream, read_evlrs=False) as file,
    ):
        head = file.header
        count, record = head.point_count, head.point_format.size
        room = size * MOST_PACKED if head.are_points_compressed else size - head.offset_to_point_data
        if count * record > min(room, LARGEST):
            raise BrokenShapeError(f"truncated: {count:,} points take {count * record:,} bytes")
        pieces = []
        colors = []
        for piece in file.chunk_iterator(_AT_ONCE):
            pieces.append(np.stack([np.asarray(piece[axis]) for axis in "xyz"], axis=1))
            if "red" in head.point_format.dimension_names:
                colors.append(np.stack([piece[name] for name in ("red", "green", "blue")], axis=1))
    points = np.concatenate([np.zeros((0, 3)), *pieces])
    if len(points) < max(count, 1):
        raise BrokenShapeError(f"truncated: {count:,} points promised, {len(points):,} there")
    return PointCloud(as_points(points), colors=_bytes(np.concatenate(colors)) if colors else None)


def _checked_size(path: Path) -> int:
    """Return the size of a LAS file in bytes; its header must fit in, with the records that it promises."""
    size, head = file_size(path), read_head(path, _HEADER)
    if len(head) < _HEADER or not head.startswith(b"LASF"):
        raise BrokenShapeError("not a LAS file: it does not begin with LASF and a header")
    header, points, records = struct.unpack_from("<HII", head, 94)
    if not header + _RECORD * records <= points <= size:
        raise BrokenShapeError(
            f"truncated: {records:,} records before its points, which begin at byte {points:,} of {size:,}"
        )
    if head[104] & 128:  # compressed; lazrs makes room for as many chunks as are promised
        chunks = _chunks(path, points, size)
        if not 0 <= chunks * _CHUNK <= size:
            raise BrokenShapeError(f"damaged: {chunks:,} chunks of points in {size:,} bytes")
    return size


def _chunks(path: Path, points: int, size: int) -> int:
    """Return how many chunks of compressed points a LAZ file promises; -1 if it does not say."""
    with open_file(path) as file:
        file.seek(points)
        table = int.from_bytes(file.read(8), "little", signed=True)
        if table == -1:  # a writer that could not go back: the place is at the file's end
            file.seek(max(size - 8, 0))
            table = int.from_bytes(file.read(8), "little", signed=True)
        if not points <= table <= size - 8:
            return -1
        file.seek(table + 4)
        return int.from_bytes(file.read(4), "little")


def _bytes(colors: np.ndarray) -> np.ndarray | None:
    """Return colors of 16 bits, which many programs fill with 8, in 8 bits; None if all are black."""
    most = int(colors.max())
    return (colors >> 8 if most > 255 else colors).astype(np.uint8) if most else None
