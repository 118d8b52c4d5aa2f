"""The loop itself: steps, log, monitor, checkpoints."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from rich.progress import Progress, TaskID
from torch import Tensor, nn

from adacross.console import console, progress_bar
from adacross.data.batch import RawBatch
from adacross.errors import UserError
from adacross.losses.weighting import Weighting
from adacross.methods import Method
from adacross.training.checkpoint import save_checkpoint
from adacross.training.config import PretrainConfig
from adacross.training.interrupt import stop_request
from adacross.training.loader import Loader
from adacross.training.log import Log
from adacross.training.monitor import Monitor
from adacross.training.schedule import learning_rate
from adacross.training.selection import BestOnTest


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, has saved itself, and says how to continue."""


def step_seed(seed: int, step: int) -> int:
    """The seed of one step's randomness: a function of seed and step, so that nothing needs saving."""
    drawn = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]
    return int(drawn >> np.uint64(1))


def moved(raw: RawBatch, device: torch.device) -> RawBatch:
    """A raw batch on another device."""
    return RawBatch(raw.points.to(device), None if raw.views is None else raw.views.to(device))


def gradient_norms(terms: dict[str, Tensor], parameters: list[nn.Parameter]) -> dict[str, float]:
    """Euclidean norm of each term's gradient with respect to `parameters`, taken together."""
    norms = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, parameters, retain_graph=True)
        norms[name] = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
    return norms


def finite_values(terms: dict[str, Tensor], step: int) -> dict[str, float]:
    """The terms as numbers.

    Raises:
        UserError: a term is not finite; says which and when.
    """
    values = {name: float(term.detach()) for name, term in terms.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise UserError(
                f"loss term {name!r} became {value} at step {step}. The last checkpoint is intact; "
                "lower learning_rate, raise temperature or use precision float32, and start again."
            )
    return values


@dataclass
class Training:
    """A run in progress: what is trained, with what, and how far it is."""

    config: PretrainConfig
    run: Path
    accelerator: Accelerator
    method: Method
    optimizer: torch.optim.Optimizer
    weighting: Weighting
    loader: Loader
    monitor: Monitor
    best: BestOnTest | None = None
    step: int = 0

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs; order and augmentation follow from seed and step."""
        return {
            "step": self.step,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "weighting": self.weighting.state_dict(),
            "best": None if self.best is None else self.best.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`."""
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.weighting.load_state_dict(state["weighting"])
        if self.best is not None:
            self.best.best = state["best"]
        self.step = state["step"]

    def save(self) -> None:
        """Write a checkpoint."""
        save_checkpoint(self.run, self.step, self.state())

    def go(self) -> None:
        """Train to the last step.

        Raises:
            Interrupted: asked to stop by Ctrl-C or SIGTERM, after saving a checkpoint.
            UserError: a loss that is not finite, a disk that is full.
        """
        total = self.config.epochs * self.loader.steps_per_epoch
        model, optimizer = self.accelerator.prepare(self.method, self.optimizer)
        device = self.accelerator.device
        seeded = torch.random.fork_rng([device] if device.type == "cuda" else [])  # steps seed it, see _step
        log = Log(self.run, self.step)
        try:
            with seeded, stop_request() as stop, progress_bar("steps") as progress:
                task = progress.add_task("pre-training", total=total, completed=self.step, note="")
                began = time.perf_counter()
                for raw in self.loader.batches(self.step, total):
                    record = self._step(model, optimizer, raw)
                    record["shapes_per_second"] = self.config.batch_size / (time.perf_counter() - began)
                    began = time.perf_counter()
                    self._after(log, record, progress, task)
                    if stop and self.step < total:
                        self.save()
                        raise Interrupted(
                            f"stopped after step {self.step} of {total}; everything is saved in {self.run}. "
                            "Continue with the same command and --resume auto."
                        )
        finally:
            log.close()
        if self.best is not None:
            self.best.restore(self.method)

    def _step(self, model: Method, optimizer: torch.optim.Optimizer, raw: RawBatch) -> dict[str, Any]:
        config = self.config
        rate = learning_rate(
            config.schedule,
            config.learning_rate,
            self.step,
            self.loader.steps_per_epoch,
            config.epochs,
            round(config.warmup * self.loader.steps_per_epoch),
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        device = self.accelerator.device
        seed = step_seed(config.seed, self.step)
        batch = self.method.batch(moved(raw, device), torch.Generator(device).manual_seed(seed))
        torch.manual_seed(seed)  # of what networks draw themselves: branches that are dropped
        model.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            terms = model(batch)
        values = finite_values(terms, self.step)
        norms = None
        if self.weighting.needs_gradient_norms:
            norms = gradient_norms(terms, self.method.shared_parameters())
        weights = self.weighting.update(values, norms)
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
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
            self.save()


def _note(record: dict[str, Any]) -> str:
    """What the progress bar says of a step: every term with its weight, and the speed."""
    terms = (f"{name} {value:.2f}×{record['weights'][name]:.2f}" for name, value in record["terms"].items())
    return "  ".join([*terms, f"{record['shapes_per_second']:.0f} shapes/s"])
