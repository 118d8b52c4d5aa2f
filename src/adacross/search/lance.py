"""Rows of features in LanceDB, in a folder or on S3, for collections that memory does not hold."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import isqrt
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64

from adacross.errors import UserError, install, one_line

WRITTEN = 2**14  # rows that are written at a time; an interruption loses at most as many
FEWEST = 2**14  # rows below which a search looks at all of them
PROBES = 32  # of the square root of n partitions, those that a search looks into
_AHEAD = 4  # rows asked for, for each that is wanted: some may be no candidates


class LanceRows:
    """The column of a LanceDB table, in which row i is that of shape i.

    Slices and arrays of indices read the rows they name, as of an array `(n, D)`.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self.shape = (table.count_rows(), table.schema.field("vector").type.list_size)

    @classmethod
    def open(
        cls,
        address: str,
        name: str,
        count: int,
        blocks: Callable[[int], Iterator[Float32[np.ndarray, "b D"]]],
        *,
        searched: bool = True,
    ) -> "LanceRows":
        """Open a table of the database at a folder or `s3://bucket/folder`, after writing the rows it lacks.

        `blocks` is called with the number of rows that are there, and yields the others in order. Rows of
        length 1 are divided into partitions, by which `nearest` finds them, if they are to be `searched`.

        Raises:
            UserError: LanceDB is not installed, or cannot write there.
        """
        try:
            import lancedb
        except ImportError:
            raise UserError(f"{address} needs LanceDB, which is not installed. {install('lance')}") from None
        table: Any
        with _named(address):
            database = lancedb.connect(address)
            try:
                table = database.open_table(name)
            except ValueError:  # there is none yet
                table = None
        there = table.count_rows() if table is not None else 0
        for rows in _joined(blocks(there)) if there < count else ():
            flat = pa.array(np.ascontiguousarray(rows, dtype=np.float32).reshape(-1))
            numbers = pa.array(np.arange(there, there + len(rows)))
            vectors = pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
            written = pa.table({"row": numbers, "vector": vectors})
            with _named(address):
                if table is None:
                    table = database.create_table(name, written)
                else:
                    table.add(written)
            there += len(rows)
        if searched and count >= FEWEST and not table.list_indices():
            from lancedb.index import IvfFlat

            with _named(address):
                table.create_index("vector", config=IvfFlat(distance_type="dot", num_partitions=isqrt(count)))
        return cls(table)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: int | slice | Int64[np.ndarray, " k"]) -> Float32[np.ndarray, "..."]:
        wanted = np.arange(len(self))[rows]
        places, back = np.unique(wanted, return_inverse=True)
        found = self._table.take_offsets(places.tolist()).select(["vector"]).to_arrow()["vector"]
        read = found.combine_chunks().flatten().to_numpy().reshape(-1, self.shape[1])
        return read[back].reshape(*wanted.shape, self.shape[1])

    def __matmul__(self, vector: Float32[np.ndarray, "D *q"]) -> Float32[np.ndarray, "n *q"]:
        """Return the products of all rows, which are read for it."""
        starts = range(0, len(self), WRITTEN)
        return np.concatenate([self[start : start + WRITTEN] @ vector for start in starts])

    def nearest(
        self, vector: Float32[np.ndarray, " D"], candidates: Bool[np.ndarray, " n"], count: int
    ) -> tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, " k"]] | None:
        """Return the `count` candidates with the largest products, and these products.

        They are looked for in the partitions nearest to the vector; None if too few of them are there.
        """
        search = self._table.search(vector, vector_column_name="vector").distance_type("dot")
        found = search.nprobes(PROBES).limit(_AHEAD * count).select(["row", "_distance"]).to_arrow()
        rows = found["row"].to_numpy()
        kept = candidates[rows]
        if kept.sum() < min(count, candidates.sum()):
            return None
        return rows[kept][:count], 1 - found["_distance"].to_numpy()[kept][:count]


def _joined(blocks: Iterable[Float32[np.ndarray, "b D"]]) -> Iterator[Float32[np.ndarray, "k D"]]:
    """Join blocks to some of at least `WRITTEN` rows, and the last."""
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= WRITTEN:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


@contextmanager
def _named(address: str) -> Iterator[None]:
    """Name the address in what LanceDB says."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{address} cannot hold features ({one_line(error)}).") from error
