"""Interactive point clouds of a few shapes."""

from typing import Any

from adacross.data.rendering.palette import part_colors
from adacross.report.html import Html, Section, image, join, missing, plural, tag
from adacross.report.inputs import InteractiveCloud, RunData
from adacross.report.plots import numbers

_MOST_POINTS = 2048  # a scene; more add bytes and hide nothing


def point_clouds(data: RunData) -> Section:
    """Return up to six clouds, colored by height or by part."""
    title = "Interactive point clouds"
    if not data.clouds:
        reason = data.absent.get("clouds", "The collection holds no shapes.")
        return Section("shapes", title, missing(reason))
    figures: dict[str, dict[str, Any]] = {}
    boxes = []
    for index, shape in enumerate(data.clouds):
        anchor = f"scene-{index}"
        name = shape.card.class_name or shape.card.id
        figures[anchor] = _figure(shape)
        still = image(shape.card.image, f"an image of {name}", 160)
        label = f"Point cloud of {name}, {plural(len(shape.points), 'point')}; drag to rotate"
        box = tag("div", still, id=anchor, class_="plot scene", role="img", aria_label=label)
        small = tag("small", shape.card.id) if shape.card.class_name else ""
        boxes.append(tag("figure", box, tag("figcaption", name, small)))
    body = [
        tag(
            "p",
            "The encoder's input. Drag to rotate.",
        )
    ]
    if any(shape.part is not None for shape in data.clouds):
        choice = [_option("height", checked=True), _option("part", checked=False)]
        body.append(tag("fieldset", tag("legend", "Color by"), *choice, class_="switch"))
    body.append(tag("div", *boxes, class_="grid-3"))
    return Section("shapes", title, join(body), figures)


def _option(value: str, *, checked: bool) -> Html:
    box = tag("input", type="radio", name="scene-color", value=value, checked=checked)
    return tag("label", box, f" {value}")


def _figure(shape: InteractiveCloud) -> dict[str, Any]:
    """Return points in the viewer's axes, whose z is our y, up."""
    points = shape.points[:_MOST_POINTS]
    figure: dict[str, Any] = {
        "kind": "scene",
        "x": numbers(points[:, 0], 3),
        "y": numbers(-points[:, 2], 3),
        "z": numbers(points[:, 1], 3),
    }
    if shape.part is not None:
        part = shape.part[:_MOST_POINTS]
        present = sorted({int(value) for value in part if value >= 0})
        colors = dict(zip(present, part_colors(str(value) for value in present), strict=True))
        order = {value: rank for rank, value in enumerate(present)}
        figure["part"] = [order.get(int(value), -1) for value in part]
        figure["part_colors"] = list(colors.values())
        figure["parts"] = [
            shape.parts[value] if value < len(shape.parts) else str(value) for value in present
        ]
    return figure
