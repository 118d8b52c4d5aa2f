"""Arrow columns of a collection, with images as WebP.

| column | type | content |
|---|---|---|
| id | string | unique within the collection |
| split | string | train, test |
| label | class label | index into the classes, -1 for none |
| points | float32 (N, 3) | y up, centroid 0, largest norm 1 |
| center, scale | float32 (3,), float32 | points * scale + center: the source's coordinates, turned y up |
| part | int16 (N,) | index into the parts, -1 for none; only in collections with parts |
| views | images | V lossless WebP images |

Collections that `prepare` made also say what each shape was in its source (`MEASURED`): the file's `path`
there and its `sha256` ("" where a file holds several shapes), `content` (of all corners or points, equal
for copies in other formats), `lower` and `upper` corner of the bounding box in the source's unit and frame,
and of a mesh `area`, `volume` (null unless `watertight`) and the number of `triangles`. Those of this version
also keep the `signature`, by which copies are found (`formats/invariants.py`; null for a shape without one).
"""

import io
import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import UInt8
from PIL import Image

from adacross.data.formats.invariants import Signature
from adacross.data.images import LARGEST_SIDE, open_picture
from adacross.data.shape import Shape
from adacross.errors import UserError
from adacross.io.files import file_size, whole_file

_SMALL = 96  # side in pixels up to which an image is worth little effort of packing
MEASURED = pa.schema(
    {
        "path": pa.string(),
        "sha256": pa.string(),
        "content": pa.string(),
        "lower": pa.list_(pa.float64(), 3),
        "upper": pa.list_(pa.float64(), 3),
        "area": pa.float64(),
        "volume": pa.float64(),
        "watertight": pa.bool_(),
        "triangles": pa.int64(),
    }
)
SIGNATURE = pa.field("signature", pa.list_(pa.float64()))


def arrow_schema(points: int, parts: bool, measured: bool = False, described: bool = False) -> pa.Schema:
    """Return the columns of shapes of `points` points, with or without parts, and what they were."""
    columns = {
        "id": pa.string(),
        "split": pa.string(),
        "label": pa.int64(),
        "points": pa.list_(pa.list_(pa.float32(), 3), points),
        "center": pa.list_(pa.float32(), 3),
        "scale": pa.float32(),
        "views": pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()})),
    }
    if parts:
        columns["part"] = pa.list_(pa.int16(), points)
    schema = pa.schema(columns)
    schema = pa.unify_schemas([schema, MEASURED]) if measured else schema
    return schema.append(SIGNATURE) if described else schema


def signatures_of(table: pa.Table) -> list[Signature | None]:
    """Return the signature of each shape of a table; None where none is kept."""
    if SIGNATURE not in [*table.schema]:
        return [None] * len(table)
    return [Signature.read(numbers) for numbers in table[SIGNATURE.name].to_pylist()]


def read_shard(path: Path, points: int, views: int, classes: int, parts: int) -> pa.Table:
    """Map an Arrow file of shapes and check that it is as described; UserError if not."""
    try:
        table = read_stream(mapped(path))
        check_table(table, points, views, classes, parts)
    except (pa.ArrowException, OSError, LookupError, MemoryError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}). Prepare it again with --overwrite.") from error
    return table


def check_table(table: pa.Table, points: int, views: int, classes: int, parts: int) -> None:
    """Check sizes, labels, splits and parts of shapes; ArrowException, LookupError or ValueError if wrong."""
    schema = arrow_schema(points, parts > 0)
    table.validate(full=True)
    if not table.select(schema.names).schema.equals(schema):
        names = ", ".join(table.schema.names)
        raise ValueError(f"its columns are {names}, of other types or sizes than promised")
    if empty := [name for name in schema.names if table[name].null_count]:
        raise ValueError(f"a shape has no {empty[0]}")
    labels = table["label"].to_numpy()
    if not -1 <= labels.min(initial=-1) <= labels.max(initial=-1) < max(classes, 1):
        raise ValueError(f"labels from {labels.min()} to {labels.max()} for {classes} classes")
    if strange := set(pc.unique(table["split"]).to_pylist()) - {"train", "test"}:
        raise ValueError(f"a shape of split {min(strange)[:40]!r}")
    if pc.unique(pc.list_value_length(table["views"])).to_pylist() not in ([], [views]):
        raise ValueError(f"expected {views} images per shape")


def dataset_features(schema: pa.Schema, classes: list[str]) -> dict[str, Any]:
    """Describe columns as Hugging Face `datasets` stores its `Features`, in JSON and in Arrow's metadata."""
    columns = {field.name: _feature(field.type) for field in schema}
    return columns | ({"label": {"names": classes, "_type": "ClassLabel"}} if classes else {})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"_type": "Image"}
    if pa.types.is_fixed_size_list(kind):
        return {"feature": _feature(kind.value_type), "length": kind.list_size, "_type": "Sequence"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    return {"dtype": {"float": "float32", "double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def to_batch(shape: Shape, center: np.ndarray, scale: float) -> pa.RecordBatch:
    """Return one shape as a record batch of one row."""
    count = len(shape.points)
    coordinates = pa.array(np.ascontiguousarray(shape.points, dtype=np.float32).reshape(-1))
    columns: dict[str, Any] = {
        "id": [shape.id],
        "split": [shape.split],
        "label": [-1 if shape.label is None else shape.label],
        "points": pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(coordinates, 3), count),
        "center": [center.astype(np.float32).tolist()],
        "scale": [scale],
        "views": [[{"bytes": encode_view(view), "path": None} for view in shape.views]],
    }
    if shape.part is not None:
        columns["part"] = pa.FixedSizeListArray.from_arrays(pa.array(shape.part.astype(np.int16)), count)
    return pa.RecordBatch.from_pydict(columns, schema=arrow_schema(count, shape.part is not None))


def shard_name(shard: int, shards: int) -> str:
    """Return a shard's file name, as Hugging Face `datasets` calls them."""
    return f"data-{shard:05d}-of-{shards:05d}.arrow"


def write_shard(path: Path, rows: Sequence[pa.Table], schema: pa.Schema) -> None:
    """Write rows, maybe none, as an Arrow file of one batch; UserError if the disk is full."""
    table = pa.concat_tables([schema.empty_table(), *rows], promote_options="default")
    batches = table.combine_chunks().to_batches()
    with whole_file(path) as temporary:
        temporary.write_bytes(to_bytes(batches[0] if batches else pa.RecordBatch.from_pylist([], schema)))


def to_bytes(batch: pa.RecordBatch) -> bytes:
    """Return an Arrow stream of one batch."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def mapped(path: Path) -> pa.Buffer:
    """Map a file into memory; ArrowException, OSError or ValueError if it cannot be read."""
    file_size(path)  # refuses pipes, on which `memory_map` would wait
    try:
        str(path).encode()
    except UnicodeEncodeError:  # pyarrow asks that names be UTF-8; a map of Python's keeps a file handle open
        with Path(path).open("rb") as file:
            return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return pa.memory_map(str(path)).read_buffer()


def read_stream(content: pa.Buffer) -> pa.Table:
    """Return the table of an Arrow stream as `to_bytes` writes it; it takes no more memory than the stream.

    Compressed buffers unpack to gigabytes, and repeated dictionaries are joined again each time; neither is
    written here, so both are refused (ArrowException, ValueError) before anything is unpacked.
    """
    try:
        for number, message in enumerate(pa.ipc.MessageReader.open_stream(content)):
            if message.type != ("record batch" if number else "schema"):
                raise ValueError(f"it has a {message.type}, which no collection has")
            if number and _is_compressed(message.metadata.to_pybytes()):
                raise ValueError("its buffers are compressed, which those of no collection are")
    except struct.error as error:
        raise ValueError(str(error)) from error
    return pa.ipc.open_stream(content).read_all()


def _is_compressed(metadata: bytes) -> bool:
    """Return whether a record batch's metadata has the field `compression`, which pyarrow does not show.

    The metadata are a FlatBuffer: a table begins with the distance back to its list of fields, which has the
    place of each in the table, 0 for one that is not there. Arrow's format has `header` as field 2 of a
    message, and `compression` as field 3 of a record batch.
    """

    def place(table: int, field: int) -> int:
        fields = table - struct.unpack_from("<i", metadata, table)[0]
        (size,) = struct.unpack_from("<H", metadata, fields)
        at = 4 + 2 * field
        return table + struct.unpack_from("<H", metadata, fields + at)[0] if at < size else table

    (message,) = struct.unpack_from("<I", metadata, 0)
    header = place(message, 2)
    batch = header + struct.unpack_from("<I", metadata, header)[0]
    return place(batch, 3) != batch


def encode_view(view: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """Return an image as lossless WebP: flat shading takes 2 to 8 kB at 224 px, and decodes fast.

    A small image is packed with the least effort: about 0.5 kB more at 64 px, in a third of the time.
    """
    sink = io.BytesIO()
    method = 0 if len(view) <= _SMALL else 4
    Image.fromarray(view).save(sink, "WEBP", lossless=True, quality=20, method=method)
    return sink.getvalue()


def decode_view(data: bytes, side: int = LARGEST_SIDE) -> UInt8[np.ndarray, "H W 3"]:
    """Return an image file's RGB image of at most `side` pixels along a side; errors as `open_picture`."""
    return np.array(open_picture(data, side).convert("RGB"))
