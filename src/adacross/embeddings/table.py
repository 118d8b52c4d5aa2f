"""Embeddings as a file: one row a shape; of Parquet, the encoder and data in the file's metadata."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from jaxtyping import Float32

from adacross.console import cell
from adacross.data.collection.schema import dataset_features, mapped
from adacross.errors import UserError, one_line
from adacross.io.files import file_size, whole_file
from adacross.io.parquet_pages import check_pages

MEMORY, RATIO = 2**26, 32  # bytes that rows may take: so many, and so many times the file's size
_ABOUT = b"adacross"
_TEXTS = ["id", "class", "split"]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of n shapes.

    Attributes:
        ids: n ids, each once.
        classes: n class names, None where a shape has none.
        splits: n of "train" or "test", None where the data has no split.
        features: `(n, D)` float32.
        about: encoder, data, points a cloud, version.
        columns: further columns, n values each, by name.
    """

    ids: list[str]
    classes: list[str | None]
    splits: list[str | None]
    features: Float32[np.ndarray, "n D"]
    about: dict[str, Any]
    columns: Mapping[str, pa.Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Embeddings({len(self):,} shapes x {self.features.shape[1]:,} features)"

    def write(self, path: Path) -> None:
        """Write the columns id, class, split, further ones and features, whole or not at all.

        Of CSV, the features are columns `feature_0` to `feature_<D-1>`; any other name is that of a Parquet
        file.
        """
        with whole_file(path) as temporary, temporary.open("wb") as file:  # pyarrow refuses names not UTF-8
            if path.suffix.lower() == ".csv":
                pa.csv.write_csv(self._flat(), file)
            else:
                pq.write_table(self._table(), file)

    def _texts(self) -> dict[str, list[str | None]]:
        return {"id": [*self.ids], "class": self.classes, "split": self.splits}

    def _table(self) -> pa.Table:
        flat = pa.array(np.ascontiguousarray(self.features, dtype=np.float32).reshape(-1))
        columns = {name: pa.array(values, pa.string()) for name, values in self._texts().items()}
        columns |= self.columns
        columns["features"] = pa.FixedSizeListArray.from_arrays(flat, self.features.shape[1])
        table = pa.table(columns)
        shown = {"info": {"features": dataset_features(table.schema, [])}}  # thumbnails are images
        about = {_ABOUT: json.dumps(self.about).encode(), b"huggingface": json.dumps(shown).encode()}
        return table.replace_schema_metadata(about)

    def _flat(self) -> pa.Table:
        texts = self._texts() | {
            name: column.to_pylist() for name, column in self.columns.items() if column.type == pa.string()
        }
        columns = {name: pa.array(map(cell, values), pa.string()) for name, values in texts.items()}
        columns |= {name: column for name, column in self.columns.items() if name not in columns}
        columns |= {f"feature_{d}": pa.array(column) for d, column in enumerate(self.features.T)}
        return pa.table(columns)


def read_embeddings(path: str | Path, columns: Sequence[str] = ()) -> Embeddings:
    """Read a Parquet file of `adacross embed`, with further columns if they are named.

    Raises:
        UserError: no such file, another kind, damaged, or with numbers that are not finite.
    """
    path = Path(path)
    try:
        table = _read(path, columns)
        about = json.loads((table.schema.metadata or {}).get(_ABOUT, b"null"))
        column = table["features"].combine_chunks()
        features = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), column.type.list_size)
        rows, classes, splits = (_texts(table[name]) for name in _TEXTS)
        ids = [name for name in rows if name is not None]
        if not isinstance(about, dict) or len(ids) < len(rows):
            raise ValueError("its columns or its description are not those of adacross embed")
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; expected embeddings. Make them: adacross embed ENCODER DATA {path}"
        ) from None
    except (pa.ArrowException, OSError, ValueError, LookupError, MemoryError) as error:
        reason = one_line(error)
        raise UserError(
            f"{path} is not a file of embeddings ({reason}). Make it again: adacross embed."
        ) from error
    if len(set(ids)) < len(ids) or not np.isfinite(features).all():
        what = "NaN or infinite numbers" if len(set(ids)) == len(ids) else "an id twice"
        raise UserError(f"{path} is damaged ({what}). Make it again: adacross embed.")
    more = {name: table[name].combine_chunks() for name in columns}
    return Embeddings(ids, classes, splits, features, about, more)


def _read(path: Path, more: Sequence[str]) -> pa.Table:
    """Read the columns of a file, once they are known to fit its size; text stays dictionary-encoded."""
    size = file_size(path)
    most = MEMORY + RATIO * size
    content = mapped(path)
    with pq.ParquetFile(pa.BufferReader(content), read_dictionary=_TEXTS) as file:
        kind = file.schema_arrow.field("features").type
        if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32() or kind.list_size < 1:
            raise ValueError(f"features are {kind}, expected fixed_size_list<float>")
        if strange := [name for name in _TEXTS if not _is_text(file.schema_arrow.field(name).type)]:
            raise ValueError(f"its column {strange[0]} is not text")
        if file.metadata.num_rows * (4 * kind.list_size + 4 * len(_TEXTS)) > most:
            raise ValueError(f"it claims more than its {size:,} bytes can hold")
        # A group without rows may have no page at all.
        groups = [g for g in range(file.num_row_groups) if file.metadata.row_group(g).num_rows]
        columns = [
            file.metadata.row_group(g).column(c) for g in groups for c in range(file.metadata.num_columns)
        ]
        if packed := {column.compression for column in columns} - {"SNAPPY", "UNCOMPRESSED"}:
            raise ValueError(f"it is compressed by {min(packed)}, which adacross embed does not use")
        check_pages(content, file.metadata, groups, file.metadata.num_rows * kind.list_size, most)
        return file.read_row_groups(groups, columns=[*_TEXTS, *more, "features"])


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    """Return the texts of a dictionary-encoded column, repeated ones as the same object."""
    values: list[str | None] = []
    for chunk in column.chunks:
        texts = [*chunk.dictionary.to_pylist(), None]
        values += [texts[number] for number in chunk.indices.fill_null(len(texts) - 1).to_pylist()]
    return values


def concatenate(parts: list[Embeddings]) -> Embeddings:
    """Concatenate the rows of embeddings of the same encoder."""
    return Embeddings(
        [value for part in parts for value in part.ids],
        [value for part in parts for value in part.classes],
        [value for part in parts for value in part.splits],
        np.concatenate([part.features for part in parts]),
        parts[0].about,
        {name: pa.concat_arrays([part.columns[name] for part in parts]) for name in parts[0].columns},
    )
