"""Retrieval figures against a slow count and closed forms."""

import numpy as np
import pytest

from adacross.evaluation.metrics import cosine_ranking, mean_average_precision, recall_at


def slow_average_precision(order: list[int], relevant: set[int]) -> float:
    found, total = 0, 0.0
    for rank, item in enumerate(order, 1):
        if item in relevant:
            found += 1
            total += found / rank
    return total / len(relevant)


def test_mean_average_precision_is_the_slow_count():
    rng = np.random.default_rng(0)
    labels, gallery_labels = rng.integers(0, 4, 20), rng.integers(0, 4, 30)
    ranking = np.stack([rng.permutation(30) for _ in labels])
    expected = np.mean(
        [
            slow_average_precision(order.tolist(), set(np.flatnonzero(gallery_labels == label).tolist()))
            for order, label in zip(ranking, labels, strict=True)
        ]
    )
    assert mean_average_precision(ranking, labels, gallery_labels) == pytest.approx(expected)


def test_queries_of_an_absent_class_do_not_count():
    ranking = np.array([[0, 1], [0, 1]])
    assert mean_average_precision(ranking, np.array([0, 9]), np.array([0, 0])) == 1.0
    assert mean_average_precision(ranking, np.array([8, 9]), np.array([0, 0])) == 0.0


def test_recall_is_one_for_itself_and_chance_for_noise():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 400, 16))
    assert recall_at(a, a * 5, (1, 5)) == {1: 1.0, 5: 1.0}
    assert recall_at(a, b, (40,))[40] == pytest.approx(0.1, abs=0.05)


def test_recall_grows_with_k_to_one():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(50, 8))
    values = list(recall_at(a, a + rng.normal(size=a.shape), range(1, 51)).values())
    assert values == sorted(values)
    assert values[-1] == 1.0


def test_ranking_ignores_length_and_survives_zero():
    gallery = np.array([[0.0, 0.0], [0.0, 9.0], [0.1, 0.0]])
    assert cosine_ranking(np.array([[5.0, 0.1]]), gallery).tolist() == [[2, 1, 0]]
