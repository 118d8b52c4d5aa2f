"""The loop itself: steps, log, monitor, checkpoints."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress, TaskID

from adacross.console import console, progress_bar
from adacross.data.transforms.batch import RawBatch
from adacross.distributed.group import Group
from adacross.errors import UserError, one_line
from adacross.losses.weighting import Weighting
from adacross.methods import Method
from adacross.training.checkpoint import checkpoints, save_checkpoint
from adacross.training.config import PretrainConfig
from adacross.training.identity import Identity
from adacross.training.interrupt import stop_request
from adacross.training.loader import Loader
from adacross.training.log import Log
from adacross.training.monitor import Monitor
from adacross.training.nonfinite import (
    NotFiniteError,
    explained,
    finite_gradients,
    finite_norms,
    finite_values,
    keep_step,
)
from adacross.training.schedule import learning_rate
from adacross.training.selection import BestOnTest
from adacross.training.step import gradient_norms, loss_terms, moved


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, has saved itself, and says how to continue."""


@dataclass
class Training:
    """A run in progress: what is trained, with what, and how far it is."""

    config: PretrainConfig
    run: Path
    group: Group
    method: Method
    optimizer: torch.optim.Optimizer
    weighting: Weighting
    loader: Loader
    monitor: Monitor
    best: BestOnTest | None = None
    step: int = 0
    identity: Identity | None = None

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs; order and augmentation follow from seed and step."""
        return {
            "step": self.step,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "weighting": self.weighting.state_dict(),
            "best": None if self.best is None else self.best.best,
            "identity": None if self.identity is None else self.identity.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`.

        Raises:
            UserError: it does not fit the networks and the optimizer.
        """
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

    def save(self, log: Log) -> None:
        """Write a checkpoint, once the log up to it is on the disk.

        Raises:
            UserError: the disk is full, or has become read-only; says what there is to continue from.
        """
        log.settle()
        try:
            save_checkpoint(self.run, self.step, self.state())
        except UserError as error:
            kept = checkpoints(self.run)
            told = f"{kept[-1].name} is kept: then continue with --resume auto." if kept else ""
            raise UserError(f"{error} {told}".strip()) from error

    def go(self) -> None:
        """Train to the last step.

        Raises:
            Interrupted: asked to stop by Ctrl-C or SIGTERM, after saving a checkpoint.
            UserError: a loss or gradient that is not finite, a disk that is full.
        """
        total = self.config.epochs * self.loader.steps_per_epoch
        device = self.group.device
        seeded = torch.random.fork_rng([device] if device.type == "cuda" else [])  # steps seed it, see _step
        log = Log(self.run, self.step) if self.group.first else None
        try:
            with seeded, stop_request() as stop, progress_bar("steps") as progress:
                task = progress.add_task("pre-training", total=total, completed=self.step, note="")
                began = time.perf_counter()
                for raw in self.loader.batches(self.step, total):
                    record = self._step(raw)
                    record["shapes_per_second"] = self.config.batch_size / (time.perf_counter() - began)
                    began = time.perf_counter()
                    if log is not None:
                        self._after(log, record, progress, task)
                    if self.step % self.loader.steps_per_epoch == 0:
                        self.group.wait()  # for the first process, which measures and saves
                    if self.group.any(bool(stop)) and self.step < total:
                        if log is not None:
                            self.save(log)
                        self.group.wait()
                        raise Interrupted(
                            f"stopped after step {self.step} of {total}; everything is saved in {self.run}. "
                            "Continue with the same command and --resume auto."
                        )
        except NotFiniteError as error:
            if self.group.first:
                keep_step(self.run, self.method, self.loader, self.config, error)
            self.group.wait()
            raise explained(self.run, error, self.config) from error
        finally:
            if log is not None:
                log.close()
        if self.best is not None and self.group.first:
            self.best.restore(self.method)

    def _step(self, raw: RawBatch) -> dict[str, Any]:
        config, group, optimizer = self.config, self.group, self.optimizer
        rate = learning_rate(
            config.schedule,
            config.learning_rate,
            self.step,
            self.loader.steps_per_epoch,
            config.epochs,
            round(config.warmup * self.loader.steps_per_epoch),
        )
        for options in optimizer.param_groups:
            options["lr"] = rate
        compute = partial(loss_terms, self.method, moved(raw, group.device), config, self.step, group)
        terms = compute()
        values = finite_values(group.totals(terms), self.step)
        norms = None
        if self.weighting.needs_gradient_norms:
            norms = gradient_norms(terms, self.method.shared_parameters(), group)
            finite_norms(norms, values, self.step)
        weights = self.weighting.update(values, norms)
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        group.add_gradients(self.method)
        finite_gradients(self.method, compute, group, values, weights, self.step)
        optimizer.step()
        self.step += 1
        return {
            "kind": "step",
            "step": self.step,
            "epoch": self.step / self.loader.steps_per_epoch,
            "loss": sum(weights[name] * values[name] for name in values),
            "terms": values,
            "weights": weights,
            "lr": rate,
        }

    def _after(self, log: Log, record: dict[str, Any], progress: Progress, task: TaskID) -> None:
        """Log, show, look and save what is due after a step."""
        log.write(record)
        progress.update(task, completed=self.step, note=_note(record))
        epoch, position = divmod(self.step, self.loader.steps_per_epoch)
        if position:
            return
        config, last = self.config, epoch == self.config.epochs
        if config.monitor_every and (last or epoch % config.monitor_every == 0):
            seen = self.monitor.look(self.method)
            if seen:
                log.write({"kind": "monitor", "step": self.step, "epoch": float(epoch), **seen})
            figures = (f"{name.replace('_', ' ')} {100 * value:.1f} %" for name, value in seen.items())
            losses = (f"{name} {value:.3f}" for name, value in record["terms"].items())
            console.print(f"epoch {epoch}/{config.epochs} ", *losses, *figures)
        if self.best is not None:
            accuracy = self.best.look(self.method)
            log.write(
                {"kind": "selection", "step": self.step, "epoch": float(epoch), "test_accuracy": accuracy}
            )
        if last or epoch % config.checkpoint_every == 0:
            self.save(log)


def _note(record: dict[str, Any]) -> str:
    """What the progress bar says of a step: every term with its weight, and the speed."""
    terms = (f"{name} {value:.2f}×{record['weights'][name]:.2f}" for name, value in record["terms"].items())
    return "  ".join([*terms, f"{record['shapes_per_second']:.0f} shapes/s"])
