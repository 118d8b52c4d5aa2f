"""Sections about the run itself: overview, training curves, feature map, protocol and setup."""

import math
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from adacross.data.rendering.palette import palette
from adacross.evaluation.result import Result
from adacross.features.projection import nearest_same_class, project
from adacross.report.figures import Series, line_chart, scatter
from adacross.report.names import encoder_name, learns_from, method_name
from adacross.report.page import Section, data_uri, duration, missing, plural, section
from adacross.report.results import headlines
from adacross.report.run import RunData
from adacross.report.shapes import THUMBNAIL, Card, card
from adacross.training.log import flatten

_STRIP = 12  # images
_MONITOR = {
    "probe_accuracy": "probe accuracy",
    "untrained_accuracy": "probe accuracy, untrained encoder",
    "recall_at_1": "recall@1",
}


def overview(run: RunData) -> Section:
    """Return one sentence, tiles, images of the data, and a table of all results."""
    found = headlines(run)
    own = [one for one in found if one["own"]]
    kept, fresh, epochs = (run.config.get(name) for name in ("validation_fraction", "fresh", "epochs"))
    return section(
        "overview",
        "Overview",
        run=run,
        encoder=encoder_name(str(run.config["encoder"])),
        method=method_name(run.method),
        learned=learns_from(run.method),
        held_out=kept if isinstance(kept, float) else 0.0,
        drawn=fresh * epochs if isinstance(fresh, int) and isinstance(epochs, int) else 0,
        training=_training(run),
        tiles=own[:1] + [one for one in own[1:] if one["name"] == "Retrieval"],
        headlines=found,
        several=len({one["data"] for one in found}) > 1,
        strip=_strip(run),
        done={one.task for one in run.results if run.own(one)},
    )


def _training(run: RunData) -> str:
    """Return how long the training took, as the end of a sentence."""
    log = run.log
    if not len(log.steps):
        return ". The log holds no training step yet."
    text = f": {plural(int(log.steps[-1]), 'step')}"
    if math.isfinite(log.values["epoch"][-1]):
        text += f" ({log.values['epoch'][-1]:.3g} epochs)"
    if np.isfinite(log.values["seconds"]).any():
        text += f" in {duration(float(np.nanmax(log.values['seconds'])))}"
    device, cores = run.environment.get("device"), run.environment.get("cores")
    if device == "cpu" and isinstance(cores, int):
        device = plural(cores, "CPU core")
    return f"{text} on {device}." if device else f"{text}."


def _strip(run: RunData) -> list[Card]:
    """Return images of a dozen shapes, of different classes where there are classes."""
    collection = run.collection
    if collection is None or not len(collection):
        return []
    indices = collection.indices("test" if len(collection.indices("test")) else "all")
    labels = collection.labels[indices]
    _, first = np.unique(labels, return_index=True)
    first = first[labels[first] >= 0]
    # classes are in the collection's order, by name: its end is as good as its beginning
    count = min(_STRIP, len(first))
    chosen = first[np.arange(count) * len(first) // max(count, 1)]
    rest = np.setdiff1d(np.arange(len(indices)), chosen)
    return [card(collection, int(indices[at]), THUMBNAIL) for at in np.concatenate([chosen, rest])[:_STRIP]]


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


def feature_map(run: RunData) -> Section:
    """Return the encoder's features in two dimensions, a dot a shape."""
    title, features, collection = "Feature map", run.features, run.collection
    if features is None or collection is None:
        return missing("map", title, run.absent.get("features", "The collection holds no shapes."))
    xy, projection = project(features.values, run.seed)
    labels = collection.labels[features.indices]
    cards = [card(collection, int(index), THUMBNAIL) for index in features.indices]
    near, chance = nearest_same_class(features.values, labels) if (labels >= 0).all() else (None, None)
    present = np.unique(labels[labels >= 0])  # classes are in the order of their names
    classes = [collection.info.classes[label] for label in present]
    members = np.where(labels >= 0, np.searchsorted(present, labels), -1)
    colors = palette(len(classes))
    description = f"Scatter plot of {plural(len(cards), 'shape')}"
    description += f", colored by {plural(len(classes), 'class')}" if classes else ""
    figure = scatter(description, xy, classes, members, [*colors, "var(--muted)"])
    thumbnails = {
        "images": [data_uri(one.image) for one in cards],
        "names": [one.class_name or "" for one in cards],
        "ids": [one.id for one in cards],
    }
    return section(
        "map",
        title,
        script={"map": thumbnails},
        features=features,
        projection=projection,
        figure=figure,
        classes=list(zip(classes, colors, strict=True)),
        near=near,
        chance=chance,
    )


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
