"""Queries that lie in another way than the collection's shapes."""

from pathlib import Path

import numpy as np
import pytest

import adacross
from adacross.data.collection.collection import Collection
from adacross.encoders.inputs import InputSpec
from adacross.search.index import SearchIndex
from adacross.search.turns import turned

QUARTER = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], dtype=np.float32)  # about y
OVER = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=np.float32)  # about x


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """One built-in shape of a category, with points enough for queries of their own."""
    folder = tmp_path_factory.mktemp("turned") / "shapes"
    return adacross.prepare("builtin", str(folder), count=44, points=1024, views=0, workers=1)


def test_the_orientations_are_rotations_and_all_differ() -> None:
    cloud = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    found = turned(cloud)
    assert found.shape == (48, 50, 3)
    np.testing.assert_array_equal(found[0], cloud)
    for one in found:
        rotation, *_ = np.linalg.lstsq(cloud, one, rcond=None)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-4)
    assert len(np.unique(np.round(found.reshape(48, -1), 3), axis=0)) == 48


def test_the_orientations_of_a_turned_cloud_are_those_of_the_cloud() -> None:
    cloud = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    first, second = (
        np.unique(np.round(turned(one)[:24].reshape(24, -1) + 0.0, 4), axis=0)
        for one in (cloud, cloud @ OVER.T)
    )
    np.testing.assert_allclose(first, second, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("turn", [QUARTER, OVER], ids=["about y", "about x"])
def test_a_turned_part_is_found_first(turn: np.ndarray, shapes: Collection) -> None:
    """By other points than those that were encoded."""
    index = SearchIndex(shapes, "builtin-small", device="cpu")
    upright, anyhow = 0, 0
    for i in range(len(shapes)):
        query = shapes.points(np.array([i]))[0][index.points :] @ turn.T
        upright += int(index.search(query, 1).indices[0]) == i
        anyhow += int(index.search(query, 1, orientation="any").indices[0]) == i
    assert anyhow >= 0.9 * len(shapes) > 0.6 * len(shapes) > upright


def test_an_encoder_of_any_orientation_is_asked_once(
    toy_collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = adacross.PointNet(width=8)
    encoder.inputs = InputSpec(up="any")
    index = SearchIndex(Collection.open(toy_collection.folder), encoder, device="cpu")
    query = index.encode(index.query(index.cloud(3)), "any")
    assert query.vectors is not None
    assert len(query.vectors) == 1
    encoder.inputs = InputSpec()
    again = index.encode(query, "any")
    assert again.vectors is not None
    assert len(again.vectors) == 48
    np.testing.assert_allclose(again.vectors[0], query.vectors[0], atol=1e-5)
    found = index.search(again, 5, orientation="any")
    expected = np.max(index.vectors @ again.vectors.T, axis=1)
    np.testing.assert_allclose(found.similarities, np.sort(expected)[::-1][:5], atol=1e-6)


def test_an_image_is_not_turned(search_index: SearchIndex, toy_collection: Collection) -> None:
    image = toy_collection.view(4, 0)
    upright = search_index.search(image, 5)
    assert search_index.search(image, 5, orientation="any").ids == upright.ids


def test_the_command_line_turns_the_query(
    search_index: SearchIndex, own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from adacross.cli import main

    file = tmp_path / "turned.npy"
    np.save(file, search_index.collection.points(np.array([7]))[0] @ QUARTER.T)
    found = search_index.search(file, 1, orientation="any")
    words = ["search", str(own_run), str(search_index.collection.folder), "--device", "cpu", "--top", "1"]
    words += ["--query", str(file)]
    assert main([*words, "--orientation", "any"]) == 0
    shown = capsys.readouterr().out
    assert found.ids[0] in shown
    assert "by other points of it, turned" in shown
    assert main(words) == 0
    assert "turned, a shape" not in capsys.readouterr().out
