"""A run: what pre-training returns, and what opens its folder again."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder, load
from adacross.errors import UserError
from adacross.evaluation import evaluate
from adacross.evaluation.result import Result
from adacross.features.sources import encoder_folder
from adacross.io.remote import is_address
from adacross.methods import Method
from adacross.report import write_report
from adacross.training.checkpoint import checkpoints
from adacross.training.config import PretrainConfig
from adacross.training.log import columns
from adacross.training.loop import Callback
from adacross.training.networks import load_method
from adacross.training.pretrain import pretrain as train

Columns = Mapping[str, Float[np.ndarray, " n"]]


class Run:
    """A pre-training run and its folder.

    Args:
        folder: as `adacross pretrain` or `adacross.pretrain` wrote it.

    Attributes:
        folder: of the run.
        config: its options.

    Raises:
        UserError: the folder is not a run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.config = PretrainConfig.load(self.folder)

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Open a run's folder."""
        return cls(folder)

    @property
    def log(self) -> Columns:
        """Columns of the log, a value a step: step, epoch, loss, lr, seconds, terms.<name>, ..."""
        return columns(self.folder / "log.jsonl", "step")

    @property
    def monitor(self) -> Columns:
        """Columns of the monitor, a value an evaluation: step, epoch, probe_accuracy, recall_at_1."""
        return columns(self.folder / "log.jsonl", "monitor")

    @property
    def checkpoints(self) -> list[Path]:
        """Checkpoint files, oldest first."""
        return checkpoints(self.folder)

    @cached_property
    def encoder(self) -> Encoder:
        """The pre-trained encoder, in evaluation mode, on the CPU."""
        return load(encoder_folder(self.folder))

    @cached_property
    def method(self) -> Method:
        """All networks of the pre-training method, in evaluation mode, on the CPU."""
        return load_method(self.folder)[0]

    def evaluate(
        self, task: str, collection: str | Path | Collection | None = None, **options: Any
    ) -> Result:
        """Measure the run's encoder by a protocol; see `adacross.evaluate`.

        Args:
            task: such as "linear", "few-shot" or "retrieval".
            collection: to evaluate on; the run's own by default.
            options: of the protocol.

        Returns:
            The result, which is also written into the run's folder `evaluation`.

        Raises:
            UserError: there is no such protocol, the run's own collection is behind an address, or as the
                protocol.
        """
        if collection is None:
            collection = self.config.collection
            if is_address(collection):
                raise UserError(
                    f"{self.folder} was trained on {collection}; an address that is read in a file is not "
                    "opened. Give it as `collection`, if you know and trust it."
                )
        return evaluate(task, self.folder, collection, **options)

    def report(self, **options: Any) -> Path:
        """Write the run's report; return its path. Options are those of `adacross.write_report`."""
        return write_report(self.folder, **options)

    def __repr__(self) -> str:
        config, log = self.config, self.log
        return (
            f"Run({str(self.folder)!r}: {config.method} with {config.encoder}, epoch "
            f"{log['epoch'][-1] if log else 0:g} of {config.epochs})"
        )

    def _repr_html_(self) -> str:
        log, monitor = self.log, self.monitor
        rows = {
            "run": self.folder,
            "method": f"{self.config.method}, {self.config.encoder}",
            "collection": self.config.collection,
            "epochs": f"{log['epoch'][-1] if log else 0:g} of {self.config.epochs}",
            **{name: f"{log[name][-1]:.3f}" for name in ("loss",) if name in log},
            **{
                name.replace("_", " "): f"{100 * monitor[name][-1]:.1f} %"
                for name in ("probe_accuracy", "recall_at_1")
                if name in monitor
            },
        }
        lines = (
            f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">'
            f"{escape(str(value))}</td></tr>"
            for name, value in rows.items()
        )
        return f"<table>{''.join(lines)}</table>"


def pretrain(
    collection: str | Path | Collection,
    recipe: str | Path | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> Run:
    """Pre-train an encoder on a collection.

    Args:
        collection: a prepared folder, the URL of one, or a `Collection`.
        recipe: a recipe's name or file; its options are changed by `options`.
        callbacks: objects that are called while training, see `Callback`.
        options: fields of `PretrainConfig`. `run` is `runs/<collection>-<method>-<encoder>-seed<seed>` by
            default.

    Returns:
        The run.

    Raises:
        UserError: options that do not exist or do not fit, a run folder that is taken, a loss that is not
            finite, a disk that is full.
        Interrupted: stopped by Ctrl-C or SIGTERM; a checkpoint has been saved.

    Example:
        run = adacross.pretrain("collections/parts", "adacrossnet_pointnet_laptop", epochs=12)
        run.log["loss"], run.encoder, run.evaluate("linear")
    """
    return Run(train(PretrainConfig.recipe(recipe, _place(collection), **options), callbacks))


def _place(collection: str | Path | Collection) -> str:
    return str(collection.folder if isinstance(collection, Collection) else collection)
