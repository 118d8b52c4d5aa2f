"""The map's coordinates, and what chance gives."""

import numpy as np
import pytest

from adacross.features.projection import clusters_of, map_of, nearest_same_class, project


def clusters(count: int, classes: int = 3, width: int = 16) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    return rng.normal(0, 0.05, (count, width)).astype(np.float32) + np.eye(width, dtype=np.float32)[
        labels
    ], labels


def test_tsne_keeps_groups_apart_and_is_reproducible() -> None:
    features, labels = clusters(60)
    xy, name = project(features, seed=3)
    assert name == "t-SNE"
    distances = np.linalg.norm(xy[:, None] - xy[None], axis=2) + np.eye(60) * 1e9
    assert (labels[distances.argmin(axis=1)] == labels).all()
    np.testing.assert_array_equal(xy, project(features, seed=3)[0])


@pytest.mark.parametrize("count", [1, 2, 3, 29])
def test_a_few_shapes_are_laid_out_by_pca(count: int) -> None:
    features, _ = clusters(count)
    xy, name = project(features, seed=0)
    assert name == "PCA"
    assert xy.shape == (count, 2)
    assert np.isfinite(xy).all()


def test_pca_is_the_closest_plane() -> None:
    features, _ = clusters(20, width=5)
    unit = features.astype(np.float64) / np.linalg.norm(features, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(np.cov(unit.T, bias=True))
    np.testing.assert_allclose(np.sort(project(features, 0)[0].var(axis=0)), values[-2:], rtol=1e-9)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_encoder_that_collapsed_gives_one_spot(value: float) -> None:
    xy, name = project(np.full((50, 8), value, dtype=np.float32), seed=0)
    assert name == "PCA"
    assert np.abs(xy).max() < 1e-9


def test_nearest_neighbor_share() -> None:
    features, labels = clusters(30)
    found, chance = nearest_same_class(features, labels)
    assert found == 1.0
    assert chance == pytest.approx(9 / 29)
    assert nearest_same_class(features[:1], labels[:1]) == (None, None)


def test_clusters_of_a_map_are_its_groups() -> None:
    features, labels = clusters(90)
    found = clusters_of(map_of(features))
    assert len(set(found.tolist()) - {-1}) == 3
    assert all(len(set(labels[found == number].tolist())) == 1 for number in range(3))
    assert (found >= 0).mean() > 0.8


def test_a_few_shapes_are_in_no_cluster() -> None:
    assert clusters_of(np.zeros((4, 2))).tolist() == [-1, -1, -1, -1]


def test_rows_that_are_no_landmarks_lie_among_their_like() -> None:
    features, labels = clusters(300)
    xy = map_of(features / np.linalg.norm(features, axis=1, keepdims=True), landmarks=60)
    distances = np.linalg.norm(xy[:, None] - xy[None], axis=2) + np.eye(300) * 1e9
    assert (labels[distances.argmin(axis=1)] == labels).mean() > 0.95
