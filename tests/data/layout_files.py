"""What the tests of the data sets' layouts share: tiny real files, and preparing them in this process."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rich.console import Console, RenderableType

from adacross.data.collection import prepare as prepare_module
from adacross.data.collection.collection import Collection
from adacross.data.collection.inspect import inspect
from adacross.data.collection.prepare import prepare
from adacross.data.collection.sample import serve_sample
from adacross.data.formats import index_source
from adacross.data.formats.base import DatasetIndex

POINTS = 16
SMALL: dict[str, Any] = {"points": POINTS, "views": 1, "size": 32, "workers": 1}


def clouds(seed: int, count: int, points: int = POINTS, channels: int = 3) -> np.ndarray:
    """`(count, points, channels)` float32, no two points alike."""
    return np.random.default_rng(seed).normal(size=(count, points, channels)).astype(np.float32)


def write(root: Path, name: str, content: str | bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_hdf5(root: Path, name: str, **arrays: Any) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=np.asarray(array), compression="gzip")
    return path


def cut(path: Path) -> None:
    """Leave half of a file, as an interrupted download does."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def lines(rows: np.ndarray, separator: str) -> str:
    return "".join(separator.join(f"{value:.6f}" for value in row) + "\n" for row in rows)


def unit(cloud: np.ndarray) -> np.ndarray:
    """The slow and obvious way into the unit sphere."""
    centered = cloud - cloud.mean(0)
    return centered / np.linalg.norm(centered, axis=1).max()


def look(folder: Path, variant: str | None = None) -> DatasetIndex:
    return index_source(str(folder), count=1, variant=variant)


def reasons(entries: list[dict[str, str]]) -> dict[str, str]:
    return {entry["name"]: entry["reason"] for entry in entries}


def prepared(monkeypatch: pytest.MonkeyPatch, source: Path, **options: Any) -> Collection:
    """Prepare beside the source, the work of the worker processes done here, which is faster."""

    def each(
        function: str, requests: list[dict[str, Any]], workers: int, _: float
    ) -> Iterator[tuple[int, bytes]]:
        for number, request in enumerate(requests):
            yield number, serve_sample(json.loads(json.dumps(request)))

    monkeypatch.setattr(prepare_module, "each", each)
    target = source.parent / "collection"
    prepare(str(source), str(target), overwrite=True, **SMALL | options)
    return Collection.open(target)


def inspected(folder: Path) -> tuple[str, str]:
    """What kind of folder it is, and all that is said about it, on one line."""
    found = inspect(str(folder))
    return found.kind, printed(found.table())


def printed(table: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=400)
    console.print(table)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]  # the StringIO above
