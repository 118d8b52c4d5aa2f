"""Curves over training: losses, weights, monitor, learning rate."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, Int64

from adacross.report.figures import Series, line_chart
from adacross.report.page import Section, missing, section
from adacross.report.run import RunData

_MONITOR = {
    "probe_accuracy": "probe accuracy",
    "untrained_accuracy": "probe accuracy, untrained encoder",
    "recall_at_1": "recall@1",
}


def training(run: RunData) -> Section:
    """Return four small figures over steps."""
    log = run.log
    if not len(log.steps):
        return missing("training", "Training", "The log has no steps yet.", run.train("--resume", "auto"))
    total = {"weighted total": log.values["loss"]} if len(log.terms) != 1 else {}
    monitor = _series(log.monitor_steps, {_MONITOR[name]: values for name, values in log.monitor.items()})
    charts = {
        "Loss terms": line_chart("Loss terms", _series(log.steps, total | log.terms), smooth=True),
        "Loss weights": line_chart("Loss weights", _series(log.steps, log.weights)),
        "Monitor": line_chart("Monitor on held-out training shapes", list(map(_level, monitor)), share=True),
        "Learning rate": line_chart("Learning rate", _series(log.steps, {"learning rate": log.values["lr"]})),
    }
    return section("training", "Training", charts=charts)


def _series(steps: Int64[np.ndarray, " S"], values: Mapping[str, Float64[np.ndarray, " S"]]) -> list[Series]:
    return [Series(name, steps.astype(np.float64), column) for name, column in values.items()]


def _level(one: Series) -> Series:
    """Return a value that was measured once, such as the untrained encoder's, as a level line."""
    known = one.y[np.isfinite(one.y)]
    return Series(one.name, one.x, np.full_like(one.y, known[0])) if len(known) == 1 else one
