"""Clouds in HDF5 files as An Tao hands them out: ModelNet40, ShapeNet and others with 2,048 points a shape.

`train0.h5`, `val0.h5`, `test0.h5` and so on hold `data` (n, N, 3) and `label` (n, 1) or (n,). Beside each
may lie `train0_id2name.json`, a list with the class of every row.
"""

from dataclasses import replace
from pathlib import Path

from adacross.data.formats.base import DatasetIndex
from adacross.data.formats.hdf5 import RowFormat, files_of, has
from adacross.errors import UserError
from adacross.io.files import fits, read_json

_SPLITS = ("train", "val", "test")


class AnTao(RowFormat):
    """A data set in numbered HDF5 files, a split each; those of "val" are for training."""

    layout = "clouds in HDF5 files as An Tao's (train0.h5, test0.h5, train0_id2name.json)"

    def recognise(self, folder: Path) -> bool:
        return any(has(path, "data") for word in _SPLITS for path in folder.glob(f"{word}[0-9]*.h5"))

    def find(self, folder: Path) -> DatasetIndex:
        """List the rows of all files; classes are called by their number where no file names them."""
        files = {word: files_of(folder, f"{word}[0-9]*.h5", f"{word}_files.txt") for word in _SPLITS}
        found = self.find_rows(folder, files, classes=None)
        named = {str(path): _names(path) for paths in files.values() for path in paths}
        classes = [*found.classes]
        for item in reversed(found.items):
            if item.row < len(named[item.path]):
                classes[int(item.label)] = named[item.path][item.row]
        note = ""
        if len(set(classes)) < len(classes):
            note = "Several labels have one name in the files *_id2name.json; classes are called by number."
            classes = found.classes
        missing = [f"{word}*.h5" for word in ("train", "test") if not files[word]]
        return replace(found, classes=classes, missing=missing, note=note)


def _names(path: Path) -> list[str]:
    """Return the class of every row of a file, or nothing if no file beside it says so."""
    listing = path.with_name(f"{path.stem}_id2name.json")
    if not listing.is_file():
        return []
    names = read_json(listing, "a list with the class of every row")
    if not fits(names, list[str]):
        raise UserError(
            f"{listing} is not a list of names; expected the class of every row. Delete it to go without."
        )
    return list(names)
