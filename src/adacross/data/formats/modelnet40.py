"""ModelNet40 as a folder of HDF5 files: `modelnet40_ply_hdf5_2048/`.

`ply_data_train*.h5` and `ply_data_test*.h5` hold `data` (n, N, 3) and `label` (n, 1) or (n,). The shapes are
y up. `shape_names.txt`, `train_files.txt` and `test_files.txt` are used where they exist.
"""

from dataclasses import replace
from pathlib import Path

from adacross.data.formats.base import DatasetIndex
from adacross.data.formats.hdf5 import RowFormat, files_of, has, lines_of
from adacross.errors import UserError, one_of

VARIANTS = ("modelnet40", "modelnet10")
# ModelNet10 by its labels among the 40, and what shape_names.txt calls them.
TEN = {
    1: "bathtub", 2: "bed", 8: "chair", 12: "desk", 14: "dresser", 22: "monitor", 23: "night_stand",
    30: "sofa", 33: "table", 35: "toilet",
}  # fmt: skip


class ModelNet40(RowFormat):
    """ModelNet40 in HDF5 files.

    Args:
        variant: "modelnet10" keeps 10 of the 40 classes, as labels 0 to 9.
    """

    layout = "ModelNet40's HDF5 files (ply_data_train*.h5, ply_data_test*.h5)"

    def __init__(self, variant: str = VARIANTS[0]) -> None:
        self.variant = one_of("variant of ModelNet40", variant, VARIANTS)

    def recognise(self, folder: Path) -> bool:
        """Return whether a folder holds such files; ShapeNetPart's, which have parts (`pid`), are others."""
        files = [path for split in ("train", "test") for path in folder.glob(f"ply_data_{split}*.h5")]
        return bool(files) and not any(has(path, "pid") for path in files)

    def find(self, folder: Path) -> DatasetIndex:
        """List the rows of all files; a file that cannot be read is skipped as a whole and named.

        Raises:
            UserError: a listed file is missing, no file can be read, or ModelNet10 of classes that are not
                ModelNet40's.
        """
        names = lines_of(folder / "shape_names.txt")
        if self.variant == "modelnet10":
            _check_forty(folder, names)
        found = self.find_rows(
            folder,
            {
                word: files_of(folder, f"ply_data_{word}*.h5", f"{word}_files.txt")
                for word in ("train", "test")
            },
            classes=len(names) or None,
            expected=f"but shape_names.txt has only {len(names)} names" if names else "expected 0 or more",
        )
        items = found.items
        if self.variant == "modelnet10":
            labels, names = list(TEN), list(TEN.values())
            items = [replace(item, label=labels.index(item.label)) for item in items if item.label in labels]
            if not items:
                raise UserError(f"no shape in {folder} belongs to ModelNet10. Omit --variant to keep all.")
        classes = names or [f"{i:02d}" for i in range(max(int(item.label) for item in items) + 1)]
        return replace(found, items=items, classes=classes, variant=self.variant)


def _check_forty(folder: Path, names: list[str]) -> None:
    """Refuse a list of names by which the ten labels are other classes; without a list they are trusted."""
    for label, name in TEN.items():
        if names and names[label : label + 1] != [name]:
            raise UserError(
                f"ModelNet10 is 10 of ModelNet40's 40 classes, among them label {label}, {name}, but "
                f"{folder / 'shape_names.txt'} says otherwise. Give ModelNet40's own files."
            )
