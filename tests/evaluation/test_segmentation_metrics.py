"""IoU against loops over shapes, parts and points, its properties, and its uncertainty over rooms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adacross.evaluation.result import Score
from adacross.evaluation.segmentation import overlaps, ratio_outcomes, shape_ious


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


def test_scenes_count_points_over_all_blocks_and_leave_absent_classes_out():
    truth = np.array([[0, 0, 0, 1], [0, 1, 1, 1]])
    predicted = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    intersection, union = overlaps(predicted, truth, 3)
    assert intersection.sum(0).tolist() == [3, 3, 0]
    assert union.sum(0).tolist() == [5, 5, 0]
    assert ratio_outcomes(intersection, union).mean() == pytest.approx(3 / 5)
    per_block = np.mean([np.mean([2 / 3, 1 / 2]), np.mean([1 / 2, 2 / 3])])
    assert per_block != pytest.approx(3 / 5)  # the mean of the blocks' is another figure


def miou(intersection, union) -> float:
    """The definition, one class at a time."""
    sums = zip(intersection.sum(0).tolist(), union.sum(0).tolist(), strict=True)
    ious = [both / either for both, either in sums if either]
    return sum(ious) / len(ious) if ious else 0.0


@st.composite
def counted_rooms(draw):
    """Points of each room in each class's intersection and union; classes may be absent."""
    rooms, classes = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    union = rng.integers(0, 9, (rooms, classes)) * (rng.random((rooms, classes)) < 0.5)
    return rng.integers(0, union + 1), union


@settings(max_examples=100, deadline=None)
@given(counted_rooms())
def test_outcomes_of_a_ratio_are_the_jackknifes(data):
    intersection, union = data
    figure, rooms = miou(intersection, union), len(union)
    without = [miou(np.delete(intersection, i, 0), np.delete(union, i, 0)) for i in range(rooms)]
    expected = [figure + (rooms - 1) * (np.mean(without) - each) for each in without]
    assert ratio_outcomes(intersection, union) == pytest.approx(np.array(expected))
    assert ratio_outcomes(intersection, union).mean() == pytest.approx(figure)


def make_rooms(rng: np.random.Generator, rooms: int, skill: float = 0.6):
    """Rooms of different sizes whose points of a class are found more or less often, room by room."""
    truth = rng.multinomial(200, [0.5, 0.3, 0.15, 0.05], rooms) * rng.integers(1, 5, (rooms, 1))
    found = np.clip(skill + 0.15 * rng.normal(size=truth.shape), 0, 1)
    intersection = rng.binomial(truth, found)
    return intersection, truth + np.roll(truth - intersection, 1, axis=1)


def resampled(rng: np.random.Generator, *counts) -> np.ndarray:
    """The mIoU of 1,000 bootstrap samples of rooms, for each pair of counts; each has every class."""
    rooms = len(counts[0][0])
    drawn = rng.integers(0, rooms, (1000, rooms))
    return np.array([(both[drawn].sum(1) / either[drawn].sum(1)).mean(1) for both, either in counts])


def test_its_deviation_is_the_bootstraps():
    rng = np.random.default_rng(1)
    intersection, union = make_rooms(rng, 60)
    error = ratio_outcomes(intersection, union).std(ddof=1) / np.sqrt(60)
    assert error == pytest.approx(resampled(rng, (intersection, union)).std(), rel=0.1)


def test_a_difference_is_paired_over_rooms_as_in_a_paired_bootstrap():
    rng = np.random.default_rng(2)
    intersection, union = make_rooms(rng, 60)
    fewer = rng.binomial(intersection, 0.9)
    outcomes = ratio_outcomes(intersection, union), ratio_outcomes(fewer, union)
    scores = [Score.of("pre-trained", "mIoU", rows, units="rooms") for rows in outcomes]
    found = scores[0].minus(scores[1])
    assert found.mean == pytest.approx(miou(intersection, union) - miou(fewer, union))
    first, second = resampled(rng, (intersection, union), (fewer, union))
    expected = np.percentile(first - second, [2.5, 97.5])
    assert np.array([found.low, found.high]) == pytest.approx(expected, abs=2e-3)
    assert found.test == "paired t-test over 60 units"
    assert found.significant


@pytest.mark.slow
def test_the_interval_holds_the_figure_of_all_rooms_in_95_of_100_samples():
    rng = np.random.default_rng(3)
    truth = miou(*make_rooms(rng, 20_000))
    estimates = [Score.of("x", "mIoU", ratio_outcomes(*make_rooms(rng, 40))).estimate for _ in range(400)]
    assert 0.93 < np.mean([one.low <= truth <= one.high for one in estimates]) < 0.97
