"""Uncertainty: Kendall, Gal & Cipolla 2018, arXiv 1705.07115; Adam: Kingma & Ba 2015, arXiv 1412.6980."""

import math

import numpy as np
import pytest
import torch
from loss_series import run, series

from adacross.errors import UserError
from adacross.losses.weighting import Uncertainty


def learnt_by_torch(losses, learning_rate):
    """The total with autograd and torch's Adam: slow, and without our formulas."""
    s = torch.zeros(len(losses[0]), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([s], lr=learning_rate)
    weights = []
    for step in losses:
        weights.append(dict(zip(step, torch.exp(-s).tolist(), strict=True)))
        total = (torch.exp(-s) * torch.tensor(list(step.values()), dtype=torch.float64) + s / 2).sum()
        adam.zero_grad()
        total.backward()
        adam.step()
    return weights


@pytest.mark.parametrize("learning_rate", [0.001, 0.01, 0.3])
def test_is_the_papers_total_minimised_by_adam(learning_rate):
    losses = series(400)
    for found, expected in zip(
        run(Uncertainty(learning_rate), losses), learnt_by_torch(losses, learning_rate), strict=True
    ):
        assert found == pytest.approx(expected, rel=1e-10)


def test_constant_losses_end_with_equal_contributions():
    """The gradient 1/2 - exp(-s) L is 0 at weight 1 / (2 L)."""
    losses = {"intra": 4.0, "cross": 0.25, "third": 30.0}
    weights = run(Uncertainty(), [losses] * 6000)
    assert weights[0] == dict.fromkeys(losses, 1.0)
    assert weights[-1] == pytest.approx({name: 1 / (2 * loss) for name, loss in losses.items()}, rel=1e-4)


def test_weights_follow_a_loss_that_falls():
    losses = [{"a": 1 + 3 * math.exp(-t / 1500)} for t in range(8000)]
    weights = run(Uncertainty(), losses)
    for t in (2000, 4000, 7999):
        assert weights[t]["a"] * losses[t]["a"] == pytest.approx(0.5, rel=0.05)


def test_the_default_learning_rate_is_as_quick_and_as_quiet_as_it_says():
    constant = np.array([step["a"] for step in run(Uncertainty(), [{"a": 4.0}] * 3000)])
    assert np.all(np.abs(8 * constant[700:] - 1) < 0.05)
    assert 8 * constant[500] > 1.05, "700 steps are not generous"
    noisy = 4 + np.random.default_rng(0).normal(0, 0.04 * 4, 12000)
    weights = np.array([step["a"] for step in run(Uncertainty(), [{"a": float(a)} for a in noisy])])
    assert 0.01 < weights[4000:].std() / weights[4000:].mean() < 0.02


def test_terms_do_not_know_each_other():
    losses = series(300)
    alone = run(Uncertainty(), [{"intra": step["intra"]} for step in losses])
    together = run(Uncertainty(), losses)
    assert [step["intra"] for step in together] == [step["intra"] for step in alone]


def test_a_loss_at_zero_or_huge_leaves_everything_finite():
    weighting = Uncertainty(learning_rate=1.0)
    losses = [{"nil": 0.0, "huge": 1e300}, {"nil": 0.0, "huge": 1.0}] * 40
    weights = run(weighting, losses)
    assert weights[-1]["nil"] == pytest.approx(math.exp(20))
    numbers = [number for values in weighting.state_dict().values() for number in values.values()]
    assert all(map(math.isfinite, numbers + [weight for step in weights for weight in step.values()]))
    assert all(weight > 0 for step in weights for weight in step.values())


@pytest.mark.parametrize("wrong", [0.0, -0.1, math.nan, math.inf])
def test_a_learning_rate_that_is_not_positive_is_refused(wrong):
    with pytest.raises(UserError, match=f"learning_rate is {wrong}; expected a positive number"):
        Uncertainty(wrong)
