"""Cost of pre-training: how soon runs reach an accuracy, and how steadily, read from their logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from adacross.errors import UserError
from adacross.evaluation.driver import keep, named_entries
from adacross.evaluation.tabular import Tabular, check_output
from adacross.features.sources import find_runs
from adacross.features.statistics import CONFIDENCE
from adacross.io.files import read_json
from adacross.training.config import PretrainConfig
from adacross.training.log import read_log
from adacross.version import __version__

LAST = 0.1  # part of the epochs at the end, over whose steps spread is measured
_MOST = 4  # accuracies to reach, by default
COSTS = {"steps": "step", "core-seconds": "core_seconds", "shapes seen": "shapes"}


@dataclass(frozen=True)
class Figure:
    """A figure of an entry."""

    name: str  # such as "final accuracy" or "steps to 40 %"
    share: bool  # in per cent, not what an accuracy costs
    # of each run; None if the run never reached the accuracy, or its log does not have the figure
    values: list[float | None]

    @property
    def known(self) -> list[float]:
        """Values of the runs that have one."""
        return [value for value in self.values if value is not None]

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """95 % interval of the mean over runs (Student's t); None unless several runs all have a value."""
        if len(self.known) < max(2, len(self.values)):
            return None, None
        from scipy import stats

        error = np.std(self.known, ddof=1) / np.sqrt(len(self.known))
        half = stats.t.ppf((1 + CONFIDENCE) / 2, len(self.known) - 1) * error
        low, high = float(np.mean(self.known) - half), float(np.mean(self.known) + half)
        return max(0.0, low), min(1.0, high) if self.name.endswith("accuracy") else high

    def __str__(self) -> str:
        """Return "1,200 [1,010, 1,390]", "never", or "1 of 3 runs, at 1,200" if the others never did."""
        if not self.known:
            return "–" if self.share else "never"
        mean, (low, high) = self._text(float(np.mean(self.known))), self.interval
        if len(self.known) < len(self.values):
            return f"{len(self.known)} of {len(self.values)} runs, at {mean}"
        percent = " %" if self.share else ""
        if low is None or high is None:
            return mean + percent
        return f"{mean}{percent} [{self._text(low)}, {self._text(high)}]"

    def _text(self, value: float) -> str:
        return f"{100 * value:.1f}" if self.share else f"{value:,.0f}"


@dataclass(frozen=True)
class Trained:
    """An entry: a run, or runs that differ in their seed."""

    name: str  # of the entry
    runs: list[str]  # names of its runs
    figures: list[Figure]  # of the table
    # of each run, lists by name: "step", "core_seconds", "shapes" and "accuracy" at each evaluation of the
    # monitor; "epoch" and "loss", the mean over the steps of each epoch
    curves: list[dict[str, list[float]]]


@dataclass(frozen=True)
class Efficiency(Tabular):
    """Cost and steadiness of pre-training, a column an entry."""

    reach: list[float]  # accuracies to reach, shares from 0 to 1
    entries: list[Trained]
    notes: list[str]  # caveats
    version: str  # of adacross
    date: str  # when the logs were read, UTC

    @property
    def identity(self) -> dict[str, Any]:
        return {"reach": self.reach, "entries": [[one.name, one.runs, one.curves] for one in self.entries]}

    @property
    def title(self) -> str:
        return f"efficiency of {sum(len(one.runs) for one in self.entries)} runs"

    @property
    def caption(self) -> str:
        several = any(len(one.runs) > 1 for one in self.entries)
        about = [
            "accuracy: of the monitor's linear probe, on training shapes held out",
            "reached: at the first evaluation as good; costs are no finer than evaluations are",
            "core-seconds: wall time with the monitor's, times threads and processes; a GPU is one core",
            f"spread: standard deviation over mean, of the steps of the last {LAST:.0%} of the epochs",
            *(["[95 % interval of the mean over runs]"] if several else []),
        ]
        return ". ".join([*about, *self.notes])

    @property
    def columns(self) -> list[str]:
        return ["figure", *(one.name for one in self.entries)]

    def text_rows(self) -> list[list[str]]:
        """Return a row for each figure."""
        rows = zip(*(one.figures for one in self.entries), strict=True)
        return [[row[0].name, *map(str, row)] for row in rows]

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record for every figure of every entry; `n` of `runs` have it."""
        return [
            {"encoder": one.name, "figure": figure.name}
            | {"mean": float(np.mean(figure.known)) if figure.known else None}
            | dict(zip(("low", "high"), figure.interval, strict=True))
            | {"n": len(figure.known), "runs": len(figure.values)}
            for one in self.entries
            for figure in one.figures
        ]


def efficiency(
    runs: list[str], reach: list[float] | None = None, output: str | None = None, overwrite: bool = False
) -> Efficiency:
    """Report what runs cost to reach an accuracy, and how steadily they train, from their logs.

    Steps, core-seconds and shapes seen until the monitor's accuracy is reached, the final accuracy beside the
    untrained encoder's, and the spread of loss and gradient norm at the end. A run that never reaches an
    accuracy is counted as such. Nothing is measured again.

    Args:
        runs: runs; a quoted pattern ('runs/a-seed*') is one entry, with an interval over its runs.
        reach: accuracies to reach, from 0 to 1; a few that the runs reach by default.
        output: JSON file to write, with .md, .csv and .tex beside it; by default evaluation/efficiency.json
            in the first run.
        overwrite: replace existing output files.

    Raises:
        UserError: no such run, a run given twice, a log without steps, an accuracy not between 0 and 1.
    """
    if wrong := [value for value in reach or [] if not 0 < value <= 1]:
        raise UserError(f"reach is {wrong[0]:g}; expected accuracies above 0 and at most 1, such as 0.4.")
    check_output(output, "an efficiency result", overwrite)
    found = {name: find_runs(word) for name, word in named_entries(runs).items()}
    if missing := [name for name, folders in found.items() if not folders]:
        raise UserError(
            f"{missing[0]} is neither a run nor a pattern of runs. Give folders of adacross pretrain."
        )
    logs = {name: [_Log(folder) for folder in folders] for name, folders in found.items()}
    each = [log for own in logs.values() for log in own]
    chosen = sorted(reach) if reach else _reached([log.curve["accuracy"] for log in each])
    entries = [
        Trained(name, [log.name for log in own], _figures(own, chosen), [log.curve for log in own])
        for name, own in logs.items()
    ]
    unfinished = [f"{log.name} is not finished" for log in each if not log.finished]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    result = Efficiency(chosen, entries, unfinished, __version__, now)
    keep(result, output, next(iter(found.values()))[0] / "evaluation", "efficiency")
    return result


class _Log:
    """A run's log in the units of the table; one without steps is a UserError."""

    def __init__(self, run: Path) -> None:
        config, records = PretrainConfig.load(run), read_log(run / "log.jsonl")
        steps = [record for record in records if record["kind"] == "step"]
        if not steps:
            raise UserError(f"{run / 'log.jsonl'} has no steps. Train the run first, with adacross pretrain.")
        machine = read_json(run / "environment.json", "a run's environment")
        threads = min(machine["threads"], machine["cores"] or 1) if machine["device"] == "cpu" else 1
        cores, batch = threads * machine.get("processes", 1), config.batch_size * config.accumulate
        looks = [record for record in records if record["kind"] == "monitor" and "probe_accuracy" in record]
        epochs, losses = (np.array([each[name] for each in steps]) for name in ("epoch", "loss"))
        last = [each for each in steps if each["epoch"] > epochs[-1] - max(1.0, LAST * config.epochs)]
        whole = np.ceil(epochs - 1e-9)
        self.name, self.finished = run.name, bool(epochs[-1] >= config.epochs)
        self.curve: dict[str, list[float]] = {
            "step": [float(each["step"]) for each in looks],
            "core_seconds": [each["seconds"] * cores for each in looks],
            "shapes": [float(each["step"] * batch) for each in looks],
            "accuracy": [float(each["probe_accuracy"]) for each in looks],
            "epoch": np.unique(whole).tolist(),
            "loss": [float(losses[whole == epoch].mean()) for epoch in np.unique(whole)],
        }
        untrained = [each["untrained_accuracy"] for each in looks if "untrained_accuracy" in each]
        self.shares: dict[str, float | None] = {
            "final accuracy": self.curve["accuracy"][-1] if looks else None,
            "untrained accuracy": untrained[0] if untrained else None,
            "spread of the loss": _spread([each["loss"] for each in last]),
            "spread of the gradient norm": _spread(
                [each["gradient_norm"] for each in last if "gradient_norm" in each]
            ),
        }

    def cost(self, name: str, accuracy: float) -> float | None:
        """Return the curve's value at the first evaluation that reaches an accuracy, or None."""
        reached = np.flatnonzero(np.array(self.curve["accuracy"]) >= accuracy - 1e-9)
        return self.curve[name][reached[0]] if len(reached) else None


def _figures(logs: Sequence[_Log], reach: Sequence[float]) -> list[Figure]:
    shares = [Figure(name, True, [log.shares[name] for log in logs]) for name in logs[0].shares]
    costs = [
        Figure(f"{cost} to {100 * accuracy:g} %", False, [log.cost(name, accuracy) for log in logs])
        for accuracy in reach
        for cost, name in COSTS.items()
    ]
    return shares + costs


def _reached(curves: Sequence[Sequence[float]]) -> list[float]:
    """Choose a few multiples of 5 % between the worst first evaluation and the best of all."""
    known = [curve for curve in curves if curve]
    if not known:
        return []
    start, best = min(curve[0] for curve in known), max(map(max, known))
    grid = [k / 20 for k in range(1, 21) if start < k / 20 <= best] or [float(np.floor(100 * best)) / 100]
    chosen = np.unique(np.linspace(0, len(grid) - 1, _MOST).round().astype(int))
    return [grid[place] for place in chosen if grid[place] > 0]


def _spread(values: Sequence[float]) -> float | None:
    """Return the coefficient of variation; None for fewer than two values or a mean of 0."""
    return float(np.std(values, ddof=1) / np.mean(values)) if len(values) > 1 and np.mean(values) else None
