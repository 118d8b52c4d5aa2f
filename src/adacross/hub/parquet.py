"""A collection as Parquet files, as the Hugging Face hub stores it, and back.

| file | holds |
|---|---|
| README.md | the card; its head tells the hub's viewer which files belong to which split |
| collection.json | `CollectionInfo`, without the path of the source |
| data/SPLIT-00000-of-0000N.parquet | the shapes of a split, one row group for each shard that has some |
| shards.json | which row groups make up which shard, and a digest of each |

The columns are those of a collection and `index`, a shape's place in the collection. Nothing is compressed:
points hardly can be, images are WebP; so a file's size bounds what a reader allocates for it. Part labels
alone are dictionary-encoded, which halves them. Downloaded files are checked against all of this before use.
"""

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adacross.console import progress_bar
from adacross.data.collection.description import DESCRIPTION, CollectionInfo, write_description
from adacross.data.collection.schema import (
    check_table,
    dataset_features,
    mapped,
    read_shard,
    shard_name,
    to_bytes,
)
from adacross.errors import UserError, one_line
from adacross.io.files import file_size, fits, read_json, write_json
from adacross.io.parquet_pages import check_pages

VERSION = 1
SHARDS = "shards.json"
SPLITS = ("train", "test")
INDEX = "index"
FILE_BYTES = 500_000_000  # a file ends with the row group that reaches it
_FILE = re.compile(r"data/(train|test)-\d{5}-of-\d{5}\.parquet")  # no other folder can be named
_PLAIN = {"PLAIN", "RLE", "BIT_PACKED"}  # encodings that are no smaller than what they hold
_DICTIONARY = _PLAIN | {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_AGAIN = "Download it again, or share it again."


@dataclass(frozen=True)
class Piece:
    """The shapes of one shard and one split: a row group."""

    file: str  # relative to the folder
    row_group: int
    rows: int
    sha256: str  # of the shapes' values (`content_digest`)

    @property
    def split(self) -> str:
        """The split that the file's name states."""
        return self.file.removeprefix("data/").partition("-")[0]

    def __str__(self) -> str:
        return f"{self.file}, row group {self.row_group}"


Shards = list[list[Piece]]  # the pieces of each shard; none for a shard without shapes


def shared_schema(info: CollectionInfo) -> pa.Schema:
    """Return the columns of a collection on the hub."""
    return info.schema.append(pa.field(INDEX, pa.int64()))


def write_parquet(collection: Path, info: CollectionInfo, folder: Path) -> None:
    """Write a collection's shapes, `shards.json` and `info` into an empty folder, a row group at a time.

    Raises:
        UserError: the collection is damaged.
        OSError: no space, or no permission.
    """
    sizes = info.points, info.views, len(info.classes), len(info.parts)
    tables = [read_shard(path, *sizes) for path in sorted(collection.glob("data-*-of-*.arrow"))]
    starts = list(accumulate(map(len, tables), initial=0))
    if starts[-1] != info.count:
        raise UserError(
            f"{collection} is damaged: {DESCRIPTION} states {info.count} shapes, data-*.arrow hold "
            f"{starts[-1]}. Prepare it again with --overwrite."
        )
    schema = shared_schema(info)
    features = {"info": {"features": dataset_features(schema, info.classes)}}
    schema = schema.with_metadata({"huggingface": json.dumps(features)})
    (folder / "data").mkdir()
    shards: Shards = [[] for _ in tables]
    with progress_bar("shapes") as progress:
        bar = progress.add_task("writing Parquet", total=info.count, note="")
        for split in SPLITS:
            files = _files(tables, split)
            for number, members in enumerate(files):
                name = f"data/{split}-{number:05d}-of-{len(files):05d}.parquet"
                with (
                    (folder / name).open("wb") as sink,  # pyarrow refuses names that are not UTF-8
                    pq.ParquetWriter(
                        sink, schema, compression="none", use_dictionary=["part.list.element"]
                    ) as writer,
                ):
                    for group, shard in enumerate(members):
                        rows = _rows(tables[shard], starts[shard], split, schema)
                        writer.write_table(rows, row_group_size=len(rows))
                        shards[shard].append(Piece(name, group, len(rows), content_digest(rows)))
                        progress.advance(bar, len(rows))
    pieces = [[asdict(piece) for piece in shard] for shard in shards]
    write_json(folder / SHARDS, {"version": VERSION, "shards": pieces})
    info.write(folder)


def _files(tables: list[pa.Table], split: str) -> list[list[int]]:
    """Divide the shards that hold shapes of a split into files of about `FILE_BYTES`."""
    files: list[list[int]] = []
    size = FILE_BYTES
    for shard, table in enumerate(tables):
        if share := pc.mean(pc.equal(table["split"], split)).as_py():
            if size >= FILE_BYTES:
                files.append([])
                size = 0
            files[-1].append(shard)
            size += int(share * table.nbytes)
    return files


def _rows(shard: pa.Table, start: int, split: str, schema: pa.Schema) -> pa.Table:
    """Return a shard's shapes of a split with their places in the collection, columns as in `schema`."""
    places = pa.array(range(start, start + len(shard)), pa.int64())
    rows = shard.append_column(INDEX, places).filter(pc.equal(shard["split"], split))
    return rows.select(schema.names).cast(schema)


def read_parquet(shared: Path, folder: Path) -> CollectionInfo:
    """Write the collection that the folder `shared` holds, from any source, into an empty folder.

    Raises:
        UserError: a file is missing, damaged, or contradicts the descriptions.
    """
    if not (shared / DESCRIPTION).is_file() or not (shared / SHARDS).is_file():
        raise UserError(
            f"{shared} is not a collection that adacross shared: expected {DESCRIPTION}, {SHARDS} and "
            "data/*.parquet. Prepare other data: adacross prepare SOURCE COLLECTION"
        )
    info = CollectionInfo.read(shared)
    shards = _read_shards(shared, info)
    names = [shard_name(number, len(shards)) for number in range(len(shards))]
    start = 0
    with progress_bar("shapes") as progress:
        bar = progress.add_task("reading Parquet", total=info.count, note="")
        for name, pieces in zip(names, shards, strict=True):
            rows = _shard(shared, info, start, pieces)
            (folder / name).write_bytes(to_bytes(rows))
            start += len(rows)
            progress.update(bar, completed=start)
    digests = "".join(piece.sha256 for piece in chain.from_iterable(shards))
    write_description(folder, info, names, hashlib.sha256(digests.encode()).hexdigest()[:32])
    return info


def _read_shards(folder: Path, info: CollectionInfo) -> Shards:
    """Read `shards.json`, which must be of this version and of the collection `info`."""
    path = folder / SHARDS
    raw = read_json(path, "the pieces of a collection that adacross share wrote")
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != VERSION:
        raise UserError(f"{path} is of version {version!r}; this adacross reads version {VERSION}.")
    if not fits(raw.get("shards"), list[list[dict[str, Any]]]):
        raise UserError(f"{path} lists no shards. Share the collection again.")
    shards = [[_piece(entry, path) for entry in pieces] for pieces in raw["shards"]]
    counts: Counter[str] = Counter()
    for piece in chain.from_iterable(shards):
        counts[piece.split] += piece.rows
    stated = {split: count for split, count in info.splits.items() if count}
    if counts != stated or sum(counts.values()) != info.count:
        raise UserError(
            f"{path} lists {dict(counts)} shapes; {DESCRIPTION} beside it states {stated}, {info.count} in "
            f"all. {_AGAIN}"
        )
    return shards


def _piece(entry: dict[str, Any], path: Path) -> Piece:
    """Return an entry of `shards.json` as a piece, once it is known to be valid."""
    kinds = get_type_hints(Piece)
    valid = (
        entry.keys() == kinds.keys()
        and all(fits(entry[name], kind) for name, kind in kinds.items())
        and _FILE.fullmatch(entry["file"])
        and entry["row_group"] >= 0
        and entry["rows"] > 0
    )
    if not valid:
        raise UserError(
            f"{path} contains an invalid entry ({str(entry)[:200]}); expected data/SPLIT-00000-of-00001."
            "parquet, a row group, rows and a SHA-256. Share the collection again."
        )
    return Piece(**entry)


def _shard(shared: Path, info: CollectionInfo, start: int, pieces: list[Piece]) -> pa.RecordBatch:
    """Return a shard's rows in their original order."""
    schema = info.schema
    if not pieces:
        return pa.RecordBatch.from_pylist([], schema=schema)
    table = pa.concat_tables([_read_piece(shared, info, piece) for piece in pieces])
    places = table[INDEX].to_numpy()
    order = np.argsort(places, kind="stable")
    if not np.array_equal(places[order], np.arange(start, start + len(table))):
        files = " and ".join(map(str, pieces))
        expected = f"shapes {start} to {start + len(table) - 1}"
        raise UserError(f"{shared}: {files} do not hold {expected} of the collection, each once. {_AGAIN}")
    return table.take(order).select(schema.names).combine_chunks().to_batches()[0]


def _read_piece(shared: Path, info: CollectionInfo, piece: Piece) -> pa.Table:
    """Return the rows of a row group, once they are known to be the shared ones."""
    path = shared / piece.file
    schema = shared_schema(info)
    try:
        size = file_size(path)
        content = mapped(path)
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            _check_sizes(file.metadata, piece, info, size)
            check_pages(content, file.metadata, [piece.row_group], size, size)
            table = file.read_row_group(piece.row_group).replace_schema_metadata(None)
        check_table(table, info.points, info.views, len(info.classes), len(info.parts))
        if not table.select(schema.names).schema.equals(schema) or table[INDEX].null_count:
            raise ValueError(f"no column {INDEX} of whole numbers")
        if pc.unique(table["split"]).to_pylist() != [piece.split]:
            raise ValueError(f"shapes of another split than {piece.split}")
        table = table.select(schema.names).cast(schema)
        if content_digest(table) != piece.sha256:
            raise ValueError(f"its SHA-256 is not the one in {SHARDS}")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {SHARDS} lists it. {_AGAIN}") from None
    except (pa.ArrowException, OSError, LookupError, MemoryError, OverflowError, ValueError) as error:
        reason = one_line(error)
        raise UserError(f"{path} is damaged (row group {piece.row_group}: {reason}). {_AGAIN}") from error
    return table


def _check_sizes(metadata: pq.FileMetaData, piece: Piece, info: CollectionInfo, size: int) -> None:
    """Refuse a row group that claims more than its file can hold, before anything is allocated for it."""
    if piece.row_group >= metadata.num_row_groups:
        raise ValueError(f"it has {metadata.num_row_groups} row groups")
    group = metadata.row_group(piece.row_group)
    if group.num_rows != piece.rows:
        raise ValueError(f"{group.num_rows} shapes, {SHARDS} lists {piece.rows}")
    if piece.rows * max(12 * info.points, info.views) > size or group.total_byte_size > size:
        raise ValueError(f"it claims more than its {size:,} bytes can hold")
    for number in range(group.num_columns):
        column = group.column(number)
        allowed = _DICTIONARY if column.path_in_schema.startswith("part.") else _PLAIN
        if column.compression != "UNCOMPRESSED" or not set(column.encodings) <= allowed:
            raise ValueError(f"{column.path_in_schema} is not stored as adacross share stores it")


def content_digest(table: pa.Table) -> str:
    """Return the SHA-256 of the values of some shapes, independent of the file and of Arrow's version."""
    digest = hashlib.sha256()
    for name in table.schema.names:
        _update(digest, table[name].combine_chunks())
    return digest.hexdigest()


def _update(digest: Any, array: Any) -> None:
    """Add an array's values, and the lengths of its lists, to a digest."""
    if pa.types.is_struct(array.type):
        for part in array.flatten():
            _update(digest, part)
    elif pa.types.is_fixed_size_list(array.type):
        _update(digest, array.flatten())
    elif pa.types.is_list(array.type):
        _update(digest, pc.list_value_length(array))
        _update(digest, array.flatten())
    elif pa.types.is_binary(array.type) or pa.types.is_string(array.type):
        _update(digest, pc.fill_null(pc.binary_length(array), -1))
        for value in array.drop_null().cast(pa.binary()):
            digest.update(value.as_py())
    else:
        numbers = array.to_numpy(zero_copy_only=False)
        digest.update(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes())
