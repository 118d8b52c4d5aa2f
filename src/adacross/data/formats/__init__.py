"""Sources of shapes, one file each: folders of meshes, ModelNet40's HDF5 files, the built-in shapes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from adacross.data.formats import builtin, meshes, modelnet40
from adacross.data.formats.builtin import Variant
from adacross.data.source import Axis, Item, Kind, Loaded, Source
from adacross.errors import UserError

__all__ = ["BUILTIN", "LOAD", "Variant", "find_source"]

BUILTIN = "builtin"
LOAD: dict[Kind, Callable[[Item, int, np.random.Generator], Loaded]] = {
    "meshes": meshes.load,
    "modelnet40": modelnet40.load,
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
            f"{source} {what}. Give a folder of meshes, a folder of ModelNet40's HDF5 files, "
            "or the word 'builtin'."
        )
    folder = folder.resolve()
    return modelnet40.find(folder, up) if modelnet40.recognise(folder) else meshes.find(folder, up)
