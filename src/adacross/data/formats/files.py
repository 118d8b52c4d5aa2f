"""Files that are each a shape, a mesh or a cloud, and folders of them in whatever layout."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import ClassVar, Literal

from adacross.data.formats import clouds
from adacross.data.formats.base import DatasetIndex, Format, SampleRef
from adacross.data.formats.cad import read_cad
from adacross.data.formats.clouds import READERS, finite, looks_like_a_cloud
from adacross.data.formats.dae import read_dae
from adacross.data.formats.gltf import read_gltf
from adacross.data.formats.mesh_files import UP, read_mesh
from adacross.data.formats.threemf import read_3mf
from adacross.data.shape import Axis, BrokenShapeError, Mesh, PointCloud, Split
from adacross.errors import UserError

Classes = Literal["auto", "folder", "none"]
_SCENES = {  # files of parts that they place in a frame
    ".3mf": read_3mf, ".dae": read_dae, ".glb": read_gltf, ".gltf": read_gltf, ".iges": read_cad,
    ".igs": read_cad, ".step": read_cad, ".stp": read_cad,
}  # fmt: skip
CLOUDS = tuple(sorted(READERS))  # endings of files that hold nothing else
SUFFIXES = (*sorted(UP), *CLOUDS)
_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}


class Meshes(Format):
    """A folder of mesh files in any layout.

    A folder called `train` or `test` is a split where it lies right below a class (`chair/train/0001.off`,
    ModelNet's layout) or where nothing but splits lies on the first level (`train/chair/0001.off`).

    Args:
        classes: "folder" takes the first folder on a file's way for its class (deeper ones are part of its
            name only, and a file that lies directly in the folder has none), "none" takes no classes, and
            "auto" takes folders that look like classes: several, no shape beside them, all files equally
            deep, and at least half of the folders with several shapes.
    """

    layout = f"mesh files ({', '.join(sorted(UP))}) in any layout"
    suffixes: ClassVar[Collection[str]] = UP

    def __init__(self, classes: Classes = "auto") -> None:
        self.classes = classes

    def recognise(self, folder: Path) -> bool:
        """Return whether a file of the right ending lies in a folder or below."""
        return next(self._walk(folder), None) is not None

    def find(self, folder: Path) -> DatasetIndex:
        """List the files, in the order of their paths; what is hidden is left out."""
        paths = sorted((path.relative_to(folder).as_posix(), path) for path in self._walk(folder))
        if not paths:
            raise UserError(
                f"{folder} holds no shapes: no file in it or below ends in {', '.join(self.suffixes)}."
            )
        places = [tuple(name.split("/")) for name, _ in paths]
        tops = {place[0] for place in places if len(place) > 1}
        first = bool(tops) and tops <= _SPLITS.keys() and all(len(place) > 1 for place in places)
        splits = [_split_of(place, first) for place in places]
        places = [place[first:] for place in places]
        named, note = self._decide(places)
        items = []
        for (name, path), place, split in zip(paths, places, splits, strict=True):
            label = place[0] if named and len(place) > 1 else ""
            items.append(SampleRef(name, str(path), label=label, split=split, up=_up(path)))
        return DatasetIndex(items, note=note)

    def load(self, item: SampleRef) -> Mesh | PointCloud:
        return read_file(Path(item.path))

    def _walk(self, folder: Path) -> Iterator[Path]:
        return files_below(folder, self.suffixes)

    def _decide(self, places: list[tuple[str, ...]]) -> tuple[bool, str]:
        """Return whether the first level of folders is the class, and a sentence if that was a guess."""
        tops = {place[0] for place in places if len(place) > 1}
        if self.classes != "auto" or not tops:
            return self.classes != "none", ""
        if why := _unlike_classes(places):
            return False, f"No classes are taken from folders: {why}. --classes folder takes the first level."
        return True, f"The first level of folders gives {len(tops)} classes. --classes none takes none."


class Clouds(Meshes):
    """A folder of clouds in any layout; splits and classes are found as those of meshes."""

    layout = f"clouds of points ({', '.join(CLOUDS)}; .ply) in any layout"
    suffixes = CLOUDS

    def _walk(self, folder: Path) -> Iterator[Path]:
        return filter(looks_like_a_cloud, files_below(folder, self.suffixes))


def read_file(path: Path) -> Mesh | PointCloud:
    """Read the mesh or the cloud in one file, by its ending; BrokenShapeError if it cannot be read."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BrokenShapeError(f"no file of shapes; it must end in one of {', '.join(SUFFIXES)}")
    try:
        found = (READERS | _SCENES).get(suffix, read_mesh)(path)
        return finite(found) if isinstance(found, PointCloud) else found
    except OSError as error:
        raise BrokenShapeError(error.strerror or str(error)) from error


def read_shape(path: str | Path) -> Mesh | PointCloud:
    """Read a mesh (OFF, OBJ, PLY, STL, glTF, STEP, IGES, 3MF, DAE) or a point cloud.

    Clouds are NPY, NPZ, PCD, LAS, LAZ, text, and meshes' files that hold points only.

    The shape is in the file's own frame; `.warnings` names what is unusual about it. The file is read in this
    process: `prepare` and `embed` isolate files that may be hostile.

    Raises:
        UserError: no such file, or no shape in it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "triangle.obj")
        >>> _ = path.write_text("v 0 0 0\\nv 1 0 0\\nv 0 1 0\\nf 1 2 3\\n")
        >>> read_shape(path).faces
        array([[0, 1, 2]])
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; expected a file that ends in {', '.join(SUFFIXES)}.")
    try:
        return read_file(path)
    except (BrokenShapeError, MemoryError) as error:
        raise UserError(f"{path} is not a shape: {error}.") from None


def file_ref(path: Path, up: Axis | None = None) -> SampleRef:
    """Return the reference to one file, whose path is the id; `up` is else by its type, y for clouds."""
    return SampleRef(str(path), str(path), up=up or _up(path) or "y")


def _up(path: Path) -> Axis | None:
    """Return the axis that points up by a file's type, None for the format's."""
    return (UP | clouds.UP).get(path.suffix.lower())


def files_below(folder: Path, suffixes: Collection[str] = UP) -> Iterator[Path]:
    """Yield all visible files of a folder that end so, in no order, links to folders followed once."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real in seen:
            continue
        seen.add(real)
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield Path(place, name)


def _split_of(place: tuple[str, ...], first: bool) -> Split | None:
    """Return the split that a file's folders name: the first level, or the second."""
    if first:
        return _SPLITS[place[0]]
    return _SPLITS.get(place[1].lower()) if len(place) > 2 else None


def _unlike_classes(places: list[tuple[str, ...]]) -> str:
    """Return why the first level of folders does not look like classes, or ""."""
    kept = [place[:1] + place[2:] if _split_of(place, first=False) else place for place in places]
    if len({len(place) for place in kept}) > 1:
        return "shapes lie at several depths"
    within: defaultdict[str, set[str]] = defaultdict(set)
    for place in kept:
        within[place[0]].add(Path(place[1]).stem if len(place) == 2 else place[1])
    if len(within) < 2:
        return "there is only one"
    if 2 * sum(len(names) > 1 for names in within.values()) < len(within):
        return "most of them hold one shape"
    return ""
