"""From one item of a source to one prepared shape: read, sampled, upright, normalized, rendered."""

import hashlib
import os
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, UInt8

from adacross.data.collection.schema import MEASURED, SIGNATURE, read_stream, to_batch, to_bytes
from adacross.data.formats import FILES, format_of
from adacross.data.formats.archives import is_file, sha256_of
from adacross.data.formats.base import RawSample, SampleRef, printable
from adacross.data.formats.files import SUFFIXES, file_ref
from adacross.data.formats.invariants import signature
from adacross.data.formats.measures import measure
from adacross.data.images import read_views
from adacross.data.rendering.render import load_kernels, orbit, render_cloud, render_mesh
from adacross.data.sampling import sample_surface, to_y_up, unit_sphere
from adacross.data.shape import Axis, BrokenShapeError, Shape
from adacross.data.workers.local import Request, WorkerCrash, each, shortage
from adacross.errors import UserError, one_of
from adacross.io.remote import at_home

SERVE = f"{__name__}:serve_sample"  # the function that worker processes import
SERVE_RENDERED = f"{__name__}:serve_rendered"  # the same, for shapes with images
_ROW, _REASON = b"+", b"-"
_WARNINGS = b"warnings"  # key in the metadata of an answer's schema


@dataclass(frozen=True)
class SampleOptions:
    """Options that the shapes of a collection are made with."""

    format: str  # its name
    points: int  # to sample, or to keep where the source has points
    views: int = 0  # to render, or to keep where the source has images
    size: int = 1  # side of an image in pixels
    seed: int = 0  # of the whole preparation
    parts: list[str] = field(default_factory=list)  # names of all parts of the collection
    source: str = ""  # the place that paths are relative to; "" measures nothing


class Sample(NamedTuple):
    """A shape, the center `(3,)` and scale that undo its frame, and what is unusual about it."""

    shape: Shape
    center: Float64[np.ndarray, "3"]
    scale: float
    warnings: str


class Row(NamedTuple):
    """One shape as a worker answered."""

    table: pa.Table | None  # one row of a collection; None if the shape is left out
    note: str  # why it is left out; beside a row its warnings, "" for none

    @property
    def points(self) -> Float32[np.ndarray, "N 3"] | None:
        """The row's cloud, if there is one."""
        if self.table is None:
            return None
        flat = self.table["points"].combine_chunks().flatten().flatten()
        return flat.to_numpy(zero_copy_only=False).reshape(-1, 3)


def make_sample(item: SampleRef, options: SampleOptions) -> Sample:
    """Read an item, sample it, bring it into the common frame, and render it if it brings no images.

    All randomness comes from the seed and the item's id, so a shape does not depend on its neighbors, on the
    number of workers or on interruptions. Raises BrokenShapeError if the item cannot become a shape.
    """
    return finish_sample(_read(item, options), item, options)


def _read(item: SampleRef, options: SampleOptions) -> RawSample:
    return format_of(options.format).sample(item, options.points, _rng(options.seed, item.id, 0))


def finish_sample(
    raw: RawSample,
    item: SampleRef,
    options: SampleOptions,
    images: UInt8[np.ndarray, "V size size 3"] | None = None,
) -> Sample:
    """Sample, frame and render what was read, as `make_sample`; images that are given are kept."""
    up = item.up or "y"
    mesh, cloud = raw.mesh, raw.cloud
    if cloud is not None:
        with np.errstate(invalid="ignore"):  # of what is not finite; it is refused later
            normals = None if cloud.normals is None else to_y_up(cloud.normals, up)
            cloud = replace(cloud, points=to_y_up(cloud.points, up), normals=normals)
    if mesh is not None:
        mesh = replace(mesh, vertices=to_y_up(mesh.vertices, up))
        sampled = sample_surface(mesh, options.points, _rng(options.seed, item.id, 1))
        cloud = cloud or sampled
        _, center, scale = unit_sphere(sampled.points)
        vertices = (mesh.vertices - center) / scale
        # A thin tip that no point happened to hit may stick out; images then show the mesh a little smaller.
        reach = float(np.linalg.norm(vertices[mesh.faces], axis=-1).max())
        mesh = replace(mesh, vertices=vertices / max(reach, 1.0))
    if cloud is None:
        raise BrokenShapeError("neither a mesh nor points")
    points, center, scale = unit_sphere(cloud.points)
    part = None
    if options.parts:
        part = np.full(len(points), -1, dtype=np.int64)
        if cloud.part is not None:
            # -1 (clutter) picks the last entry
            part = np.array([*map(options.parts.index, cloud.part_names), -1])[cloud.part]
    warnings = list(raw.warnings)
    if images is None and options.views:
        images, said = read_views(raw.images, options.views, options.size)
        warnings += said
        if images is None:
            warnings += ["its images are rendered"] if said else []
            cameras = orbit(options.views, _rng(options.seed, item.id, 2))
            if mesh is not None:
                images = render_mesh(mesh, cameras, options.size)
            else:
                images = render_cloud(replace(cloud, points=points), cameras, options.size)
    if images is None:
        images = np.zeros((0, options.size, options.size, 3), dtype=np.uint8)
    label = item.label if isinstance(item.label, int) and item.label >= 0 else None
    shape = Shape(item.id, points, item.split or "test", label, part, images)
    return Sample(shape, center, scale, "; ".join(warnings))


def serve_sample(request: Request) -> bytes:
    """Answer a worker's request, `{"item": ..., "options": ...}`; `read_row` reads the answer."""
    item, options = SampleRef(**request["item"]), SampleOptions(**request["options"])
    try:
        raw = _read(item, options)
        made = finish_sample(raw, item, options)
        measured = _measured(raw, item, options.source) if options.source else []
    except BrokenShapeError as error:
        if shortage(error):  # no fault of the file: the worker tells its caller
            raise
        return _REASON + str(error).encode(errors="replace")
    batch = to_batch(*made[:3])
    for column, value in measured:
        batch = batch.append_column(column, pa.array([value], column.type))
    said = {_WARNINGS: made.warnings.encode(errors="replace")}
    return _ROW + to_bytes(batch.replace_schema_metadata(said))


def serve_rendered(request: Request) -> bytes:
    """Answer as `serve_sample`, in a process that is ready to draw."""
    return serve_sample(request)


def before_serve_rendered() -> None:
    """Load what draws before memory is limited. Runs in a worker process."""
    load_kernels()


def _measured(raw: RawSample, item: SampleRef, source: str) -> list[tuple[pa.Field, Any]]:
    """Return the columns `MEASURED` and `SIGNATURE` of a shape; BrokenShapeError if its file is gone."""
    path, sha256 = "", ""
    if item.path:
        path = printable(os.path.relpath(item.path, source) if item.path != source else Path(source).name)
    if Path(item.path).suffix.lower() in SUFFIXES:
        try:
            sha256 = sha256_of(Path(item.path))
        except OSError as error:
            raise BrokenShapeError(error.strerror or str(error)) from error
    values = asdict(measure(raw)) | {"path": path, "sha256": sha256}
    described = None
    with suppress(BrokenShapeError):
        if shape := raw.mesh or raw.whole or raw.cloud:
            described = signature(shape).stored()
    return [(SIGNATURE, described), *((column, values[column.name]) for column in MEASURED)]


def read_row(answer: bytes | WorkerCrash) -> Row:
    """Return what `serve_sample` answered, or why its process did not."""
    if isinstance(answer, WorkerCrash):
        return Row(None, answer.reason)
    if answer[:1] == _REASON:
        return Row(None, answer[1:].decode())
    table = read_stream(pa.py_buffer(answer[1:]))
    return Row(table.replace_schema_metadata(None), table.schema.metadata[_WARNINGS].decode())


def load_shape(
    path: str | Path,
    *,
    points: int = 2048,
    up: Axis | None = None,
    seed: int = 0,
    timeout: float | None = None,
) -> Shape:
    """Read one mesh or cloud as `prepare` would: sampled, turned y up, in the unit sphere, without images.

    Of a larger cloud points are drawn, of a smaller one some are repeated. `up` is by default that of the
    format (`files.UP`). With a `timeout` in seconds a process of its own reads the file, and may crash.
    Raises UserError, naming the file, if there is none or it cannot become a shape.
    """
    path = at_home(path)
    one_of("up axis", up or "y", ("x", "y", "z"))
    if not is_file(path):
        raise UserError(f"{path} does not exist; expected a file that ends in {', '.join(SUFFIXES)}.")
    item, options = file_ref(path, up), SampleOptions(FILES, points, seed=seed)
    try:
        if timeout is None:
            return make_sample(item, options).shape
        request: Request = {"item": asdict(item), "options": asdict(options)}
        with closing(each(SERVE, [request], 1, timeout)) as answers:
            row = read_row(next(answers)[1])
        if row.points is None:
            raise BrokenShapeError(row.note)
        return Shape(item.id, row.points.copy(), "test", None, None, np.zeros((0, 1, 1, 3), np.uint8))
    except (BrokenShapeError, MemoryError) as error:
        raise UserError(f"{path} is not a shape: {error}.") from None


def _rng(seed: int, name: str, stage: int) -> np.random.Generator:
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return np.random.default_rng([seed, stage, int.from_bytes(digest, "big")])
