"""ModelNet40 as a folder of HDF5 files: `modelnet40_ply_hdf5_2048/`.

`ply_data_train*.h5` and `ply_data_test*.h5` hold `data` (n, N, 3) and `label` (n, 1) or (n,). The shapes are
y up. `shape_names.txt`, `train_files.txt` and `test_files.txt` are used where they exist.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from adacross.data.formats.hdf5 import files_of, find_rows, has, lines_of, read_points
from adacross.data.shape import Cloud, Split
from adacross.data.source import Axis, Item, Loaded, Source
from adacross.errors import UserError, one_of

VARIANTS = ("modelnet40", "modelnet10")
SPLITS: tuple[Split, ...] = ("train", "test")
# ModelNet10 by its labels among the 40, and what shape_names.txt calls them.
TEN = {
    1: "bathtub",
    2: "bed",
    8: "chair",
    12: "desk",
    14: "dresser",
    22: "monitor",
    23: "night_stand",
    30: "sofa",
    33: "table",
    35: "toilet",
}


def recognise(folder: Path) -> bool:
    """Whether a folder holds files of this layout; ShapeNetPart's, which have parts (`pid`), are others."""
    files = [path for split in SPLITS for path in folder.glob(f"ply_data_{split}*.h5")]
    return bool(files) and not any(has(path, "pid") for path in files)


def find(folder: Path, up: Axis | None, variant: str | None = None) -> Source:
    """List the rows of all files; a file that cannot be read is skipped as a whole and named.

    Args:
        folder: as `recognise` accepts it.
        up: the axis that points up; None means y.
        variant: "modelnet10" keeps 10 of the 40 classes, as labels 0 to 9; None means "modelnet40".

    Raises:
        UserError: a listed file is missing, no file can be read, another variant, or ModelNet10 of classes
            that are not ModelNet40's.
    """
    variant = one_of("variant of ModelNet40", variant or VARIANTS[0], VARIANTS)
    names = lines_of(folder / "shape_names.txt")
    if variant == "modelnet10":
        _check_forty(folder, names)
    files = [(path, split) for split in SPLITS for path in _files(folder, split)]
    items, skipped, stored = find_rows(
        folder,
        files,
        up or "y",
        classes=len(names) or None,
        expected=f"but shape_names.txt has only {len(names)} names" if names else "expected 0 or more",
    )
    if variant == "modelnet10":
        labels, names = list(TEN), list(TEN.values())
        items = [replace(item, label=labels.index(item.label)) for item in items if item.label in TEN]
        if not items:
            raise UserError(f"no shape in {folder} belongs to ModelNet10. Leave --variant away to keep all.")
    return Source(
        location=str(folder),
        kind="modelnet40",
        items=items,
        classes=names or [f"{i:02d}" for i in range(max(item.label for item in items) + 1)],
        stored=stored,
        variant=variant,
        missing=[f"ply_data_{split}*.h5" for split in SPLITS if not _files(folder, split)],
        skipped=skipped,
    )


def load(item: Item, points: int, rng: np.random.Generator) -> Loaded:
    """Read one row; the first `points` points, as the field's protocol has it.

    Raises:
        BrokenShapeError: the file cannot be read (any more).
    """
    return Loaded(cloud=Cloud(points=read_points(item, points)))


def _files(folder: Path, split: Split) -> list[Path]:
    return files_of(folder, f"ply_data_{split}*.h5", f"{split}_files.txt")


def _check_forty(folder: Path, names: list[str]) -> None:
    """Refuse a list of names by which the ten labels are other classes; without a list they are trusted."""
    for label, name in TEN.items():
        if names and names[label : label + 1] != [name]:
            raise UserError(
                f"ModelNet10 is 10 of ModelNet40's 40 classes, among them label {label}, {name}, but "
                f"{folder / 'shape_names.txt'} says otherwise. Give ModelNet40's own files."
            )
