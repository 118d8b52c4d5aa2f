"""Learning-rate schedules against torch's own and against closed forms."""

import pytest
import torch

from adacross.training.optim import learning_rate


def torch_cosine(half_period: int, steps: int, stepped_first: bool = False) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, half_period)
    rates = []
    for _ in range(steps):
        optimizer.step()
        if stepped_first:
            scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
        if not stepped_first:
            scheduler.step()
    return rates


def test_cosine_runs_from_base_to_zero_once():
    rates = [learning_rate("cosine", 0.1, step, 10, 5) for step in range(51)]
    assert rates[:50] == pytest.approx(torch_cosine(50, 50))
    assert rates[50] == pytest.approx(0)
    assert rates == sorted(rates, reverse=True)


def test_epoch_is_stepped_before_each_epoch_and_ends_at_zero():
    rates = [learning_rate("epoch", 0.1, epoch * 7, 7, 20) for epoch in range(20)]
    assert rates == pytest.approx(torch_cosine(20, 20, stepped_first=True), abs=1e-12)
    assert learning_rate("epoch", 0.1, 7 * 3 + 6, 7, 20) == rates[3]
    assert rates[0] < 0.1
    assert rates[-1] == 0


def test_released_swings_within_an_epoch_and_may_end_at_its_maximum():
    epochs, steps_per_epoch = 250, 1368
    rates = [learning_rate("released", 0.1, step, steps_per_epoch, epochs) for step in range(1000)]
    assert rates == pytest.approx(torch_cosine(epochs, 1000), abs=1e-9)
    assert rates[250] == pytest.approx(0)
    assert rates[500] == pytest.approx(0.1)
    assert learning_rate("released", 0.1, epochs * steps_per_epoch, steps_per_epoch, epochs) == pytest.approx(
        0.1
    )


def test_warmup_rises_then_the_rest_falls():
    rates = [learning_rate("cosine", 1.0, step, 10, 10, warmup=4) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert learning_rate("constant", 1.0, 99, 10, 10, warmup=4) == 1.0
