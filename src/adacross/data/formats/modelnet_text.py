"""ModelNet40 as text files with normals: `modelnet40_normal_resampled/`.

`<class>/<class>_0001.txt` has a point a line, `x,y,z,nx,ny,nz`, y up. `modelnet40_train.txt` and
`modelnet40_test.txt` list the shapes by name (`airplane_0627`), `modelnet40_shape_names.txt` the classes; the
lists that begin with `modelnet10` are ModelNet10's.
"""

from pathlib import Path

import numpy as np

from adacross.data.formats.hdf5 import Skipped, lines_of
from adacross.data.formats.meshes import stamp_of
from adacross.data.formats.modelnet40 import SPLITS, VARIANTS
from adacross.data.formats.point_text import read_rows
from adacross.data.shape import Cloud
from adacross.data.source import Axis, BrokenShapeError, Item, Loaded, Source, file_below
from adacross.errors import UserError, one_of

_LOOKED = 5  # files whose points are counted: reading all of them would take as long as preparing them


def recognise(folder: Path) -> bool:
    """Whether a folder holds lists of this layout."""
    return any(path.is_file() for variant in VARIANTS for path in _lists(folder, variant))


def find(folder: Path, up: Axis | None, variant: str | None = None) -> Source:
    """List the shapes that the two lists name; those without a file are skipped and named.

    Args:
        folder: as `recognise` accepts it.
        up: the axis that points up; None means y.
        variant: whose lists, "modelnet40" or "modelnet10"; None means "modelnet40".

    Returns:
        A source whose `stored` is the number of points that most of a few files have.

    Raises:
        UserError: another variant, neither of its lists is there, or no file that they name.
    """
    variant = one_of("variant of ModelNet40", variant or VARIANTS[0], VARIANTS)
    lists = dict(zip(SPLITS, _lists(folder, variant), strict=True))
    missing = [path.name for path in lists.values() if not path.is_file()]
    if len(missing) == len(lists):
        raise UserError(
            f"{folder} has no {' and no '.join(missing)}. Add them: they say which shapes to take."
        )
    names = lines_of(folder / f"{variant}_shape_names.txt")
    if not names:
        missing.append(f"{variant}_shape_names.txt")
        listed = [name for path in lists.values() for name in lines_of(path)]
        names = sorted({_class_of(name) for name in listed if "/" not in name})
    labels = {name: label for label, name in reversed(list(enumerate(names)))}
    items: dict[str, Item] = {}
    skipped: Skipped = []
    for split, path in lists.items():
        for name in lines_of(path):
            place = f"{_class_of(name)}/{name}.txt"
            file = file_below(folder, place)
            if name in items:
                reason = "named twice; its first place counts"
            elif "/" in name or _class_of(name) not in labels:
                reason = f"its class is not in {variant}_shape_names.txt"
            elif file is None:
                reason = f"{place} is not there"
            else:
                items[name] = Item(
                    name, str(file), 0, labels[_class_of(name)], split, up or "y", stamp_of(file)
                )
                continue
            skipped.append({"name": f"{name} in {path.name}", "reason": reason})
    if not items:
        raise UserError(f"none of the {len(skipped)} shapes that the lists of {folder} name is there.")
    gone = sum(entry["reason"].endswith("is not there") for entry in skipped)
    return Source(
        location=str(folder),
        kind="modelnet_text",
        items=list(items.values()),
        classes=names,
        stored=_usual(list(items.values())),
        variant=variant,
        missing=missing + ([f"{gone:,} of the files that the lists name"] if gone else []),
        skipped=skipped,
    )


def load(item: Item, points: int, rng: np.random.Generator) -> Loaded:
    """Read a file and keep its first `points` points, as the field's protocol has it.

    Raises:
        BrokenShapeError: not a text file of six numbers a line, or fewer points.
    """
    rows = read_rows(Path(item.path), (6,), ",")
    if len(rows) < points:
        raise BrokenShapeError(
            f"{len(rows):,} points, fewer than the {points:,} of the collection "
            f"(--points {len(rows)} would keep it)"
        )
    return Loaded(cloud=Cloud(rows[:points, :3].copy(), rows[:points, 3:].copy()))


def _lists(folder: Path, variant: str) -> list[Path]:
    return [folder / f"{variant}_{split}.txt" for split in SPLITS]


def _class_of(name: str) -> str:
    return name.rsplit("_", 1)[0]


def _usual(items: list[Item]) -> int | None:
    """What most of a few files, spread over the list, have; None if none of them can be read."""
    counts = []
    for item in items[:: -(-len(items) // _LOOKED)]:
        try:
            counts.append(len(read_rows(Path(item.path), (6,), ",")))
        except BrokenShapeError:
            continue
    return sorted(counts)[len(counts) // 2] if counts else None
