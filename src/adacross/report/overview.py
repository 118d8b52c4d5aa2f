"""The overview: training, the main figures, and images of the shapes."""

import math

import numpy as np

from adacross.report.names import encoder_name, learns_from, method_name
from adacross.report.page import Section, duration, plural, section
from adacross.report.results import headlines
from adacross.report.run import RunData
from adacross.report.shapes import THUMBNAIL, Card, card

_STRIP = 12  # images


def overview(run: RunData) -> Section:
    """Return one sentence, tiles, images of the data, and a table of all results."""
    found = headlines(run)
    own = [one for one in found if one["own"]]
    kept = run.config.get("validation_fraction")
    return section(
        "overview",
        "Overview",
        run=run,
        encoder=encoder_name(str(run.config["encoder"])),
        method=method_name(run.method),
        learned=learns_from(run.method),
        held_out=kept if isinstance(kept, float) else 0.0,
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
