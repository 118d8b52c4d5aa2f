"""Files that are each a shape: a mesh or a cloud."""

from pathlib import Path
from tokenize import TokenError

import numpy as np
from jaxtyping import Float32

from adacross.data.formats.mesh_files import UP, read_mesh, read_ply
from adacross.data.formats.point_text import read_rows
from adacross.data.shape import Cloud, Mesh
from adacross.data.source import BrokenShapeError, Item, Loaded
from adacross.errors import one_line
from adacross.io.files import file_size

_SEPARATORS = {".csv": ",", ".pts": None, ".txt": None, ".xyz": None}  # of clouds in text, a point a line
_WIDTHS = (3, 4, 6, 7)  # coordinates, maybe with an intensity, a normal or a colour
CLOUDS = (".npy", *_SEPARATORS)  # of files that hold nothing else
SUFFIXES = (*sorted(UP), *CLOUDS)


def load(item: Item, points: int, rng: np.random.Generator) -> Loaded:
    """Read one file: a mesh, or a cloud, of which `points` are drawn.

    Different points are drawn where there are enough; of a smaller cloud all are kept, and some repeated.

    Raises:
        BrokenShapeError: not readable, of another kind, or with coordinates that are not finite.
    """
    path = Path(item.path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BrokenShapeError(f"no file of shapes; it must end in one of {', '.join(SUFFIXES)}")
    try:
        found = _read(path, suffix)
    except OSError as error:
        raise BrokenShapeError(error.strerror or str(error)) from error
    if isinstance(found, Mesh):
        return Loaded(mesh=found)
    count = len(found.points)
    rows = rng.permutation(count)[:points]
    rows = np.concatenate([rows, rng.integers(0, count, points - len(rows))])
    return Loaded(cloud=Cloud(found.points[rows]))


def looks_like_a_cloud(path: Path) -> bool:
    """Whether a file that ends as clouds do begins with a point: notes and tables end in .txt, too."""
    suffix = path.suffix.lower()
    if suffix not in _SEPARATORS:
        return suffix in CLOUDS
    try:
        file_size(path)  # refuses pipes and devices
        with path.open("rb") as file:
            lines = file.read(4096).decode("latin-1").splitlines()
        first = next((line for line in lines if line.strip()), "")
        return len([float(word) for word in first.split(_SEPARATORS[suffix])]) in _WIDTHS
    except (OSError, ValueError):
        return False


def _read(path: Path, suffix: str) -> Mesh | Cloud:
    if suffix == ".npy":
        return Cloud(_numbers(path))
    if suffix in _SEPARATORS:
        return Cloud(read_rows(path, _WIDTHS, _SEPARATORS[suffix])[:, :3])
    return read_ply(path) if suffix == ".ply" else read_mesh(path)


def _numbers(path: Path) -> Float32[np.ndarray, "N 3"]:
    """Read a NumPy file; the header's promise is checked against the file's size by mapping it."""
    file_size(path)
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, TypeError, SyntaxError, TokenError, MemoryError, OverflowError) as error:
        reason = one_line(error)
        raise BrokenShapeError(f"not a readable NumPy file ({reason})") from error
    if not isinstance(stored, np.ndarray) or stored.ndim != 2 or stored.dtype.kind not in "fiu":
        raise BrokenShapeError("expected an array (N, 3) of numbers in the NumPy file")
    if stored.shape[0] < 1 or stored.shape[1] < 3:
        raise BrokenShapeError(f"an array of shape {stored.shape}, expected (N, 3)")
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as such
        return np.array(stored[:, :3], dtype=np.float32)
