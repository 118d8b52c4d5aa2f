"""A collection from the files that the hub gave, shard by shard; nothing in them is believed unchecked."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adacross.console import progress_bar
from adacross.data.collection.description import DESCRIPTION, CollectionInfo, write_description
from adacross.data.collection.schema import arrow_schema, check_table, mapped, shard_name, to_bytes
from adacross.errors import UserError, one_line
from adacross.hub.layout import INDEX, SHARDS, Piece, Shards, content_digest, shared_schema
from adacross.io.files import file_size
from adacross.io.parquet_pages import check_pages

_PLAIN = {"PLAIN", "RLE", "BIT_PACKED"}  # encodings that are no smaller than what they hold
_AGAIN = "Download it again, or share it again."
_NUMBERED = _PLAIN | {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}


def read_parquet(shared: Path, folder: Path) -> CollectionInfo:
    """Write the collection that shared files hold into an empty folder; one shard is in memory at a time.

    Args:
        shared: what `write_parquet` wrote, from wherever it came.
        folder: to write to.

    Returns:
        What the collection is.

    Raises:
        UserError: a file is missing, damaged, or not what the descriptions promise; names it.
    """
    if not (shared / DESCRIPTION).is_file() or not (shared / SHARDS).is_file():
        raise UserError(
            f"{shared} holds no collection that adacross shared: expected {DESCRIPTION}, {SHARDS} and "
            "data/*.parquet. Other data is prepared: adacross prepare SOURCE COLLECTION"
        )
    info = CollectionInfo.read(shared)
    shards = Shards.read(shared)
    _check_counts(info, shards, shared)
    names = [shard_name(number, len(shards.pieces)) for number in range(len(shards.pieces))]
    with progress_bar("shapes") as progress:
        bar = progress.add_task("reading Parquet", total=info.count, note="")
        for name, (start, pieces) in zip(names, shards.starts(), strict=True):
            rows = _shard(shared, info, start, pieces)
            (folder / name).write_bytes(to_bytes(rows))
            progress.update(bar, completed=start + len(rows))
    write_description(folder, info, names, _fingerprint(shards))
    return info


def _check_counts(info: CollectionInfo, shards: Shards, shared: Path) -> None:
    """Refuse a list of pieces that is not of the collection that is described."""
    counts: dict[str, int] = {}
    for pieces in shards.pieces:
        for piece in pieces:
            counts[piece.split] = counts.get(piece.split, 0) + piece.rows
    promised = {split: count for split, count in info.splits.items() if count}
    if counts != promised or sum(counts.values()) != info.count:
        raise UserError(
            f"{shared / SHARDS} lists {counts} shapes, {DESCRIPTION} beside it promises {promised}, "
            f"{info.count} in all. {_AGAIN}"
        )


def _shard(shared: Path, info: CollectionInfo, start: int, pieces: list[Piece]) -> pa.RecordBatch:
    """Return a shard's rows in the order that they had."""
    schema = arrow_schema(info.points, bool(info.parts))
    if not pieces:
        return pa.RecordBatch.from_pylist([], schema=schema)
    table = pa.concat_tables([_read(shared, info, piece) for piece in pieces])
    places = table[INDEX].to_numpy()
    order = np.argsort(places, kind="stable")
    if not np.array_equal(places[order], np.arange(start, start + len(table))):
        listed = " and ".join(map(str, pieces))
        expected = f"shapes {start} to {start + len(table) - 1}"
        raise UserError(f"{shared}: {listed} do not hold {expected} of the collection, each once. {_AGAIN}")
    return table.take(order).select(schema.names).combine_chunks().to_batches()[0]


def _read(shared: Path, info: CollectionInfo, piece: Piece) -> pa.Table:
    """Return the rows of a row group, once they are known to be those that were shared."""
    path = shared / piece.file
    schema = shared_schema(info.points, bool(info.parts))
    try:
        size = file_size(path)
        content = mapped(path)
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            _check_promises(file.metadata, piece, info, size)
            check_pages(content, file.metadata, [piece.row_group], size, size)
            table = file.read_row_group(piece.row_group).replace_schema_metadata(None)
        check_table(table, info.points, info.views, len(info.classes), len(info.parts))
        if not table.select(schema.names).schema.equals(schema) or table[INDEX].null_count:
            raise ValueError(f"no column {INDEX} of whole numbers")
        if pc.unique(table["split"]).to_pylist() != [piece.split]:
            raise ValueError(f"shapes of another split than {piece.split}")
        table = table.select(schema.names).cast(schema)
        if content_digest(table) != piece.sha256:
            raise ValueError(f"not what was shared: the SHA-256 in {SHARDS} is another")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {SHARDS} lists it. {_AGAIN}") from None
    except (pa.ArrowException, OSError, LookupError, MemoryError, OverflowError, ValueError) as error:
        reason = one_line(error)
        raise UserError(f"{path} is damaged (row group {piece.row_group}: {reason}). {_AGAIN}") from error
    return table


def _check_promises(metadata: pq.FileMetaData, piece: Piece, info: CollectionInfo, size: int) -> None:
    """Refuse a row group that promises more than its file can hold, before anything is made for it.

    Raises:
        LookupError, ValueError: it does.
    """
    if piece.row_group >= metadata.num_row_groups:
        raise ValueError(f"it has {metadata.num_row_groups} row groups")
    group = metadata.row_group(piece.row_group)
    if group.num_rows != piece.rows:
        raise ValueError(f"{group.num_rows} shapes, {SHARDS} lists {piece.rows}")
    if piece.rows * max(12 * info.points, info.views) > size or group.total_byte_size > size:
        raise ValueError(f"it promises more than its {size:,} bytes can hold")
    for number in range(group.num_columns):
        column = group.column(number)
        allowed = _NUMBERED if column.path_in_schema.startswith("part.") else _PLAIN
        if column.compression != "UNCOMPRESSED" or not set(column.encodings) <= allowed:
            raise ValueError(f"{column.path_in_schema} is stored otherwise than adacross share stores it")


def _fingerprint(shards: Shards) -> str:
    digests = "".join(piece.sha256 for pieces in shards.pieces for piece in pieces)
    return hashlib.sha256(digests.encode()).hexdigest()[:32]
