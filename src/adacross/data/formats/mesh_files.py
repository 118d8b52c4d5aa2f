"""One mesh file in, one `Mesh` (one `PointCloud` if it holds points only) out, or the reason why not."""

from pathlib import Path

import numpy as np

from adacross.data.formats.obj import read_obj
from adacross.data.formats.off import read_off
from adacross.data.formats.ply import read_ply
from adacross.data.formats.polygons import check_corners
from adacross.data.formats.scene import content_of
from adacross.data.formats.stl import read_stl
from adacross.data.shape import Axis, BrokenShapeError, Mesh, PointCloud

# The axis that points up by the format's rule or, where it has none, by habit.
# glTF: y, by its specification. OFF: z, as in ModelNet. OBJ, PLY: y, as most modeling programs export.
# STL, STEP, IGES, 3MF: z, as CAD programs and printers have it.
UP: dict[str, Axis] = {
    ".3mf": "z", ".dae": "y", ".glb": "y", ".gltf": "y", ".iges": "z", ".igs": "z", ".obj": "y", ".off": "z",
    ".ply": "y", ".step": "z", ".stl": "z", ".stp": "z",
}  # fmt: skip


def read_mesh(path: Path) -> Mesh | PointCloud:
    """Read an OFF, OBJ, PLY or STL file as one triangle mesh, or as a cloud if it holds points only.

    Colors are kept: of faces, of vertices (mean over the face), of materials (OBJ's .mtl), of textures (the
    texel at the face's center). Materials and textures are looked up in the mesh's own folder and below,
    nowhere else. Raises BrokenShapeError with the reason if there is no shape in the file.
    """
    with content_of(path) as data:
        folder = path.resolve().parent
        match path.suffix.lower():
            case ".off":
                found = read_off(data)
            case ".obj":
                found = read_obj(data, folder)
            case ".ply":
                found = read_ply(data, folder)
            case _:
                found = read_stl(data)
    return _checked(found) if isinstance(found, Mesh) else found


def _checked(mesh: Mesh) -> Mesh:
    if len(mesh.faces) == 0:
        points = f" (only {len(mesh.vertices)} points)" if len(mesh.vertices) else ""
        raise BrokenShapeError(f"there is no face in it{points}")
    check_corners(mesh.faces, len(mesh.vertices))
    if not np.isfinite(mesh.vertices[mesh.faces]).all():
        raise BrokenShapeError("NaN or infinite coordinates")
    return mesh
