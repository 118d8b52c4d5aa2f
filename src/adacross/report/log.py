"""Curves of a run's log."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from adacross.training import log

Columns = dict[str, Float64[np.ndarray, " S"]]


@dataclass(frozen=True, eq=False)
class Log:
    """The curves of `log.jsonl`; NaN where a record lacks a value."""

    steps: Int64[np.ndarray, " S"]  # optimizer steps, rising
    values: Columns  # "epoch", "loss", "lr", "seconds", each `(S,)`
    terms: Columns  # every loss term, unweighted, `(S,)`
    weights: Columns  # every term's weight, `(S,)`
    monitor_steps: Int64[np.ndarray, " M"]
    # "probe_accuracy", "untrained_accuracy" and "recall_at_1", `(M,)`
    monitor: dict[str, Float64[np.ndarray, " M"]]


def read_log(folder: Path) -> Log:
    """Return the curves of a run's `log.jsonl`, empty where there is none.

    Raises:
        UserError: a line other than the last is damaged, or there are too many terms.
    """
    steps, monitor = (log.columns(folder / "log.jsonl", kind) for kind in ("step", "monitor"))

    def some(columns: Columns, *names: str) -> Columns:
        unknown = np.full_like(columns.get("step", np.zeros(0)), np.nan)
        return {name: columns.get(name, unknown) for name in names}

    def group(prefix: str) -> Columns:
        return {n.removeprefix(prefix): values for n, values in steps.items() if n.startswith(prefix)}

    return Log(
        steps=some(steps, "step")["step"].astype(np.int64),
        values=some(steps, "epoch", "loss", "lr", "seconds"),
        terms=group("terms."),
        weights=group("weights."),
        monitor_steps=some(monitor, "step")["step"].astype(np.int64),
        monitor=some(monitor, "probe_accuracy", "untrained_accuracy", "recall_at_1"),
    )
