"""IoU against loops over shapes, parts and points, and its properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adacross.evaluation.segmentation.metrics import (
    category_means,
    mean_of_known,
    overlaps,
    point_accuracy,
    scene_ious,
    shape_ious,
)


def slow_shape_ious(predicted, truth, counted):
    """The definition, one point at a time."""
    ious = []
    for said, is_, of_category in zip(predicted.tolist(), truth.tolist(), counted.tolist(), strict=True):
        of_parts = []
        for part, counts in enumerate(of_category):
            if not counts:
                continue
            both = either = 0
            for s, t in zip(said, is_, strict=True):
                if t == -1:
                    continue
                both += s == part and t == part
                either += part in (s, t)
            of_parts.append(1.0 if either == 0 else both / either)
        ious.append(sum(of_parts) / len(of_parts))
    return ious


@st.composite
def segmented(draw, unknown=True):
    """Predictions, truth and the parts of each shape's category."""
    shapes, points, parts = draw(st.integers(1, 5)), draw(st.integers(1, 12)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = rng.integers(-1 if unknown else 0, parts, (shapes, points))
    predicted = np.where(rng.random(truth.shape) < 0.5, truth.clip(0), rng.integers(0, parts, truth.shape))
    counted = rng.random((shapes, parts)) < 0.6
    counted[:, rng.integers(parts)] = True
    return predicted, truth, counted


@settings(max_examples=200, deadline=None)
@given(segmented())
def test_shape_ious_are_those_of_the_definition(data):
    assert shape_ious(*data) == pytest.approx(slow_shape_ious(*data))


@settings(max_examples=60, deadline=None)
@given(segmented(), st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(data, random):
    predicted, truth, counted = data
    order = random.sample(range(truth.shape[1]), truth.shape[1])
    shuffled = shape_ious(predicted[:, order], truth[:, order], counted)
    assert np.array_equal(shuffled, shape_ious(predicted, truth, counted))


@settings(max_examples=60, deadline=None)
@given(segmented(), st.randoms(use_true_random=False))
def test_the_numbers_of_the_parts_do_not_matter(data, random):
    predicted, truth, counted = data
    renamed = np.array(random.sample(range(counted.shape[1]), counted.shape[1]))
    moved = np.empty_like(counted)
    moved[:, renamed] = counted
    again = shape_ious(renamed[predicted], np.where(truth < 0, -1, renamed[truth]), moved)
    assert again == pytest.approx(shape_ious(predicted, truth, counted))


@settings(max_examples=60, deadline=None)
@given(segmented())
def test_points_without_a_part_do_not_count(data):
    predicted, truth, counted = data
    other = np.where(truth < 0, (predicted + 1) % counted.shape[1], predicted)
    assert np.array_equal(shape_ious(other, truth, counted), shape_ious(predicted, truth, counted))
    more = [np.concatenate([predicted, predicted], 1), np.concatenate([truth, np.full_like(truth, -1)], 1)]
    assert np.array_equal(shape_ious(*more, counted), shape_ious(predicted, truth, counted))


@settings(max_examples=60, deadline=None)
@given(segmented(unknown=False))
def test_overlaps_add_up(data):
    predicted, truth, counted = data
    parts = counted.shape[1]
    intersection, union = overlaps(predicted, truth, parts)
    right = (predicted == truth).sum(1)
    assert np.array_equal(intersection.sum(1), right)
    assert np.array_equal(union.sum(1), 2 * truth.shape[1] - right)
    assert point_accuracy(predicted, truth) == pytest.approx(right.sum() / truth.size)


def test_closed_forms():
    truth = np.array([[0, 0, 1, 1], [0, 0, 0, 0], [2, 2, 2, 2], [0, 0, 1, 1]])
    predicted = np.array([[0, 1, 1, 1], [0, 0, 0, 0], [2, 2, 0, 0], [3, 0, 1, 1]])
    counted = np.array([[True, True, False, False]] * 2 + [[False, False, True, True]] + [[True, True, 0, 0]])
    found = shape_ious(predicted, truth, counted.astype(bool))
    assert found[0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found[1] == 1  # the absent part counts 1
    assert found[2] == pytest.approx((1 / 2 + 1) / 2)  # 0 is none of its parts; 3 is absent
    assert found[3] == pytest.approx((1 / 2 + 1) / 2)  # a point given to another category's part is lost
    assert shape_ious(truth, truth, counted.astype(bool)) == pytest.approx(1)
    nothing = shape_ious(np.array([[1, 1]]), np.array([[0, 0]]), np.array([[True, True]]))
    assert nothing == pytest.approx(0)


def test_a_part_that_is_predicted_but_absent_counts_0():
    assert shape_ious(np.array([[0, 1]]), np.array([[0, 0]]), np.ones((1, 2), bool)) == pytest.approx(1 / 4)


def test_instance_and_class_means_differ_where_categories_are_unbalanced():
    values, category = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 0, 2])
    means = category_means(values, category, 4)
    assert means == [1.0, None, 0.0, None]
    assert mean_of_known(means) == 0.5
    assert values.mean() == 0.75


def test_scenes_count_points_over_all_blocks_and_leave_absent_classes_out():
    truth = np.array([[0, 0, 0, 1], [0, 1, 1, 1]])
    predicted = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    intersection, union = (counts.sum(0) for counts in overlaps(predicted, truth, 3))
    ious = scene_ious(intersection, union)
    assert ious == [3 / 5, 3 / 5, None]
    assert mean_of_known(ious) == pytest.approx(0.6)
    per_block = [np.mean([2 / 3, 1 / 2]), np.mean([1 / 2, 2 / 3])]  # not the same as a mean of blocks
    assert mean_of_known(ious) != pytest.approx(np.mean(per_block))
