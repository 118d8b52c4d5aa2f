"""ModelNet40 as a folder of HDF5 files: `modelnet40_ply_hdf5_2048/`.

`ply_data_train*.h5` and `ply_data_test*.h5` hold `data` (n, N, 3) and `label` (n, 1) or (n,). The shapes are
y up. `shape_names.txt`, `train_files.txt` and `test_files.txt` are used where they exist.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from adacross.data.shape import Cloud, Split
from adacross.data.source import Axis, BrokenShapeError, Item, Loaded, Source
from adacross.errors import UserError

_ROWS = 64  # rows read at once: the files are compressed in blocks of many rows
_SPLITS: tuple[Split, ...] = ("train", "test")


def recognise(folder: Path) -> bool:
    """Whether a folder holds files of this layout."""
    return any(any(folder.glob(f"ply_data_{split}*.h5")) for split in _SPLITS)


def find(folder: Path, up: Axis | None) -> Source:
    """List the rows of all files; a file that cannot be read is skipped as a whole and named.

    Args:
        folder: as `recognise` accepts it.
        up: the axis that points up; None means y.

    Raises:
        UserError: a listed file is missing, or no file can be read.
    """
    items: list[Item] = []
    skipped: list[dict[str, str]] = []
    stored: list[int] = []
    names = _names(folder)
    for split in _SPLITS:
        for path in _files(folder, split):
            try:
                labels, points = _contents(path)
            except BrokenShapeError as error:
                skipped.append({"name": path.name, "reason": str(error)})
                continue
            stored.append(points)
            stamp = f"{path.stat().st_size}.{path.stat().st_mtime_ns}"
            for row, label in enumerate(labels.tolist()):
                name = f"{path.stem}/{row:05d}"
                if names and not 0 <= label < len(names):
                    reason = f"label {label}, but shape_names.txt has only {len(names)} names"
                    skipped.append({"name": name, "reason": reason})
                    continue
                items.append(Item(name, str(path), row, label, split, up or "y", stamp))
    if not items:
        reasons = "; ".join(f"{entry['name']}: {entry['reason']}" for entry in skipped[:3])
        raise UserError(
            f"no shape in the HDF5 files of {folder} can be read ({reasons}). Download them again."
        )
    classes = names or [f"{i:02d}" for i in range(max(item.label for item in items) + 1)]
    return Source(str(folder), "modelnet40", items, classes, stored=min(stored), skipped=skipped)


def load(item: Item, points: int, rng: np.random.Generator) -> Loaded:
    """Read one row; the first `points` points, as the field's protocol has it.

    Raises:
        BrokenShapeError: the file cannot be read (any more).
    """
    block = _block(item.path, item.row // _ROWS)
    return Loaded(cloud=Cloud(points=block[item.row % _ROWS][:points].copy()))


@lru_cache(maxsize=2)
def _block(path: str, number: int) -> Float32[np.ndarray, "n N 3"]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            block: Float32[np.ndarray, "n N 3"] = file["data"][number * _ROWS : (number + 1) * _ROWS]
    except (OSError, KeyError, RuntimeError) as error:
        raise BrokenShapeError(f"cannot read {Path(path).name} ({error})") from error
    return block.astype(np.float32)


def _files(folder: Path, split: Split) -> list[Path]:
    """The files of a split: those that `train_files.txt` lists, or all that are there."""
    listing = folder / f"{split}_files.txt"
    if not listing.is_file():
        return sorted(folder.glob(f"ply_data_{split}*.h5"))
    lines = (line.strip() for line in listing.read_text(encoding="utf-8", errors="replace").splitlines())
    listed = [folder / line.replace("\\", "/").rsplit("/", 1)[-1] for line in lines if line]
    missing = [path.name for path in listed if not path.is_file()]
    if missing:
        raise UserError(
            f"{listing} lists {missing[0]}{' and others' if missing[1:] else ''}, which is not there. "
            "Add the file, or delete the list to use the files that are there."
        )
    return listed


def _contents(path: Path) -> tuple[np.ndarray, int]:
    """Return the labels `(n,)` and the number of points of a file without reading its points."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            shape = file["data"].shape
            labels = np.asarray(file["label"]).reshape(-1).astype(np.int64)
    except (OSError, KeyError, AttributeError, ValueError, RuntimeError) as error:
        raise BrokenShapeError(f"not an HDF5 file with `data` and `label` ({error})") from error
    if len(shape) != 3 or shape[2] != 3 or shape[1] < 1:
        raise BrokenShapeError(f"`data` has shape {shape}, expected (n, points, 3)")
    if len(labels) != shape[0]:
        raise BrokenShapeError(f"{shape[0]} shapes but {len(labels)} labels")
    return labels, int(shape[1])


def _names(folder: Path) -> list[str]:
    path = folder / "shape_names.txt"
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]
