"""Clouds in NumPy files: one array in `.npy`, one of several in `.npz`."""

import io
import math
import zipfile
from pathlib import Path
from tokenize import TokenError

import numpy as np

from adacross.data.formats.archives import file_size, is_archived, open_file, read_bytes
from adacross.data.formats.base import MOST_COLUMNS, as_points, readable
from adacross.data.shape import BrokenShapeError, PointCloud
from adacross.errors import listed
from adacross.io.files import LARGEST, MOST_PACKED

_NAMES = ("points", "xyz", "pc", "pointcloud", "point_cloud", "pos", "coords", "vertices", "data", "arr_0")
_MOST_ARRAYS = 100
_SMALL = 2**20  # bytes that may be packed as tightly as they like


def read_npy(path: Path) -> PointCloud:
    """Read the points of an array `(N, C)`, `(C, N)` or `(1, N, C)`, C at least 3: x, y, z come first.

    The header's promise is checked against the file's size by mapping it. Raises BrokenShapeError for
    another shape or type.
    """
    file_size(path)
    with readable("NumPy", TokenError):
        if is_archived(path):
            stored = _array(read_bytes(path))
        else:
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(stored, np.ndarray):
        raise BrokenShapeError("several arrays, expected one (N, 3); call the file .npz")
    return cloud_of(stored)


def read_npz(path: Path) -> PointCloud:
    """Read the points of an archive's only array, or of the one that is called `points`, `xyz`, ..."""
    file_size(path)
    with (
        readable("NumPy", TokenError, zipfile.BadZipFile),
        open_file(path) as file,
        zipfile.ZipFile(file) as archive,
    ):
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        found = {info.filename.removesuffix(".npy"): info for info in members[: _MOST_ARRAYS + 1]}
        name = next((name for name in _NAMES if name in found), next(iter(found), ""))
        if len(found) > 1 and name not in _NAMES:
            raise BrokenShapeError(f"arrays {listed(found, 9)}; call the one of the points `points`")
        if not found:
            raise BrokenShapeError("there is no array in it")
        size, packed = found[name].file_size, found[name].compress_size
        if size > min(LARGEST, max(_SMALL, MOST_PACKED * packed)):
            raise BrokenShapeError(f"{size:,} bytes packed into {packed:,}")
        with archive.open(found[name]) as member:
            return cloud_of(_array(member.read(size)))


def _array(data: bytes) -> np.ndarray:
    """Return the array of a NumPy file's bytes, whose header may not promise more than they hold."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    if kind.hasobject or min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize > len(data):
        raise BrokenShapeError(f"an array of {kind} {shape} in {len(data):,} bytes")
    stream.seek(0)
    return np.load(stream, allow_pickle=False)


def cloud_of(stored: np.ndarray) -> PointCloud:
    """Return the points of an array; one whose rows are the coordinates is transposed, with a warning."""
    if stored.ndim == 3 and 1 in stored.shape:
        stored = stored.squeeze(stored.shape.index(1))
    if stored.ndim == 2 and 3 <= stored.shape[0] <= MOST_COLUMNS < stored.shape[1]:
        said = f"an array of shape {stored.shape} is transposed: its rows are x, y and z"
        return PointCloud(as_points(stored.T), warnings=(said,))
    return PointCloud(as_points(stored))
