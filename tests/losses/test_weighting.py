"""What holds for every weighting: exact resuming, and refusals that leave no trace."""

import json
import math

import pytest
from loss_series import norm_series, run, series

from adacross.errors import UserError
from adacross.losses.weighting import WEIGHTINGS, AdaCrossNetWeighting, Fixed

NEED_NORMS = [name for name, rule in WEIGHTINGS.items() if rule.needs_gradient_norms]
ONE = {"intra": 1.0, "cross": 2.0}


def test_only_gradnorm_asks_for_gradient_norms():
    assert NEED_NORMS == ["gradnorm"]


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_resuming_changes_nothing(name):
    losses, norms = series(350), norm_series(350)
    expected = run(WEIGHTINGS[name](), losses, norms)
    first, second = WEIGHTINGS[name](), WEIGHTINGS[name]()
    found = run(first, losses[:237], norms[:237])
    saved = first.state_dict()
    text = json.dumps(saved, sort_keys=True)
    second.load_state_dict(json.loads(text))
    run(first, losses[237:], norms[237:])
    assert json.dumps(saved, sort_keys=True) == text, "a saved state moved with the weighting"
    assert found + run(second, losses[237:], norms[237:]) == expected


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("done", [1, 5])
def test_resuming_at_the_start_changes_nothing(name, done):
    """While first losses and means are still being gathered."""
    losses, norms = series(30), norm_series(30)
    first, second = WEIGHTINGS[name](), WEIGHTINGS[name]()
    run(first, losses[:done], norms[:done])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert run(second, losses[done:], norms[done:]) == run(first, losses[done:], norms[done:])


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_values_that_are_not_finite_are_refused_and_leave_no_trace(name):
    weighting = WEIGHTINGS[name]()
    run(weighting, series(5), norm_series(5))
    before = weighting.state_dict()
    for bad in (math.nan, math.inf):
        with pytest.raises(UserError, match=f"'cross' is {bad}"):
            weighting.update({"intra": 1.0, "cross": bad}, ONE)
    assert weighting.state_dict() == before


@pytest.mark.parametrize("name", [name for name in WEIGHTINGS if name != "fixed"])
def test_other_terms_than_before_are_refused(name):
    weighting = WEIGHTINGS[name]()
    weighting.update(ONE, ONE)
    with pytest.raises(UserError, match=r"expected \['cross', 'intra'\]"):
        weighting.update({"intra": 1.0}, {"intra": 1.0})


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_one_term_weighs_the_same_at_every_step_and_none_is_refused(name):
    with pytest.raises(UserError, match="no loss terms"):
        WEIGHTINGS[name]().update({}, {})
    if name not in ("adacrossnet", "uncertainty"):  # their weights are not relative to each other
        losses, norms = (
            [{"only": step["intra"]} for step in steps] for steps in (series(300), norm_series(300))
        )
        assert run(WEIGHTINGS[name](), losses, norms) == [{"only": 1.0}] * 300


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_the_order_of_the_terms_does_not_matter(name):
    losses, norms = series(150), norm_series(150)
    expected = run(WEIGHTINGS[name](), losses, norms)
    turned = [{key: step[key] for key in reversed(step)} for step in losses]
    for found, step in zip(run(WEIGHTINGS[name](), turned, norms), expected, strict=True):
        assert found == pytest.approx(step, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in WEIGHTINGS if name not in NEED_NORMS])
def test_gradient_norms_that_are_not_needed_are_not_looked_at(name):
    losses = series(150)
    nonsense = [{"other": math.nan}] * 150
    assert run(WEIGHTINGS[name](), losses, nonsense) == run(WEIGHTINGS[name](), losses)


@pytest.mark.parametrize("name", NEED_NORMS)
@pytest.mark.parametrize(
    ("norms", "message"),
    [
        (None, "was given only losses.*Give `gradient_norms`"),
        ({"intra": 1.0}, r"norms are of \['intra'\]; expected \['cross', 'intra'\]"),
        ({"intra": 1.0, "other": 1.0}, r"norms are of \['intra', 'other'\]"),
        ({"intra": 1.0, "cross": math.nan}, "norm of loss term 'cross' is nan"),
        ({"intra": math.inf, "cross": 1.0}, "norm of loss term 'intra' is inf"),
        ({"intra": 1.0, "cross": -1.0}, "norm of loss term 'cross' is -1.0"),
    ],
)
def test_gradient_norms_that_do_not_fit_are_refused_and_leave_no_trace(name, norms, message):
    weighting = WEIGHTINGS[name]()
    run(weighting, series(5), norm_series(5))
    before = weighting.state_dict()
    with pytest.raises(UserError, match=message):
        weighting.update(ONE, norms)
    assert weighting.state_dict() == before


@pytest.mark.parametrize("name", ["convergence", "uncertainty", "gradnorm"])
def test_losses_below_zero_are_refused_and_leave_no_trace(name):
    weighting = WEIGHTINGS[name]()
    run(weighting, series(5), norm_series(5))
    before = weighting.state_dict()
    with pytest.raises(UserError, match="needs values of 0 or more"):
        weighting.update({"intra": 1.0, "cross": -1.0}, ONE)
    assert weighting.state_dict() == before


def test_another_weightings_state_is_refused():
    with pytest.raises(UserError, match="Resume with the weighting that the run began with"):
        AdaCrossNetWeighting().load_state_dict(Fixed().state_dict())


def test_fixed():
    assert Fixed().update({"a": 3.0, "b": 4.0}) == {"a": 1.0, "b": 1.0}
    assert Fixed({"b": 0.5}).update({"a": 3.0, "b": 4.0}) == {"a": 1.0, "b": 0.5}
    with pytest.raises(UserError, match=r"unknown loss term 'c'.*Valid: a, b"):
        Fixed({"c": 2.0}).update({"a": 3.0, "b": 4.0})
