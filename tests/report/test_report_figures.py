"""Positions of figures, computed by hand."""

import math

import numpy as np
import pytest

from adacross.features.statistics import Estimate
from adacross.report.figures import (
    Series,
    axis_ticks,
    dot_chart,
    line_chart,
    log_ticks,
    moving_average,
    scatter,
    thin,
)

STEPS = np.arange(1.0, 481.0)


def test_a_line_reaches_from_corner_to_corner() -> None:
    chart = line_chart(
        "Rate", [Series("rate", np.array([0.0, 10.0]), np.array([0.0, 2.0]))], y_range=(0.0, 2.0)
    )
    assert chart
    assert chart["lines"][0]["path"] == "M0 1000L1000 0"
    assert chart["lines"][0]["marks"] == "M0 1000h0M1000 0h0"
    assert chart["window"] == (0, 10, 0, 2)
    assert chart["description"] == "Rate, over step: rate from 0 to 2."
    assert not chart["legend"]  # the title says it


def test_intervals_are_bars() -> None:
    x, y = np.array([1.0, 2.0]), np.array([0.5, 0.5])
    chart = line_chart("a", [Series("b", x, y, y - 0.25, y + 0.25)], y_range=(0.0, 1.0), share=True)
    assert chart
    assert chart["lines"][0]["bars"] == "M0 750V250M1000 750V250"
    assert "b from 50.0\u00a0% to 50.0\u00a0%" in chart["description"]


def test_losses_far_apart_share_a_logarithmic_axis() -> None:
    """Points 1e-2, depth 1e-1: on a plain axis one would lie on the ground."""
    falling = 1 + np.exp(-STEPS / 100)
    far = [Series("points", STEPS, 0.01 * falling), Series("depth", STEPS, 0.3 * falling)]
    chart = line_chart("Loss terms", far, smooth=True)
    assert chart
    assert chart["logarithmic"]
    assert chart["title"] == "Loss terms, logarithmic"
    assert "points from 0.0199 to 0.0101" in chart["description"]
    plain = line_chart("Loss weights", far)
    assert plain
    assert not plain["logarithmic"]


@pytest.mark.parametrize("values", [np.linspace(3, 1, 480), np.linspace(40, -1, 480)])
def test_losses_near_each_other_or_not_positive_have_a_plain_axis(values: np.ndarray) -> None:
    chart = line_chart("Loss terms", [Series("intra", STEPS, values)], smooth=True)
    assert chart
    assert not chart["logarithmic"]
    assert chart["legend"]  # a lone curve is named


def test_without_values_there_is_no_chart_and_one_value_is_drawn() -> None:
    assert line_chart("a", [Series("b", STEPS, np.full(480, math.nan))]) is None
    assert line_chart("a", []) is None
    lone = line_chart("a", [Series("b", np.array([7.0]), np.array([0.0]))])
    assert lone
    assert lone["x_ticks"] == [(50.0, "7")]


def test_a_long_curve_is_averaged_not_sampled() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    values[17] = np.nan
    thinned = thin(Series("a", np.arange(10_000.0), values), most=100)
    assert len(thinned.x) == len(thinned.y) == 100
    sizes = np.diff(np.append(np.linspace(0, 9999, 100, endpoint=False).astype(int), 9999))
    assert (thinned.y * sizes).sum() == pytest.approx(np.nansum(values))


def test_a_moving_average_starts_at_the_first_value_and_keeps_constants() -> None:
    np.testing.assert_allclose(moving_average(np.full(100, 3.0)), 3.0)
    noisy = 5 + np.random.default_rng(0).normal(size=4000)
    assert moving_average(noisy)[0] == noisy[0]
    assert moving_average(noisy)[1000:].std() < 0.15


@pytest.mark.parametrize("low", [0.0, -3.7, 0.61, 1e4])
@pytest.mark.parametrize("extent", [1e-5, 0.02, 0.7, 13.0, 9e6])
def test_ticks_are_few_round_and_inside(low: float, extent: float) -> None:
    ticks = axis_ticks(low, low + extent)
    assert 2 <= len(ticks) <= 6
    assert all(-1e-3 <= at <= 100 + 1e-3 for at, _ in ticks)
    assert np.ptp(np.diff([at for at, _ in ticks])) < 1e-3


def test_ticks_as_shares_and_powers() -> None:
    assert [text for _, text in axis_ticks(0.61, 0.65, share=True)] == [
        f"{value}\u00a0%" for value in (61, 62, 63, 64, 65)
    ]
    places, texts = zip(*log_ticks(-1.0, 0.0), strict=True)
    assert texts == ("0.1", "0.2", "0.5", "1")
    np.testing.assert_allclose(places, 100 * np.log10([1, 2, 5, 10]))


def test_dots_stand_in_the_middle_of_their_intervals() -> None:
    rows = [
        ("10 %", "pre-trained", 1, Estimate(0.5, 0.4, 0.6)),
        ("10 %", "untrained", 2, Estimate(0.3, std=0.05, count=3)),
        ("", "chance", 0, Estimate(0.1)),
    ]
    first, second, chance = dot_chart("accuracy", rows)["dots"]
    assert first["at"] == pytest.approx(sum(first["bar"]) / 2, abs=0.01)
    assert second["bar"][1] - second["bar"][0] == pytest.approx(
        (first["bar"][1] - first["bar"][0]) / 2, abs=0.02
    )
    assert chance["bar"] is None
    assert 0 <= chance["at"] < second["at"] < first["at"] <= 100


def test_dots_of_a_map_keep_their_places() -> None:
    xy = np.array([[0.0, 0.0], [4.0, 2.0], [2.0, 1.0], [2.0, 1.0]])
    drawn = scatter(
        "a map", xy, ["mug", "a name that is far too long"], np.array([0, 0, 1, -1]), ["#1", "#2", "#3"]
    )
    assert drawn["aspect"] == 2.0
    (mug, color, mark, dots), *_, (none, gray, _, rest) = drawn["groups"]
    assert (mug, color, mark, dots) == ("mug", "#1", 0, [(0, 3.0, 97.0), (1, 97.0, 3.0)])
    assert (none, gray, rest) == ("", "#3", [(3, 50.0, 50.0)])
    assert [name for name, _, _ in drawn["labels"]] == ["mug", "a name th…too long"]
