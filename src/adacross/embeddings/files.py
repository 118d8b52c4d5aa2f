"""The shapes that `adacross embed` encodes: a collection, a folder or a list of files."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from adacross.console import console
from adacross.data.collection.build import digest_of
from adacross.data.collection.collection import Collection
from adacross.data.collection.description import DESCRIPTION
from adacross.data.collection.sample import SERVE, SampleOptions, read_row
from adacross.data.formats import MESHES
from adacross.data.formats.base import DatasetIndex
from adacross.data.formats.files import file_ref
from adacross.data.isolated import find_apart
from adacross.data.shape import Axis
from adacross.data.workers.local import each
from adacross.errors import UserError
from adacross.io.remote import is_url

LIST = "-"  # paths from standard input


@dataclass(frozen=True, eq=False)
class Block:
    """Clouds with their ids, classes and splits; `skipped` names unreadable files, with reasons."""

    ids: list[str]
    classes: list[str | None]
    splits: list[str | None]
    clouds: Float32[np.ndarray, "n N 3"]
    skipped: list[dict[str, str]]


class Files:
    """Clouds of files that are not prepared: read and sampled as by `prepare`, without images.

    Attributes:
        source: the files.
        stored: points a shape has, None if any number can be sampled.
        up: the axis that points up.
        digest: changes when the files do.
    """

    def __init__(self, source: DatasetIndex, workers: int | None, timeout: float) -> None:
        self.source = source
        self.stored, self.up = source.points, source.up
        self.digest = digest_of([source.format, [asdict(item) for item in source.items]])
        self._workers = workers or os.cpu_count() or 1
        self._timeout = timeout

    def __len__(self) -> int:
        return len(self.source.items)

    def read(self, start: int, stop: int, points: int) -> Block:
        """Read items `start` to `stop`, each in a process that may crash without harm."""
        items = self.source.items[start:stop]
        options = asdict(SampleOptions(self.source.format, points))
        requests = [{"item": asdict(item), "options": options} for item in items]
        rows: dict[int, np.ndarray] = {}
        skipped = {}
        workers = min(self._workers, len(items))
        with closing(each(SERVE, requests, workers, self._timeout)) as arriving:
            for place, answer in arriving:
                row = read_row(answer)
                if row.points is not None:
                    rows[place] = row.points[:points]
                else:
                    skipped[place] = {"name": items[place].id, "reason": row.note}
        kept = sorted(rows)
        return Block(
            [items[place].id for place in kept],
            [self.source.class_of(items[place]) for place in kept],
            [items[place].split for place in kept],
            np.stack([rows[place] for place in kept]) if kept else np.zeros((0, points, 3), np.float32),
            [skipped[place] for place in sorted(skipped)],
        )


def find_data(data: str, *, up: Axis | None, workers: int | None, timeout: float) -> Collection | Files:
    """Open a collection or its URL, anything that `prepare` reads, a file, or a list of files.

    Args:
        data: a folder, a file, a URL, the word "builtin", or "-" for paths from standard input, one a line.
        up: the axis that points up in files; a collection knows its own.
        workers: processes that read files; one a core if not given.
        timeout: seconds that one file may take.

    Raises:
        UserError: no such data, no file of shapes, or an axis for a collection.
    """
    if data == LIST or Path(data).is_file():
        paths = [Path(line) for line in _lines(sys.stdin)] if data == LIST else [Path(data)]
        if not paths:
            raise UserError("standard input named no files; expected one path a line, as `ls *.stl` writes.")
        items = [file_ref(path, up) for path in dict.fromkeys(paths)]
        return Files(DatasetIndex(items, format=MESHES, location=str(Path.cwd())), workers, timeout)
    if is_url(data) or (Path(data) / DESCRIPTION).is_file():
        collection = Collection.open(data)
        if up is not None:
            raise UserError(
                f"--up {up} cannot be given for {data}: a collection is y up already (its source was "
                f"{collection.info.source_up} up). Omit --up, or give the source."
            )
        return collection
    index = find_apart(data, up=up)
    if index.note:
        console.print(index.note)
    return Files(index, workers, timeout)


def _lines(stream: Iterator[str]) -> list[str]:
    return [line.rstrip("\r\n") for line in stream if line.strip()]
