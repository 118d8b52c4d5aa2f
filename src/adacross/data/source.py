"""What a source of shapes is: a list of items, and a way to read each of them.

A format (`adacross.data.formats`) has two functions. `find(...) -> Source` runs once and only looks;
`load(item, points, rng) -> Loaded` runs in worker processes and reads one item.
"""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from adacross.data.shape import Cloud, Mesh, Split

Axis = Literal["x", "y", "z"]
Kind = Literal[
    "meshes",
    "clouds",
    "modelnet40",
    "modelnet_text",
    "scanobjectnn",
    "shapenet",
    "shapenetpart",
    "s3dis",
    "builtin",
    "files",
]


class BrokenShapeError(ValueError):
    """One item cannot become a shape. Its message is the reason that the summary shows beside the name."""


@dataclass(frozen=True)
class Item:
    """One shape that a source promises, before anybody has read it. Plain values only: it travels as JSON.

    Attributes:
        id: unique within the source.
        path: the file to read, or the built-in category.
        row: the row in that file, or the built-in shape's seed.
        label: index into the source's classes, -1 for none.
        split: the split that the source itself gives, or None.
        up: the axis that points up in the file.
        stamp: changes when the file changes (size and time of change), so that a restart notices.
        parts: names of the parts that its points may belong to, and the number that the file has for each;
            empty where its format knows without.
    """

    id: str
    path: str
    row: int = 0
    label: int = -1
    split: Split | None = None
    up: Axis = "y"
    stamp: str = ""
    parts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Everything known before reading: what there is, and what it is called.

    Attributes:
        location: the folder, absolute, or the word "builtin".
        kind: which format reads it.
        items: one a shape, in the order that the collection keeps.
        classes: class names that the items' labels point to.
        parts: names of the parts that the loaded clouds' `part` points to.
        stored: points a shape has in the source, or None where any number can be sampled.
        pictures: pictures a shape has in the source, or None where any number can be drawn.
        variant: which of several sets in the same files, or nothing where there is one.
        note: what people should know before the work begins, a sentence, or nothing.
        missing: files that belong to the layout and are not there.
        skipped: what is already known to be unreadable: `{"name": ..., "reason": ...}`.
    """

    location: str
    kind: Kind
    items: list[Item]
    classes: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    stored: int | None = None
    pictures: int | None = None
    variant: str = ""
    note: str = ""
    missing: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Loaded:
    """What a format reads for one item, in the source's own frame: a mesh, a cloud or both.

    With both, the cloud gives the points and the mesh the pictures. `part_names` are what `cloud.part` or
    `mesh.face_parts` points to, as the collection calls them. `pictures` are files of ready-made pictures, in
    order, which are kept in place of drawn ones. `remark` is what is not as it should be, if anything.
    """

    mesh: Mesh | None = None
    cloud: Cloud | None = None
    part_names: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = ()
    remark: str = ""


def file_below(folder: Path, name: str) -> Path | None:
    """Return the file that a list in a folder names, or None where there is none.

    Names that lead out of the folder (`../../secret`, `/etc/passwd`) name nothing.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return None
    try:
        return folder / path if (folder / path).is_file() else None
    except (OSError, ValueError):  # too long for a name, or no name at all
        return None


def shown(name: str) -> str:
    """Return a file's name as text: bytes that are no UTF-8, which a file's name may have, as `\\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def up_of(items: list[Item]) -> str:
    """Return the axis that the items share, or "mixed" where their file types disagree."""
    axes = {item.up for item in items}
    return axes.pop() if len(axes) == 1 else "mixed"
