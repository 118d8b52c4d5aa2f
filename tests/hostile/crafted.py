"""Files that somebody made to do harm, by the reader they are made for: `{reader: {name: content}}`."""

from collections.abc import Callable

import crafted_runs
from crafted_meshes import MESHES, glbs, pictures, plys
from crafted_sets import LISTS, hdf5_files, pickles
from seed_use import npys

Files = dict[str, bytes]
CRAFTED: dict[str, Files | Callable[[], Files]] = (
    MESHES
    | LISTS
    | crafted_runs.CRAFTED
    | {
        "OBJ's texture": pictures,
        "PLY, text": lambda: plys("ascii"),
        "PLY, binary": lambda: plys("binary_little_endian"),
        "ShapeNet, PLY": lambda: plys("binary_little_endian"),
        "GLB": glbs,
        "cloud, NPY": npys,
        "ModelNet40, HDF5": hdf5_files,
        "ScanObjectNN": hdf5_files,
        "ShapeNetRendering": pictures,
        "pictures, PNG": pictures,
        "pictures, JPEG": pictures,
        "CIFAR-FS, pickle": pickles,
        "CIFAR-100, names": pickles,
    }
)


def crafted_for(reader: str) -> Files:
    """The files made for a reader, by name."""
    found = CRAFTED.get(reader, {})
    return found if isinstance(found, dict) else found()
