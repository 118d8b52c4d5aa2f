"""The training loop: steps, log, monitor, checkpoints, callbacks."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress, TaskID
from torch import Tensor, nn

from adacross.console import console, progress_bar
from adacross.data.transforms import RawBatch
from adacross.distributed.group import ProcessGroup
from adacross.errors import UserError, one_line
from adacross.losses.weighting import Weighting
from adacross.methods import Method
from adacross.ops.precision import rounded_products
from adacross.training.as_released import BestOnTest
from adacross.training.checkpoint import checkpoints, save_checkpoint
from adacross.training.config import PretrainConfig
from adacross.training.interrupt import Interrupted, stop_request
from adacross.training.loader import BatchLoader, step_seed
from adacross.training.log import Log
from adacross.training.monitor import Monitor
from adacross.training.nonfinite import (
    NotFiniteError,
    dump_step,
    explained,
    finite_gradients,
    finite_norms,
    finite_values,
)
from adacross.training.optim import learning_rate


class Callback:
    """Functions that are called while a run trains. Derive from it and override some of them.

    In several processes each of them calls its own instance after the same steps; write files where
    `training.group.first` only. Nothing of a callback is in the checkpoints.

    Example:
        >>> class Stale(Callback):
        ...     best = 0.0
        ...     def on_epoch(self, training):
        ...         accuracy = training.metrics.get("probe_accuracy", 0.0)
        ...         if accuracy <= self.best:
        ...             print(f"step {training.step}: no better than {self.best:.3f}")
        ...         self.best = max(self.best, accuracy)
    """

    def on_start(self, training: "Training") -> None:
        """Run before the first step, of a resumed run too; `training.step` steps have been taken."""

    def on_step(self, training: "Training") -> None:
        """Run after each optimizer step; `training.record` holds its loss, terms, weights and rate."""

    def on_epoch(self, training: "Training") -> None:
        """Run after each epoch; `training.metrics` holds the latest figures of the monitor."""

    def on_end(self, training: "Training") -> None:
        """Run when training ends, with the encoder saved; also if it was stopped or failed before that."""


@dataclass
class Training:
    """A run in progress, which callbacks are given."""

    config: PretrainConfig  # the options
    folder: Path  # the run folder
    group: ProcessGroup  # the processes; `group.first` is true in the one that writes
    method: Method  # the networks being trained, `method.encoder` among them
    optimizer: torch.optim.Optimizer  # of the method
    weighting: Weighting  # of the loss terms
    loader: BatchLoader  # of the batches
    monitor: Monitor  # of the encoder
    callbacks: Sequence[Callback] = ()  # called in this order
    best: BestOnTest | None = None  # the epoch that is kept, for `selection: released`
    identity: dict[str, Any] | None = None  # what checkpoints say of the run; in the first process only
    step: int = 0  # optimizer steps taken
    record: dict[str, Any] = field(default_factory=dict)  # the log's, of the last step: loss, terms, weights
    metrics: dict[str, float] = field(default_factory=dict)  # the monitor's latest; in the first process only

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.config.epochs * self.loader.steps_per_epoch

    def state(self) -> dict[str, Any]:
        """Return everything that a resumed run needs; order and augmentation follow from seed and step."""
        return {
            "step": self.step,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "weighting": self.weighting.state_dict(),
            "best": None if self.best is None else self.best.best,
            "identity": self.identity,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`; one that does not fit the networks and the optimizer is refused."""
        try:
            self.method.load_state_dict(state["method"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.weighting.load_state_dict(state["weighting"])
            if self.best is not None:
                self.best.best = state["best"]
            self.step = int(state["step"])
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = one_line(error, 200)
            raise UserError(
                f"the checkpoint does not fit the run ({type(error).__name__}: {reason}). Resume from "
                "another one, or start again with --overwrite."
            ) from error

    def call(self, event: str) -> None:
        """Call `on_<event>` of every callback."""
        for callback in self.callbacks:
            getattr(callback, f"on_{event}")(self)

    def fit(self) -> None:
        """Train to the last step; raise `Interrupted` if asked to stop, after saving a checkpoint."""
        device, each = self.group.device, self.config.accumulate
        seeded = torch.random.fork_rng([device] if device.type == "cuda" else [])  # steps seed it
        log = Log(self.folder, self.step) if self.group.first else None
        try:
            self.call("start")
            with seeded, stop_request() as stop, progress_bar("steps") as progress:
                task = progress.add_task("pre-training", total=self.steps, completed=self.step, note="")
                began = time.perf_counter()
                batches = self.loader.batches(self.step * each, self.steps * each)
                while self.step < self.steps:
                    self.record = self._step(list(islice(batches, each)))
                    seconds = time.perf_counter() - began
                    self.record["shapes_per_second"] = self.config.batch_size * each / seconds
                    began = time.perf_counter()
                    self._after(log, progress, task)
                    if self.group.any(bool(stop)) and self.step < self.steps:
                        if log is not None:
                            self._save(log)
                        self.group.wait()
                        raise Interrupted(
                            f"stopped after step {self.step} of {self.steps}; everything is saved in "
                            f"{self.folder}. Continue with the same command and --resume auto."
                        )
        except NotFiniteError as error:
            if self.group.first:
                dump_step(self.folder, self.method, self.loader, self.config, error)
            self.group.wait()
            raise explained(self.folder, error, self.config) from error
        finally:
            if log is not None:
                log.close()
        if self.best is not None and self.group.first:
            self.best.restore(self.method)

    def _step(self, batches: list[RawBatch]) -> dict[str, Any]:
        """Take an optimizer step on the mean of the batches' losses; return the log's record of it."""
        config, group, method, per_epoch = self.config, self.group, self.method, self.loader.steps_per_epoch
        warmup = round(config.warmup * per_epoch)
        rate = learning_rate(
            config.schedule, config.learning_rate, self.step, per_epoch, config.epochs, warmup
        )
        for options in self.optimizer.param_groups:
            options["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        first = self.step * len(batches)
        passes = [self._backward(raw, first + place, len(batches)) for place, raw in enumerate(batches)]
        group.add(each.grad for each in method.parameters() if each.grad is not None)
        again = [partial(self._terms, raw, first + place) for place, raw in enumerate(batches)]
        finite_gradients(method, again, group, passes, first)
        if config.clip_norm is None:
            norm = _norm([each.grad for each in method.parameters()])
        else:
            norm = float(nn.utils.clip_grad_norm_(method.parameters(), config.clip_norm))
        self.optimizer.step()
        self.step += 1
        values, weights = (_mean([each[kind] for each in passes]) for kind in (0, 1))
        loss = sum(w[name] * v[name] for v, w in passes for name in v) / len(passes)
        return {
            "kind": "step",
            "step": self.step,
            "epoch": self.step / per_epoch,
            "loss": loss,
            "terms": values,
            "weights": weights,
            "lr": rate,
            "gradient_norm": norm,
        }

    def _terms(self, raw: RawBatch, batch: int) -> dict[str, Tensor]:
        return loss_terms(self.method, to_device(raw, self.group.device), self.config, batch, self.group)

    def _backward(self, raw: RawBatch, batch: int, batches: int) -> tuple[dict[str, float], dict[str, float]]:
        """Add one batch's gradients, divided by the number of batches; return its terms and their weights."""
        terms = self._terms(raw, batch)
        values, norms = finite_values(self.group.totals(terms), batch), None
        with rounded_products(self.config.precision == "bf16"):
            if self.weighting.needs_gradient_norms:
                norms = gradient_norms(terms, self.method.shared_parameters(), self.group)
                finite_norms(norms, values, batch)
            weights = self.weighting.update(values, norms)
            loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
            (loss / batches).backward()
        return values, dict(weights)

    def _after(self, log: Log | None, progress: Progress, task: TaskID) -> None:
        """Log, show, evaluate and save what is due after a step, and run the callbacks."""
        if log is not None:
            log.write(self.record)
            progress.update(task, completed=self.step, note=_note(self.record))
        self.call("step")
        epoch, position = divmod(self.step, self.loader.steps_per_epoch)
        if position:
            return
        if log is not None:
            self._evaluate(log, epoch)
        self.call("epoch")
        if log is not None and (epoch == self.config.epochs or epoch % self.config.checkpoint_every == 0):
            self._save(log)
        self.group.wait()  # for the first process, which evaluates and saves

    def _evaluate(self, log: Log, epoch: int) -> None:
        config = self.config
        if config.monitor_every and (epoch == config.epochs or epoch % config.monitor_every == 0):
            first = epoch == min(config.monitor_every, config.epochs)
            self.metrics = self.monitor.evaluate(self.method, untrained=first)
            if self.metrics:
                log.write({"kind": "monitor", "step": self.step, "epoch": float(epoch), **self.metrics})
            figures = (f"{name.replace('_', ' ')} {100 * v:.1f} %" for name, v in self.metrics.items())
            losses = (f"{name} {value:.3f}" for name, value in self.record["terms"].items())
            console.print(f"epoch {epoch}/{config.epochs} ", *losses, *figures)
        if self.best is not None:
            record = {"kind": "selection", "step": self.step, "epoch": float(epoch)}
            log.write(record | {"test_accuracy": self.best.evaluate(self.method)})

    def _save(self, log: Log) -> None:
        """Write a checkpoint, once the log up to it is on the disk; an error says which one there is."""
        log.settle()
        try:
            save_checkpoint(self.folder, self.step, self.state(), self.config.keep_checkpoints)
        except UserError as error:
            kept = checkpoints(self.folder)
            told = f" {kept[-1].name} is kept: then continue with --resume auto." if kept else ""
            raise UserError(f"{error}{told}") from error


def loss_terms(
    method: Method, raw: RawBatch, config: PretrainConfig, batch: int, group: ProcessGroup
) -> dict[str, Tensor]:
    """Return a batch's loss terms with gradient, a function of weights, shapes, seed and batch number.

    `raw` is this process's part of the batch, on the group's device. Seeds torch's global generators.
    BatchNorm's running statistics move; no result depends on them.
    """
    device, seed = group.device, step_seed(config.seed, batch)
    method.train()
    with group.batch(config.batch_size, config.sync_batchnorm):
        made = method.batch(raw, torch.Generator(device).manual_seed(seed))
        torch.manual_seed(seed)  # of the networks' own random numbers, such as dropped paths
        half = config.precision == "bf16"
        with torch.autocast(device.type, torch.bfloat16, enabled=half), rounded_products(half):
            terms: dict[str, Tensor] = method(made)
    return terms


def gradient_norms(
    terms: dict[str, Tensor], parameters: list[nn.Parameter], group: ProcessGroup
) -> dict[str, float]:
    """Return the Euclidean norm of each term's gradient with respect to all of `parameters`."""
    norms = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, parameters, retain_graph=True)
        group.add(gradients)
        norms[name] = _norm(gradients)
    return norms


def to_device(raw: RawBatch, device: torch.device) -> RawBatch:
    """Return a raw batch on another device."""
    return RawBatch(raw.points.to(device), None if raw.views is None else raw.views.to(device))


def _norm(gradients: Sequence[Tensor | None]) -> float:
    """Return the Euclidean norm of all gradients together."""
    return float(torch.stack([gradient.norm() for gradient in gradients if gradient is not None]).norm())


def _mean(each: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(values[name] for values in each) / len(each) for name in each[0]}


def _note(record: dict[str, Any]) -> str:
    """Return the progress bar's text: every term with its weight, and the speed."""
    terms = (f"{name} {value:.2f}×{record['weights'][name]:.2f}" for name, value in record["terms"].items())
    return "  ".join([*terms, f"{record['shapes_per_second']:.0f} shapes/s"])
