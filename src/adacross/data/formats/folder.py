"""Folders of files that are each a shape: splits, classes and objects by the names of folders and files."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from adacross.data.formats import archives
from adacross.data.formats.base import DatasetIndex, Format, SampleRef, Skipped
from adacross.data.formats.files import (
    CLOUDS,
    MESHES,
    SUFFIXES,
    axis_of,
    files_below,
    looks_like_a_cloud,
    read_item,
)
from adacross.data.shape import Mesh, PointCloud, Split
from adacross.errors import UserError, listed

Classes = Literal["auto", "folder", "none"]
Place = tuple[str, ...]  # a file's path in the source: its folders and its name
_SPLIT = re.compile(
    r"(train(?:ing|val)?|val(?:id|idation)?|dev|test(?:ing)?)(?:[ _-]?(?:set|split|data))?", re.IGNORECASE
)
_PICTURES = {".bmp", ".dds", ".gif", ".jpeg", ".jpg", ".ktx2", ".png", ".tga", ".tif", ".tiff", ".webp"}
_REFERRED = {".bin", ".mtl", *_PICTURES}  # buffers, materials and textures of the next
_REFERRING = {".dae", ".glb", ".gltf", ".obj", ".ply"}
_ARCHIVES = {".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip"}
_NAMED = 3  # files of an ending that a sentence names
_NOTES = {".csv", ".txt"}  # of text that may be a cloud, or a note of some numbers
_FEW, _HEAD = 16, 4096  # lines of a note; bytes within which they are counted


class Files(Format):
    """A folder or an archive of mesh files and clouds in any layout, and archives in it.

    Folders called `train`, `val` and `test` (any capitals; `training`, `validation`, `test_set`, ...) give
    the split, on the level where most files lie below one. `val` counts as `train` beside a `test`, and as
    `test` without one. Files beside these folders are left out if they are fewer than those in them.

    Files of one name with different endings (`a.obj`, `a.stl`), and the files of a folder that holds one of
    each ending, are one object, whose files share a side of a drawn split.

    Args:
        classes: "folder" takes the first folder on a file's way for its class (deeper ones are part of its
            name only, and a file that lies directly in the folder has none), "none" takes no classes, and
            "auto" takes folders that look like classes: several, no shape beside them, all files equally
            deep, and at least half of the folders with several shapes; folders that hold everything are
            passed through.
        without: folders that are passed over, absolute.
    """

    layout = f"files of meshes ({', '.join(MESHES)}) or clouds ({', '.join(CLOUDS)}) in any layout"

    def __init__(self, classes: Classes = "auto", without: Sequence[str] = ()) -> None:
        self.classes = classes
        self.without = [Path(folder) for folder in without]

    def recognise(self, folder: Path) -> bool:
        """Return whether a file with a shape's ending lies in a folder or below."""
        return any(_is_shape(path) for path in self._walk(folder))

    def find(self, folder: Path) -> DatasetIndex:
        """List the files, in the order of their paths; UserError if none is a shape.

        Hidden files are left out; files that are not shapes are counted.
        """
        shapes, others = survey(folder, self._walk(folder))
        if not shapes:
            raise UserError(f"{folder} holds no shapes: {holdings(others)}.")
        level = split_level([_place(name) for name in shapes])
        splits, notes = _splits_of([_place(name) for name in shapes], level)
        skipped: Skipped = []
        if _both(splits) and 2 * splits.count(None) <= len(splits):
            reason = "lies outside of the folders that give the split"
            outside = {name for name, split in zip(shapes, splits, strict=True) if split is None}
            skipped = [{"name": name, "reason": reason} for name in shapes if name in outside]
            shapes = [name for name in shapes if name not in outside]
            splits = [split for split in splits if split]
        places = [_place(name) for name in shapes]
        inner = [_inside(place, level) for place in places]
        labels, said = self._labels(inner)
        objects = objects_of(places, bool(any(labels)))
        notes += [said, _said_of_objects(objects), _said_of_others(others)]
        items = [
            SampleRef(name, str(folder / name), label=label, split=split, up=axis_of(Path(name)), group=group)
            for name, label, split, group in zip(shapes, labels, splits, objects, strict=True)
        ]
        unread = {ending: len(names) for ending, names in sorted(others.items())}
        return DatasetIndex(items, note=" ".join(filter(None, notes)), skipped=skipped, unread=unread)

    def load(self, item: SampleRef) -> Mesh | PointCloud:
        return read_item(item)

    def _walk(self, folder: Path) -> Iterator[Path]:
        for path in files_below(folder, None):
            if not any(path.is_relative_to(other) for other in self.without):
                yield path

    def _labels(self, places: list[Place]) -> tuple[list[str], str]:
        """Return the class of every file, "" for none, and a sentence if the classes were a guess."""
        if self.classes == "none":
            return [""] * len(places), ""
        passed = 0
        if self.classes == "auto":
            passed = _shared_folders(places)
        inner = [place[passed:] for place in places]
        tops = {place[0] for place in inner if len(place) > 1}
        if self.classes == "auto" and tops and (why := _unlike_classes(inner)):
            said = f"No classes are taken from folders: {why}. --classes folder takes the first level."
            return [""] * len(places), said
        labels = [place[0] if len(place) > 1 else "" for place in inner]
        if self.classes == "folder" or not tops:
            return labels, ""
        where = f"The folders in {'/'.join(places[0][:passed])}" if passed else "The first level of folders"
        verb = "give" if passed else "gives"
        return labels, f"{where} {verb} {len(tops)} classes. --classes none takes none."


def survey(folder: Path, paths: Iterable[Path]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the shapes among the files of a folder, and the others by ending, as sorted relative paths.

    Files that shapes refer to (materials, textures) are in neither. Numbers of a few lines (`calib.txt`) are
    a note where there are other shapes.
    """
    shapes: list[str] = []
    short: list[str] = []
    others: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if not _is_shape(path):
            others[_ending(name)].append(name)
        elif _ending(name) in _NOTES and _is_short(path):
            short.append(name)
        else:
            shapes.append(name)
    if not shapes:
        shapes, short = short, []
    for name in short:
        others[_ending(name)].append(name)
    if any(_ending(name) in _REFERRING for name in shapes):
        others = defaultdict(list, {end: names for end, names in others.items() if end not in _REFERRED})
    return sorted(shapes), {ending: sorted(names) for ending, names in sorted(others.items())}


def holdings(others: dict[str, list[str]]) -> str:
    """Return what a folder without a shape holds, by `survey`, and what can be done about it, as a clause."""
    if not others:
        return "it is empty"
    counts = listed(f"{ending} {len(names):,}" for ending, names in others.items())
    said = f"it holds {counts}"
    if packed := [ending for ending in others if ending in _ARCHIVES]:
        return f"{said}; unpack {others[packed[0]][0]} first"
    if others.keys() & {".h5", ".hdf5"}:
        return f"{said}; HDF5 files are read where they are named as those of a data set"
    if known := [ending for ending in others if ending in SUFFIXES]:
        return f"{said}; {others[known[0]][0]} does not begin with a point of 3 coordinates or more"
    return f"{said}, none of which is read; export them as {', '.join(MESHES)}"


def split_level(places: Sequence[Place]) -> int | None:
    """Return the level of folders that are called train, val or test, where most files have one; or None.

    A single such folder is a split only if everything lies in it: `train` may be a class.
    """
    levels: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for place in places:
        for level, name in enumerate(place[:-1]):
            if word := _word(name):
                levels[level][word] += 1
    fit = {n: words.total() for n, words in levels.items() if len(words) > 1 or words.total() == len(places)}
    return max(fit, key=lambda level: (fit[level], -level), default=None)


def objects_of(places: Sequence[Place], classes: bool) -> list[str]:
    """Return of every file the object that it shares with others in other formats, "" where it is alone.

    `classes`: the first level of folders is the class, so its files are not one object.
    """
    folders: defaultdict[Place, list[str]] = defaultdict(list)
    for place in places:
        folders[place[:-1]].append(Path(place[-1]).suffix.lower())
    several = {at: ends for at, ends in folders.items() if len(ends) > 1 and len(at) > classes}
    objects = {at for at, ends in several.items() if len(set(ends)) == len(ends)}
    if len(objects) < 2 or 2 * len(objects) < len(folders):
        objects = set()
    keys = [place[:-1] if place[:-1] in objects else (*place[:-1], Path(place[-1]).stem) for place in places]
    counts = Counter(keys)
    return ["/".join(key) if counts[key] > 1 else "" for key in keys]


def _splits_of(places: Sequence[Place], level: int | None) -> tuple[list[Split | None], list[str]]:
    """Return the splits that folders of a level name, None beside them, and sentences about them."""
    if level is None:
        return [None] * len(places), []
    words = [_word(place[level]) if len(place) > level + 1 else "" for place in places]
    counts = Counter(filter(None, words))
    sides: dict[str, Split] = {"train": "train", "test": "test"}
    sides["val"] = "train" if "test" in counts else "test"
    splits = [sides.get(word) for word in words]
    folders = sorted({place[level] for place, word in zip(places, words, strict=True) if word})
    if not _both(splits):
        return splits, [f"{folders[0]} is the only split, so test shapes are drawn from it."]
    notes = [f"The split is that of the folders {', '.join(folders)}."]
    if counts["val"]:
        count = f"{counts['val']:,} shapes of val"
        if "test" in counts:
            notes += [f"The {count} are trained on, not tested on; move them away to leave them out."]
        else:
            notes += [f"There is no test folder: the {count} are tested on, not trained on."]
    if rest := words.count(""):
        done = "left out" if 2 * rest <= len(words) else "drawn for training and testing"
        notes += [f"{rest:,} files beside these folders are {done}."]
    return splits, notes


def _both(splits: Sequence[Split | None]) -> bool:
    return set(splits) >= {"train", "test"}


def _word(name: str) -> str:
    """Return "train", "val" or "test" for a folder of such a name, else ""."""
    found = _SPLIT.fullmatch(name)
    return "" if not found else {"tr": "train", "te": "test"}.get(found[1][:2].lower(), "val")


def _inside(place: Place, level: int | None) -> Place:
    """Return a place without its split's folder."""
    if level is None or len(place) <= level + 1 or not _word(place[level]):
        return place
    return place[:level] + place[level + 1 :]


def _shared_folders(places: Sequence[Place]) -> int:
    """Return how many levels of folders hold everything, with folders below them."""
    level = 0
    while all(len(place) > level + 2 for place in places) and len({place[level] for place in places}) == 1:
        level += 1
    return level


def _unlike_classes(places: Sequence[Place]) -> str:
    """Return why the first level of folders does not look like classes, or ""."""
    if len({len(place) for place in places}) > 1:
        return "shapes lie at several depths"
    within: defaultdict[str, set[str]] = defaultdict(set)
    for place in places:
        within[place[0]].add(Path(place[1]).stem if len(place) == 2 else place[1])
    if len(within) < 2:
        return "there is only one"
    if all(_is_bucket(folder, names) for folder, names in within.items()):
        return "their names are numbers, or letters of the names in them"
    if 2 * sum(len(names) > 1 for names in within.values()) < len(within):
        return "most of them hold one shape"
    return ""


def _is_bucket(folder: str, names: Iterable[str]) -> bool:
    """Return whether a folder only keeps others short: `000-023` (Objaverse), `A` of `B07H8A` (ABO)."""
    return re.fullmatch(r"\d{3}-\d{3}", folder) is not None or (
        len(folder) == 1 and all(folder in (name[0], name[-1]) for name in names)
    )


def _said_of_objects(objects: Sequence[str]) -> str:
    count = len(set(objects) - {""})
    files = len(objects) - objects.count("")
    if not count:
        return ""
    return (
        f"{files:,} files are of {count:,} objects in several formats; a drawn split keeps files of the same "
        "object together."
    )


def _said_of_others(others: dict[str, list[str]]) -> str:
    rest = listed(f"{len(names):,} {ending} ({listed(names, _NAMED)})" for ending, names in others.items())
    return f"Not read: {rest}." if rest else ""


def _place(name: str) -> Place:
    """Return a path's folders and its name; an archive is a folder, called as it would be unpacked."""
    *folders, last = name.split("/")
    return (*map(archives.stem, folders), last)


def _ending(name: str) -> str:
    return Path(name).suffix.lower() or "without ending"


def _is_shape(path: Path) -> bool:
    ending = path.suffix.lower()
    return ending in MESHES or (ending in CLOUDS and looks_like_a_cloud(path))


def _is_short(path: Path) -> bool:
    """Return whether a text file has but a few lines."""
    head = archives.read_head(path, _HEAD)
    return len(head) < _HEAD and len(head.splitlines()) < _FEW
