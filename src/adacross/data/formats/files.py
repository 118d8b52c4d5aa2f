"""Files that are each a shape: a reader and an up axis for every ending."""

import os
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from pathlib import Path

from adacross.data.formats import archives
from adacross.data.formats.arrays import read_npy, read_npz
from adacross.data.formats.base import SampleRef, finite
from adacross.data.formats.cad import read_cad
from adacross.data.formats.dae import read_dae
from adacross.data.formats.gltf import read_gltf
from adacross.data.formats.las import read_las
from adacross.data.formats.obj import read_obj
from adacross.data.formats.off import read_off
from adacross.data.formats.pcd import read_pcd
from adacross.data.formats.ply import read_ply
from adacross.data.formats.polygons import check_corners
from adacross.data.formats.scene import body_names, body_of, check_finite, content_of
from adacross.data.formats.stl import read_stl
from adacross.data.formats.text_clouds import ENDINGS, looks_like_points, read_text_cloud
from adacross.data.formats.threemf import read_3mf
from adacross.data.shape import Axis, BrokenShapeError, Mesh, PointCloud
from adacross.errors import UserError
from adacross.io.remote import at_home

# The axis that points up by the format's rule or, where it has none, by habit.
# glTF: y, by its specification. OFF: z, as in ModelNet. OBJ, PLY: y, as most modeling programs export.
# STL, STEP, IGES, 3MF: z, as CAD programs and printers have it. LAS: z, of landscapes.
UP: dict[str, Axis] = {
    ".3mf": "z", ".dae": "y", ".glb": "y", ".gltf": "y", ".iges": "z", ".igs": "z", ".obj": "y", ".off": "z",
    ".ply": "y", ".step": "z", ".stl": "z", ".stp": "z", ".las": "z", ".laz": "z",
}  # fmt: skip
_SCENES: dict[str, Callable[[Path], Mesh | PointCloud]] = {  # parts that they place in a frame
    ".3mf": read_3mf, ".dae": read_dae, ".glb": read_gltf, ".gltf": read_gltf, ".iges": read_cad,
    ".igs": read_cad, ".step": read_cad, ".stp": read_cad,
}  # fmt: skip
_CLOUDS: dict[str, Callable[[Path], PointCloud]] = {
    ".npy": read_npy, ".npz": read_npz, ".pcd": read_pcd, ".las": read_las, ".laz": read_las,
    **dict.fromkeys(ENDINGS, read_text_cloud),
}  # fmt: skip
ASSEMBLIES = tuple(_SCENES)  # endings of files that may hold several bodies
MESHES = tuple(sorted({*_SCENES, ".obj", ".off", ".ply", ".stl"}))  # that hold meshes, or points only
CLOUDS = tuple(sorted(_CLOUDS))  # that hold nothing else
SUFFIXES = (*MESHES, *CLOUDS)
_LOOKED = 10  # files of an archive that tell whether it is unpacked beside


def read_file(path: Path) -> Mesh | PointCloud:
    """Read the mesh or the cloud in one file, by its ending; BrokenShapeError if it cannot be read."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BrokenShapeError(f"not a file of shapes; expected an ending among {', '.join(SUFFIXES)}")
    try:
        found = (_CLOUDS | _SCENES).get(suffix, read_mesh)(path)
        return finite(found) if isinstance(found, PointCloud) else found
    except OSError as error:
        raise BrokenShapeError(error.strerror or str(error)) from error


def read_mesh(path: Path) -> Mesh | PointCloud:
    """Read an OFF, OBJ, PLY or STL file as one triangle mesh, or as a cloud if it holds points only.

    Colors are kept: of faces, of vertices (mean over the face), of materials (OBJ's .mtl), of textures (the
    texel at the face's center). Materials and textures are looked up in the mesh's own folder and below,
    nowhere else. Raises BrokenShapeError with the reason if there is no shape in the file.
    """
    with content_of(path) as data:
        if read := {".obj": read_obj, ".ply": read_ply}.get(path.suffix.lower()):
            found = read(data, path.resolve().parent)
        else:
            found = read_off(data) if path.suffix.lower() == ".off" else read_stl(data)
    if isinstance(found, PointCloud):
        return found
    if not len(found.faces):
        points = f" (only {len(found.vertices)} points)" if len(found.vertices) else ""
        raise BrokenShapeError(f"there is no face in it{points}")
    check_corners(found.faces, len(found.vertices))
    check_finite(found.vertices[found.faces])
    return found


def looks_like_a_cloud(path: Path) -> bool:
    """Return whether a file ends as clouds do and, where notes and tables do, too, begins with points."""
    suffix = path.suffix.lower()
    return suffix in CLOUDS and (suffix not in ENDINGS or looks_like_points(path))


def read_shape(path: str | Path) -> Mesh | PointCloud:
    """Read a mesh (OFF, OBJ, PLY, STL, glTF, STEP, IGES, 3MF, DAE) or a point cloud.

    Clouds are NPY, NPZ, PCD, LAS, LAZ, text, and meshes' files that hold points only. A file in a ZIP or TAR
    archive is read in place (`parts.zip/bolt.stl`).

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
    path = at_home(path)
    if not archives.is_file(path):
        raise UserError(f"{path} does not exist; expected a file that ends in {', '.join(SUFFIXES)}.")
    try:
        return read_file(path)
    except (BrokenShapeError, MemoryError) as error:
        raise UserError(f"{path} is not a shape: {error}.") from None


@lru_cache(maxsize=1)  # the bodies of a file come one after the other
def _read_again(path: Path, fingerprint: str) -> Mesh | PointCloud:
    return read_file(path)


def read_item(item: SampleRef) -> Mesh | PointCloud:
    """Read the file of an item, or the body in it that the item names; errors as `read_file`."""
    if "body" not in item.extra:
        return read_file(Path(item.path))
    found = _read_again(Path(item.path), item.fingerprint)
    return body_of(found, item.extra["body"]) if isinstance(found, Mesh) else found


def bodies_in(path: Path) -> list[str]:
    """Return the names of the bodies in a file, none where they are not told apart; errors as `read_file`."""
    found = read_file(path)
    return body_names(found) if isinstance(found, Mesh) else []


def file_ref(path: Path, up: Axis | None = None) -> SampleRef:
    """Return the reference to one file, whose path is the id; `up` is else by its type, y for clouds."""
    return SampleRef(str(path), str(path), up=axis_of(path, up) or "y")


def axis_of(path: Path, up: Axis | None = None) -> Axis | None:
    """Return the axis that points up in a file: `up` where it is given, else that of its format, if any.

    COLLADA says its own, by which it is turned to y while it is read.
    """
    ending = path.suffix.lower()
    return UP.get(ending) if up is None or ending == ".dae" else up


def files_below(folder: Path, suffixes: Collection[str] | None = MESHES) -> Iterator[Path]:
    """Yield all visible files of a folder or an archive that end so (None: all), in no order.

    Links to folders are followed once. Archives in a folder are looked into, but for damaged ones, and for
    those whose content lies beside them or in a folder of their name.
    """
    found = archives.members(folder) if archives.is_archive(folder) else _walk(folder)
    return (path for path in found if suffixes is None or path.suffix.lower() in suffixes)


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real in seen:
            continue
        seen.add(real)
        for name in names:
            if not name.startswith("."):
                yield from _packed(Path(place, name)) or [Path(place, name)]


def _packed(path: Path) -> list[Path]:
    """Return the files of an archive, none of one that is damaged or already unpacked, nor of other files."""
    if not archives.is_archive(path):
        return []
    try:
        found = list(archives.members(path))
    except OSError:
        return []
    first = [str(file.relative_to(path)) for file in found[:_LOOKED]]
    places = (path.parent, path.with_name(archives.stem(path.name)))
    return [] if any((place / name).exists() for place in places for name in first) else found
