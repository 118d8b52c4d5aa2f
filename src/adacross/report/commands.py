"""Commands to repeat a run or to fill a section."""

import shlex

from adacross.report.inputs import RunData


def evaluate(data: RunData, task: str) -> str:
    """Return the command that evaluates this run."""
    return _line("adacross", "evaluate", task, str(data.folder), str(data.config["collection"]))


def report(data: RunData) -> str:
    """Return the command that makes this page again."""
    return _line("adacross", "report", str(data.folder))


def pretrain(data: RunData) -> str:
    """Return the command that trains this run again."""
    config = data.folder / "config.yaml"
    return _line("adacross", "pretrain", str(data.config["collection"]), "--config", str(config))


def resume(data: RunData) -> str:
    """Return the command that starts or continues this run."""
    return f"{pretrain(data)} --resume auto"


def _line(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)
