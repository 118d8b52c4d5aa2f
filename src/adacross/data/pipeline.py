"""One item in, one row of a collection out. Runs in worker processes."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from adacross.data.columns import from_bytes, to_batch, to_bytes
from adacross.data.formats import LOAD
from adacross.data.render import orbit, render_cloud, render_mesh
from adacross.data.sampling import sample_surface, to_y_up, unit_sphere
from adacross.data.shape import Cloud, Mesh, Shape, Split
from adacross.data.source import Axis, BrokenShapeError, Item, Kind, Loaded

_ROW, _REASON = b"+", b"-"


def serve_item(request: dict[str, Any]) -> bytes:
    """Answer a worker's request made by `request_for`; `row_or_reason` reads the answer."""
    item = Item(**request["item"])
    wanted = {name: request[name] for name in ("kind", "split", "points", "views", "size", "seed", "parts")}
    try:
        return _ROW + to_bytes(make_row(item, **wanted))
    except BrokenShapeError as error:
        return _REASON + str(error).encode()
    except MemoryError:
        return _REASON + b"not enough memory to read it"


def row_or_reason(answer: bytes) -> pa.Table | str:
    """Return the row of an answer, or the reason why there is none."""
    return from_bytes(answer[1:]) if answer[:1] == _ROW else answer[1:].decode()


def make_row(
    item: Item, *, kind: Kind, split: Split, points: int, views: int, size: int, seed: int, parts: list[str]
) -> pa.RecordBatch:
    """Read an item, sample it, bring it into the common frame and draw it.

    All randomness comes from the seed and the item's id, so a shape does not depend on its neighbours, on the
    number of workers or on where a preparation was interrupted.

    Args:
        item: what to read.
        kind: the format that reads it.
        split: which split the row is for.
        points: points to sample, or to keep where the source has points.
        views: pictures to draw.
        size: their side in pixels.
        seed: of the whole preparation.
        parts: names of all parts of the collection, empty for none.

    Raises:
        BrokenShapeError: the item cannot become a shape.
    """
    loaded = _upright(LOAD[kind](item, points, _rng(seed, item.id, 0)), item.up)
    cloud = loaded.cloud
    if loaded.mesh is not None:
        sampled = sample_surface(loaded.mesh, points, _rng(seed, item.id, 1))
        cloud = cloud or sampled
        _, center, scale = unit_sphere(sampled.points)
        loaded = Loaded(_framed(loaded.mesh, center, scale), cloud, loaded.part_names)
    if cloud is None:
        raise BrokenShapeError("neither a mesh nor points")
    normal_points, center, scale = unit_sphere(cloud.points)
    cameras = orbit(views, _rng(seed, item.id, 2))
    if loaded.mesh is not None:
        pictures = render_mesh(loaded.mesh, cameras, size)
    else:
        pictures = render_cloud(Cloud(normal_points, cloud.normals, cloud.colors), cameras, size)
    part = None
    if parts:
        part = np.full(len(normal_points), -1, dtype=np.int64)
        if cloud.part is not None:
            # -1 (clutter) picks the last entry
            part = np.array([*(parts.index(name) for name in loaded.part_names), -1])[cloud.part]
    label = item.label if item.label >= 0 else None
    return to_batch(Shape(item.id, normal_points, split, label, part, pictures), center, scale)


def _rng(seed: int, name: str, stage: int) -> np.random.Generator:
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return np.random.default_rng([seed, stage, int.from_bytes(digest, "big")])


def _upright(loaded: Loaded, up: Axis) -> Loaded:
    """Rotate a mesh and a cloud y up."""
    mesh, cloud = loaded.mesh, loaded.cloud
    if mesh is not None:
        vertices = to_y_up(mesh.vertices, up)
        mesh = Mesh(vertices, mesh.faces, mesh.face_colors, mesh.face_parts, mesh.part_names)
    if cloud is not None:
        normals = None if cloud.normals is None else to_y_up(cloud.normals, up)
        cloud = Cloud(to_y_up(cloud.points, up), normals, cloud.colors, cloud.part)
    return Loaded(mesh, cloud, loaded.part_names)


def _framed(mesh: Mesh, center: np.ndarray, scale: float) -> Mesh:
    """Bring a mesh into the frame of the points sampled from it, all of it within the unit sphere.

    A thin tip that no point happened to hit may stick out; the pictures then show the mesh a little smaller.
    """
    vertices = (mesh.vertices - center) / scale
    reach = float(np.linalg.norm(vertices[mesh.faces], axis=-1).max())
    return Mesh(vertices / max(reach, 1.0), mesh.faces, mesh.face_colors, mesh.face_parts, mesh.part_names)
