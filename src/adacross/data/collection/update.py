"""A collection whose source has grown: rows of files that are as they were are taken over."""

import hashlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from adacross.data.collection.build import splits_of
from adacross.data.collection.collection import Collection
from adacross.data.collection.description import COPIED
from adacross.data.collection.sample import Row
from adacross.data.collection.schema import mapped, read_stream
from adacross.data.formats.archives import open_file
from adacross.data.formats.base import DatasetIndex, SampleRef
from adacross.errors import UserError


class Update:
    """Rows of an earlier collection for items of its source that have not changed.

    A row is taken over where id and SHA-256 of the file are the same. Its split stays; only new shapes are
    drawn for training and testing.

    Args:
        old: the collection, made from the same source with the same options.
        index: what the source holds now.
        options: of the preparation now.

    Attributes:
        index: the same, with the splits of all items.
        kept: number of the items that are taken over.
        gone: number of shapes of the collection that the source no longer holds.

    Raises UserError for a collection of another source or other options.
    """

    def __init__(self, old: Collection, index: DatasetIndex, options: dict[str, Any]) -> None:
        info = old.info
        then = info.made.get("options", {})
        if changed := [name for name in options if then.get(name) != options[name]]:
            was = ", ".join(f"{name} was {then.get(name)!r}, is {options[name]!r}" for name in changed)
            raise UserError(
                f"{old.folder} was made with other options ({was}). Give the same, or --overwrite."
            )
        if not info.measured:
            raise UserError(f"{old.folder} keeps no digests of its files. Prepare it again with --overwrite.")
        self._names = info.schema.names
        self._tables = [read_stream(mapped(path)) for path in sorted(old.folder.glob("data-*-of-*.arrow"))]
        own = [entry for entry in info.warnings if not entry["reason"].endswith(COPIED)]
        self._warnings = {entry["name"]: entry["reason"] for entry in own}
        places: dict[str, tuple[int, int]] = {}
        for file, table in enumerate(self._tables):
            places |= {name: (file, row) for row, name in enumerate(table["id"].to_pylist())}
        self._rows: dict[int, tuple[int, int]] = {}
        for number, item in enumerate(index.items):
            place = places.get(item.id)
            if place and (sha256 := self._value(place, "sha256")) and sha256 == _sha256(item.path):
                self._rows[number] = place
        self.kept = len(self._rows)
        self.gone = len(places.keys() - {item.id for item in index.items})
        self.index = replace(index, items=self._split(index, places, options))

    def row(self, number: int) -> Row | None:
        """Return the row of an item that is taken over, with its present label and split; None for others."""
        if number not in self._rows:
            return None
        file, row = self._rows[number]
        item = self.index.items[number]
        table = self._tables[file].slice(row, 1).select(self._names)
        for name, value in (("label", item.label), ("split", item.split)):
            place = table.schema.get_field_index(name)
            table = table.set_column(
                place, table.schema.field(name), pa.array([value], table.schema.types[place])
            )
        return Row(table, self._warnings.get(item.id, ""))

    def _value(self, place: tuple[int, int], name: str) -> Any:
        return self._tables[place[0]][name][place[1]].as_py()

    def _split(
        self, index: DatasetIndex, places: dict[str, tuple[int, int]], options: dict[str, Any]
    ) -> list[SampleRef]:
        """Return the items with the split of the source, of the collection, or a new one."""
        if {item.split for item in index.items} >= {"train", "test"}:
            return index.items
        before = {item.id: self._value(places[item.id], "split") for item in index.items if item.id in places}
        of_group = {item.group: before[item.id] for item in index.items if item.group and item.id in before}
        known = [before.get(item.id) or of_group.get(item.group) for item in index.items]
        new = [item for item, split in zip(index.items, known, strict=True) if split is None]
        drawn = iter(splits_of(new, options["test_fraction"], options["seed"]))
        splits = [split or next(drawn) for split in known]
        return [replace(item, split=split) for item, split in zip(index.items, splits, strict=True)]


def _sha256(path: str) -> str:
    """Return the SHA-256 of a file, "" if it cannot be read."""
    with suppress(OSError), open_file(Path(path)) as file:  # refuses pipes, on which it would wait
        return hashlib.file_digest(file, "sha256").hexdigest()
    return ""
