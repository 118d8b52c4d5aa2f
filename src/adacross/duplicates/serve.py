"""Worker processes of `duplicates`: they read shapes, describe them, and compare pairs of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from adacross.data.collection.collection import Collection
from adacross.data.formats import FILES, format_of
from adacross.data.formats.base import SampleRef
from adacross.data.formats.files import file_ref
from adacross.data.formats.invariants import signature
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud
from adacross.data.workers.local import Request, shortage
from adacross.duplicates.align import fit
from adacross.duplicates.surface import Surface
from adacross.duplicates.triangles import Triangles

SIGNATURE, PAIRS = f"{__name__}:serve_signature", f"{__name__}:serve_pairs"
_KEPT = 64  # surfaces that a process keeps for the next pair

Place = dict[str, Any]  # where a shape is, in JSON values: an item of a source, or a row of a collection


def item_place(item: SampleRef, format: str) -> Place:
    """Return the place of an item of a source."""
    return {"item": asdict(item), "format": format}


def file_place(path: Path) -> Place:
    """Return the place of a file that holds one shape."""
    return item_place(file_ref(path), FILES)


def row_place(collection: Path, row: int) -> Place:
    """Return the place of a shape of which only points are at hand."""
    return {"collection": str(collection), "row": row}


def load(place: Place) -> Mesh | PointCloud:
    """Read the shape at a place, in its own unit."""
    if "row" in place:
        collection, row = _opened(place["collection"]), np.array([place["row"]])
        (center,), (scale,) = collection.frames(row)
        return PointCloud(collection.points(row)[0].astype(np.float64) * scale + center)
    raw = format_of(place["format"]).sample(SampleRef(**place["item"]), 2048, np.random.default_rng(0))
    shape = raw.mesh or raw.whole or raw.cloud
    if shape is None:
        raise BrokenShapeError("neither a mesh nor points")
    return shape


def serve_signature(request: Request) -> bytes:
    """Describe a shape: its signature, or the reason why there is none."""
    try:
        return json.dumps(signature(load(request["place"])).stored()).encode()
    except BrokenShapeError as error:
        if shortage(error):
            raise
        return json.dumps({"error": str(error)}).encode()


def before_serve_pairs() -> None:
    """Load what measures distances before memory is limited. Runs in a worker process."""
    Triangles.of(np.eye(3)[None]).closest(np.zeros((1, 3)))


def serve_pairs(request: Request) -> bytes:
    """Compare a shape with others: distances in percent of the diagonal, and whether they are mirrored."""
    options = request["options"]
    try:
        one = _surface(json.dumps(request["one"]))
        found = [fit(_surface(json.dumps(other)), one, **options) for other in request["others"]]
    except BrokenShapeError as error:
        if shortage(error):
            raise
        return json.dumps([]).encode()
    return json.dumps([[100 * min(each.distance, 1e6), each.mirrored] for each in found]).encode()


def read_pairs(answer: bytes) -> Sequence[tuple[float, bool]]:
    """Return what `serve_pairs` answered."""
    return [(distance, mirrored) for distance, mirrored in json.loads(answer)]


@lru_cache(maxsize=_KEPT)
def _surface(place: str) -> Surface:
    return Surface.of(load(json.loads(place)))


@cache
def _opened(folder: str) -> Collection:
    return Collection.open(folder)
