"""`SearchIndex` on LanceDB: the same shapes as by exact search, from a folder."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.features.collection import Arrays, FeatureCache
from adacross.search import index as module
from adacross.search import lance
from adacross.search.index import SearchIndex
from adacross.search.lance import LanceRows
from adacross.search.map import compute_map

pytestmark = pytest.mark.slow  # loading LanceDB takes seconds


def unit(count: int, width: int = 16) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def computed(
    self: FeatureCache, name: str, compute: Callable[[], Arrays], rows: int, quiet: bool = False
) -> Arrays:
    """Compute what else comes from the cache."""
    return compute()


def opened(rows: np.ndarray, folder: Path, blocks: list[int] | None = None) -> LanceRows:
    def made(start: int) -> Iterator[np.ndarray]:
        for first in range(start, len(rows), 100):
            if blocks is not None:
                blocks.append(first)
            yield rows[first : first + 100]

    return LanceRows.open(str(folder), "rows", len(rows), made)


def test_rows_are_read_as_of_an_array(tmp_path: Path) -> None:
    rows = unit(300)
    found = opened(rows, tmp_path)
    assert (len(found), found.shape) == (300, (300, 16))
    for places in (7, slice(3, 250, 9), np.array([200, 3, 200, 7])):
        np.testing.assert_array_equal(found[places], rows[places])
    np.testing.assert_array_equal(found[:], rows)
    np.testing.assert_allclose(found @ rows[3], rows @ rows[3], atol=1e-6)


def test_what_an_interruption_has_left_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance, "WRITTEN", 100)
    rows = unit(300)
    opened(rows[:200], tmp_path)
    blocks: list[int] = []
    np.testing.assert_array_equal(opened(rows, tmp_path, blocks)[:], rows)
    assert blocks == [200]
    opened(rows, tmp_path, blocks)
    assert blocks == [200]


def test_partitions_find_most_of_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance, "FEWEST", 1000)
    rows = unit(2000, 8)
    found, every = opened(rows, tmp_path), np.ones(2000, bool)
    shared = []
    for query in rows[:20]:
        close = found.nearest(query, every, 10)
        assert close is not None
        expected = np.argsort(-(rows @ query))[:10]
        shared.append(len({*close[0].tolist()} & {*expected.tolist()}) / 10)
        np.testing.assert_allclose(close[1], rows[close[0]] @ query, atol=1e-5)
    assert np.mean(shared) > 0.9
    farthest = np.arange(2000) == np.argmin(rows @ rows[0])
    assert found.nearest(rows[0], farthest, 10) is None


def test_a_search_finds_the_same_in_memory_and_on_disk(
    search_index: SearchIndex, toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEWEST", 100)  # whitened, as a large collection is
    own = search_index.cache.folder.parent
    monkeypatch.setattr(FeatureCache, "load_or_compute", computed)
    exact = SearchIndex(toy_collection, own, device="cpu")
    stored = SearchIndex(toy_collection, own, device="cpu", store=tmp_path / "lance")
    assert isinstance(stored.vectors, LanceRows)
    cloud, image = toy_collection.points(np.array([9]))[0], toy_collection.view(4, 0)
    some = [toy_collection.info.classes[0]]
    for query, classes in ((3, None), (cloud, None), (image, None), (3, some)):
        expected = exact.search(query, top=12, classes=classes)
        found = stored.search(query, top=12, classes=classes)
        assert found.ids == expected.ids
        np.testing.assert_allclose(found.similarities, expected.similarities, atol=1e-5)
    assert compute_map(stored).xy.shape == (len(toy_collection), 2)


def test_the_command_line_names_the_store(
    search_index: SearchIndex, toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search", str(search_index.cache.folder.parent), str(toy_collection.folder), "--device", "cpu"]
    words += ["--query", toy_collection.ids[3], "--top", "1"]
    assert main([*words, "--store", str(tmp_path / "lance")]) == 0
    assert toy_collection.ids[3] in capsys.readouterr().out
    assert list((tmp_path / "lance").glob("*.lance"))


def test_large_collections_are_stored_where_lancedb_is_installed(
    search_index: SearchIndex, toy_collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MANY", 100)
    found = SearchIndex(toy_collection, search_index.cache.folder.parent, device="cpu")
    assert isinstance(found.vectors, LanceRows)
    assert (search_index.cache.folder / "lance").is_dir()
    assert found.search(3).ids == search_index.search(3).ids


def test_without_lancedb_it_says_how_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(UserError, match=r"needs LanceDB.*pip install '\.\[lance\]'"):
        opened(unit(10), tmp_path)


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("somebody's")
    with pytest.raises(UserError, match="file cannot hold features"):
        opened(unit(10), tmp_path / "file")


def test_rows_on_s3(s3_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    boto3.client("s3").create_bucket(Bucket="bucket")
    rows = unit(300)
    for _ in range(2):  # written, and opened again
        found = LanceRows.open("s3://bucket/features", "rows", 300, lambda start: iter([rows[start:]]))
        np.testing.assert_array_equal(found[:], rows)
