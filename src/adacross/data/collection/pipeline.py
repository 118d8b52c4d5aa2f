"""One item in, one row of a collection out. Runs in worker processes."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, UInt8

from adacross.data.collection.schema import from_bytes, to_batch, to_bytes
from adacross.data.formats import LOAD
from adacross.data.images import read_views
from adacross.data.rendering.render import orbit, render_cloud, render_mesh
from adacross.data.sampling import sample_surface, to_y_up, unit_sphere
from adacross.data.shape import Cloud, Mesh, Shape, Split
from adacross.data.source import Axis, BrokenShapeError, Item, Kind, Loaded
from adacross.data.workers.local import shortage

_ROW, _REASON = b"+", b"-"
_LENGTH = 4  # bytes that hold a remark's length


@dataclass(frozen=True, eq=False)
class Answer:
    """What became of one item.

    Attributes:
        row: a table of one row, or None if the item is left out.
        remark: why it is left out; beside a row what is not as it should be, "" for nothing.
    """

    row: pa.Table | None
    remark: str

    @property
    def points(self) -> Float32[np.ndarray, "N 3"] | None:
        """The row's cloud, if there is one."""
        if self.row is None:
            return None
        flat = self.row["points"].combine_chunks().flatten().flatten()
        return flat.to_numpy(zero_copy_only=False).reshape(-1, 3)


SERVE = "adacross.data.collection.pipeline:serve_item"  # as workers are told


def serve_item(request: dict[str, Any]) -> bytes:
    """Answer a worker's request; `read_answer` reads the answer."""
    item = Item(**request["item"])
    wanted = {name: request[name] for name in ("kind", "split", "points", "views", "size", "seed", "parts")}
    try:
        row, remark = make_row(item, **wanted)
    except BrokenShapeError as error:
        if shortage(error):  # no fault of the file: the worker tells its caller
            raise
        return _REASON + str(error).encode(errors="replace")
    text = remark.encode(errors="replace")
    return _ROW + len(text).to_bytes(_LENGTH, "big") + text + to_bytes(row)


def read_answer(answer: bytes) -> Answer:
    """Return what `serve_item` answered."""
    kind, content = answer[:1], answer[1:]
    if kind == _REASON:
        return Answer(None, content.decode())
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "big")
    return Answer(from_bytes(content[end:]), content[_LENGTH:end].decode())


@dataclass(frozen=True, eq=False)
class Made:
    """A shape, the center `(3,)` and scale that undo its frame, and what is not as it should be."""

    shape: Shape
    center: Float64[np.ndarray, "3"]
    scale: float
    remark: str


def make_row(item: Item, **wanted: Any) -> tuple[pa.RecordBatch, str]:
    """As `make_shape`: one row of a collection, and the remark."""
    made = make_shape(item, **wanted)
    return to_batch(made.shape, made.center, made.scale), made.remark


def make_shape(
    item: Item, *, kind: Kind, split: Split, points: int, views: int, size: int, seed: int, parts: list[str]
) -> Made:
    """Read an item, sample it, bring it into the common frame and draw it, where it brings no pictures.

    All randomness comes from the seed and the item's id, so a shape does not depend on its neighbours, on the
    number of workers or on where a preparation was interrupted.

    Args:
        item: what to read.
        kind: the format that reads it.
        split: which split the row is for.
        points: points to sample, or to keep where the source has points.
        views: pictures to draw, or to keep where the source has pictures; 0 for none.
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
        loaded = replace(loaded, mesh=_framed(loaded.mesh, center, scale))
    if cloud is None:
        raise BrokenShapeError("neither a mesh nor points")
    normal_points, center, scale = unit_sphere(cloud.points)
    framed = Cloud(normal_points, cloud.normals, cloud.colors)
    pictures, remark = _pictures(loaded, framed, views, size, _rng(seed, item.id, 2))
    part = None
    if parts:
        part = np.full(len(normal_points), -1, dtype=np.int64)
        if cloud.part is not None:
            # -1 (clutter) picks the last entry
            part = np.array([*(parts.index(name) for name in loaded.part_names), -1])[cloud.part]
    label = item.label if item.label >= 0 else None
    return Made(Shape(item.id, normal_points, split, label, part, pictures), center, scale, remark)


def _pictures(
    loaded: Loaded, cloud: Cloud, views: int, size: int, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "V size size 3"], str]:
    """Return the pictures that a shape brings, or drawn ones, and what is not as it should be."""
    if not views:
        return np.zeros((0, size, size, 3), dtype=np.uint8), loaded.remark
    pictures, remarks = read_views(loaded.pictures, views, size)
    remarks = [remark for remark in (loaded.remark, *remarks) if remark]
    if pictures is None:
        remarks += ["its pictures are drawn"] if remarks else []
        cameras = orbit(views, rng)
        if loaded.mesh is not None:
            pictures = render_mesh(loaded.mesh, cameras, size)
        else:
            pictures = render_cloud(cloud, cameras, size)
    return pictures, "; ".join(remarks)


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
        with np.errstate(invalid="ignore"):  # of what is not finite; it is refused later
            normals = None if cloud.normals is None else to_y_up(cloud.normals, up)
            cloud = Cloud(to_y_up(cloud.points, up), normals, cloud.colors, cloud.part)
    return replace(loaded, mesh=mesh, cloud=cloud)


def _framed(mesh: Mesh, center: np.ndarray, scale: float) -> Mesh:
    """Bring a mesh into the frame of the points sampled from it, all of it within the unit sphere.

    A thin tip that no point happened to hit may stick out; the pictures then show the mesh a little smaller.
    """
    vertices = (mesh.vertices - center) / scale
    reach = float(np.linalg.norm(vertices[mesh.faces], axis=-1).max())
    return Mesh(vertices / max(reach, 1.0), mesh.faces, mesh.face_colors, mesh.face_parts, mesh.part_names)
