"""ModelNet40 as text files with normals: `modelnet40_normal_resampled/`.

`<class>/<class>_0001.txt` has a point a line, `x,y,z,nx,ny,nz`, y up. `modelnet40_train.txt` and
`modelnet40_test.txt` list the shapes by name (`airplane_0627`), `modelnet40_shape_names.txt` the classes; the
lists that begin with `modelnet10` are ModelNet10's.
"""

from dataclasses import replace
from pathlib import Path

from adacross.data.formats.base import DatasetIndex, Format, Listed, SampleRef, find_listed, median_of
from adacross.data.formats.hdf5 import lines_of
from adacross.data.formats.modelnet40 import VARIANTS
from adacross.data.formats.point_text import read_rows
from adacross.data.shape import BrokenShapeError, PointCloud, Split
from adacross.errors import UserError, one_of

_COUNTED = 5  # files whose points are counted: reading all of them would take as long as preparing them


class ModelNetText(Format):
    """ModelNet40 in text files.

    Args:
        variant: whose lists are read, "modelnet40" or "modelnet10".
    """

    layout = "ModelNet40 as text (modelnet40_train.txt, <class>/<name>.txt)"
    keep = "first"

    def __init__(self, variant: str = VARIANTS[0]) -> None:
        self.variant = one_of("variant of ModelNet40", variant, VARIANTS)

    def recognise(self, folder: Path) -> bool:
        """Return whether a folder holds lists of this layout."""
        return any(path.is_file() for variant in VARIANTS for path in _lists(folder, variant).values())

    def find(self, folder: Path) -> DatasetIndex:
        """List the shapes that the two lists name; those without a file are skipped and named.

        The index's `points` is the number of points that most of a few files have.

        Raises:
            UserError: neither of the lists is there, or no file that they name.
        """
        lists = _lists(folder, self.variant)
        missing = [path.name for path in lists.values() if not path.is_file()]
        if len(missing) == len(lists):
            raise UserError(
                f"{folder} has no {' and no '.join(missing)}. Add them: they say which shapes to take."
            )
        names = lines_of(folder / f"{self.variant}_shape_names.txt")
        if not names:
            missing.append(f"{self.variant}_shape_names.txt")
            listed = [name for path in lists.values() for name in lines_of(path)]
            names = sorted({_class_of(name) for name in listed if "/" not in name})
        entries = (
            Listed(
                id=name,
                place=f"{_class_of(name)}/{name}.txt",
                source=path.name,
                split=split,
                label=_class_of(name) if "/" not in name and _class_of(name) in names else None,
            )
            for split, path in lists.items()
            for name in lines_of(path)
        )
        found = find_listed(folder, entries, f"its class is not in {self.variant}_shape_names.txt")
        if not found.items:
            raise UserError(
                f"none of the {len(found.skipped)} shapes that the lists of {folder} name is there."
            )
        return replace(
            found,
            classes=names,
            points=_points_of(found.items),
            variant=self.variant,
            missing=missing + found.missing,
        )

    def load(self, item: SampleRef) -> PointCloud:
        """Read a file.

        Raises:
            BrokenShapeError: not a text file of six numbers a line.
        """
        rows = read_rows(Path(item.path), (6,), ",")
        return PointCloud(rows[:, :3].copy(), rows[:, 3:].copy())


def _lists(folder: Path, variant: str) -> dict[Split, Path]:
    return {"train": folder / f"{variant}_train.txt", "test": folder / f"{variant}_test.txt"}


def _class_of(name: str) -> str:
    return name.rsplit("_", 1)[0]


def _points_of(items: list[SampleRef]) -> int | None:
    """Return what most of a few files, spread over the list, have; None if none of them can be read."""
    counts = []
    for item in items[:: -(-len(items) // _COUNTED)]:
        try:
            counts.append(len(read_rows(Path(item.path), (6,), ",")))
        except BrokenShapeError:
            continue
    return median_of(counts)
