"""Dynamic weight average against its equation: Liu et al. 2019, arXiv 1803.10704, eq. 7."""

import math

import pytest
from loss_series import run

from adacross.errors import UserError
from adacross.losses.weighting import DynamicWeightAverage


def test_dynamic_weight_average_is_the_papers_equation():
    """Period means 4 then 2 for a, 4 then 3 for b: w = 1/2 and 3/4."""
    weighting = DynamicWeightAverage(period=2)
    weights = run(
        weighting, [{"a": a, "b": b} for a, b in [(5.0, 3.0), (3.0, 5.0), (2.0, 3.0), (2.0, 3.0), (9.0, 9.0)]]
    )
    assert weights[:4] == [{"a": 1.0, "b": 1.0}] * 4
    a, b = math.exp(0.5 / 2), math.exp(0.75 / 2)
    assert weights[4] == pytest.approx({"a": 2 * a / (a + b), "b": 2 * b / (a + b)}, rel=1e-12)


def test_dynamic_weight_average_refuses_and_survives_extremes():
    with pytest.raises(UserError, match="expected at least 1 and above 0"):
        DynamicWeightAverage(period=0)
    weights = run(
        DynamicWeightAverage(period=1), [{"a": 1e-9, "b": 1.0}, {"a": 1e9, "b": 0.0}, {"a": 1.0, "b": 0.0}]
    )
    assert weights[2] == pytest.approx({"a": 2.0, "b": 0.0})
