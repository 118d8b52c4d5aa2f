"""The loop behind every fine-tuning: what it does is a function of the seed, and it can be interrupted."""

import math
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from adacross.errors import UserError
from adacross.evaluation.supervised import Schedule, fit
from adacross.training.interrupt import Interrupted

SAMPLES = torch.randn(23, 4, generator=torch.Generator().manual_seed(0))
TRUTH = SAMPLES @ torch.tensor([1.0, -2.0, 0.5, 3.0])


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 1))


def train(
    schedule: Schedule,
    net: nn.Module,
    seen: list[int] | None = None,
    stop_at: int = -1,
    keep: Path | None = None,
) -> list[float]:
    calls = 0

    def loss(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            signal.raise_signal(signal.SIGINT)
        if seen is not None:
            seen.extend(batch.tolist())
        noise = torch.randn(len(batch), 4, generator=generator)
        return (net(SAMPLES[batch] + 0.01 * noise)[:, 0] - TRUTH[batch]).square().mean()

    return fit(net, len(SAMPLES), loss, schedule, seed=5, checkpoint=keep)


SCHEDULE = Schedule(epochs=3, batch_size=8, optimizer="adam", learning_rate=0.01, last_rate=0.0)


def test_every_epoch_sees_every_sample_once_in_batches_that_differ_by_one_at_most():
    seen: list[int] = []
    losses = train(SCHEDULE, network(), seen)
    assert len(losses) == 3
    for epoch in range(3):
        assert sorted(seen[23 * epoch : 23 * (epoch + 1)]) == list(range(23))
    assert seen[:23] != seen[23:46]


def test_it_learns_and_the_same_seed_gives_the_same_weights():
    schedule = Schedule(epochs=60, batch_size=8, optimizer="adam", learning_rate=0.02, last_rate=0.0)
    first, second = network(), network()
    losses = train(schedule, first)
    train(schedule, second)
    assert losses[-1] < 0.1 * losses[0]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_interrupted_and_called_again_it_ends_with_the_weights_of_a_run_never_stopped(tmp_path: Path):
    whole, parted, kept = network(), network(), tmp_path / "piece.pt"
    losses = train(SCHEDULE, whole)
    with pytest.raises(Interrupted, match=r"at step 4 of 9\. Run the same command again"):
        train(SCHEDULE, parted, stop_at=4, keep=kept)
    fresh = network()
    assert train(SCHEDULE, fresh, keep=kept) == losses
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), fresh.parameters(), strict=True))
    assert not kept.exists()


def test_the_rate_rises_falls_along_half_a_cosine_and_ends_at_the_last_rate():
    schedule = Schedule(epochs=10, batch_size=8, learning_rate=0.1, last_rate=0.001, warmup=1)
    rates = [schedule.rate(step, 23) for step in range(31)]
    assert rates[:3] == pytest.approx([0.025, 0.05, 0.075])
    assert rates[3] == pytest.approx(0.1)
    middle = 3 + 27 / 3
    assert rates[int(middle)] == pytest.approx(0.001 + 0.099 * (1 + math.cos(math.pi / 3)) / 2)
    assert rates[30] == pytest.approx(0.001)


def test_few_samples_get_more_epochs():
    schedule = Schedule(epochs=2, batch_size=8, least_steps=50)
    assert schedule.all_epochs(4) == 50
    assert schedule.all_epochs(800) == 2


def test_one_sample_and_a_loss_that_is_not_finite_are_refused():
    with pytest.raises(UserError, match="expected at least 2"):
        fit(network(), 1, lambda batch, generator: torch.zeros(()), SCHEDULE, seed=0)
    net = network()
    with pytest.raises(UserError, match="the loss became nan at step 0"):
        fit(net, 8, lambda batch, generator: net(SAMPLES[batch]).sum() * math.nan, SCHEDULE, seed=0)


def test_the_rate_falls_in_steps_at_shares_of_all_epochs():
    schedule = Schedule(epochs=90, batch_size=8, learning_rate=0.05, drops=(60 / 90, 80 / 90))
    for shown in (schedule, schedule.changed(epochs=9)):
        unit = shown.epochs // 9 * 3  # steps in a ninth of the epochs
        rates = [shown.rate(step, 23) for step in range(9 * unit)]
        expected = [0.05] * 6 * unit + [0.005] * 2 * unit + [0.0005] * unit
        assert rates == pytest.approx(expected)
