"""Retrieval metrics against a slow count and closed forms."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from adacross.features.metrics import (
    average_precision,
    chance_hit_at,
    chance_precision,
    cosine_ranking,
    hit_at,
    recall_at,
    without_self,
)


def slow_average_precision(order: list[int], relevant: set[int]) -> float:
    found, total = 0, 0.0
    for rank, item in enumerate(order, 1):
        if item in relevant:
            found += 1
            total += found / rank
    return total / len(relevant)


def test_average_precision_is_the_slow_count():
    rng = np.random.default_rng(0)
    labels, gallery_labels = rng.integers(0, 4, 20), rng.integers(0, 4, 30)
    ranking = np.stack([rng.permutation(30) for _ in labels])
    expected = [
        slow_average_precision(order.tolist(), set(np.flatnonzero(gallery_labels == label).tolist()))
        for order, label in zip(ranking, labels, strict=True)
    ]
    np.testing.assert_allclose(average_precision(ranking, labels, gallery_labels), expected)


def test_average_precision_is_scikit_learn_s():
    rng = np.random.default_rng(1)
    labels, features = rng.integers(0, 5, 40), rng.normal(size=(40, 6))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = average_precision_score(labels[:, None] == labels, unit @ unit.T, average=None)
    found = average_precision(cosine_ranking(features, features), labels, labels)
    np.testing.assert_allclose(found, expected)


def test_queries_of_an_absent_class_have_no_value():
    ranking, labels = np.array([[0, 1], [0, 1]]), np.array([0, 9])
    np.testing.assert_array_equal(average_precision(ranking, labels, np.array([0, 0])), [1.0, np.nan])
    np.testing.assert_array_equal(hit_at(ranking, labels, np.array([0, 0]), (1,))[1], [1.0, np.nan])


def test_recall_is_one_for_itself_and_chance_for_noise():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 400, 16))
    itself = recall_at(cosine_ranking(a, a * 5), (1, 5))
    assert {k: found.mean() for k, found in itself.items()} == {1: 1.0, 5: 1.0}
    assert recall_at(cosine_ranking(a, b), (40,))[40].mean() == pytest.approx(0.1, abs=0.05)


def test_recall_grows_with_k_to_one():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(50, 8))
    values = np.array(list(recall_at(cosine_ranking(a, a + rng.normal(size=a.shape)), range(1, 51)).values()))
    assert (np.diff(values, axis=0) >= 0).all()
    assert (values[-1] == 1).all()


def test_ranking_ignores_length_and_survives_zero():
    gallery = np.array([[0.0, 0.0], [0.0, 9.0], [0.1, 0.0]])
    assert cosine_ranking(np.array([[5.0, 0.1]]), gallery).tolist() == [[2, 1, 0]]


def test_leaving_the_query_out_keeps_the_order_of_the_rest():
    rng = np.random.default_rng(0)
    ranking = np.stack([rng.permutation(7) for _ in range(7)])
    for query, row in enumerate(without_self(ranking)):
        assert row.tolist() == [item for item in ranking[query] if item != query]


def test_hits_are_the_slow_count():
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 1, 1, 1, 2, 3, 3])  # nobody is like the sixth
    ranking = without_self(np.stack([rng.permutation(8) for _ in labels]))
    for k, found in hit_at(ranking, labels, labels, (1, 2, 5, 7, 100)).items():
        expected = [any(labels[item] == labels[query] for item in ranking[query, :k]) for query in range(8)]
        np.testing.assert_array_equal(np.delete(found, 5), np.delete(expected, 5))
        assert np.isnan(found[5])


def test_chance_is_the_mean_over_every_ranking():
    labels = np.array([0, 0, 0, 1, 1, 2])
    gallery = 5
    relevant = np.bincount(labels)[labels] - 1
    hits: dict[int, list[float]] = {1: [], 2: [], 4: [], 9: []}
    precisions = []
    for query in range(5):  # the sixth has none of its class
        others = np.delete(labels, query)
        for order in itertools.permutations(range(gallery)):
            right = others[list(order)] == labels[query]
            for k, found in hits.items():
                found.append(float(right[:k].any()))
            precisions.append(float((right.cumsum() / np.arange(1, 6))[right].mean()))
    expected = chance_hit_at(relevant, gallery, tuple(hits))
    assert expected == pytest.approx({k: np.mean(found) for k, found in hits.items()})
    assert chance_precision(relevant, gallery) == pytest.approx(np.mean(precisions))
    assert chance_hit_at(np.array([0]), 3, (1,)) == {1: 0.0}
    assert chance_precision(np.array([0]), 3) == 0.0
