"""ShapeNet with ready-made pictures, as CrossPoint, CrossNet and AdaCrossNet read it.

`ShapeNet/<synset>/<id>.ply` is a shape, `ShapeNetRendering/<synset>/<id>/rendering/*.png` are its pictures.
The published set has the 13 categories and 24 pictures of 137 x 137 RGBA of 3D-R2N2 (Choy et al., ECCV 2016).

Three known deviations from the released programs. They drop the transparency of a picture, so that its
background is whatever colour lies hidden under alpha 0; here pictures are put on white, as our own drawings
are. They draw from all pictures of a shape; here the first `views` are kept (`--views 24` keeps them all).
They resize pictures to 224 when they train; here `prepare` resizes to `--size` (137 keeps the pixels as they
are) and pre-training to its own `image_size`.
"""

import os
from collections import Counter
from pathlib import Path

import numpy as np

from adacross.data.formats.mesh_files import UP, ply_counts, read_ply
from adacross.data.formats.meshes import files_below, stamp_of
from adacross.data.formats.synsets import SYNSETS
from adacross.data.shape import Cloud, Mesh
from adacross.data.source import Axis, BrokenShapeError, Item, Loaded, Source
from adacross.io.files import file_size

SHAPES, PICTURES = "ShapeNet", "ShapeNetRendering"
_HEAD = 4096  # bytes of a PLY file that hold its header


def recognise(folder: Path) -> bool:
    """Whether a folder holds files of this layout, or is the `ShapeNet` beside a `ShapeNetRendering`."""
    plys = _root(folder).joinpath(SHAPES).glob("*/*.[pP][lL][yY]")
    return any(not path.name.startswith(".") for path in plys)


def find(folder: Path, up: Axis | None) -> Source:
    """List the PLY files, in the order of their paths, and count their points and pictures.

    A synset is a class, by its usual name (`SYNSETS`) or its own. There is no split: the published
    pre-training takes all shapes. Mesh files elsewhere, and pictures without a shape, are skipped and named.

    Args:
        folder: as `recognise` accepts it.
        up: the axis that points up; None means y, as in ShapeNet.

    Returns:
        A source whose `stored` and `pictures` are the numbers of points and of pictures that at least half of
        the clouds, and of the shapes with pictures, have.
    """
    root = _root(folder)
    paths: list[Path] = []
    skipped: list[dict[str, str]] = []
    for path in sorted(files_below(root / SHAPES), key=lambda path: path.relative_to(root).as_posix()):
        if len(path.relative_to(root / SHAPES).parts) == 2 and path.suffix.lower() == ".ply":
            paths.append(path)
        else:
            reason = f"not where a shape belongs: {SHAPES}/<synset>/<id>.ply"
            skipped.append({"name": path.relative_to(root).as_posix(), "reason": reason})
    names = [SYNSETS.get(path.parent.name, path.parent.name) for path in paths]
    classes = sorted(set(names))
    labels = {name: label for label, name in enumerate(classes)}
    items: list[Item] = []
    pictures: list[int] = []
    for path, name in zip(paths, names, strict=True):
        own = pictures_of(path)
        pictures.append(len(own))
        place, stamp = path.relative_to(root / SHAPES).as_posix(), stamp_of(path, *own)
        items.append(Item(place, str(path), label=labels[name], up=up or UP[".ply"], stamp=stamp))
    bare = pictures.count(0)
    note = f"{bare:,} of {len(items):,} shapes have no picture in {PICTURES}; theirs are drawn."
    return Source(
        location=str(root),
        kind="shapenet",
        items=items,
        classes=classes,
        stored=_usual([count for path in paths if (count := _points(path))]),
        pictures=_usual([count for count in pictures if count]),
        note=note if bare else "",
        skipped=skipped + _without_shape(root, paths),
    )


def load(item: Item, points: int, rng: np.random.Generator) -> Loaded:
    """Read one PLY file, a cloud or a mesh, and list its pictures; of a cloud the first `points` points.

    Raises:
        BrokenShapeError: as `read_ply`, or a cloud of fewer points.
    """
    path = Path(item.path)
    found = read_ply(path)
    pictures = pictures_of(path)
    place = f"{PICTURES}/{path.parent.name}/{path.stem}/rendering"
    remark = "" if pictures else f"no PNG file in {place}"
    if isinstance(found, Mesh):
        return Loaded(mesh=found, pictures=pictures, remark=remark)
    count = len(found.points)
    if count < points:
        raise BrokenShapeError(
            f"{count:,} points, fewer than the {points:,} of the collection (--points {count} would keep it)"
        )
    colors = None if found.colors is None else found.colors[:points]
    cloud = Cloud(found.points[:points].copy(), colors=colors)
    return Loaded(cloud=cloud, pictures=pictures, remark=remark)


def pictures_of(path: Path) -> tuple[Path, ...]:
    """Return the pictures of the shape in a PLY file, by name; none where the folder is missing.

    Only visible names that end in .png count, so 3D-R2N2's text files beside them do not. What is no file is
    named when it is its turn.
    """
    folder = path.parents[2] / PICTURES / path.parent.name / path.stem / "rendering"
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.lower().endswith(".png")]
    except OSError:
        return ()
    return tuple(folder / name for name in sorted(names) if not name.startswith("."))


def counts_of(source: Source) -> dict[int, int]:
    """Return how many shapes have how many pictures, `{0: 3, 24: 43780}`, fewest pictures first."""
    counts = Counter(len(pictures_of(Path(item.path))) for item in source.items)
    return dict(sorted(counts.items()))


def _root(folder: Path) -> Path:
    """The folder that holds both; the one given, unless that is `ShapeNet` itself."""
    beside = folder.name == SHAPES and (folder.parent / PICTURES).is_dir()
    return folder.parent if beside and not (folder / SHAPES).is_dir() else folder


def _points(path: Path) -> int:
    """Points of a cloud by its header; 0 for a mesh, or a file that is not as it should be."""
    try:
        file_size(path)  # refuses pipes, on which `open` would wait
        with path.open("rb") as file:
            counts = ply_counts(file.read(_HEAD))
    except OSError:
        return 0
    return 0 if counts.get("face") else counts.get("vertex", 0)


def _usual(counts: list[int]) -> int | None:
    """What at least half of the counts reach: one broken file must not decide for all."""
    return sorted(counts)[len(counts) // 2] if counts else None


def _without_shape(root: Path, paths: list[Path]) -> list[dict[str, str]]:
    """Name the synsets in which pictures have no shape: one entry each, for there may be thousands."""
    shapes = {(path.parent.name, path.stem) for path in paths}
    skipped = []
    for folder in sorted((root / PICTURES).glob("[!.]*")):
        if not folder.is_dir():
            continue
        owners = [place.name for place in folder.glob("[!.]*") if place.is_dir()]
        lone = sorted(name for name in owners if (folder.name, name) not in shapes)
        if lone:
            some = ", ".join(lone[:3]) + ", ..." * (len(lone) > 3)
            reason = f"pictures of {len(lone):,} without a PLY file in {SHAPES}/{folder.name} ({some})"
            skipped.append({"name": f"{PICTURES}/{folder.name}", "reason": reason})
    return skipped
