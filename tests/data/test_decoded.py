"""Decoded pictures that are kept: the same as decoded again, within the limit, gone afterwards."""

import errno
import shutil
import tempfile
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import SPARED, DecodedViews


def asked(collection: Collection, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(len(collection), size=count), rng.integers(collection.info.views, size=count)


def decoded_again(collection: Collection, shapes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return np.stack([collection.view(int(i), int(v)) for i, v in zip(shapes, numbers, strict=True)])


@pytest.mark.parametrize("kept", [0, 1, 7, 10**6])
def test_pictures_are_those_of_the_collection(kept: int, toy_collection: Collection, tmp_path: Path):
    one = toy_collection.info.view_size**2 * 3
    pictures = DecodedViews(toy_collection, tmp_path, kept * one)
    for seed in range(3):
        shapes, numbers = asked(toy_collection, 40, seed)
        expected = decoded_again(toy_collection, shapes, numbers)
        assert np.array_equal(pictures.views(shapes, numbers), expected)


def test_a_picture_is_decoded_once(toy_collection: Collection, tmp_path: Path, monkeypatch):
    pictures = DecodedViews(toy_collection, tmp_path, 10**9)
    first = pictures.views(np.array([3, 3]), np.array([0, 0]))
    monkeypatch.setattr(toy_collection, "view", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(pictures.views(np.array([3]), np.array([0]))[0], first[1])


def test_nothing_is_left_in_the_folder(toy_collection: Collection, tmp_path: Path):
    pictures = DecodedViews(toy_collection, tmp_path, 10**9)
    pictures.views(*asked(toy_collection, 5))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_the_keeping_and_nothing_else(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Full:
        """The file, on a disk on which a picture and a half find room."""

        def __init__(self, file: Any) -> None:
            self.file, self.left = file, toy_collection.info.view_size**2 * 3 * 3 // 2

        def write(self, data: memoryview) -> int:
            if self.left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = self.file.write(memoryview(data).cast("B")[: self.left])
            self.left -= written
            return written

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    whole = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: Full(whole(**options)))
    pictures = DecodedViews(toy_collection, tmp_path, 10**9)
    shapes, numbers = asked(toy_collection, 12)
    for _ in range(2):
        assert np.array_equal(pictures.views(shapes, numbers), decoded_again(toy_collection, shapes, numbers))


def test_what_checkpoints_need_is_left_on_the_disk(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    free = [3 * SPARED, SPARED, SPARED - 1]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free.pop(0)))
    pictures = DecodedViews(toy_collection, tmp_path, 10**9)
    every, first = np.arange(5), np.zeros(5, dtype=int)
    expected = decoded_again(toy_collection, every, first)
    assert np.array_equal(pictures.views(every, first), expected)
    assert free == []  # asked for the third and never again
    decoded = []
    again = toy_collection.view
    monkeypatch.setattr(toy_collection, "view", lambda i, v: decoded.append(i) or again(i, v))
    assert np.array_equal(pictures.views(every, first), expected)
    assert decoded == [2, 3, 4]


def test_a_folder_that_is_not_there_keeps_nothing(toy_collection: Collection, tmp_path: Path):
    pictures = DecodedViews(toy_collection, tmp_path / "missing", 10**9)
    shapes, numbers = asked(toy_collection, 4)
    assert np.array_equal(pictures.views(shapes, numbers), decoded_again(toy_collection, shapes, numbers))


def test_two_threads_do_not_mix_pictures_up(toy_collection: Collection, tmp_path: Path):
    pictures = DecodedViews(toy_collection, tmp_path, 10**9)
    wrong = []

    def work(seed: int) -> None:
        shapes, numbers = asked(toy_collection, 60, seed)
        if not np.array_equal(
            pictures.views(shapes, numbers), decoded_again(toy_collection, shapes, numbers)
        ):
            wrong.append(seed)

    threads = [Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
