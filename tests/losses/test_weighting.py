"""Weightings: the released rule and what it tends to, and rules that follow the losses."""

import json
import math

import numpy as np
import pytest

from adacross.errors import UserError
from adacross.losses.weighting import (
    WEIGHTINGS,
    AdaCrossNetWeighting,
    ConvergenceRate,
    DynamicWeightAverage,
    Fixed,
)


def series(steps, seed=0):
    """Two noisy losses that fall at different rates."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    intra = 1 + 3 * np.exp(-t / 200) + rng.normal(0, 0.05, steps)
    cross = 1 + 4 * np.exp(-t / 2000) + rng.normal(0, 0.05, steps)
    return [{"intra": float(a), "cross": float(b)} for a, b in zip(intra, cross, strict=True)]


def run(weighting, losses):
    return [weighting.update(step) for step in losses]


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_resuming_changes_nothing(name):
    losses = series(350)
    expected = run(WEIGHTINGS[name](), losses)
    first, second = WEIGHTINGS[name](), WEIGHTINGS[name]()
    found = run(first, losses[:237])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    run(first, losses[237:])  # the copy must not move with the original
    assert found + run(second, losses[237:]) == expected


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_values_that_are_not_finite_are_refused_and_leave_no_trace(name):
    weighting = WEIGHTINGS[name]()
    run(weighting, series(5))
    before = weighting.state_dict()
    for bad in (math.nan, math.inf):
        with pytest.raises(UserError, match=f"'cross' is {bad}"):
            weighting.update({"intra": 1.0, "cross": bad})
    assert weighting.state_dict() == before


@pytest.mark.parametrize("name", [name for name in WEIGHTINGS if name != "fixed"])
def test_other_terms_than_before_are_refused(name):
    weighting = WEIGHTINGS[name]()
    weighting.update({"intra": 1.0, "cross": 2.0})
    with pytest.raises(UserError, match=r"expected \['cross', 'intra'\]"):
        weighting.update({"intra": 1.0})


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_one_term_weighs_the_same_at_every_step_and_none_is_refused(name):
    with pytest.raises(UserError, match="no loss terms"):
        WEIGHTINGS[name]().update({})
    if name != "adacrossnet":
        assert (
            run(WEIGHTINGS[name](), [{"only": step["intra"]} for step in series(300)])
            == [{"only": 1.0}] * 300
        )


def test_another_weightings_state_is_refused():
    with pytest.raises(UserError, match="Resume with the weighting that the run began with"):
        AdaCrossNetWeighting().load_state_dict(Fixed().state_dict())


def test_fixed():
    assert Fixed().update({"a": 3.0, "b": 4.0}) == {"a": 1.0, "b": 1.0}
    assert Fixed({"b": 0.5}).update({"a": 3.0, "b": 4.0}) == {"a": 1.0, "b": 0.5}


def test_released_rule_first_step_and_constant_losses():
    weighting = AdaCrossNetWeighting()
    losses = {"intra": 4.14, "cross": 4.84}
    first = weighting.update(losses)
    assert first["intra"] == pytest.approx(0.95 + 0.05 / (1 + math.exp(-0.05 * 4.14)), abs=1e-15)
    assert first == pytest.approx({"intra": 0.9776, "cross": 0.9780}, abs=5e-5)
    weights = run(weighting, [losses] * 129)[-1]
    assert all(abs(weight - 0.5) < 1e-3 for weight in weights.values())


def test_released_rule_tends_to_a_half_within_its_bound():
    """|w_t - 1/2| <= beta^t / 2 + alpha / 4 * the running mean of |change|, which the docstring proves."""
    losses = series(600, seed=3)
    weighting = AdaCrossNetWeighting()
    change = dict.fromkeys(losses[0], 0.0)
    previous = dict.fromkeys(losses[0], 0.0)
    for t, step in enumerate(losses, 1):
        for name, weight in weighting.update(step).items():
            change[name] = 0.95 * change[name] + 0.05 * abs(step[name] - previous[name])
            previous[name] = step[name]
            assert abs(weight - 0.5) <= 0.5 * 0.95**t + 0.05 / 4 * change[name] + 1e-12
    settled = run(weighting, series(400, seed=4))[200:]
    assert all(abs(weight - 0.5) < 1e-3 for step in settled for weight in step.values())


def test_released_rule_gives_more_to_a_loss_that_rises():
    weighting = AdaCrossNetWeighting()
    run(weighting, [{"up": 1.0, "down": 1.0}] * 300)
    weights = weighting.update({"up": 2.0, "down": 0.5})
    assert weights["up"] > 0.5 > weights["down"]
    huge = weighting.update({"up": 1e300, "down": -1e300})
    assert all(math.isfinite(weight) for weight in huge.values())


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


def test_convergence_is_normalised_bounded_and_has_no_unit():
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
