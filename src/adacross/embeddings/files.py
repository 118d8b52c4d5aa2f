"""The shapes that `adacross embed` encodes: a collection, a folder or a list of files."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from adacross.data.collection.collection import DESCRIPTION, Collection
from adacross.data.collection.partial import digest_of
from adacross.data.collection.pipeline import SERVE, Answer, read_answer
from adacross.data.collection.single import file_item
from adacross.data.isolated import find_apart
from adacross.data.source import Axis, Source, up_of
from adacross.data.workers.local import Died, each
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

    def __init__(self, source: Source, workers: int | None, timeout: float) -> None:
        self.source = source
        self.stored, self.up = source.stored, up_of(source.items)
        self.digest = digest_of([source.kind, [asdict(item) for item in source.items]])
        self._workers = workers or os.cpu_count() or 1
        self._timeout = timeout

    def __len__(self) -> int:
        return len(self.source.items)

    def read(self, start: int, stop: int, points: int) -> Block:
        """Read items `start` to `stop`, each in a process that may crash without harm."""
        items = self.source.items[start:stop]
        request: dict[str, Any] = {
            "kind": self.source.kind,
            "points": points,
            "views": 0,
            "size": 1,
            "seed": 0,
            "parts": [],
        }
        requests = [{"item": asdict(item), "split": item.split or "test"} | request for item in items]
        rows: dict[int, np.ndarray] = {}
        skipped = {}
        workers = min(self._workers, len(items))
        with closing(each(SERVE, requests, workers, self._timeout)) as answers:
            for place, answer in answers:
                row = Answer(None, answer.reason) if isinstance(answer, Died) else read_answer(answer)
                if row.points is not None:
                    rows[place] = row.points[:points]
                else:
                    skipped[place] = {"name": items[place].id, "reason": row.remark}
        kept = sorted(rows)
        names = self.source.classes
        return Block(
            [items[place].id for place in kept],
            [names[items[place].label] if items[place].label >= 0 else None for place in kept],
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
        items = [file_item(path, up) for path in dict.fromkeys(paths)]
        return Files(Source(str(Path.cwd()), "files", items), workers, timeout)
    if is_url(data) or (Path(data) / DESCRIPTION).is_file():
        collection = Collection.open(data)
        if up is not None:
            raise UserError(
                f"--up {up} cannot be given for {data}: a collection is y up already (its source was "
                f"{collection.info.source_up} up). Omit --up, or give the source."
            )
        return collection
    return Files(find_apart(data, up=up, count=2000, variant=None, seed=0), workers, timeout)


def _lines(stream: Iterator[str]) -> list[str]:
    return [line.rstrip("\r\n") for line in stream if line.strip()]
