"""Curves of a run's log."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from adacross.errors import UserError
from adacross.training import log

MOST_TERMS = 100  # of a loss, over all steps of a log: each is a curve with a point for every step

Columns = dict[str, Float64[np.ndarray, " S"]]


@dataclass(frozen=True, eq=False)
class Log:
    """The curves of `log.jsonl`; NaN where a record lacks a value.

    Attributes:
        steps: `(S,)` optimizer steps, rising.
        values: "epoch", "loss", "lr", "seconds", each `(S,)`.
        terms: every loss term, unweighted, `(S,)`.
        weights: every term's weight, `(S,)`.
        monitor_steps: `(M,)`.
        monitor: "probe_accuracy", "untrained_accuracy" and "recall_at_1", `(M,)`.
    """

    steps: Int64[np.ndarray, " S"]
    values: Columns
    terms: Columns
    weights: Columns
    monitor_steps: Int64[np.ndarray, " M"]
    monitor: dict[str, Float64[np.ndarray, " M"]]


def read_log(folder: Path) -> Log:
    """Return the curves of a run's `log.jsonl`, empty where there is none.

    A last line that was cut off is left out. Where a resumed run repeats steps, the later records count.

    Raises:
        UserError: another line is damaged, or there are too many terms.
    """
    path = folder / "log.jsonl"
    records = log.read_log(path)
    steps, monitor = (
        _last_pass([record for record in records if record["kind"] == kind]) for kind in ("step", "monitor")
    )
    terms, weights = ([_group(record, group) for record in steps] for group in ("terms", "weights"))
    count = max(len(_names(terms)), len(_names(weights)))
    if count > MOST_TERMS:
        raise UserError(f"{path} has {count:,} terms of the loss; expected at most {MOST_TERMS}.")
    return Log(
        steps=np.array([record["step"] for record in steps], dtype=np.int64),
        values=_columns(steps, ("epoch", "loss", "lr", "seconds")),
        terms=_columns(terms, _names(terms)),
        weights=_columns(weights, _names(weights)),
        monitor_steps=np.array([record["step"] for record in monitor], dtype=np.int64),
        monitor=_columns(monitor, ("probe_accuracy", "untrained_accuracy", "recall_at_1")),
    )


def _group(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a group of values in a record ("terms"), empty where there is none."""
    return record[name] if isinstance(record.get(name), dict) else {}


def _names(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names that any group has, in the order of their first places."""
    return list(dict.fromkeys(name for group in groups for name in group))


def _columns(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Columns:
    return {name: np.array([_number(record.get(name)) for record in records], np.float64) for name in names}


def _number(value: object) -> float:
    """Return a number that float64 can hold; NaN for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63
    return float(value) if known else math.nan  # type: ignore[arg-type]


def _last_pass(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop records that a later one repeats or precedes: what a resumed run did again."""
    kept: list[dict[str, Any]] = []
    for record in records:
        while kept and kept[-1]["step"] >= record["step"]:
            kept.pop()
        kept.append(record)
    return kept
