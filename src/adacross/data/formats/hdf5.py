"""Clouds in HDF5 files, as several data sets keep them: `data` (n, N, C) and labels beside it.

A file that cannot be read is skipped as a whole and named; the rows of the others go on.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int64

from adacross.data.formats.base import MOST_COLUMNS, DatasetIndex, Format, Keep, SampleRef, Skipped, as_points
from adacross.data.formats.text import file_below, integers, lines_of
from adacross.data.shape import BrokenShapeError, PointCloud, Split
from adacross.errors import UserError
from adacross.io.files import MOST_PACKED, READER_ERRORS, file_size

_ROWS = 64  # rows read at once: the files are compressed in blocks of many rows
_HELD = 2**26  # bytes that are read at once, if it is more than one row
_MOST_ROWS, _MOST_POINTS = 100_000, 1_000_000  # of a file, of a cloud
_LARGEST_CHUNK = 2**28  # bytes that HDF5 has to unpack at once
_SMALL = 2**20  # bytes of data that may be packed as tightly as they like: labels are often all the same


class RowFormat(Format):
    """Rows of HDF5 files: a cloud each, with one label a row or one a point."""

    keep: ClassVar[Keep] = "first"  # as the field's protocols have it
    channels: ClassVar[int] = 3  # numbers a point, at least: x, y and z come first
    point_labels: ClassVar[str] = ""  # name of the labels (n, N) of the points, if they have any

    def load(self, item: SampleRef) -> PointCloud:
        return PointCloud(read_points(item))

    def sizes(self, folder: Path, files: Sequence[Path]) -> tuple[dict[Path, int], int, Skipped]:
        """Return the rows of each readable file, the points a cloud, and the files that cannot be read."""
        found: dict[Path, tuple[int, int]] = {}
        skipped: Skipped = []
        for path in files:
            try:
                found[path] = self._size_of(path)
            except BrokenShapeError as error:
                skipped.append({"name": path.name, "reason": str(error)})
        if not found:
            raise _none_readable(folder, skipped)
        return {path: rows for path, (rows, _) in found.items()}, min(n for _, n in found.values()), skipped

    def find_rows(
        self, folder: Path, files: Mapping[str, Sequence[Path]], classes: int | None, expected: str = ""
    ) -> DatasetIndex:
        """List the rows of each split's files, one label a row; those of "val" are for training.

        Classes are called by number. `expected` completes the message about a label outside `classes` (None:
        any): "label 9, <expected>".
        """
        items: list[SampleRef] = []
        skipped: Skipped = []
        sizes: list[int] = []
        for word, path in ((word, path) for word, paths in files.items() for path in paths):
            try:
                count, points = self._size_of(path)
                with _stored(path, ["label"], "not an HDF5 file with `data` and `label`") as (stored,):
                    labels = np.asarray(stored).reshape(-1) if stored.size == count else None
                    size = stored.size
                if labels is None:
                    raise BrokenShapeError(f"{count} shapes but {size} labels")
            except BrokenShapeError as error:
                skipped.append({"name": path.name, "reason": str(error)})
                continue
            sizes.append(points)
            split: Split = "test" if word == "test" else "train"
            for row, label in enumerate(integers(labels).tolist()):  # NaN becomes a label that no class has
                name = f"{path.stem}/{row:05d}"
                if label < 0 or (classes is not None and label >= classes):
                    reason = f"label {label}, {expected or f'expected 0 to {(classes or 1) - 1}'}"
                    skipped.append({"name": name, "reason": reason})
                else:
                    items.append(SampleRef(name, str(path), row, label, split))
        if not items:
            raise _none_readable(folder, skipped)
        names = [f"{label:02d}" for label in range(max(int(item.label) for item in items) + 1)]
        missing = [f"ply_data_{word}*.h5" for word, paths in files.items() if not paths]
        return DatasetIndex(items, names, points=min(sizes), missing=missing, skipped=skipped)

    def _size_of(self, path: Path) -> tuple[int, int]:
        """Return how many clouds of how many points a file promises; BrokenShapeError if it is not sound."""
        key = self.point_labels
        keys = ("data", key) if key else ("data",)
        with _stored(path, keys, f"not an HDF5 file with `data` and `{key or 'label'}`") as (data, *labels):
            shape = tuple(data.shape)
            labeled = [tuple(found.shape) for found in labels]
        channels = range(self.channels, max(self.channels, MOST_COLUMNS) + 1)
        if len(shape) != 3 or shape[2] not in channels or not 1 <= shape[1] <= _MOST_POINTS:
            raise BrokenShapeError(f"`data` has shape {shape}, expected (n, points, {self.channels})")
        if shape[0] > _MOST_ROWS:
            raise BrokenShapeError(f"`data` has {shape[0]:,} shapes, more than the {_MOST_ROWS:,} of a file")
        if labeled not in ([], [shape[:2]]):
            raise BrokenShapeError(f"`{key}` has shape {labeled[0]}, expected {shape[:2]}: one a point")
        return int(shape[0]), int(shape[1])


def files_of(folder: Path, pattern: str, listing: str) -> list[Path]:
    """Return the files that a list in the folder names, or, without it, those that fit a pattern.

    They are in the list's order, or by name with numbers in their own order (`_2` before `_10`); directories
    in listed paths are ignored. Raises UserError if the list is empty, or names a file that is missing.
    """
    path = folder / listing
    if not path.is_file():
        found = [file for file in folder.glob(pattern) if not file.name.startswith(".")]
        return sorted(found, key=lambda file: (len(file.name), file.name))
    listed = dict.fromkeys(line.replace("\\", "/").rsplit("/", 1)[-1] for line in lines_of(path))
    if not listed:
        raise UserError(f"{path} lists no file. Delete it to use the files that are there.")
    missing = [name for name in listed if file_below(folder, name) is None]
    if missing:
        raise UserError(
            f"{path} lists {missing[0][:200]}{' and others' if missing[1:] else ''}, which is not there. "
            "Add the file, or delete the list to use the files that are there."
        )
    return [folder / name for name in listed]


def split_files(folder: Path, listing: str, *words: str) -> dict[str, list[Path]]:
    """Return the files of each of some splits, `ply_data_<split>*.h5`; `listing` names their lists."""
    return {word: files_of(folder, f"ply_data_{word}*.h5", listing.format(word)) for word in words}


def has(path: Path, key: str) -> bool:
    """Return whether a file can be opened and holds something of this name."""
    try:
        with _opened(path) as file:
            return key in file
    except READER_ERRORS:
        return False


def read_points(item: SampleRef) -> Float[np.ndarray, "N 3"]:
    """Read an item's cloud, x, y and z only; BrokenShapeError if the file cannot be read (any more)."""
    return as_points(_row(item, "data"))


def read_labels(item: SampleRef, key: str) -> Int64[np.ndarray, " N"]:
    """Read the labels of an item's points, NaN as one that no part has; errors as `read_points`."""
    return integers(_row(item, key))


def _none_readable(folder: Path, skipped: Skipped) -> UserError:
    reasons = "; ".join(f"{entry['name']}: {entry['reason']}" for entry in skipped[:3])
    return UserError(
        f"no shape in the HDF5 files of {folder} can be read ({reasons}). Download them again, or give files "
        "whose `data` is (n, points, 3)."
    )


def _row(item: SampleRef, key: str) -> np.ndarray:
    rows = _at_once(item.path, key)
    block = _block(item.path, key, item.row // rows, rows)
    if item.row % rows >= len(block):
        raise BrokenShapeError(f"{Path(item.path).name} has become shorter while it was read")
    return block[item.row % rows]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading."""
    import h5py

    file_size(path)  # refuses pipes and devices, on which HDF5 would wait
    with h5py.File(path, "r") as file:
        yield file


@contextmanager
def _stored(path: Path, keys: Sequence[str], complaint: str) -> Iterator[list[Any]]:
    """Open arrays of a file; what is wrong with them becomes a BrokenShapeError: `complaint` (details)."""
    try:
        with _opened(path) as file:
            yield [_dataset(file, key) for key in keys]
    except READER_ERRORS as error:
        raise BrokenShapeError(f"{complaint} ({error})") from error


def _dataset(file: Any, key: str) -> Any:
    """Return an array of numbers that lies in the file itself and may be as large as it says.

    HDF5 can point to other files (links, external and virtual data), which a downloaded file has no business
    to read, and may declare any number of rows that were never written, or that unpack to very many.
    """
    import h5py

    found = file[key] if isinstance(file.get(key, getlink=True), h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset):
        raise KeyError(f"no data of its own called `{key}`")
    if found.external or found.is_virtual:
        raise ValueError(f"`{key}` lies in another file")
    if found.dtype.kind not in "fiub":
        raise ValueError(f"`{key}` is of type {found.dtype}, expected numbers")
    stored = found.id.get_storage_size()
    if found.nbytes > max(_SMALL, MOST_PACKED * stored):
        raise ValueError(f"`{key}` has shape {found.shape}, but only {stored:,} bytes in the file")
    if math.prod(found.chunks or ()) * found.dtype.itemsize > _LARGEST_CHUNK:
        raise ValueError(f"`{key}` is packed in blocks of {found.chunks}, more than can be unpacked")
    return found


@lru_cache(maxsize=64)
def _at_once(path: str, key: str) -> int:
    """Return how many rows of a file are read at once."""
    with _stored(Path(path), [key], f"cannot read {Path(path).name}") as (stored,):
        return max(1, min(_ROWS, _HELD * len(stored) // max(1, stored.nbytes)))


@lru_cache(maxsize=4)
def _block(path: str, key: str, number: int, count: int) -> np.ndarray:
    rows = slice(number * count, (number + 1) * count)
    with _stored(Path(path), [key], f"cannot read {Path(path).name}") as (stored,):
        return np.asarray(stored[rows, :, :3] if stored.ndim == 3 else stored[rows])
