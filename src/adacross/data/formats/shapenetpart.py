"""ShapeNetPart, 16 categories in 50 parts, in the two layouts in which it is handed around. y is up.

Text, `shapenetcore_partanno_segmentation_benchmark_v0_normal/`: `<synset>/<id>.txt` has a point a line,
`x y z nx ny nz part` or `x y z part`; `synsetoffset2category.txt` names the categories, and
`train_test_split/shuffled_{train,val,test}_file_list.json` list the shapes, `"shape_data/<synset>/<id>"`.

HDF5: `ply_data_{train,val,test}*.h5` with `data` (n, 2048, 3), `label` (n, 1), the category, and `pid`
(n, 2048), the part. `{train,val,test}_hdf5_file_list.txt` and `all_object_categories.txt` are used where they
exist.

A part's number counts through all categories. Validation shapes are for training, as in the papers. The text
layout is also read with other categories in it: their parts are numbered as the files' labels are ordered.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from adacross.data.formats.base import DatasetIndex, Keep, RawSample, SampleRef, as_sample, keep_points
from adacross.data.formats.hdf5 import RowFormat, has, read_labels, read_points, split_files
from adacross.data.formats.shapenet import SYNSETS
from adacross.data.formats.text import Listed, find_listed, lines_of, read_rows
from adacross.data.shape import BrokenShapeError, PointCloud, Split
from adacross.errors import UserError
from adacross.io.files import read_json

# How many parts each category has. Their numbers follow one another, 0 to 49.
CATEGORIES = {
    "airplane": 4, "bag": 2, "cap": 2, "car": 4, "chair": 4, "earphone": 3, "guitar": 3, "knife": 2,
    "lamp": 4, "laptop": 2, "motorbike": 6, "mug": 2, "pistol": 3, "rocket": 3, "skateboard": 3, "table": 3,
}  # fmt: skip
_NAMES, _LISTS = "synsetoffset2category.txt", "train_test_split"
_SPLITS: dict[str, Split] = {"train": "train", "val": "train", "test": "test"}
_WIDTHS = (4, 7)
_LAST = 2**15 - 1  # number of a part that a collection can hold
Parts = dict[str, dict[str, int]]  # of each category: names of its parts, and their numbers in the files


class ShapeNetPart(RowFormat):
    """ShapeNetPart in text or HDF5 files.

    Parts are named `<category>/<number within it>`; of the 16 categories all 50 count, in the files' order.
    """

    layout = "ShapeNetPart (synsetoffset2category.txt, or ply_data_*.h5 with pid)"
    point_labels = "pid"

    def recognise(self, folder: Path) -> bool:
        return _is_text(folder) or any(has(path, "pid") for path in folder.glob("ply_data_*.h5"))

    def find(self, folder: Path) -> DatasetIndex:
        """List the shapes, those of training and validation first."""
        return self._find_text(folder) if _is_text(folder) else self._find_hdf5(folder)

    def load(self, item: SampleRef) -> PointCloud:
        """Read one shape; BrokenShapeError also if a point's part is none of its category's."""
        parts: dict[str, int] = item.extra["parts"]
        normals = None
        if Path(item.path).suffix == ".h5":
            labels, points = read_labels(item, self.point_labels), read_points(item)
        else:
            rows = read_rows(Path(item.path), _WIDTHS)
            labels, points = _labels(rows), rows[:, :3].copy()
            normals = rows[:, 3:6].copy() if rows.shape[1] == max(_WIDTHS) else None
        numbers = np.array(list(parts.values()), dtype=np.int64)
        if len(wrong := labels[~np.isin(labels, numbers)]):
            own = f"{numbers.min()} to {numbers.max()}" if len(numbers) else "none"
            raise BrokenShapeError(f"a point's part is {wrong[0]}, which its category does not have ({own})")
        part = np.searchsorted(numbers, labels).astype(np.int64)
        return PointCloud(points, normals, part=part, part_names=tuple(parts))

    def sample(self, item: SampleRef, points: int, rng: np.random.Generator) -> RawSample:
        """Read one shape: of HDF5 files the first points, of a text file random ones."""
        keep: Keep = "first" if Path(item.path).suffix == ".h5" else "random"
        return keep_points(as_sample(self.load(item)), keep, points, rng)

    def _find_text(self, folder: Path) -> DatasetIndex:
        synsets = _synsets(folder)
        published = all(SYNSETS.get(synset) == name.lower() in CATEGORIES for synset, name in synsets.items())
        if published:
            synsets = {synset: name.lower() for synset, name in synsets.items()}
        classes = list(CATEGORIES) if published else list(dict.fromkeys(synsets.values()))
        lists = folder / _LISTS
        paths = {lists / f"shuffled_{word}_file_list.json": split for word, split in _SPLITS.items()}
        missing = [f"{_LISTS}/{path.name}" for path in paths if not path.is_file()]

        def entries() -> Iterator[Listed]:
            for path, split in paths.items():
                listed = read_json(path, "a list of shapes") if path.is_file() else []
                if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
                    wanted = 'expected ["shape_data/<synset>/<id>", ...]'
                    raise UserError(f"{path} is not a list of texts; {wanted}.")
                for entry in listed:
                    synset, _, stem = "/".join(entry.split("/")[-2:]).partition("/")
                    name = f"{synset}/{stem}"
                    yield Listed(name, f"{name}.txt", path.name, split, synsets.get(synset))

        found = find_listed(folder, entries(), f"its folder is not in {_NAMES}")
        if not found.items:
            why = f"its lists name no file in it, or none of the folders in {_NAMES}"
            why = f"{_LISTS} has none of its lists" if len(missing) == len(_SPLITS) else why
            raise UserError(f"{folder} has shapes of ShapeNetPart's layout, but {why}. Add what is missing.")
        parts = published_parts() if published else _numbered(classes, found.items)
        return _with_parts(replace(found, classes=classes, missing=missing + found.missing), parts)

    def _find_hdf5(self, folder: Path) -> DatasetIndex:
        given = [line.split()[0].lower() for line in lines_of(folder / "all_object_categories.txt")]
        if given not in ([], list(CATEGORIES)):
            raise UserError(
                f"{folder / 'all_object_categories.txt'} names other categories than ShapeNetPart's 16, in "
                "their order. Others are read in the text layout only."
            )
        files = split_files(folder, "{}_hdf5_file_list.txt", *_SPLITS)
        found = self.find_rows(folder, files, len(CATEGORIES))
        return _with_parts(replace(found, classes=list(CATEGORIES)), published_parts())


def published_parts() -> Parts:
    """Return the names and numbers of the 50 parts, by category."""
    numbers = itertools.count()
    return {name: {f"{name}/{k}": next(numbers) for k in range(n)} for name, n in CATEGORIES.items()}


def _with_parts(index: DatasetIndex, parts: Parts) -> DatasetIndex:
    """Give every item the names of its category's parts, and the number that the files have for each."""
    items = [replace(item, extra={"parts": parts[index.class_of(item) or ""]}) for item in index.items]
    names = [name for category in index.classes for name in parts[category]]
    return replace(index, items=items, parts=names)


def _is_text(folder: Path) -> bool:
    """Return whether a folder has the names of categories, or the lists of shapes that need them."""
    return (folder / _NAMES).is_file() or any((folder / _LISTS).glob("shuffled_*_file_list.json"))


def _synsets(folder: Path) -> dict[str, str]:
    """Return the categories' names by their folders; UserError without the file that has them."""
    if not (folder / _NAMES).is_file():
        raise UserError(
            f"{folder} has {_LISTS}, the lists of ShapeNetPart, but no file {_NAMES}, which names its "
            "categories. Add it: a line each, such as Airplane, a tab and 02691156."
        )
    found = {}
    for line in lines_of(folder / _NAMES):
        name, _, synset = line.replace("\t", " ").rpartition(" ")
        if not name.strip():
            raise UserError(f"{folder / _NAMES} has a line {line!r}; expected a name, a tab and a folder.")
        found[synset] = name.strip()
    return found


def _numbered(classes: list[str], items: list[SampleRef]) -> Parts:
    """The parts of other categories: every number that a category's readable files have, ascending."""
    found: dict[str, set[int]] = {name: set() for name in classes}
    for item in items:
        try:
            labels = _labels(read_rows(Path(item.path), _WIDTHS))
        except BrokenShapeError:
            continue  # it is named when it is its turn
        found[str(item.label)].update(np.unique(labels).tolist())
    ordered = {name: enumerate(sorted(numbers)) for name, numbers in found.items()}
    return {name: {f"{name}/{k}": number for k, number in pairs} for name, pairs in ordered.items()}


def _labels(rows: np.ndarray) -> Int64[np.ndarray, " N"]:
    """The last number of each line."""
    labels = rows[:, -1]
    wrong = labels[(labels != np.floor(labels)) | (labels < 0) | (labels > _LAST)]
    if len(wrong):
        raise BrokenShapeError(f"a point's part is {wrong[0]:g}; expected a whole number from 0 to {_LAST}")
    return labels.astype(np.int64)
