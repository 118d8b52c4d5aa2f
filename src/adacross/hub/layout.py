"""How a collection lies on the hub, and the list of its pieces.

| file | holds |
|---|---|
| README.md | the card, which tells the hub's viewer which files are which split |
| collection.json | what the collection is (`CollectionInfo`), without the path of its source |
| data/SPLIT-00000-of-0000N.parquet | its shapes, split by split; a row group for each shard that has some |
| shards.json | `Shards`: which row groups make up which shard, and a digest of each |

The columns are a collection's own and `index`, a shape's place in the collection.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc

from adacross.data.collection.schema import arrow_schema
from adacross.errors import UserError
from adacross.io.files import fits, read_json, write_json

VERSION = 1
SHARDS = "shards.json"
SPLITS = ("train", "test")
INDEX = "index"
_FILE = re.compile(r"data/(train|test)-\d{5}-of-\d{5}\.parquet")  # nothing else, so no other folder


def shared_schema(points: int, parts: bool) -> pa.Schema:
    """Return the columns of a collection on the hub."""
    return arrow_schema(points, parts).append(pa.field(INDEX, pa.int64()))


def file_name(split: str, number: int, count: int) -> str:
    """Return the name of a Parquet file, as Hugging Face `datasets` calls them."""
    return f"data/{split}-{number:05d}-of-{count:05d}.parquet"


@dataclass(frozen=True)
class Piece:
    """The shapes of one shard and one split: a row group.

    Attributes:
        file: the Parquet file, relative to the folder.
        row_group: its number there.
        rows: how many shapes.
        sha256: of what they hold (`content_digest`).
    """

    file: str
    row_group: int
    rows: int
    sha256: str

    @property
    def split(self) -> str:
        """The split its name says."""
        return self.file.removeprefix("data/").partition("-")[0]

    def __str__(self) -> str:
        return f"{self.file}, row group {self.row_group}"


@dataclass(frozen=True)
class Shards:
    """The pieces of each shard, in order; a shard without shapes has none."""

    pieces: list[list[Piece]]

    def starts(self) -> Iterator[tuple[int, list[Piece]]]:
        """Each shard's first place in the collection, and its pieces."""
        start = 0
        for pieces in self.pieces:
            yield start, pieces
            start += sum(piece.rows for piece in pieces)

    def write(self, folder: Path) -> None:
        """Write `shards.json`.

        Raises:
            UserError: no space, or no permission.
        """
        shards = [[asdict(piece) for piece in pieces] for pieces in self.pieces]
        write_json(folder / SHARDS, {"version": VERSION, "shards": shards})

    @classmethod
    def read(cls, folder: Path) -> "Shards":
        """Read `shards.json`.

        Raises:
            UserError: it is missing, of another version, or says what cannot be.
        """
        path = folder / SHARDS
        raw = read_json(path, "the pieces of a collection that adacross share wrote")
        if not isinstance(raw, dict) or raw.get("version") != VERSION:
            version = raw.get("version") if isinstance(raw, dict) else None
            raise UserError(f"{path} is of version {version!r}; this adacross reads version {VERSION}.")
        if not fits(raw.get("shards"), list[list[dict[str, Any]]]):
            raise UserError(f"{path} lists no shards. Share the collection again.")
        return cls([[_piece(entry, path) for entry in pieces] for pieces in raw["shards"]])


def _piece(entry: dict[str, Any], path: Path) -> Piece:
    """Return a piece as `shards.json` lists it, once it is known to be possible."""
    kinds = get_type_hints(Piece)
    sound = (
        entry.keys() == kinds.keys()
        and all(fits(entry[name], kind) for name, kind in kinds.items())
        and _FILE.fullmatch(entry["file"])
        and entry["row_group"] >= 0
        and entry["rows"] > 0
    )
    if not sound:
        raise UserError(
            f"{path} lists a piece that cannot be ({str(entry)[:200]}); expected data/SPLIT-00000-of-00001."
            "parquet, a row group, rows and a SHA-256. Share the collection again."
        )
    return Piece(**entry)


def content_digest(table: pa.Table) -> str:
    """Return the SHA-256 of the values of some shapes, whatever file and version of Arrow they came from."""
    digest = hashlib.sha256()
    for name in table.schema.names:
        _feed(digest, table[name].combine_chunks())
    return digest.hexdigest()


def _feed(digest: Any, array: Any) -> None:
    """Add an array's values, and the lengths of what has any, to a digest."""
    if pa.types.is_struct(array.type):
        for part in array.flatten():
            _feed(digest, part)
    elif pa.types.is_fixed_size_list(array.type):
        _feed(digest, array.flatten())
    elif pa.types.is_list(array.type):
        _feed(digest, pc.list_value_length(array))
        _feed(digest, array.flatten())
    elif pa.types.is_binary(array.type) or pa.types.is_string(array.type):
        _feed(digest, pc.fill_null(pc.binary_length(array), -1))
        for value in array.drop_null().cast(pa.binary()):
            digest.update(value.as_py())
    else:
        numbers = array.to_numpy(zero_copy_only=False)
        digest.update(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes())
