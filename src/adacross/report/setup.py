"""Protocol, commands, data, options and environment."""

from collections.abc import Mapping
from typing import Any

from adacross.report import commands
from adacross.report.html import Html, Section, count, join, percent, table, tag
from adacross.report.inputs import Linear, RunData


def setup(data: RunData) -> Section:
    """Return protocol, commands, data, options and environment."""
    body = [
        tag("h3", "Protocol"),
        tag("ul", *(tag("li", line) for line in _notes(data))),
        tag("h3", "Commands"),
        *_made_by(data),
        tag("p", "Step by step:"),
        tag("pre", tag("code", "\n".join(_commands(data)))),
        tag("div", _options(data), _right(data), class_="grid-2 top"),
    ]
    return Section("setup", "Protocol and setup", join(body))


def flatten(options: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested options as dotted names and values, in order."""
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


def _notes(data: RunData) -> list[str]:
    notes = ["Pre-training used the training split only, without labels."]
    if data.log.monitor_steps.size:
        held = data.config.get("validation_fraction")
        some = f" ({percent(held, 0)} of them)" if isinstance(held, float) else ""
        notes.append(
            f"The monitor was measured on training shapes held out of pre-training{some}, on no test shape."
        )
    if data.linear:
        notes += [
            "The linear classifier was fitted on the training split, and its C chosen by cross-validation "
            "within it. Nothing was chosen on the test split.",
            "The untrained encoder beside it has the same architecture, random weights, the same protocol. "
            "Random features are strong on point clouds: only the difference is due to pre-training.",
            _repetitions(data, data.linear),
        ]
    if data.retrieval and data.retrieval.image_to_shape.recall:
        notes.append(
            "Cross-modal retrieval compares test shapes with one image of each in the joint space of the "
            "pre-training."
        )
    if data.retrieval:
        notes.append("Shape-to-shape retrieval uses the encoder's features alone.")
    return notes


def _repetitions(data: RunData, linear: Linear) -> str:
    measured = f"The evaluation was repeated {len(linear.seeds)} times; {linear.spread}."
    if linear.encoders > 1:
        return f"{measured} The pre-training was repeated too ({linear.encoders} runs)."
    seed = _value(data.config.get("seed"))
    return f"{measured} The pre-training was done once, with seed {seed} so its variance is unknown."


def _made_by(data: RunData) -> list[Html]:
    command = data.environment.get("command")
    return [tag("p", "Command of this run:"), tag("pre", tag("code", str(command)))] if command else []


def _commands(data: RunData) -> list[str]:
    lines = [commands.pretrain(data)]
    lines += [commands.evaluate(data, "linear")] if data.linear else []
    lines += [commands.evaluate(data, "retrieval")] if data.retrieval else []
    return [*lines, commands.report(data)]


def _options(data: RunData) -> Html:
    rows = flatten(data.config)
    text = tag("details", tag("summary", "config.yaml"), tag("pre", tag("code", data.config_text)))
    return tag("div", table("Training options", ("option", "value"), rows, class_="keys"), text)


def _right(data: RunData) -> Html:
    rows = flatten(data.environment)
    where = table("Environment", ("what", "value"), rows, class_="keys") if rows else tag(
        "p", "The run has no environment.json.", class_="note"
    )  # fmt: skip
    return tag("div", _data(data), where)


def _data(data: RunData) -> Html:
    facts = data.facts
    if facts is None:
        return tag("p", data.absent.get("facts", "The collection is unknown."), class_="note")
    rows = [
        ("name", facts.name),
        ("source", f"{facts.source} ({facts.kind})"),
        (
            "shapes",
            f"{count(facts.count)} ({', '.join(f'{count(n)} {split}' for split, n in facts.splits.items())})",
        ),
        ("skipped by prepare", count(facts.skipped)),
        ("classes", count(len(facts.classes)) if facts.classes else "none"),
        ("points a shape", count(facts.points)),
        ("images a shape", f"{facts.views}, {facts.view_size} pixels"),
    ]
    told = ("source", "points", "views", "size")  # the rows above
    options = [
        f"{name} {value}" for name, value in flatten(facts.made.get("options", {})) if name not in told
    ]
    rows += [("prepared with", ", ".join(options))] if options else []
    return table("Collection", ("what", "value"), rows, class_="keys")
