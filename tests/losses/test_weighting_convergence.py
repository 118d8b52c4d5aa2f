"""The rule by rate of convergence: the slower term weighs more, smoothly, within bounds, in no unit."""

import numpy as np
import pytest
from loss_series import run, series

from adacross.errors import UserError
from adacross.losses.weighting import ConvergenceRate


def test_convergence_gives_more_to_the_slower_term():
    weights = run(ConvergenceRate(), series(8000))
    assert weights[0] == {"intra": 1.0, "cross": 1.0}
    assert weights[200]["cross"] > 1.3
    assert weights[200]["intra"] < 0.7
    # Once the first term has settled it is the slower one, and gains weight; at last both stand still.
    assert weights[3000]["intra"] > 1.05
    assert weights[3000]["cross"] < 0.95
    final = np.mean([step["cross"] for step in weights[-1000:]])
    assert final == pytest.approx(1, abs=0.1)


def test_convergence_is_normalized_bounded_and_has_no_unit():
    losses = [{**step, "third": 5.0 + i} for i, step in enumerate(series(400))]
    found = run(ConvergenceRate(limit=3.0), losses)
    for step in found:
        assert sum(step.values()) == pytest.approx(3)
        assert max(step.values()) <= 3 * min(step.values()) * (1 + 1e-12)
    assert found[300]["third"] == max(found[300].values()), "a rising loss weighs most"
    units = [
        {name: value * {"intra": 1e-3, "cross": 50, "third": 7}[name] for name, value in step.items()}
        for step in losses
    ]
    for a, b in zip(found, run(ConvergenceRate(limit=3.0), units), strict=True):
        assert a == pytest.approx(b, rel=1e-9)


def test_convergence_is_smooth_under_noise():
    rng = np.random.default_rng(0)
    losses = [{"a": 3 + rng.normal(0, 0.15), "b": 3 + rng.normal(0, 0.15)} for _ in range(3000)]
    weights = np.array([step["a"] for step in run(ConvergenceRate(), losses)])
    assert np.abs(weights[500:] - 1).max() < 0.1
    assert np.abs(np.diff(weights[500:])).max() < 0.02


def test_convergence_at_zero_and_below():
    weighting = ConvergenceRate()
    assert weighting.update({"a": 0.0, "b": 1.0}) == {"a": 1.0, "b": 1.0}
    with pytest.raises(UserError, match="values of 0 or more"):
        weighting.update({"a": -1.0, "b": 1.0})
    for wrong in ({"short": 0.0}, {"short": 9.0, "long": 9.0}, {"sharpness": -1.0}, {"limit": 0.5}):
        with pytest.raises(UserError, match="expected 1 <= short < long"):
            ConvergenceRate(**wrong)
