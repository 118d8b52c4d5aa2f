"""AdaCrossNet's released rule: what it tends to, as derived in its docstring."""

import math

import pytest
from loss_series import run, series

from adacross.losses.weighting import AdaCrossNetWeighting


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
