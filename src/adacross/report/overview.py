"""The overview: training, the main figures, and images of the shapes."""

import math

import numpy as np

from adacross.report.names import encoder_name, learns_from, method_name
from adacross.report.page import Section, duration, percent, plural, section
from adacross.report.results import headlines
from adacross.report.run import RunData
from adacross.report.shapes import THUMBNAIL, Card, card

_STRIP = 12  # images


def overview(run: RunData) -> Section:
    """Return one sentence, tiles, images of the data, and a table of all results."""
    found = headlines(run)
    main = next((one for one in found if one["own"]), None)
    search = next((one for one in found if one["own"] and one["name"] == "Retrieval"), None)
    trained_on, data, learned = _trained_on(run)
    return section(
        "overview",
        "Overview",
        encoder=encoder_name(str(run.config["encoder"])),
        method=method_name(run.method),
        trained_on=trained_on,
        data=data,
        learned=learned,
        training=_training(run),
        main=main,
        search=None if search is main else search,
        headlines=found,
        several=len({one["data"] for one in found}) > 1,
        strip=_strip(run),
        unreadable=run.unreadable,
        missing=_missing(run),
    )


def _trained_on(run: RunData) -> tuple[str, str, str]:
    """Return what the encoder was trained on: shapes, the collection's name, and what was learned from."""
    collection = run.collection
    if collection is None:
        return "", str(run.config["collection"]), ""
    shapes = plural(collection.info.splits.get("train", len(collection)), "training shape")
    kept = run.config.get("validation_fraction")
    held_out = (
        f" ({percent(kept, 0)} of them kept for the monitor)" if isinstance(kept, float) and kept else ""
    )
    learned = f", {learns_from(run.method)}, no labels"
    return f"the {shapes}{held_out} of the collection ", collection.info.name, learned


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
    indices = collection.indices("test") if len(collection.indices("test")) else collection.indices("all")
    labels = collection.labels[indices]
    _, first = np.unique(labels, return_index=True)
    first = first[labels[first] >= 0]
    # classes are in the collection's order, by name: its end is as good as its beginning
    count = min(_STRIP, len(first))
    chosen = first[np.arange(count) * len(first) // max(count, 1)]
    rest = np.setdiff1d(np.arange(len(indices)), chosen)
    chosen = np.concatenate([chosen, rest])[:_STRIP]
    return [card(collection, int(indices[place]), THUMBNAIL) for place in chosen]


def _missing(run: RunData) -> list[tuple[str, str | None]]:
    """Return what has not been measured yet, with its commands."""
    done = {one.task for one in run.results if run.own(one)}
    lacking: list[tuple[str, str | None]] = []
    if not run.labeled:
        lacking.append(("The shapes have no classes, so there is no linear probe.", None))
    elif "linear" not in done:
        lacking.append(("The linear probe has not been evaluated yet.", run.evaluate("linear")))
    if "retrieval" not in done:
        lacking.append(("Retrieval has not been evaluated yet.", run.evaluate("retrieval")))
    return lacking
