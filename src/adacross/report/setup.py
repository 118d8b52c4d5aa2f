"""Protocol, commands, data, options and environment."""

import shlex
from collections.abc import Mapping
from typing import Any

from adacross.evaluation.result import Result
from adacross.report.page import Section, section
from adacross.report.run import RunData
from adacross.training.log import flatten


def setup(run: RunData) -> Section:
    """Return protocol, commands, data, options and environment."""
    info = run.collection.info if run.collection else None
    made = rows(dict(info.made).get("options", {})) if info else []
    measured = [_measure(run, result) for result in run.results if run.own(result)]
    return section(
        "setup",
        "Protocol and setup",
        run=run,
        info=info,
        made=[f"{name} {value}" for name, value in made if name not in ("source", "points", "views", "size")],
        commands=[run.train(), *dict.fromkeys(measured), shlex.join(["adacross", "report", str(run.folder)])],
        options=rows(run.config),
        environment=rows(run.environment),
    )


def rows(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return nested options as dotted names and values, in order.

    Example:
        >>> rows({"encoder": {"k": 20}, "seed": None})
        [('encoder.k', '20'), ('seed', '–')]
    """
    return [(name, _text(value)) for name, value in flatten(options).items()]


def _text(value: object) -> str:
    if value is None or value in ("", []):
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _measure(run: RunData, result: Result) -> str:
    """Return the command that measures a result again; several runs are named as they were."""
    data = str(run.config["collection"]) if run.measured_on(result) else result.data.name
    encoders = result.encoders if len(result.encoders) > 1 else [str(run.folder)]
    words = ["adacross", "evaluate", result.task, *encoders, data]
    for name, value in result.options.items():
        words.append(f"--{name.strip('_').replace('_', '-')}")
        words += [str(each) for each in (value if isinstance(value, list) else [value])]
    return shlex.join(words)
