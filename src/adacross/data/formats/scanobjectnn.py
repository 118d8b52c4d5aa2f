"""ScanObjectNN: objects cut out of scanned rooms, as the folder `h5_files/` of HDF5 files.

| variant | files | objects |
|---|---|---|
| obj_only | `main_split_nobg/*_objectdataset.h5` | without the background around them |
| obj_bg | `main_split/*_objectdataset.h5`, or `train.h5` and `test.h5` there | with it |
| pb_t50_rs | `main_split/*_objectdataset_augmentedrot_scale75.h5` | with it, moved, turned and scaled |

`*` is `training` and `test`. Each file holds `data` (n, 2048, 3), y up, `label` (n,) and `mask` (n, 2048), -1
for the background, which is not needed. The programs of CrossPoint, CrossNet and AdaCrossNet read
`main_split/train.h5` and `test.h5`, which by their place are obj_bg. The order of the 15 names is recalled
from the data set's publication (Uy et al., ICCV 2019): the files have none.
"""

from pathlib import Path

import numpy as np

from adacross.data.formats.hdf5 import find_rows, read_points
from adacross.data.shape import Cloud, Split
from adacross.data.source import Axis, BrokenShapeError, Item, Loaded, Source
from adacross.errors import UserError, one_of

CLASSES = (
    "bag",
    "bin",
    "box",
    "cabinet",
    "chair",
    "desk",
    "display",
    "door",
    "shelf",
    "table",
    "bed",
    "pillow",
    "sink",
    "sofa",
    "toilet",
)
_BOTH, _BARE, _END = "main_split", "main_split_nobg", "_objectdataset.h5"
# Where each variant's files lie: their folder, and pairs of training and test file, the first there counts.
FILES = {
    "obj_only": (_BARE, ((f"training{_END}", f"test{_END}"),)),
    "obj_bg": (_BOTH, ((f"training{_END}", f"test{_END}"), ("train.h5", "test.h5"))),
    "pb_t50_rs": (
        _BOTH,
        (
            (
                "training_objectdataset_augmentedrot_scale75.h5",
                "test_objectdataset_augmentedrot_scale75.h5",
            ),
        ),
    ),
}
_SPLITS: tuple[Split, ...] = ("train", "test")


def recognise(folder: Path) -> bool:
    """Whether a folder holds files of this layout, or is one of its two folders."""
    return bool(variants(folder))


def variants(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Return the variants of which a folder has at least one file, each with its training and test file."""
    found = {}
    for variant, (name, pairs) in FILES.items():
        place = folder if folder.name == name else folder / name
        for pair in pairs:
            paths = tuple(place / file for file in pair)
            if variant not in found and any(path.is_file() for path in paths):
                found[variant] = paths
    return found


def find(folder: Path, up: Axis | None, variant: str | None = None) -> Source:
    """List the objects of one variant; those whose label is none of the 15 are skipped and named.

    Args:
        folder: as `recognise` accepts it.
        up: the axis that points up; None means y.
        variant: a name of `FILES`; None takes the one that is there.

    Raises:
        UserError: no such variant, it is not there, several are and none is named, or no file can be read.
    """
    found = variants(folder)
    there = ", ".join(found)
    if variant is None and len(found) > 1:
        raise UserError(
            f"{folder} holds several variants of ScanObjectNN: {there}. Choose one with --variant."
        )
    variant = one_of("variant of ScanObjectNN", variant or there, FILES)
    if variant not in found:
        place, pairs = FILES[variant]
        raise UserError(
            f"{folder} has no {variant} ({place}/{pairs[0][0]}); what is there: {there}. "
            "Add its files, or choose another --variant."
        )
    files = [(path, split) for path, split in zip(found[variant], _SPLITS, strict=True) if path.is_file()]
    items, skipped, stored = find_rows(
        folder, files, up or "y", classes=len(CLASSES), expected=f"expected 0 to {len(CLASSES) - 1}"
    )
    return Source(
        location=str(folder),
        kind="scanobjectnn",
        items=items,
        classes=list(CLASSES),
        stored=stored,
        variant=variant,
        note=f"ScanObjectNN, variant {variant}: {' and '.join(path.name for path, _ in files)}.",
        missing=[f"{path.parent.name}/{path.name}" for path in found[variant] if not path.is_file()],
        skipped=skipped,
    )


def load(item: Item, points: int, rng: np.random.Generator) -> Loaded:
    """Read one row: the first `points` points, as the field's protocol has it.

    Points that fill a cloud up, (-1, -1, -1) at its end, are dropped, and its real ones repeated in turn.

    Raises:
        BrokenShapeError: the file cannot be read (any more), or the cloud is nothing but filling.
    """
    cloud = read_points(item)
    real = len(cloud)
    while real and (cloud[real - 1] == -1).all():
        real -= 1
    if not real:
        raise BrokenShapeError("no point but filling, (-1, -1, -1)")
    remark = f"{real:,} real points, the rest is filling, (-1, -1, -1); they are repeated in turn"
    kept = Cloud(cloud[np.arange(min(points, len(cloud))) % real])
    return Loaded(cloud=kept, remark=remark if real < len(kept.points) else "")
