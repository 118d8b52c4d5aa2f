"""A collection as the files that the hub gets, shard by shard."""

from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adacross.console import progress_bar
from adacross.data.collection.description import CollectionInfo
from adacross.data.collection.schema import features, read_shard
from adacross.errors import UserError
from adacross.hub.facts import without_path
from adacross.hub.layout import INDEX, SPLITS, Piece, Shards, content_digest, file_name, shared_schema

FILE_BYTES = 500_000_000  # a file is closed once it has as many; its last shard may exceed it


class _SplitFiles:
    """Writes one split's shapes, a row group a shard, into files of about `FILE_BYTES`.

    Nothing is compressed: points hardly can be, pictures are WebP; so a reader knows from a file's size how
    much it may hold. Parts alone are numbered by a dictionary, which makes them a half of their size or less.
    """

    def __init__(self, folder: Path, split: str, schema: pa.Schema) -> None:
        self.folder, self.split, self.schema = folder, split, schema
        self.writer: pq.ParquetWriter | None = None
        self.sink: IO[bytes]
        self.files, self.groups = 0, 0

    def add(self, table: pa.Table) -> tuple[int, int]:
        """Write a row group; return its file's number and its own."""
        if self.writer is None:
            self.sink = self._unnamed(self.files).open("wb")  # pyarrow refuses names that are not UTF-8
            self.writer = pq.ParquetWriter(
                self.sink,
                self.schema,
                compression="none",
                use_dictionary=["part.list.element"],
            )
            self.files, self.groups = self.files + 1, 0
        self.writer.write_table(table, row_group_size=len(table))
        where = (self.files - 1, self.groups)
        self.groups += 1
        if self._unnamed(self.files - 1).stat().st_size >= FILE_BYTES:
            self.close()
        return where

    def close(self) -> None:
        """Finish the file that is open, if any."""
        if self.writer is not None:
            self.writer.close()
            self.sink.close()
            self.writer = None

    def name(self) -> None:
        """Give all files their names, now that their number is known."""
        for number in range(self.files):
            self._unnamed(number).replace(self.folder / file_name(self.split, number, self.files))

    def _unnamed(self, number: int) -> Path:
        return self.folder / "data" / f"{self.split}-{number:05d}.part"


def write_parquet(collection: Path, folder: Path) -> CollectionInfo:
    """Write a collection's data and descriptions into an empty folder; one shard is in memory at a time.

    Args:
        collection: its folder.
        folder: to write to.

    Returns:
        The description that was written: it does not say where on this machine the source lies.

    Raises:
        UserError: the collection is damaged.
        OSError: no space, or no permission.
    """
    info = CollectionInfo.read(collection)
    schema = _with_features(info)
    (folder / "data").mkdir()
    files = {split: _SplitFiles(folder, split, schema) for split in SPLITS}
    found: list[list[tuple[str, tuple[int, int], int, str]]] = []
    start = 0
    with progress_bar("shapes") as progress:
        bar = progress.add_task("writing Parquet", total=info.count, note="")
        try:
            for path in sorted(collection.glob("data-*-of-*.arrow")):
                shard = _indexed(_read(path, info), start, schema)
                found.append([])
                for split in SPLITS:
                    table = shard.filter(pc.equal(shard["split"], split))
                    if len(table):
                        where = files[split].add(table)
                        found[-1].append((split, where, len(table), content_digest(table)))
                start += len(shard)
                progress.update(bar, completed=start)
        finally:
            for each in files.values():
                each.close()
    for each in files.values():
        each.name()
    if start != info.count:
        raise UserError(
            f"{collection} is damaged: it promises {info.count} shapes and holds {start}. "
            "Prepare it again with --overwrite."
        )
    Shards(
        [
            [
                Piece(file_name(split, file, files[split].files), group, rows, digest)
                for split, (file, group), rows, digest in pieces
            ]
            for pieces in found
        ]
    ).write(folder)
    public = without_path(info)
    public.write(folder)
    return public


def _with_features(info: CollectionInfo) -> pa.Schema:
    """Return the columns with what `datasets` and the hub's viewer need to know: classes, pictures."""
    import datasets

    named = features(info.points, info.classes, bool(info.parts)) | {INDEX: datasets.Value("int64")}
    return shared_schema(info.points, bool(info.parts)).with_metadata(
        datasets.Features(named).arrow_schema.metadata
    )


def _read(path: Path, info: CollectionInfo) -> pa.Table:
    table = read_shard(path, info.points, info.views, len(info.classes), len(info.parts))
    if strange := set(pc.unique(table["split"]).to_pylist()) - set(SPLITS):
        raise UserError(f"{path} is damaged (a shape of the split {strange.pop()!r}). Prepare it again.")
    return table


def _indexed(table: pa.Table, start: int, schema: pa.Schema) -> pa.Table:
    """Return a shard's rows with their places in the collection, the columns in the order of `schema`."""
    places = pa.array(range(start, start + len(table)), pa.int64())
    return table.append_column(INDEX, places).select(schema.names).cast(schema)
