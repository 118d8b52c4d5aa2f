"""The run's log: one JSON object a line, and the same as a table."""

import csv
import errno
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from adacross.console import cell, console
from adacross.errors import UserError
from adacross.io.files import cannot_write, read_bytes, whole_file, write_whole

MOST_COLUMNS = 200  # of the records of a log
_ADVICE = "Restore the file, or move it away: the run then continues with a new log."


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record whose groups of values stand beside the others.

    Example:
        >>> flatten({"step": 1, "terms": {"intra": 0.5}})
        {'step': 1, 'terms.intra': 0.5}
    """
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            flat[key] = value
    return flat


def columns(path: Path, kind: str) -> dict[str, Float64[np.ndarray, " n"]]:
    """Return the values of a log's records of a kind ("step", "monitor") by name; NaN where one lacks it.

    Where a resumed run repeats steps, the later records count. More than `MOST_COLUMNS` names are refused.
    """
    kept: list[dict[str, Any]] = []
    for record in read_log(path):
        if record["kind"] == kind:
            while kept and kept[-1]["step"] >= record["step"]:
                kept.pop()
            kept.append(flatten(record))
    names = dict.fromkeys(name for each in kept for name in each if name != "kind")
    if len(names) > MOST_COLUMNS:
        raise UserError(
            f"{path} has {len(names):,} terms of the loss and other values; expected at most {MOST_COLUMNS}."
        )
    return {name: np.array([_number(each.get(name)) for each in kept], np.float64) for name in names}


def _number(value: object) -> float:
    """Return a number that float64 can hold; NaN for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63
    return float(value) if known else math.nan  # type: ignore[arg-type]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the records of a `log.jsonl`; a last line cut off by a crash is left out."""
    records: list[dict[str, Any]] = []
    if path.exists():
        try:
            lines = read_bytes(path).decode("utf-8", errors="replace").splitlines()
        except (OSError, MemoryError) as error:
            raise UserError(f"cannot read {path} ({error}).") from None
        for number, line in enumerate(lines, 1):
            record = _record(line)
            if record is not None:
                records.append(record)
            elif number < len(lines):
                raise UserError(f"{path}, line {number} is damaged. {_ADVICE}")
    return records


def _record(line: str) -> dict[str, Any] | None:
    """Return a line's record; None if it is not one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        return None
    step, seconds = record.get("step"), record.get("seconds", 0.0)
    numbers = type(step) is int and isinstance(seconds, (int, float)) and 0 <= seconds < 1e12
    return record if numbers else None


def _check_steps(records: list[dict[str, Any]], step: int, path: Path) -> None:
    """Refuse a log that lacks steps before `step`; one that begins later is the user's choice."""
    steps = [record["step"] for record in records if record["kind"] == "step"]
    first = min(steps, default=step + 1)
    if steps != list(range(first, step + 1)):
        raise UserError(f"{path} does not hold every step from {first} to {step} once, in order. {_ADVICE}")
    if first > 1:
        console.print(f"{path.name} has no steps before {min(first, step + 1)}.")


class Log:
    """The log of a run that goes on after `step`: appends to `log.jsonl`, makes `log.csv` of it on `close`.

    Records of later steps, from before an interruption, are dropped; a damaged log is refused.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / "log.jsonl"
        kept = [record for record in read_log(self.path) if record["step"] <= step]
        _check_steps(kept, step, self.path)
        self.began = time.monotonic() - (kept[-1].get("seconds", 0.0) if kept else 0.0)
        write_whole(self.path, "".join(json.dumps(record) + "\n" for record in kept))
        self.file = self.path.open("ab", buffering=0)

    def write(self, record: dict[str, Any]) -> None:
        """Append one record, with the seconds spent so far (over all resumptions)."""
        line = json.dumps(record | {"seconds": time.monotonic() - self.began}).encode() + b"\n"
        try:
            if self.file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def settle(self) -> None:
        """Wait until all records are on the disk: a checkpoint must not outlive the log up to it."""
        os.fsync(self.file.fileno())

    def close(self) -> None:
        """Close the log and write its steps as `log.csv`."""
        self.file.close()
        try:
            self._write_table()
        except (UserError, OSError) as error:  # the log is there, and networks may still wait to be saved
            console.print(f"log.jsonl is there, but not as a table: {error}", soft_wrap=True, style="yellow")

    def _write_table(self) -> None:
        steps = (flatten(record) for record in read_log(self.path) if record["kind"] == "step")
        rows = [{cell(name): cell(value) for name, value in step.items()} for step in steps]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with (
            whole_file(self.path.with_suffix(".csv")) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
