"""SoftAdapt against its equations: Heydari, Thompson & Mehmood 2019, arXiv 1912.12355."""

import math

import pytest
from loss_series import run, series

from adacross.errors import UserError
from adacross.losses.weighting import SoftAdapt

VARIANTS = [(False, False), (True, False), (False, True), (True, True)]


def slow_soft_adapt(
    losses: list[dict[str, float]], step: int, beta: float, period: int, normalized: bool, loss_weighted: bool
) -> dict[str, float]:
    """Weights of a step (from 0), from all losses before it, one equation after the other."""
    done = step // period  # finished periods
    if done < 2:
        return dict.fromkeys(losses[0], 1.0)
    terms = list(losses[0])
    means = [
        [
            sum(each[name] for each in losses[number * period : (number + 1) * period]) / period
            for name in terms
        ]
        for number in (done - 2, done - 1)
    ]
    rates = [now - past for past, now in zip(*means, strict=True)]
    if normalized:
        rates = [rate / sum(abs(other) for other in rates) for rate in rates]
    shares = [math.exp(beta * rate) for rate in rates]
    if loss_weighted:
        shares = [share * loss for share, loss in zip(shares, means[1], strict=True)]
    return {name: len(terms) * share / sum(shares) for name, share in zip(terms, shares, strict=True)}


@pytest.mark.parametrize(("normalized", "loss_weighted"), VARIANTS)
@pytest.mark.parametrize(("beta", "period"), [(0.1, 1), (2.0, 7), (-1.0, 30)])
def test_weights_are_the_equations(normalized: bool, loss_weighted: bool, beta: float, period: int):
    losses = series(95)
    found = run(SoftAdapt(beta, period, normalized, loss_weighted), losses)
    for step, weights in enumerate(found):
        expected = slow_soft_adapt(losses, step, beta, period, normalized, loss_weighted)
        assert weights == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("normalized", "loss_weighted"), VARIANTS)
def test_weights_sum_to_the_number_of_terms(normalized: bool, loss_weighted: bool):
    for weights in run(SoftAdapt(5.0, 3, normalized, loss_weighted), series(60)):
        assert sum(weights.values()) == pytest.approx(2)
        assert min(weights.values()) >= 0


def test_the_term_that_falls_more_slowly_weighs_more():
    losses = [{"fast": 5.0 - 0.1 * step, "slow": 5.0 - 0.01 * step} for step in range(40)]
    last = run(SoftAdapt(period=10, normalized=True), losses)[-1]
    assert last["slow"] > 1 > last["fast"]
    assert run(SoftAdapt(-0.1, period=10), losses)[-1]["fast"] > 1


def test_normalized_weights_have_no_unit():
    losses = series(50)
    scaled = [{name: 1000 * loss for name, loss in step.items()} for step in losses]
    for one, other in zip(
        run(SoftAdapt(period=5, normalized=True), losses),
        run(SoftAdapt(period=5, normalized=True), scaled),
        strict=True,
    ):
        assert one == pytest.approx(other, rel=1e-9)


def test_extremes_and_losses_that_stand_still():
    still = [{"a": 0.0, "b": 0.0}] * 4
    assert run(SoftAdapt(period=1, normalized=True, loss_weighted=True), still) == [{"a": 1.0, "b": 1.0}] * 4
    jump = [{"a": 0.0, "b": 1e9}, {"a": 1e9, "b": 0.0}, {"a": 0.0, "b": 0.0}]
    assert run(SoftAdapt(period=1), jump)[-1] == {"a": 2.0, "b": 0.0}


def test_what_is_refused():
    for wrong in ({"period": 0}, {"beta": math.inf}):
        with pytest.raises(UserError, match="expected a finite beta and a period of at least 1"):
            SoftAdapt(**wrong)
    weighting = SoftAdapt(loss_weighted=True)
    with pytest.raises(UserError, match="needs values of 0 or more"):
        weighting.update({"a": -1.0, "b": 1.0})
    assert SoftAdapt().update({"a": -1.0, "b": 1.0}) == {"a": 1.0, "b": 1.0}
