"""ModelNet40, and its ModelNet10, in the two layouts in which it is handed around. y is up.

HDF5, `modelnet40_ply_hdf5_2048/`: `ply_data_train*.h5` and `ply_data_test*.h5` hold `data` (n, N, 3) and
`label` (n, 1) or (n,). `shape_names.txt`, `train_files.txt` and `test_files.txt` are used where they exist.

Text with normals, `modelnet40_normal_resampled/`: `<class>/<class>_0001.txt` has a point a line,
`x,y,z,nx,ny,nz`. `modelnet40_train.txt` and `modelnet40_test.txt` list the shapes by name (`airplane_0627`),
`modelnet40_shape_names.txt` the classes; the lists that begin with `modelnet10` are ModelNet10's.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from adacross.data.formats.base import DatasetIndex, Format, SampleRef, median_of
from adacross.data.formats.hdf5 import RowFormat, has, split_files
from adacross.data.formats.text import Listed, find_listed, lines_of, read_rows
from adacross.data.shape import BrokenShapeError, PointCloud, Split
from adacross.errors import UserError, one_of

VARIANTS = ("modelnet40", "modelnet10")
# ModelNet10 by its labels among the 40, and what shape_names.txt calls them.
TEN = {
    1: "bathtub", 2: "bed", 8: "chair", 12: "desk", 14: "dresser", 22: "monitor", 23: "night_stand",
    30: "sofa", 33: "table", 35: "toilet",
}  # fmt: skip
_COUNTED = 5  # text files whose points are counted: all of them would take as long as preparing them


class ModelNet40(RowFormat):
    """ModelNet40 in HDF5 files; variant "modelnet10" keeps 10 of the 40 classes, as labels 0 to 9."""

    layout = "ModelNet40's HDF5 files (ply_data_train*.h5, ply_data_test*.h5)"

    def __init__(self, variant: str = VARIANTS[0]) -> None:
        self.variant = one_of("variant of ModelNet40", variant, VARIANTS)

    def recognise(self, folder: Path) -> bool:
        """Return whether a folder holds such files; ShapeNetPart's, which have parts (`pid`), are others."""
        files = [path for split in ("train", "test") for path in folder.glob(f"ply_data_{split}*.h5")]
        return bool(files) and not any(has(path, "pid") for path in files)

    def find(self, folder: Path) -> DatasetIndex:
        """List the rows of all files; a file that cannot be read is skipped as a whole and named."""
        names = lines_of(folder / "shape_names.txt")
        for label, name in TEN.items() if self.variant == "modelnet10" and names else ():
            if names[label : label + 1] != [name]:
                raise UserError(
                    f"ModelNet10 is 10 of ModelNet40's 40 classes, among them label {label}, {name}, but "
                    f"{folder / 'shape_names.txt'} says otherwise. Give ModelNet40's own files."
                )
        expected = f"but shape_names.txt has only {len(names)} names" if names else "expected 0 or more"
        files = split_files(folder, "{}_files.txt", "train", "test")
        found = self.find_rows(folder, files, len(names) or None, expected)
        items = found.items
        if self.variant == "modelnet10":
            labels, names = list(TEN), list(TEN.values())
            items = [replace(item, label=labels.index(item.label)) for item in items if item.label in labels]
            if not items:
                raise UserError(f"no shape in {folder} belongs to ModelNet10. Omit --variant to keep all.")
        return replace(found, items=items, classes=names or found.classes, variant=self.variant)


class ModelNetText(Format):
    """ModelNet40 in text files; the variant, "modelnet40" or "modelnet10", says whose lists are read."""

    layout = "ModelNet40 as text (modelnet40_train.txt, <class>/<name>.txt)"
    keep = "first"

    def __init__(self, variant: str = VARIANTS[0]) -> None:
        self.variant = one_of("variant of ModelNet40", variant, VARIANTS)

    def recognise(self, folder: Path) -> bool:
        return any(path.is_file() for variant in VARIANTS for path in _lists(folder, variant).values())

    def find(self, folder: Path) -> DatasetIndex:
        """List the shapes that the two lists name; `points` is what most of a few files have."""
        lists = _lists(folder, self.variant)
        missing = [path.name for path in lists.values() if not path.is_file()]
        if len(missing) == len(lists):
            raise UserError(
                f"{folder} has no {' and no '.join(missing)}. Add them: they say which shapes to take."
            )
        listed = [(split, path.name, name) for split, path in lists.items() for name in lines_of(path)]
        names = lines_of(folder / f"{self.variant}_shape_names.txt")
        if not names:
            missing.append(f"{self.variant}_shape_names.txt")
            names = sorted({_class_of(name) for _, _, name in listed if "/" not in name})
        entries = []
        for split, source, name in listed:
            label = _class_of(name)
            known = "/" not in name and label in names
            entries.append(Listed(name, f"{label}/{name}.txt", source, split, label if known else None))
        found = find_listed(folder, entries, f"its class is not in {self.variant}_shape_names.txt")
        if not found.items:
            raise UserError(
                f"none of the {len(found.skipped)} shapes that the lists of {folder} name is there."
            )
        counts = []
        for item in found.items[:: -(-len(found.items) // _COUNTED)]:
            with suppress(BrokenShapeError):
                counts.append(len(self.load(item).points))
        missing, points = missing + found.missing, median_of(counts)
        return replace(found, classes=names, points=points, variant=self.variant, missing=missing)

    def load(self, item: SampleRef) -> PointCloud:
        rows = read_rows(Path(item.path), (6,), ",")
        return PointCloud(rows[:, :3].copy(), rows[:, 3:].copy())


def _lists(folder: Path, variant: str) -> dict[Split, Path]:
    return {"train": folder / f"{variant}_train.txt", "test": folder / f"{variant}_test.txt"}


def _class_of(name: str) -> str:
    return name.rsplit("_", 1)[0]
