"""Files that are each a shape, a mesh or a cloud."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from tokenize import TokenError

import numpy as np
from jaxtyping import Float

from adacross.data.formats.base import SampleRef, as_points
from adacross.data.formats.mesh_files import UP, read_mesh, read_ply
from adacross.data.formats.text import read_rows
from adacross.data.shape import Axis, BrokenShapeError, Mesh, PointCloud
from adacross.errors import UserError, one_line
from adacross.io.files import READER_ERRORS, file_size

_SEPARATORS = {".csv": ",", ".pts": None, ".txt": None, ".xyz": None}  # of clouds in text, a point a line
_WIDTHS = (3, 4, 6, 7)  # coordinates, maybe with an intensity, a normal or a color
CLOUDS = (".npy", *_SEPARATORS)  # endings of files that hold nothing else
SUFFIXES = (*sorted(UP), *CLOUDS)


def read_file(path: Path) -> Mesh | PointCloud:
    """Read the mesh or the cloud in one file, by its ending; BrokenShapeError if it cannot be read."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BrokenShapeError(f"no file of shapes; it must end in one of {', '.join(SUFFIXES)}")
    try:
        if suffix == ".npy":
            return PointCloud(_read_npy(path))
        if suffix in _SEPARATORS:
            return PointCloud(read_rows(path, _WIDTHS, _SEPARATORS[suffix])[:, :3].copy())
        return read_ply(path) if suffix == ".ply" else read_mesh(path)
    except OSError as error:
        raise BrokenShapeError(error.strerror or str(error)) from error


def read_shape(path: str | Path) -> Mesh | PointCloud:
    """Read a mesh (OFF, OBJ, PLY, STL, GLB) or a point cloud (PLY, NPY, or text with a point a line).

    The shape is in the file's own frame; `.warnings` names what is unusual about it. The file is read in this
    process: `prepare` and `embed` isolate files that may be hostile.

    Raises:
        UserError: no such file, or no shape in it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "triangle.obj")
        >>> _ = path.write_text("v 0 0 0\\nv 1 0 0\\nv 0 1 0\\nf 1 2 3\\n")
        >>> read_shape(path).faces
        array([[0, 1, 2]])
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; expected a file that ends in {', '.join(SUFFIXES)}.")
    try:
        return read_file(path)
    except (BrokenShapeError, MemoryError) as error:
        raise UserError(f"{path} is not a shape: {error}.") from None


def file_ref(path: Path, up: Axis | None = None) -> SampleRef:
    """Return the reference to one file, whose path is the id; `up` is else by its type, y for clouds."""
    return SampleRef(str(path), str(path), up=up or UP.get(path.suffix.lower(), "y"))


def files_below(folder: Path, suffixes: Collection[str] | None = UP) -> Iterator[Path]:
    """Yield all visible files of a folder that end so, in no order, links to folders followed once.

    `suffixes` None yields files of every ending.
    """
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real in seen:
            continue
        seen.add(real)
        for name in names:
            if not name.startswith(".") and (suffixes is None or Path(name).suffix.lower() in suffixes):
                yield Path(place, name)


def looks_like_a_cloud(path: Path) -> bool:
    """Return whether a file that ends as clouds do begins with a point: notes and tables end in .txt, too."""
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


def _read_npy(path: Path) -> Float[np.ndarray, "N 3"]:
    """Read a NumPy file; the header's promise is checked against the file's size by mapping it."""
    file_size(path)
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (*READER_ERRORS, TokenError) as error:
        raise BrokenShapeError(f"not a readable NumPy file ({one_line(error)})") from error
    if not isinstance(stored, np.ndarray):
        raise BrokenShapeError("several arrays, expected one (N, 3)")
    return as_points(stored)
