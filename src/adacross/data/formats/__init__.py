"""Sources of shapes, one file each: meshes, ModelNet40's HDF5 files, ShapeNet with pictures, built-in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from adacross.data.formats import builtin, meshes, modelnet40, shapenet
from adacross.data.formats.builtin import Variant
from adacross.data.source import Axis, Item, Kind, Loaded, Source
from adacross.errors import UserError

__all__ = ["BUILTIN", "LOAD", "Variant", "find_source"]

BUILTIN = "builtin"
LOAD: dict[Kind, Callable[[Item, int, np.random.Generator], Loaded]] = {
    "meshes": meshes.load,
    "modelnet40": modelnet40.load,
    "shapenet": shapenet.load,
    "builtin": builtin.load,
}


def find_source(source: str, *, up: Axis | None, count: int, variant: Variant, seed: int) -> Source:
    """List what a source holds, without reading it.

    Raises:
        UserError: no such folder, or nothing in it that we know.
    """
    if source == BUILTIN:
        return builtin.find(count, variant, seed, up)
    folder = Path(source)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise UserError(
            f"{source} {what}. Give a folder of meshes, a folder of ModelNet40's HDF5 files, the folder that "
            "holds ShapeNet and ShapeNetRendering, or the word 'builtin'."
        )
    folder = folder.resolve()
    if modelnet40.recognise(folder):
        return modelnet40.find(folder, up)
    return shapenet.find(folder, up) if shapenet.recognise(folder) else meshes.find(folder, up)
