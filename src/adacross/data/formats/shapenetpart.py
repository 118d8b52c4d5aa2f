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

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from adacross.data.formats.hdf5 import Skipped, files_of, find_rows, has, lines_of, read_labels, read_points
from adacross.data.formats.meshes import stamp_of
from adacross.data.formats.point_text import read_rows
from adacross.data.formats.synsets import SYNSETS
from adacross.data.shape import Cloud, Split
from adacross.data.source import Axis, BrokenShapeError, Item, Loaded, Source, file_below
from adacross.errors import UserError
from adacross.io.files import read_json

# How many parts each category has. Their numbers follow one another, 0 to 49.
CATEGORIES = {
    "airplane": 4,
    "bag": 2,
    "cap": 2,
    "car": 4,
    "chair": 4,
    "earphone": 3,
    "guitar": 3,
    "knife": 2,
    "lamp": 4,
    "laptop": 2,
    "motorbike": 6,
    "mug": 2,
    "pistol": 3,
    "rocket": 3,
    "skateboard": 3,
    "table": 3,
}
_NAMES, _LISTS = "synsetoffset2category.txt", "train_test_split"
_SPLITS: dict[str, Split] = {"train": "train", "val": "train", "test": "test"}
_WIDTHS = (4, 7)
_MOST = 2**15  # parts that a collection can tell apart
Parts = dict[str, dict[str, int]]  # of each category: names of its parts, and their numbers in the files


def recognise(folder: Path) -> bool:
    """Whether a folder holds files of one of the two layouts."""
    return (folder / _NAMES).is_file() or any(has(path, "pid") for path in folder.glob("ply_data_*.h5"))


def find(folder: Path, up: Axis | None) -> Source:
    """List the shapes, those of training and validation first.

    Args:
        folder: as `recognise` accepts it.
        up: the axis that points up; None means y.

    Returns:
        A source whose parts are named `<category>/<number within it>`. With the 16 categories their order is
        that of the numbers 0 to 49, and none is left out, whether it occurs or not.

    Raises:
        UserError: a list that cannot be read or is not there, other categories in HDF5 files, or no shape.
    """
    text = (folder / _NAMES).is_file()
    return _find_text(folder, up or "y") if text else _find_rows(folder, up or "y")


def load(item: Item, points: int, rng: np.random.Generator) -> Loaded:
    """Read one shape: of HDF5 files the first `points` points, of a text file as many, drawn.

    A text file has any number of points. They are drawn without replacement if there are enough, and with it
    if not.

    Raises:
        BrokenShapeError: the file cannot be read, or a point's part is none of its category's.
    """
    names = tuple(item.parts)
    if Path(item.path).suffix == ".h5":
        part = _within(read_labels(item, "pid", points), item)
        return Loaded(cloud=Cloud(read_points(item, points), part=part), part_names=names)
    rows = read_rows(Path(item.path), _WIDTHS)
    part = _within(_labels(rows), item)
    chosen = rng.choice(len(rows), points, replace=len(rows) < points)
    normals = rows[chosen, 3:6] if rows.shape[1] == max(_WIDTHS) else None
    return Loaded(cloud=Cloud(rows[chosen, :3], normals, part=part[chosen]), part_names=names)


def published_parts() -> Parts:
    """Return the names and numbers of the 50 parts, by category."""
    starts = np.cumsum([0, *CATEGORIES.values()]).tolist()
    return {
        name: {f"{name}/{k}": start + k for k in range(count)}
        for (name, count), start in zip(CATEGORIES.items(), starts, strict=False)
    }


def _find_text(folder: Path, up: Axis) -> Source:
    synsets = _synsets(folder)
    published = all(SYNSETS.get(synset) == name.lower() in CATEGORIES for synset, name in synsets.items())
    classes = list(CATEGORIES) if published else list(dict.fromkeys(synsets.values()))
    labels = {name: label for label, name in enumerate(classes)}
    items: dict[str, Item] = {}
    skipped: Skipped = []
    missing: list[str] = []
    for word, split in _SPLITS.items():
        path = folder / _LISTS / f"shuffled_{word}_file_list.json"
        if not path.is_file():
            missing.append(f"{_LISTS}/{path.name}")
            continue
        for entry in _listed(path):
            synset, _, stem = "/".join(entry.split("/")[-2:]).partition("/")
            name = f"{synset}/{stem}"
            file = file_below(folder, f"{name}.txt")
            if name in items:
                reason = "named twice; its first place counts"
            elif synset not in synsets:
                reason = f"its folder is not in {_NAMES}"
            elif file is None:
                reason = f"{name}.txt is not there"
            else:
                category = synsets[synset].lower() if published else synsets[synset]
                items[name] = Item(name, str(file), 0, labels[category], split, up, stamp_of(file))
                continue
            skipped.append({"name": f"{name} in {path.name}", "reason": reason})
    if not items:
        why = (
            f"{_LISTS} has none of its lists"
            if len(missing) == len(_SPLITS)
            else f"its lists name no file in it, or none of the folders in {_NAMES}"
        )
        raise UserError(f"{folder} has shapes of ShapeNetPart's layout, but {why}. Add what is missing.")
    gone = sum(entry["reason"].endswith("is not there") for entry in skipped)
    missing += [f"{gone:,} of the files that the lists name"] if gone else []
    parts = published_parts() if published else _numbered(classes, list(items.values()))
    return _source(folder, list(items.values()), classes, parts, missing=missing, skipped=skipped)


def _find_rows(folder: Path, up: Axis) -> Source:
    given = [line.split()[0].lower() for line in lines_of(folder / "all_object_categories.txt")]
    if given not in ([], list(CATEGORIES)):
        raise UserError(
            f"{folder / 'all_object_categories.txt'} names other categories than ShapeNetPart's 16, in their "
            "order. Others are read in the text layout only."
        )
    found = {word: files_of(folder, f"ply_data_{word}*.h5", f"{word}_hdf5_file_list.txt") for word in _SPLITS}
    items, skipped, stored = find_rows(
        folder,
        [(path, _SPLITS[word]) for word, paths in found.items() for path in paths],
        up,
        classes=len(CATEGORIES),
        expected=f"expected 0 to {len(CATEGORIES) - 1}",
        parts="pid",
    )
    missing = [f"ply_data_{word}*.h5" for word, paths in found.items() if not paths]
    return _source(
        folder, items, list(CATEGORIES), published_parts(), missing=missing, skipped=skipped, stored=stored
    )


def _source(
    folder: Path,
    items: Sequence[Item],
    classes: list[str],
    parts: Parts,
    *,
    missing: list[str],
    skipped: Skipped,
    stored: int | None = None,
) -> Source:
    return Source(
        location=str(folder),
        kind="shapenetpart",
        items=[replace(item, parts=parts[classes[item.label]]) for item in items],
        classes=classes,
        parts=[name for category in classes for name in parts[category]],
        stored=stored,
        missing=missing,
        skipped=skipped,
    )


def _synsets(folder: Path) -> dict[str, str]:
    """The categories' names by their folders."""
    found = {}
    for line in lines_of(folder / _NAMES):
        name, _, synset = line.replace("\t", " ").rpartition(" ")
        if not name.strip():
            raise UserError(f"{folder / _NAMES} has a line {line!r}; expected a name, a tab and a folder.")
        found[synset] = name.strip()
    return found


def _listed(path: Path) -> list[str]:
    entries = read_json(path, "a list of shapes")
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise UserError(f'{path} is not a list of texts; expected ["shape_data/<synset>/<id>", ...].')
    return entries


def _numbered(classes: list[str], items: list[Item]) -> Parts:
    """The parts of other categories: every number that a category's readable files have, ascending."""
    found: dict[str, set[int]] = {name: set() for name in classes}
    for item in items:
        try:
            labels = _labels(read_rows(Path(item.path), _WIDTHS))
        except BrokenShapeError:
            continue  # it is named when it is its turn
        found[classes[item.label]].update(np.unique(labels).tolist())
    return {
        name: {f"{name}/{k}": number for k, number in enumerate(sorted(numbers))}
        for name, numbers in found.items()
    }


def _labels(rows: np.ndarray) -> Int64[np.ndarray, " N"]:
    """The last number of each line."""
    labels = rows[:, -1]
    wrong = labels[(labels != np.floor(labels)) | (labels < 0) | (labels >= _MOST)]
    if len(wrong):
        raise BrokenShapeError(
            f"a point's part is {wrong[0]:g}; expected a whole number from 0 to {_MOST - 1}"
        )
    return labels.astype(np.int64)


def _within(labels: Int64[np.ndarray, " N"], item: Item) -> Int64[np.ndarray, " N"]:
    """Which of its category's parts each point belongs to."""
    numbers = np.array(list(item.parts.values()), dtype=np.int64)
    wrong = labels[~np.isin(labels, numbers)]
    if len(wrong):
        given = f"{numbers.min()} to {numbers.max()}" if len(numbers) else "none"
        raise BrokenShapeError(f"a point's part is {wrong[0]}, which its category does not have ({given})")
    return np.searchsorted(numbers, labels).astype(np.int64)
