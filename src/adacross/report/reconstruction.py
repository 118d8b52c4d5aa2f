"""Masked shapes and their reconstruction."""

from adacross.report import commands
from adacross.report.drawing import DEPTHS, GIVEN, HIDDEN, PREDICTED, Color
from adacross.report.html import Html, Section, image, join, missing, percent, plural, tag
from adacross.report.inputs import Completion, Completions, RunData
from adacross.report.names import masks

VIEWS = ("the front", "above", "the side, lying down")  # of adacross.ops.projection.VIEWS
_SIZE = 160  # CSS pixels


def reconstruction(data: RunData) -> Section | None:
    """Return a row for each shape: input, visible part, completion. None for a method without masks."""
    if not masks(data):
        return None
    title, shown = "Masked reconstruction", data.completions
    if shown is None or not shown.shapes:
        reason = data.absent.get("completions", "The collection holds no shapes.")
        command = commands.resume(data) if data.facts and "completions" in data.absent else None
        return Section("completed", title, missing(reason, command))
    rows = [_row(shape) for shape in shown.shapes]
    what, how = _text(shown)
    body = [
        tag("p", what),
        tag("p", how, class_="note"),
        _legend(maps=shown.patches is not None),
        tag("div", *rows, class_="completions" if shown.patches else "completions clouds-only"),
    ]
    return Section("completed", title, join(body))


def _text(shown: Completions) -> tuple[str, str]:
    """Return the introduction and a note on the masks."""
    maps = shown.patches is not None
    number = plural(len(shown.shapes), "shape")
    whose = (
        f"{number} of the test split, none of which it was trained on"
        if shown.split == "test"
        else f"{number} of the collection, which has no test split: it was trained on most of them"
    )
    what = (
        f"In pre-training the method sees a part of each cloud{', and of a depth map of it,' * maps} "
        f"and reconstructs the rest, here for {whose}. Shapes{', sides' * maps} and masks were drawn "
        f"at random (seed {shown.seed})."
    )
    hidden, groups = shown.groups
    shares = [shape.visible for shape in shown.shapes]
    seen = " to ".join(dict.fromkeys(percent(share, 0) for share in (min(shares), max(shares))))
    how = f"Hidden are {hidden} of {groups} groups of points ({percent(hidden / groups, 0)})"
    if shown.patches:
        gone, patches = shown.patches
        how += f" and {gone} of {patches} patches of the depth map ({percent(gone / patches, 0)})"
    how += (
        f". Groups overlap, so {seen} of the points stay visible. The centers of hidden "
        "groups are an input; the points around them are predicted."
    )
    if maps:
        how += " A depth map is the cloud seen from one side; “redrawn” is that of the completed cloud."
    return what, how


def _legend(*, maps: bool) -> Html:
    items = [_key(_rgb(GIVEN), "given"), _key(_rgb(PREDICTED), "predicted")]
    if maps:
        ground, stripe = map(_rgb, HIDDEN)
        stripes = f"repeating-linear-gradient(135deg, {stripe} 0 2px, {ground} 2px 6px)"
        (_, nothing), *shades = DEPTHS
        ramp = f"linear-gradient(90deg, {', '.join(_rgb(color) for _, color in shades)})"
        items += [
            _key(stripes, "hidden"),
            _key(_rgb(nothing), "nothing there"),
            _key(ramp, "far to near", "wide"),
        ]
    return tag("p", *items, class_="legend")


def _key(background: str, text: str, class_: str = "") -> Html:
    patch = tag("i", class_=f"patch {class_}".strip(), style=f"background:{background}")
    return tag("span", patch, text)


def _rgb(color: Color) -> str:
    return f"rgb{color}"


def _row(shape: Completion) -> Html:
    name = shape.class_name or shape.id
    seen = percent(shape.visible, 0)
    label = [tag("b", name)]
    if shape.class_name:
        label.append(tag("small", shape.id))
    clouds = (
        ("cloud", f"cloud of {name}"),
        ("shown", f"visible: {seen} of the points"),
        ("completed", f"completed cloud of {name}, predicted points in orange"),
    )
    boxes = [tag("div", *_figures(clouds, shape.clouds), class_="three")]
    if shape.maps:
        side = VIEWS[shape.view or 0]
        maps = (
            ("depth map", f"depth map of {name} from {side}"),
            ("shown", "visible: the patches that are not striped"),
            ("completed", f"completed depth map of {name}"),
            ("redrawn", f"depth map drawn from the completed cloud of {name}"),
        )
        boxes.append(tag("div", *_figures(maps, shape.maps), class_="four"))
        label.append(tag("small", f"depth map from {side}"))
    head = tag("p", *label, class_="completion-name")
    return tag("div", head, *boxes, class_="completion", role="group", aria_label=name)


def _figures(named: tuple[tuple[str, str], ...], images: tuple[bytes, ...]) -> list[Html]:
    return [
        tag("figure", image(webp, alt, _SIZE), tag("figcaption", caption))
        for (caption, alt), webp in zip(named, images, strict=True)
    ]
