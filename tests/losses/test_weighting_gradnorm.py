"""GradNorm: Chen et al. 2018, arXiv 1711.02257, eqs. 1 and 2, algorithm 1; the step is ours."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_series import norm_series, run, series

from adacross.errors import UserError
from adacross.losses.weighting import GradNorm, relative_rates


def by_autograd(losses, norms, alpha, learning_rate):
    """The paper's loss of the weights, differentiated by torch; one step on log w against the sign."""
    first = torch.tensor(list(losses[0].values()), dtype=torch.float64)
    w = torch.ones(len(first), dtype=torch.float64)
    weights = []
    for step, norm in zip(losses, norms, strict=True):
        weights.append(dict(zip(step, w.tolist(), strict=True)))
        ratio = torch.tensor(list(step.values()), dtype=torch.float64) / first
        w = w.requires_grad_()
        weighted = w * torch.tensor([norm[name] for name in step], dtype=torch.float64)
        target = (weighted.mean() * (ratio / ratio.mean()) ** alpha).detach()
        (gradient,) = torch.autograd.grad((weighted - target).abs().sum(), w)
        w = w.detach() * torch.exp(-learning_rate * gradient.sign())
        w = w * len(w) / w.sum()
    return weights


@pytest.mark.parametrize("alpha", [0.0, 0.12, 1.5])
def test_is_the_papers_loss_descended_on_the_weights_logarithm(alpha):
    losses, norms = series(400), norm_series(400)
    found = run(GradNorm(alpha, learning_rate=0.01, first_steps=1), losses, norms)
    for ours, expected in zip(found, by_autograd(losses, norms, alpha, 0.01), strict=True):
        assert ours == pytest.approx(expected, rel=1e-9)


def test_first_step_by_hand():
    """Norms 1 and 3 and equal rates: the mean is 2, so a rises and b falls, by 10 %."""
    weighting = GradNorm(learning_rate=0.1)
    norms = [{"a": 1.0, "b": 3.0}] * 2
    weights = run(weighting, [{"a": 2.0, "b": 5.0}] * 2, norms)
    up, down = math.exp(0.1), math.exp(-0.1)
    assert weights[0] == {"a": 1.0, "b": 1.0}
    assert weights[1] == pytest.approx({"a": 2 * up / (up + down), "b": 2 * down / (up + down)}, rel=1e-12)


def test_relative_rates_average_one():
    """Halved and quartered: 1/2 and 1/4 over their mean 3/8."""
    assert relative_rates({"a": 2.0, "b": 1.0}, {"a": 4.0, "b": 4.0}) == pytest.approx(
        {"a": 4 / 3, "b": 2 / 3}
    )
    assert relative_rates({"a": 0.0, "b": 0.0}, {"a": 4.0, "b": 0.0}) == {"a": 0.0, "b": 2.0}
    assert relative_rates({"a": 0.0, "b": 0.0}, {"a": 4.0, "b": 4.0}) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_losses_that_fall_alike_end_with_equal_weighted_norms(alpha):
    norms = {"a": 0.2, "b": 1.0, "c": 5.0}
    losses = [{"a": 4 * fall, "b": fall, "c": 9 * fall} for fall in np.linspace(1, 0.3, 4000).tolist()]
    weights = run(GradNorm(alpha, learning_rate=0.002, first_steps=1), losses, [norms] * 4000)[-1]
    expected = {name: 3 / norm / sum(1 / other for other in norms.values()) for name, norm in norms.items()}
    assert weights == pytest.approx(expected, rel=0.005)


def test_the_slower_term_has_the_larger_gradient_in_the_papers_proportion():
    """With alpha 1 the targets G r can be met: norms 3 and 1, rates 4/3 and 2/3, so w is as 4/9 to 2/3."""
    losses = [{"slow": 4.0, "fast": 4.0}] + [{"slow": 2.0, "fast": 1.0}] * 3000
    norms = [{"slow": 3.0, "fast": 1.0}] * 3001
    weights = run(GradNorm(alpha=1.0, learning_rate=0.001, first_steps=1), losses, norms)[-1]
    assert weights == pytest.approx({"slow": 0.8, "fast": 1.2}, rel=0.003)


def test_by_default_the_slower_term_gains_and_weights_are_equal_again_when_it_has_caught_up():
    norms = [{"slow": 1.0, "fast": 1.0}] * 1000
    falling = [{"slow": 4.0 - 0.002 * t, "fast": 4.0 - 0.006 * t} for t in range(500)]
    weighting = GradNorm()
    weights = run(weighting, falling, norms[:500])
    assert weights[-1]["slow"] > 1.3
    assert 0 < weights[-1]["fast"] < 0.7
    weights = run(weighting, [{"slow": 1.0, "fast": 1.0}] * 500, norms[500:])
    assert weights[-1] == pytest.approx({"slow": 1.0, "fast": 1.0}, abs=0.06)


def test_targets_that_cannot_be_met_let_the_weights_stand_still():
    """Rates 1.8 and 0.2: the slow term's target 1.8^1.5 G is above 2 G, all there is."""
    losses = [{"slow": 1.0, "fast": 1.0}] + [{"slow": 0.9, "fast": 0.1}] * 3000
    weights = run(GradNorm(first_steps=1), losses, [{"slow": 1.0, "fast": 1.0}] * 3001)
    assert weights[-1]["fast"] == pytest.approx(0.2**1.5, rel=0.05)
    assert weights[-1] == pytest.approx(weights[-500], rel=1e-9)


def test_the_first_loss_is_the_mean_of_the_first_steps_and_does_not_change_after():
    weighting = GradNorm(first_steps=3)
    run(weighting, [{"a": float(a)} for a in (1, 2, 6, 100, 100)], [{"a": 1.0}] * 5)
    assert weighting.state["first"] == {"a": pytest.approx(3.0, rel=1e-15)}


def test_units_do_not_matter():
    losses, norms = series(500), norm_series(500)
    scaled = [{"intra": 1e3 * step["intra"], "cross": 1e-3 * step["cross"]} for step in losses]
    expected = run(GradNorm(), losses, norms)
    for factor in (1e-6, 1e6):
        larger = [{name: factor * norm for name, norm in step.items()} for step in norms]
        for found, step in zip(run(GradNorm(), scaled, larger), expected, strict=True):
            assert found == pytest.approx(step, rel=1e-9)


numbers = st.floats(0, 1e300)


@settings(deadline=None, max_examples=50)
@given(
    steps=st.lists(st.tuples(numbers, numbers, numbers, numbers, numbers, numbers), min_size=1, max_size=8),
    repeats=st.sampled_from([1, 60]),
)
def test_weights_are_positive_and_sum_to_the_number_of_terms_whatever_comes(steps, repeats):
    losses = [dict(zip("abc", step[:3], strict=True)) for step in steps] * repeats
    norms = [dict(zip("abc", step[3:], strict=True)) for step in steps] * repeats
    for weights in run(GradNorm(learning_rate=0.5), losses, norms):
        assert sum(weights.values()) == pytest.approx(3)
        assert min(weights.values()) > 1e-4


def test_a_term_without_gradient_takes_what_it_can_and_the_others_keep_a_weight():
    weights = run(GradNorm(), [{"a": 1.0, "b": 1.0}] * 2000, [{"a": 0.0, "b": 1.0}] * 2000)[-1]
    assert weights["a"] == pytest.approx(2, abs=0.01)
    assert weights["b"] > 5e-4
    still = run(GradNorm(), [{"a": 1.0, "b": 1.0}] * 20, [{"a": 0.0, "b": 0.0}] * 20)
    assert still == [{"a": 1.0, "b": 1.0}] * 20


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": -1.0},
        {"alpha": math.nan},
        {"learning_rate": 0.0},
        {"learning_rate": 1.0},
        {"first_steps": 0},
    ],
)
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="expected alpha >= 0, learning_rate between 0 and 1"):
        GradNorm(**wrong)
