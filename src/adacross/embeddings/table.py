"""Embeddings as a Parquet file: one row a shape, and what made them in the file's metadata."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from adacross.errors import UserError
from adacross.files import file_size, whole_file

_ABOUT = b"adacross"


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of n shapes.

    Attributes:
        ids: n ids, each once.
        classes: n class names, None where a shape has none.
        splits: n of "train" or "test", None where the data has no split.
        features: `(n, D)` float32.
        about: what made them: encoder, data, points a cloud, version.
    """

    ids: list[str]
    classes: list[str | None]
    splits: list[str | None]
    features: Float32[np.ndarray, "n D"]
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.ids)

    def write(self, path: Path) -> None:
        """Write them as Parquet with the columns id, class, split and features, whole or not at all."""
        with whole_file(path) as temporary:
            pq.write_table(self._table(), temporary)

    def _table(self) -> pa.Table:
        flat = pa.array(np.ascontiguousarray(self.features, dtype=np.float32).reshape(-1))
        columns = {
            "id": pa.array(self.ids, pa.string()),
            "class": pa.array(self.classes, pa.string()),
            "split": pa.array(self.splits, pa.string()),
            "features": pa.FixedSizeListArray.from_arrays(flat, self.features.shape[1]),
        }
        return pa.table(columns).replace_schema_metadata({_ABOUT: json.dumps(self.about).encode()})


def read_embeddings(path: str | Path) -> Embeddings:
    """Read what `adacross embed` wrote.

    Raises:
        UserError: no such file, not of this kind, damaged, or with numbers that are not finite.
    """
    path = Path(path)
    try:
        file_size(path)
        table = pq.read_table(path, columns=["id", "class", "split", "features"], memory_map=True)
        about = json.loads((table.schema.metadata or {}).get(_ABOUT, b"null"))
        column = table["features"].combine_chunks()
        if not pa.types.is_fixed_size_list(column.type) or column.type.value_type != pa.float32():
            raise ValueError(f"features are {column.type}, expected fixed_size_list<float>")
        features = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), column.type.list_size)
        ids, classes, splits = (table[name].to_pylist() for name in ("id", "class", "split"))
        if not isinstance(about, dict) or not all(isinstance(one, str) for one in ids):
            raise ValueError("its columns or its description are not those of adacross embed")
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; expected embeddings. Make them: adacross embed ENCODER DATA {path}"
        ) from None
    except (pa.ArrowException, OSError, ValueError, LookupError, MemoryError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UserError(f"{path} holds no embeddings ({reason}). Make it again: adacross embed.") from error
    if len(set(ids)) < len(ids) or not np.isfinite(features).all():
        what = "NaN or infinite numbers" if len(set(ids)) == len(ids) else "an id twice"
        raise UserError(f"{path} is damaged ({what}). Make it again: adacross embed.")
    return Embeddings(ids, classes, splits, features, about)


def joined(parts: list[Embeddings]) -> Embeddings:
    """All rows of some embeddings that were made alike, in their order."""
    return Embeddings(
        [one for part in parts for one in part.ids],
        [one for part in parts for one in part.classes],
        [one for part in parts for one in part.splits],
        np.concatenate([part.features for part in parts]),
        parts[0].about,
    )
