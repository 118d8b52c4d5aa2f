"""Whitening: closed-form cases, and the same search whichever way a query comes."""

import numpy as np
import pytest

import adacross
from adacross.data.collection.collection import Collection
from adacross.features.whitening import DIM, FEWEST, Whitening
from adacross.search import index as module
from adacross.search.index import SearchIndex
from adacross.search.query import Query

SHAPES, DIMS = 400, 12


@pytest.fixture
def rows() -> np.ndarray:
    """Normal numbers, every direction with another variance, far from 0."""
    rng = np.random.default_rng(0)
    mixed = (
        rng.standard_normal((SHAPES, DIMS)) * np.geomspace(1, 0.1, DIMS) @ rng.standard_normal((DIMS, DIMS))
    )
    return (mixed + 10).astype(np.float32)


def test_no_direction_is_longer_than_another(rows: np.ndarray):
    white = Whitening.fit(rows)(rows).astype(np.float64)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=2e-3)
    np.testing.assert_allclose(white.T @ white / SHAPES, np.eye(DIMS), atol=2e-2)


def test_a_turn_and_a_shift_of_the_features_change_no_similarity(rows: np.ndarray):
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((DIMS, DIMS)))[0].astype(np.float32)
    moved = rows @ turn - 3
    here, there = Whitening.fit(rows)(rows), Whitening.fit(moved)(moved)
    np.testing.assert_allclose(here @ here.T, there @ there.T, atol=0.1)


def test_directions_without_variance_are_left_out():
    flat = np.zeros((50, 6), np.float32)
    flat[:, :2] = np.random.default_rng(0).standard_normal((50, 2))
    assert Whitening.fit(flat).axes.shape == (6, 2)
    wide = np.random.default_rng(0).standard_normal((300, DIM + 40)).astype(np.float32)
    assert Whitening.fit(wide).axes.shape == (DIM + 40, DIM)


def test_few_shapes_are_compared_as_they_are(search_index: SearchIndex):
    assert len(search_index.collection) < FEWEST
    assert np.shares_memory(search_index.vectors, search_index.features)


def test_a_shape_is_found_by_its_points_as_by_its_id(
    toy_collection: Collection, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "FEWEST", 100)
    encoder = adacross.PointNet(width=16)
    encoder.save_pretrained(tmp_path / "encoder")
    index = SearchIndex(toy_collection, tmp_path / "encoder", points=48, device="cpu")
    assert not np.array_equal(index.vectors, index.features)
    by_points = index.search(Query("a cloud", points=index.cloud(7)), top=5)
    by_id = index.search(toy_collection.ids[7], top=4)
    assert by_points.ids == (toy_collection.ids[7], *by_id.ids)
    np.testing.assert_allclose(by_points.similarities[0], 1, atol=1e-4)
    again = SearchIndex(toy_collection, tmp_path / "encoder", points=48, device="cpu")
    np.testing.assert_array_equal(again.vectors, index.vectors)  # kept
    for file in (toy_collection.folder / "features").glob("*"):
        file.unlink()
