"""From what a user types to blocks of clouds: a collection, a folder or a list of files."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from adacross.console import console
from adacross.data.collection.collection import Collection
from adacross.data.collection.description import DESCRIPTION
from adacross.data.collection.sample import SERVE, SampleOptions, read_row
from adacross.data.collection.work_folder import digest_of
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
    """Some clouds and what is known of them; `skipped` are shapes that could not be read, and why."""

    ids: list[str]
    classes: list[str | None]
    splits: list[str | None]
    clouds: Float32[np.ndarray, "n N 3"]
    skipped: list[dict[str, str]]


class Prepared:
    """The clouds of a collection.

    Attributes:
        name: what the user typed.
        count: shapes it promises.
        stored: points a shape has, None where any number can be sampled.
        up: the axis that points up in the source.
        digest: changes when the shapes do.
    """

    def __init__(self, collection: Collection, name: str) -> None:
        info = collection.info
        self.collection = collection
        self.name, self.count, self.stored, self.up = name, info.count, info.points, info.source_up
        self.digest = digest_of([asdict(info), collection.ids])
        self._test = set(collection.indices("test").tolist())

    def read(self, start: int, stop: int, points: int) -> Block:
        """Read shapes `start` to `stop`, the first `points` of each."""
        rows = np.arange(start, stop)
        classes = self.collection.info.classes
        labels = self.collection.labels[rows]
        return Block(
            [self.collection.ids[row] for row in rows],
            [classes[label] if label >= 0 else None for label in labels],
            ["test" if row in self._test else "train" for row in rows.tolist()],
            self.collection.points(rows)[:, :points],
            [],
        )


class Files:
    """The clouds of files that are not prepared: read and sampled as `prepare` does, without pictures.

    Its attributes are those of `Prepared`.
    """

    def __init__(self, source: DatasetIndex, name: str, workers: int | None, timeout: float) -> None:
        self.source = source
        self.name, self.count, self.stored = name, len(source.items), source.points
        self.up = source.up
        self.digest = digest_of([source.format, [asdict(item) for item in source.items]])
        self._workers = workers or os.cpu_count() or 1
        self._timeout = timeout

    def read(self, start: int, stop: int, points: int) -> Block:
        """Read items `start` to `stop`, each in a process that may die without harm."""
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


Clouds = Prepared | Files


def find_clouds(data: str, *, up: Axis | None, workers: int | None, timeout: float) -> Clouds:
    """The clouds of a collection or its URL, of anything `prepare` reads, of a file, or of a list of files.

    Args:
        data: a folder, a file, a URL, the word "builtin", or "-" for paths from standard input, one a line.
        up: the axis that points up in files; a collection knows its own.
        workers: processes that read files; one a core if not given.
        timeout: seconds that one file may take.

    Raises:
        UserError: nothing there that we know, or an axis for a collection.
    """
    if data == LIST or Path(data).is_file():
        paths = [Path(line) for line in _lines(sys.stdin)] if data == LIST else [Path(data)]
        if not paths:
            raise UserError("standard input named no files; expected one path a line, as `ls *.stl` writes.")
        items = [file_ref(path, up) for path in dict.fromkeys(paths)]
        return Files(DatasetIndex(items, format=MESHES, location=str(Path.cwd())), data, workers, timeout)
    if is_url(data) or (Path(data) / DESCRIPTION).is_file():
        collection = Collection.open(data)
        if up is not None:
            raise UserError(
                f"--up {up} was given, but {data} is a collection: y up already, from a source that is "
                f"{collection.info.source_up} up. Omit --up, or give the source."
            )
        return Prepared(collection, data)
    index = find_apart(data, up=up)
    if index.note:
        console.print(index.note)
    return Files(index, data, workers, timeout)


def _lines(stream: Iterator[str]) -> list[str]:
    return [line.rstrip("\r\n") for line in stream if line.strip()]
