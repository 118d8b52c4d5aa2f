"""Supervised training, shared by all protocols that fine-tune: deterministic, and it can be interrupted."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from rich.progress import Progress
from torch import Generator, Tensor, nn

from adacross.console import progress_bar
from adacross.distributed.device import find_device
from adacross.encoders import Encoder, PointM2AE
from adacross.errors import UserError, one_line
from adacross.evaluation.driver import Bench
from adacross.evaluation.result import PRETRAINED, Paper
from adacross.training.checkpoint import load_checkpoint, save_state
from adacross.training.config import Optimizer
from adacross.training.interrupt import Interrupted, stop_request
from adacross.training.loader import step_seed
from adacross.training.optim import make_optimizer

KEPT_EVERY = 120  # seconds between two checkpoints

R = TypeVar("R")
T = TypeVar("T", bound="FineTuning")
Loss = Callable[[Int64[Tensor, " b"], Generator], Float[Tensor, ""]]


@dataclass(frozen=True)
class Schedule:
    """Optimizer, learning rates and epochs of a training."""

    epochs: int  # passes over the training samples
    least_steps: int = 0  # minimum of optimizer steps; with few samples there are more epochs
    # samples per step; batches of an epoch differ by one at most, so none is a single sample
    batch_size: int = 32
    optimizer: Optimizer = "sgd"  # "sgd" (momentum 0.9), "adam" or "adamw"
    learning_rate: float = 0.1  # peak learning rate
    last_rate: float = 0.001  # learning rate at which a cosine decay over all steps ends
    # shares of all steps after which the rate falls to a tenth, instead of decay and warm-up
    drops: tuple[float, ...] = ()
    weight_decay: float = 1e-4  # of the optimizer
    warmup: int = 0  # epochs of linear warm-up
    label_smoothing: float = 0.2  # of the cross-entropy
    clip: float | None = None  # largest norm of the gradients; None for any

    def steps_per_epoch(self, count: int) -> int:
        """Return the optimizer steps of one pass over `count` samples."""
        return max(1, math.ceil(count / self.batch_size))

    def all_epochs(self, count: int) -> int:
        """Return the passes over `count` samples: `epochs`, or as many as `least_steps` needs."""
        return max(self.epochs, math.ceil(self.least_steps / self.steps_per_epoch(count)))

    def changed(
        self, epochs: int | None = None, batch_size: int | None = None, learning_rate: float | None = None
    ) -> "Schedule":
        """Return this schedule with the values that are given.

        With `epochs` there are exactly as many; the last rate keeps its share of the peak.

        Raises:
            UserError: a number that is not above 0.
        """
        given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
        for name, value in given.items():
            if value is not None and value <= 0:
                raise UserError(f"{name} is {value}; expected above 0.")
        rate = learning_rate or self.learning_rate
        return replace(
            self,
            epochs=epochs or self.epochs,
            least_steps=0 if epochs else self.least_steps,
            batch_size=batch_size or self.batch_size,
            learning_rate=rate,
            last_rate=rate * self.last_rate / self.learning_rate,
        )

    def rate(self, step: int, count: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        per_epoch = self.steps_per_epoch(count)
        rising, total = self.warmup * per_epoch, self.all_epochs(count) * per_epoch
        if self.drops:
            return self.learning_rate * 0.1 ** sum(step / total >= drop for drop in self.drops)
        if step < rising:
            return self.learning_rate * (step + 1) / (rising + 1)
        done = (step - rising) / max(1, total - rising)
        return self.last_rate + (self.learning_rate - self.last_rate) * (1 + math.cos(math.pi * done)) / 2

    def __str__(self) -> str:
        """Return the settings in a phrase."""
        least = f" (at least {self.least_steps} steps)" if self.least_steps else ""
        end = ", constant" if self.last_rate == self.learning_rate else f" to {self.last_rate:g}"
        return (
            f"{self.optimizer} {self.learning_rate:g}{end}, {self.epochs} epochs{least}, batch "
            f"{self.batch_size}, label smoothing {self.label_smoothing:g}"
        )


@dataclass(frozen=True)
class FineTuning:
    """Settings of fine-tuning an encoder and a head. Abstract."""

    schedule: Schedule  # optimizer, learning rates, epochs
    points: int = 1024  # points per cloud; the first ones are tested on
    # of a Point-M2AE's attention while fine-tuning; None: as it was pre-trained
    radii: tuple[float, ...] | None = None

    @classmethod
    def chosen(
        cls: type[T],
        bench: Bench,
        default: T,
        presets: Mapping[Paper, T],
        paper: Paper | None,
        points: int | None = None,
        **schedule: Any,
    ) -> T:
        """Return a paper's settings, or the default, with what else was given put over them.

        `schedule` is for `Schedule.changed`. A paper without this experiment is a `UserError`.
        """
        if paper and paper not in presets:
            raise UserError(f"{paper} has no preset for this experiment; --as knows {', '.join(presets)}.")
        usual = presets[paper] if paper else default
        count = min(usual.points, bench.collection.info.points) if points is None else points
        return replace(usual, schedule=usual.schedule.changed(**schedule), points=bench.points(count))

    def prepared(self, encoder: Encoder) -> Encoder:
        """Return a copy of an encoder to fine-tune, with these radii."""
        copied = copy.deepcopy(encoder)
        if isinstance(copied, PointM2AE) and self.radii:
            copied.radii = self.radii
        return copied.requires_grad_(True)


def fraction_of(labels: Int64[np.ndarray, " n"], fraction: float, seed: int) -> Int64[np.ndarray, " k"]:
    """Return positions of a fraction of labeled shapes: of each class, at least one shape of it.

    A smaller fraction's shapes are among a larger one's of the same seed.

    Example:
        >>> fraction_of(np.array([0, 0, 0, 0, 1, 1]), 0.5, seed=0).shape
        (3,)
    """
    order = np.random.default_rng([seed, 5]).permutation(len(labels))
    chosen = []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen.append(members[: max(1, round(fraction * len(members)))])
    return np.sort(np.concatenate(chosen))


def label_fractions(given: Sequence[float] | None, usual: Sequence[float]) -> dict[str, float]:
    """Return fractions of the labels, above 0 and up to 1, by name, such as {"10 %": 0.1}, ascending."""
    fractions = sorted(set(usual if given is None else given))
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise UserError(f"fractions are {fractions}; expected some above 0, up to 1.")
    return {f"{100 * fraction:g} %": fraction for fraction in fractions}


def notes_on_labels(labeled: Mapping[str, int], repetitions: int) -> list[str]:
    """Return notes on the numbers of labeled shapes, by name of their fraction, and on repetitions."""
    counts = ", ".join(f"{number:,} at {setting}" for setting, number in labeled.items())
    return [
        f"labeled shapes: {counts}",
        f"{repetitions} repetitions, each with other labeled shapes (below 100 %), order and head; those of "
        "one network are averaged per test shape",
    ]


def both_starts(
    bench: Bench, seeds: int, what: str, measure: Callable[[Encoder, int, str, Progress], R]
) -> Iterator[tuple[str, list[int], list[R]]]:
    """Fine-tune pre-trained encoders, then as many with newly drawn weights, at least one of each a seed.

    `measure` fine-tunes a copy of an encoder by a seed; its text names the piece, which learns from `what`.
    Yields the kind of network, which network each repetition measured (see `Score`), and its results.
    """
    with progress_bar("steps") as progress:
        for network, turns in bench.turns(seeds).items():
            measured = []
            for seed, turn in enumerate(turns):
                encoder = bench.encoders[turn] if network == PRETRAINED else bench.untrained(seed)
                measured.append(measure(encoder, seed, f"{what}, {network}, seed {seed}", progress))
            yield network, turns, measured


def fit(
    network: nn.Module,
    count: int,
    loss: Loss,
    schedule: Schedule,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
    note: str = "training",
    checkpoint: Path | None = None,
) -> list[float]:
    """Train a network on `count` samples; the last step is the result, nothing is selected.

    Order, augmentation and dropout are functions of (seed, step). Ctrl-C or SIGTERM stops after a step; with
    a `checkpoint` the same call then continues, to the same weights.

    Args:
        network: moved to `device`, in training mode afterwards.
        count: number of training samples.
        loss: of the samples with the given indices `(b,)` (on the CPU); the generator on `device` is its only
            source of randomness besides dropout.
        schedule: optimizer, rates, epochs.
        seed: of everything that is drawn.
        device: where to train.
        progress: a bar to which this training is added, with `note` as its description.
        note: names the training.
        checkpoint: file of the state, written every two minutes and on interruption; deleted at the end.

    Returns:
        The mean loss of every epoch.

    Raises:
        UserError: fewer than 2 samples, or a loss that is not finite.
        Interrupted: Ctrl-C or SIGTERM.
    """
    if count < 2:
        raise UserError(f"{count} training samples; expected at least 2. Give more labels.")
    target = find_device(device)
    network.to(target).train()
    optimizer = make_optimizer(schedule.optimizer, network, schedule.learning_rate, schedule.weight_decay)
    per_epoch, epochs = schedule.steps_per_epoch(count), schedule.all_epochs(count)
    losses = _restore(checkpoint, network, optimizer)
    total, kept = epochs * per_epoch, time.monotonic()
    progress = progress or Progress(disable=True)
    bar = progress.add_task(note, total=total, completed=len(losses), note="")
    with torch.random.fork_rng([target] if target.type == "cuda" else []), stop_request() as stop:
        for step in range(len(losses), total):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step, count)
            epoch, place = divmod(step, per_epoch)
            order = np.random.default_rng([seed, 3, epoch]).permutation(count)
            batch = torch.from_numpy(np.array_split(order, per_epoch)[place])
            drawn = step_seed(seed, step)
            torch.manual_seed(drawn)  # of dropout
            value = loss(batch, Generator(target).manual_seed(drawn))
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            if schedule.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
            optimizer.step()
            losses.append(value.item())
            if not math.isfinite(losses[-1]):
                raise UserError(f"the loss became {losses[-1]} at step {step}. Lower the learning rate.")
            progress.update(bar, completed=step + 1, note=f"loss {losses[-1]:.3f}")
            if checkpoint and (stop or time.monotonic() - kept > KEPT_EVERY):
                state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
                save_state(checkpoint, state | {"losses": losses})
                kept = time.monotonic()
            if stop and step + 1 < total:
                done = f"stopped in {note}, at step {step + 1} of {total}."
                raise Interrupted(f"{done} Run the same command again to go on." if checkpoint else done)
    progress.remove_task(bar)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    return [float(np.mean(part)) for part in np.split(np.array(losses), epochs)]


def _restore(checkpoint: Path | None, network: nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
    """Load network and optimizer from a checkpoint if there is one; return the losses of the steps done."""
    if checkpoint is None or not checkpoint.is_file():
        return []
    state = load_checkpoint(checkpoint)
    try:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        return [float(loss) for loss in state["losses"]]
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = one_line(error, 200)
        raise UserError(f"{checkpoint} does not fit ({reason}). Delete it to train again.") from error
