"""The overview: training, linear probe and retrieval."""

import math

import numpy as np

from adacross.report import commands
from adacross.report.html import Html, Section, image, join, missing, percent, plural, table, tag
from adacross.report.inputs import Card, Linear, RunData
from adacross.report.names import encoder_name, learns_from, method_name
from adacross.report.retrieval import retrieval_tables

_STRIP = 12


def overview(data: RunData) -> Section:
    """Return the headline: one sentence, tiles, images of the data, probe and retrieval tables."""
    linear = _probe(data, data.linear) if data.linear else _no_probe(data)
    retrieval = retrieval_tables(data, data.retrieval) if data.retrieval else _no_retrieval(data)
    body = join([tag("p", *_sentence(data), class_="lead"), _tiles(data), _strip(data), linear, retrieval])
    return Section("overview", "Overview", body)


def duration(seconds: float) -> str:
    """9284 -> "2 h 35 min", 252 -> "4 min 12 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}\u00a0s"
    if whole < 3600:
        return f"{whole // 60}\u00a0min {whole % 60}\u00a0s"
    return f"{whole // 3600}\u00a0h {whole % 3600 // 60}\u00a0min"


def _sentence(data: RunData) -> list[str]:
    parts: list[str] = ["The point encoder ", tag("b", encoder_name(data)), " was pre-trained with "]
    parts += [tag("b", method_name(data))]
    if data.facts:
        shapes = data.facts.splits.get("train", data.facts.count)
        kept = float(data.config.get("validation_fraction", 0))
        held_out = f" ({kept:.0%} of them kept for the monitor)" if kept else ""
        parts += [f" on the {plural(shapes, 'training shape')}{held_out} of the collection "]
        parts += [tag("b", data.facts.name)]
        parts += [f", {learns_from(data)}, no labels"]
    else:
        parts += [" on ", tag("b", str(data.config["collection"]))]
    log = data.log
    if not len(log.steps):
        return [*parts, ". The log holds no training step yet."]
    parts += [f": {plural(int(log.steps[-1]), 'step')}"]
    if math.isfinite(log.epochs[-1]):
        parts += [f" ({log.epochs[-1]:.3g} epochs)"]
    seconds = log.values.get("seconds")
    if seconds is not None and np.isfinite(seconds).any():
        parts += [f" in {duration(float(np.nanmax(seconds)))}"]
    device = data.environment.get("device")
    if device == "cpu" and data.environment.get("cores"):
        device = plural(int(data.environment["cores"]), "CPU core")
    if device:
        parts += [f" on {device}"]
    return [*parts, "."]


def _tiles(data: RunData) -> Html:
    tiles = []
    if data.linear:
        probe, plain = data.linear.pretrained, data.linear.untrained
        tiles += [
            _tile("Linear probe", percent(probe.mean), f"± {100 * probe.std:.1f}, pre-trained", "good"),
            _tile("Same encoder, untrained", percent(plain.mean), f"± {100 * plain.std:.1f}", ""),
            _tile("Gain", _points(data.linear.gain), "percentage points", ""),
        ]
    if data.retrieval and 1 in data.retrieval.image_to_shape.recall:
        recall = data.retrieval.image_to_shape.recall[1]
        chance = percent(data.retrieval.chance_recall_at_1, 2)
        tiles += [_tile("Image-to-shape retrieval", percent(recall), f"recall@1, chance {chance}", "")]
    elif data.retrieval and data.retrieval.shape_to_shape:
        found = data.retrieval.shape_to_shape
        below = f"recall@1, untrained {percent(found.untrained.recall.get(1, 0.0))}"
        recall_at_1 = percent(found.pretrained.recall.get(1, 0.0))
        tiles += [_tile("Shape-to-shape retrieval", recall_at_1, below, "")]
    return tag("div", *tiles, class_="tiles") if tiles else Html("")


def _tile(label: str, value: str, below: str, class_: str) -> Html:
    return tag(
        "div",
        tag("div", label, class_="tile-label"),
        tag("div", value, class_=f"tile-value {class_}".strip()),
        tag("div", below, class_="tile-below"),
        class_="tile",
    )


def _points(gain: float) -> str:
    return f"{100 * gain:+.1f}".replace("-", "−")


def _strip(data: RunData) -> Html:
    """Images of a dozen shapes, of different classes where there are classes."""
    cards = data.embedding.cards if data.embedding else tuple(shape.card for shape in data.clouds)
    first: dict[str | None, Card] = {}
    for card in cards:
        first.setdefault(card.class_name, card)
    rest = [card for card in cards if first.get(card.class_name) is not card]
    classes = list(first.values())  # in the collection's order, by name: its end is as good as its beginning
    count = min(_STRIP, len(classes))
    chosen = [*(classes[i * len(classes) // count] for i in range(count)), *rest][:_STRIP]
    if not chosen:
        return Html("")
    images = [image(card.image, f"a shape: {card.class_name or card.id}", 112) for card in chosen]
    return tag("div", *images, class_="strip")


def _probe(data: RunData, linear: Linear) -> Html:
    chance = linear.confusion.sum(axis=1).max(initial=0) / max(int(linear.confusion.sum()), 1)
    rows = []
    named = (("pre-trained", linear.pretrained), ("untrained, same architecture", linear.untrained))
    for name, probe in named:
        each = " · ".join(f"{100 * share:.1f}" for share in probe.accuracy)
        chosen = " · ".join(f"{c:.2g}" for c in probe.C) or "–"
        value = f"{100 * probe.mean:.1f} ± {100 * probe.std:.1f}\u00a0%"
        rows.append([f"{encoder_name(data)}, {name}", tag("b", value), _bar(probe.mean), each, chosen])
    rows.append(["majority class", percent(float(chance)), _bar(float(chance)), "–", "–"])
    rows.append(["gain", tag("b", f"{_points(linear.gain)} points"), "", "", ""])
    note = (
        f"Accuracy on {plural(linear.test, 'test shape')} of {plural(len(linear.classes), 'class')} of "
        f"“{linear.data}”; classifier fitted on {plural(linear.train, 'training shape')} at "
        f"{plural(linear.points, 'point')}: {linear.classifier}. Seeds {', '.join(map(str, linear.seeds))}; "
        f"{linear.spread}. {_verdict(linear)}"
    )
    columns = ("features of", "accuracy", "", "each seed, %", "C")
    shown = table(f"Linear probe on {linear.data}", columns, rows, note=note, class_="probe")
    return join([tag("h3", "Linear probe"), shown])


def _verdict(linear: Linear) -> str:
    if len(linear.seeds) < 2:
        return "One seed only, so the spread is unknown."
    spread = max(linear.pretrained.std, linear.untrained.std)
    if linear.gain <= 0:
        return "Pre-training did not help here."
    if linear.gain < 2 * spread:
        return "The gain is less than twice the spread over seeds: within noise."
    return "The gain is more than twice the spread over seeds."


def _bar(share: float) -> Html:
    inner = tag("span", style=f"width:{100 * min(max(share, 0.0), 1.0):.1f}%")
    return tag("span", inner, class_="bar", aria_hidden="true")


def _no_probe(data: RunData) -> Html:
    if data.facts and not data.facts.classes:
        return missing("The shapes have no classes, so there is no linear probe.")
    return missing("The linear probe has not been evaluated yet.", commands.evaluate(data, "linear"))


def _no_retrieval(data: RunData) -> Html:
    return missing("Retrieval has not been evaluated yet.", commands.evaluate(data, "retrieval"))
