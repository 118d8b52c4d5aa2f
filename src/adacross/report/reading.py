"""Readers of a run's files; errors name the file."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Float64

from adacross.errors import UserError
from adacross.io.files import read_bytes, read_json, read_yaml
from adacross.report.inputs import Direction, Example, Linear, Log, Probe, Retrieval, Search

MOST_TERMS = 100  # of a loss, over all steps of a log: each is a curve with a point for every step
MOST_LETTERS = 100  # of a class's name, which stands in every cell of its row and column
_STEP_VALUES = ("loss", "lr", "seconds", "shapes_per_second")
_MONITOR_VALUES = ("probe_accuracy", "recall_at_1")


def run_folder(run: Path) -> Path:
    """Return `run` if it is a run folder.

    Raises:
        UserError: it does not exist or has no `config.yaml`.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"{run} is not a folder; expected a run's folder, as `adacross pretrain` writes it.")
    if not (folder / "config.yaml").is_file():
        raise UserError(
            f"{run} is not a run: it has no config.yaml. Make one with `adacross pretrain COLLECTION`."
        )
    return folder


def read_config(folder: Path) -> tuple[dict[str, Any], str]:
    """Return `config.yaml` as a dictionary and as text.

    Raises:
        UserError: it is not YAML or lacks collection, method or encoder.
    """
    path = folder / "config.yaml"
    config = read_yaml(path, "the options of a training")
    text = path.read_text(encoding="utf-8")
    wanted = ("collection", "method", "encoder")
    if not isinstance(config, dict) or not all(isinstance(config.get(key), str) for key in wanted):
        raise UserError(f"{path} is not a run's configuration; expected at least {', '.join(wanted)}.")
    return {str(key): value for key, value in config.items()}, text


def read_environment(folder: Path) -> dict[str, Any]:
    """Return `environment.json`, empty where there is none."""
    path = folder / "environment.json"
    value = read_json(path, "the run's environment") if path.exists() else {}
    if not isinstance(value, dict):
        raise UserError(
            f"{path} holds {type(value).__name__}; expected the run's environment, a JSON object."
        )
    return value


def read_log(folder: Path) -> Log:
    """Return the curves of `log.jsonl`.

    A last line that was cut off is left out. Where a resumed run repeats steps, the later lines count.

    Raises:
        UserError: another line is not a JSON object with a step.
    """
    path = folder / "log.jsonl"
    try:
        text = read_bytes(path).decode("utf-8", errors="replace") if path.exists() else ""
    except (OSError, MemoryError) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', error)}.") from None
    lines = text.splitlines()
    records, truncated = [], False
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            if row == len(lines):
                truncated = True
                break
            raise UserError(
                f"{path}, line {row}, is not JSON; delete that line and run the report again."
            ) from None
        if not isinstance(record, dict) or not _is_number(record.get("step")):
            raise UserError(f"{path}, line {row}, has no step; delete that line and run the report again.")
        records.append(record)
    steps = _last_pass([record for record in records if record.get("kind") == "step"])
    terms, weights = (_names(steps, group) for group in ("terms", "weights"))
    if max(len(terms), len(weights)) > MOST_TERMS:
        raise UserError(
            f"{path} has {max(len(terms), len(weights)):,} terms of the loss; expected at most {MOST_TERMS}."
        )
    monitors = _last_pass([record for record in records if record.get("kind") == "monitor"])
    return Log(
        steps=np.array([record["step"] for record in steps], dtype=np.int64),
        epochs=_column(steps, "epoch"),
        values={name: _column(steps, name) for name in _STEP_VALUES},
        terms=_columns(steps, "terms", terms),
        weights=_columns(steps, "weights", weights),
        monitor_steps=np.array([record["step"] for record in monitors], dtype=np.int64),
        monitor={name: _column(monitors, name) for name in _MONITOR_VALUES},
        truncated=truncated,
    )


def read_linear(folder: Path) -> Linear | None:
    """Return `evaluation/linear.json`, None where there is none.

    Raises:
        UserError: a field is missing or of another kind.
    """
    path = folder / "evaluation" / "linear.json"
    if not path.exists():
        return None
    value = read_json(path, "a linear probe's result")
    try:
        classes = tuple(str(name)[:MOST_LETTERS] for name in value["classes"])
        confusion = np.array(value["confusion"], dtype=np.int64)
        if confusion.shape != (len(classes), len(classes)):
            raise ValueError(f"confusion is {confusion.shape} for {len(classes)} classes")
        return Linear(
            data=str(value["data"]),
            points=int(value["points"]),
            train=int(value["train"]),
            test=int(value["test"]),
            classifier=str(value["classifier"]),
            seeds=tuple(int(seed) for seed in value["seeds"]),
            classes=classes,
            pretrained=_probe(value["pretrained"]),
            untrained=_probe(value["untrained"]),
            gain=float(value["gain"]),
            confusion=confusion,
            spread=str(value.get("spread") or "mean ± standard deviation over seeds"),
            encoders=len(value.get("encoders") or [""]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _wrong(path, error, "adacross evaluate linear") from None


def read_retrieval(folder: Path) -> Retrieval | None:
    """Return `evaluation/retrieval.json`, None where there is none.

    Raises:
        UserError: a field is missing or of another kind.
    """
    path = folder / "evaluation" / "retrieval.json"
    if not path.exists():
        return None
    value = read_json(path, "a retrieval's result")
    try:
        return Retrieval(
            data=str(value["data"]),
            gallery=int(value["gallery"]),
            queries=int(value["queries"]),
            chance_recall_at_1=float(value["chance_recall_at_1"]),
            image_to_shape=_direction(value["image_to_shape"], value.get("std", {}).get("image_to_shape")),
            shape_to_image=_direction(value["shape_to_image"], value.get("std", {}).get("shape_to_image")),
            examples=_examples(value.get("examples") or []),
            neighbors=_examples(value.get("neighbours") or []),
            shape_examples=_examples(value.get("shape_examples") or []),
            shape_to_shape=_search(value.get("shape_to_shape")),
            same_object=_search(value.get("same_object")),
            chance_precision=_direction(value.get("chance") or {}).mean_average_precision,
            spread=str(value.get("spread") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _wrong(path, error, "adacross evaluate retrieval") from None


def _probe(value: dict[str, Any]) -> Probe:
    return Probe(
        accuracy=tuple(float(share) for share in value["accuracy"]),
        mean=float(value["mean"]),
        std=float(value["std"]),
        C=tuple(float(c) for c in value.get("C") or []),
    )


def _direction(value: dict[str, Any], std: dict[str, Any] | None = None) -> Direction:
    precision = value.get("mAP")
    return Direction(
        recall={
            int(key.split("@")[1]): float(share) for key, share in value.items() if key.startswith("recall@")
        },
        mean_average_precision=float(precision) if _is_number(precision) else None,
        std={str(key): float(share) for key, share in (std or {}).items()},
    )


def _search(value: dict[str, Any] | None) -> Search | None:
    if value is None:
        return None
    pretrained, untrained = (
        _direction(
            {name: figure["mean"] for name, figure in value[arm].items()},
            {name: figure["std"] for name, figure in value[arm].items()},
        )
        for arm in ("pretrained", "untrained")
    )
    return Search(int(value["points"]), pretrained, untrained, _direction(value["chance"]))


def _examples(values: Sequence[dict[str, Any]]) -> tuple[Example, ...]:
    return tuple(
        Example(
            query=int(value["query"]),
            view=int(value.get("view", 0)),
            results=tuple(int(index) for index in value["results"]),
            views=tuple(int(view) for view in value.get("views") or ()),
        )
        for value in values
    )


def _wrong(path: Path, error: Exception, command: str) -> UserError:
    what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return UserError(f"{path} cannot be used ({what}); delete it and run `{command}` again.")


def _is_number(value: object) -> TypeGuard[float]:
    """Return whether it is a number that float64 and int64 can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63


def _column(records: list[dict[str, Any]], name: str) -> Float64[np.ndarray, " S"]:
    """Return one value of every record, NaN where it is absent, null or not a number."""
    values = [record.get(name) for record in records]
    return np.array([float(value) if _is_number(value) else math.nan for value in values], dtype=np.float64)


def _group(record: dict[str, Any], group: str) -> dict[str, Any]:
    """Return a group of values in a record ("terms"), empty where there is none."""
    return record[group] if isinstance(record.get(group), dict) else {}


def _names(records: list[dict[str, Any]], group: str) -> list[str]:
    """Return the names of a group's values that any record has, in the order of their first places."""
    return list(dict.fromkeys(str(name) for record in records for name in _group(record, group)))


def _columns(
    records: list[dict[str, Any]], group: str, names: list[str]
) -> dict[str, Float64[np.ndarray, " S"]]:
    """Return a group's values by name."""
    inner = [_group(record, group) for record in records]
    return {name: _column(inner, name) for name in names}


def _last_pass(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop lines that a later line repeats or precedes: what a resumed run did again."""
    kept: list[dict[str, Any]] = []
    for record in records:
        while kept and kept[-1]["step"] >= record["step"]:
            kept.pop()
        kept.append(record)
    return kept
