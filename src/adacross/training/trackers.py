"""Losses and metrics of a run, sent to TensorBoard, Weights & Biases or MLflow."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from adacross.errors import UserError, install, one_line
from adacross.training.config import Track
from adacross.training.log import flatten
from adacross.training.loop import Callback, Training

PROJECT = "adacross"  # of W&B, and the experiment of MLflow

Open = tuple[Callable[[Mapping[str, float], int], Any], Callable[[], Any]]  # log metrics at a step; close


class Tracker(Callback):
    """Send every step's record and the monitor's metrics to a tracker.

    TensorBoard's event files lie in the run's folder `tensorboard`. W&B and MLflow take address and key from
    their own environment variables. A resumed run goes on after the step that it resumes from.
    """

    def __init__(self, name: Track) -> None:
        if find_spec(name) is None:
            how = install("track") if name == "tensorboard" else f"Install it: pip install {name}"
            raise UserError(f"--track {name} needs the package {name}. {how}.")
        self.name = name
        self.opened: Open | None = None
        self.sent: Mapping[str, float] | None = None

    def on_start(self, training: Training) -> None:
        """Open the tracker and send the options."""
        if training.group.first:
            self.opened = _OPEN[self.name](training)

    def on_step(self, training: Training) -> None:
        """Send loss, terms, weights, learning rate and speed."""
        record = {name: value for name, value in training.record.items() if name not in ("kind", "step")}
        self._log(record, training)

    def on_epoch(self, training: Training) -> None:
        """Send the monitor's metrics after the epochs that it evaluated."""
        if training.metrics is not self.sent:
            self.sent = training.metrics
            self._log({"monitor": training.metrics}, training)

    def on_end(self, training: Training) -> None:
        """Close the tracker."""
        if self.opened:
            self.opened[1]()

    def _log(self, record: Mapping[str, Any], training: Training) -> None:
        if self.opened:
            values = {name.replace(".", "/"): float(value) for name, value in flatten(record).items()}
            self.opened[0](values, training.step)


def _tensorboard(training: Training) -> Open:
    from torch.utils.tensorboard import SummaryWriter

    # Events of later steps, from before an interruption, are hidden.
    writer = SummaryWriter(str(training.folder / "tensorboard"), purge_step=training.step + 1)
    for name, value in asdict(training.config).items():
        writer.add_text(f"options/{name}", str(value))

    def log(values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return log, writer.close


def _wandb(training: Training) -> Open:
    import wandb

    identity, config = training.identity["run"] if training.identity else None, asdict(training.config)
    run = wandb.init(project=PROJECT, id=identity, name=training.folder.name, config=config, resume="allow")
    return lambda values, step: run.log(dict(values), step=step), run.finish


def _mlflow(training: Training) -> Open:
    import mlflow

    try:
        mlflow.set_experiment(PROJECT)
        mlflow.start_run(run_name=training.folder.name)
        mlflow.log_params(asdict(training.config))
    except mlflow.MlflowException as error:
        raise UserError(
            f"--track mlflow does not work: {one_line(error)}. Set it up, or leave --track out."
        ) from error
    return lambda values, step: mlflow.log_metrics(dict(values), step=step), mlflow.end_run


_OPEN: dict[str, Callable[[Training], Open]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
