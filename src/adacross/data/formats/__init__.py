"""Sources of shapes, one file each: meshes, the field's data sets as they come, built-in shapes."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from adacross.data.formats import (
    builtin,
    files,
    meshes,
    modelnet40,
    modelnet_text,
    s3dis,
    scanobjectnn,
    shapenet,
    shapenetpart,
)
from adacross.data.formats.mesh_files import UP
from adacross.data.source import Axis, Item, Kind, Loaded, Source, shown
from adacross.errors import UserError

__all__ = ["BUILTIN", "LAYOUTS", "LOAD", "find_source"]

BUILTIN = "builtin"
_NEAR = 100  # neighbours that are looked at when a folder is not what was expected
LOAD: dict[Kind, Callable[[Item, int, np.random.Generator], Loaded]] = {
    "meshes": files.load,
    "clouds": files.load,
    "modelnet40": modelnet40.load,
    "modelnet_text": modelnet_text.load,
    "scanobjectnn": scanobjectnn.load,
    "shapenet": shapenet.load,
    "shapenetpart": shapenetpart.load,
    "s3dis": s3dis.load,
    "builtin": builtin.load,
    "files": files.load,  # named one by one, not found
}
LAYOUTS: dict[Kind, str] = {
    "meshes": f"mesh files ({', '.join(sorted(UP))}) in any layout",
    "clouds": f"clouds of points ({', '.join(files.CLOUDS)}, a point a line; .ply) in any layout",
    "modelnet40": "ModelNet40's HDF5 files (ply_data_train*.h5, ply_data_test*.h5)",
    "modelnet_text": "ModelNet40 as text (modelnet40_train.txt, <class>/<name>.txt)",
    "scanobjectnn": "ScanObjectNN (h5_files with main_split, main_split_nobg)",
    "shapenet": "ShapeNet with pictures (ShapeNet/<synset>/<id>.ply beside ShapeNetRendering)",
    "shapenetpart": "ShapeNetPart (synsetoffset2category.txt, or ply_data_*.h5 with pid)",
    "s3dis": "S3DIS in blocks (ply_data_all_*.h5, room_filelist.txt)",
    "builtin": "shapes from nothing, by the word 'builtin' in a folder's place",
}
# How to tell a folder of each layout and what lists its shapes; a folder of meshes or clouds is what is left.
_PLAIN: dict[Kind, tuple[Callable[[Path], bool], Callable[[Path, Axis | None], Source]]] = {
    "shapenetpart": (shapenetpart.recognise, shapenetpart.find),
    "s3dis": (s3dis.recognise, s3dis.find),
    "shapenet": (shapenet.recognise, shapenet.find),
}
_FIND_VARIANT: dict[
    Kind, tuple[Callable[[Path], bool], Callable[[Path, Axis | None, str | None], Source]]
] = {
    "modelnet40": (modelnet40.recognise, modelnet40.find),
    "modelnet_text": (modelnet_text.recognise, modelnet_text.find),
    "scanobjectnn": (scanobjectnn.recognise, scanobjectnn.find),
}


def find_source(source: str, *, up: Axis | None, count: int, variant: str | None, seed: int) -> Source:
    """List what a source holds, without reading it.

    Raises:
        UserError: no such folder, nothing in it that we know, or a variant that it does not have.
    """
    found = _find(source, up=up, count=count, variant=variant, seed=seed)
    items = [item if item.id == shown(item.id) else replace(item, id=shown(item.id)) for item in found.items]
    return replace(found, items=items, classes=[shown(name) for name in found.classes])


def _find(source: str, *, up: Axis | None, count: int, variant: str | None, seed: int) -> Source:
    if source == BUILTIN:
        return builtin.find(count, variant, seed, up)
    folder = Path(source)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{source} {what}. {_known()}")
    folder = folder.resolve()
    kind = _kind_of(folder)
    if kind in _FIND_VARIANT:
        return _FIND_VARIANT[kind][1](folder, up, variant)
    if variant is not None:
        raise UserError(f"variant {variant} was given, but {folder} has none ({kind}). Leave --variant away.")
    if kind in _PLAIN:
        return _PLAIN[kind][1](folder, up)
    below = _known_among(sorted(place for place in folder.glob("[!.]*") if place.is_dir()))
    try:
        found = meshes.find(folder, up, clouds=not below)
    except UserError as error:
        near = [*_known_among([folder.parent]), *below][:3]
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"{error}{hint} {_known()}") from None
    note = f"mesh files alone are read; data of another layout lies in {', '.join(below[:3])}."
    return replace(found, note=note) if below else found


def _kind_of(folder: Path) -> Kind:
    """Which layout a folder has; "meshes" if none of the others."""
    every = [(kind, both[0]) for kind, both in (_PLAIN | _FIND_VARIANT).items()]
    return next((kind for kind, recognise in every if recognise(folder)), "meshes")


def _known_among(folders: list[Path]) -> list[str]:
    """Those of some folders that have a layout; of very many only the first are looked at."""
    known = []
    for folder in folders[:_NEAR]:
        with suppress(OSError):  # no permission to look
            known += [str(folder)] if _kind_of(folder) != "meshes" else []
    return known


def _known() -> str:
    return f"Give a folder that holds one of these: {'; '.join(LAYOUTS.values())}."
