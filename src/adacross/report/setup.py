"""Protocol, commands, data, options and environment."""

import shlex
from collections.abc import Mapping
from typing import Any

from adacross.evaluation.result import Result
from adacross.report.page import Section, percent, section
from adacross.report.run import RunData


def setup(run: RunData) -> Section:
    """Return protocol, commands, data, options and environment."""
    return section(
        "setup",
        "Protocol and setup",
        notes=_notes(run),
        command=run.environment.get("command"),
        commands="\n".join(_commands(run)),
        options=flatten(run.config),
        config=run.config_text,
        environment=flatten(run.environment),
        data=_data(run),
        absent=run.absent.get("collection", "The collection is unknown."),
    )


def flatten(options: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested options as dotted names and values, in order.

    Example:
        >>> flatten({"encoder": {"k": 20}, "seed": None})
        [('encoder.k', '20'), ('seed', '–')]
    """
    rows: list[tuple[str, str]] = []
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            rows += flatten(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", _value(value)))
    return rows


def _value(value: object) -> str:
    if value is None or value in ("", {}, []):
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _notes(run: RunData) -> list[str]:
    notes = ["Pre-training used the training split only, without labels."]
    if run.log.monitor_steps.size:
        held = run.config.get("validation_fraction")
        some = f" ({percent(held, 0)} of them)" if isinstance(held, float) else ""
        notes.append(
            f"The monitor was measured on training shapes held out of pre-training{some}, on no test shape."
        )
    if run.results:
        notes += [
            "Nothing was chosen on a test split.",
            "The untrained encoder has the same architecture, random weights and the same protocol. Random "
            "features are strong on point clouds: only the difference is due to pre-training.",
            "An interval of one encoder is about other test shapes. The pre-training was done once, with "
            f"seed {_value(run.config.get('seed'))}: what another seed changes is not in the interval.",
        ]
    return notes


def _commands(run: RunData) -> list[str]:
    measured = [_measure(run, result) for result in run.results if run.own(result)]
    return [run.train(), *dict.fromkeys(measured), shlex.join(["adacross", "report", str(run.folder)])]


def _measure(run: RunData, result: Result) -> str:
    """Return the command that measures a result again; several runs are named as they were."""
    data = str(run.config["collection"]) if run.measured_on(result) else result.data.name
    encoders = result.encoders if len(result.encoders) > 1 else [str(run.folder)]
    words = ["adacross", "evaluate", result.task, *encoders, data]
    for name, value in result.options.items():
        words.append(f"--{name.strip('_').replace('_', '-')}")
        words += [str(each) for each in (value if isinstance(value, list) else [value])]
    return shlex.join(words)


def _data(run: RunData) -> list[tuple[str, str]]:
    if run.collection is None:
        return []
    info = run.collection.info
    splits = ", ".join(f"{count:,} {split}" for split, count in info.splits.items())
    rows = [
        ("name", info.name),
        ("source", f"{info.source} ({info.format})"),
        ("shapes", f"{info.count:,} ({splits})"),
        ("skipped by prepare", f"{len(info.skipped):,}"),
        ("classes", f"{len(info.classes):,}" if info.classes else "none"),
        ("points a shape", f"{info.points:,}"),
        ("images a shape", f"{info.views}, {info.view_size} pixels"),
    ]
    shown = ("source", "points", "views", "size")  # the rows above
    options = [
        f"{name} {value}" for name, value in flatten(dict(info.made).get("options", {})) if name not in shown
    ]
    return [*rows, ("prepared with", ", ".join(options))] if options else rows
