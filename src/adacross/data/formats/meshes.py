"""A folder of mesh files or of clouds, in whatever layout it has."""

import os
from collections.abc import Collection
from pathlib import Path

from adacross.data.formats.files import CLOUDS, looks_like_a_cloud
from adacross.data.formats.mesh_files import UP
from adacross.data.shape import Split
from adacross.data.source import Axis, Item, Kind, Source
from adacross.errors import UserError

_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}


def find(folder: Path, up: Axis | None, *, clouds: bool = True) -> Source:
    """List the mesh files of a folder, or its clouds if it has no mesh file, in the order of their paths.

    The class of a file is the first folder on its way; deeper folders are part of its name only.
    A folder called `train` or `test` is a split where it lies right below a class (`chair/train/0001.off`,
    ModelNet's layout) or where nothing but splits lies on the first level (`train/chair/0001.off`). A file
    that lies directly in the folder, or directly in a split, has no class.

    Args:
        folder: searched to any depth; hidden files and folders are left out.
        up: the axis that points up in every file; None takes each file type's own (`mesh_files.UP`).
        clouds: whether files of points count where there is no mesh file.

    Raises:
        UserError: no file that ends in one of the known suffixes.
    """
    kind: Kind = "meshes"
    found = files_below(folder)
    if clouds and not found:
        kind = "clouds"
        found = [path for path in files_below(folder, CLOUDS) if looks_like_a_cloud(path)]
    paths = sorted(found, key=lambda path: path.relative_to(folder).as_posix())
    if not paths:
        raise UserError(
            f"{folder} holds no shapes: no file in it or below ends in {', '.join(sorted(UP))} (meshes, PLY "
            f"also clouds), or is a cloud that ends in {', '.join(CLOUDS)}."
        )
    layouts = [_layout(path.relative_to(folder).parts[:-1]) for path in paths]
    tops = {path.relative_to(folder).parts[0] for path in paths if path.parent != folder}
    if tops and tops <= _SPLITS.keys() and not any(path.parent == folder for path in paths):
        layouts = [_split_first(path.relative_to(folder).parts[:-1]) for path in paths]
    classes = sorted({name for name, _ in layouts if name is not None})
    index = {name: i for i, name in enumerate(classes)}
    items = [
        Item(
            id=path.relative_to(folder).as_posix(),
            path=str(path),
            label=-1 if name is None else index[name],
            split=split,
            up=up or UP.get(path.suffix.lower(), "y"),
            stamp=stamp_of(path),
        )
        for path, (name, split) in zip(paths, layouts, strict=True)
    ]
    return Source(str(folder), kind, items, classes)


def files_below(folder: Path, suffixes: Collection[str] = UP) -> list[Path]:
    """Return all visible files of a folder that end so, in no order, links to folders followed once."""
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real in seen:
            continue
        seen.add(real)
        found += [
            Path(place, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes
        ]
    return found


def _layout(folders: tuple[str, ...]) -> tuple[str | None, Split | None]:
    """Class and split of a file below these folders, the class first."""
    if not folders:
        return None, None
    split = _SPLITS.get(folders[1].lower()) if len(folders) > 1 else None
    return folders[0], split


def _split_first(folders: tuple[str, ...]) -> tuple[str | None, Split | None]:
    """The same where the first level is `train` and `test`."""
    return (folders[1] if len(folders) > 1 else None), _SPLITS[folders[0]]


def stamp_of(*paths: Path) -> str:
    """Return a text that changes when one of the files does: summed sizes and latest change."""
    try:
        states = [path.stat() for path in paths]
    except OSError:  # a dangling link: reading it will say so, and name it
        return "unreadable"
    return f"{sum(state.st_size for state in states)}.{max(state.st_mtime_ns for state in states)}"
