"""Robustness to corruptions: images, accuracy by severity, tables."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from adacross.data.rendering.render import orbit, render_cloud
from adacross.data.shape import PointCloud
from adacross.evaluation.robustness.corruptions import FAMILIES, SEVERITIES, corrupt
from adacross.report.drawing import BALL, ROOM, SIDE, webp
from adacross.report.html import Html, Section, image, join, percent, plot, plural, table, tag
from adacross.report.inputs import RunData
from adacross.report.plots import axis, layout

if TYPE_CHECKING:
    from adacross.evaluation.results import Figure
    from adacross.evaluation.robustness.errors import Robustness
    from adacross.evaluation.robustness.measure import Example, RobustnessResult

NAMES = {
    "occlusion": "occlusion",
    "lidar": "lidar",
    "density_inc": "density, more",
    "density": "density, less",
    "cutout": "cutout",
    "uniform": "uniform noise",
    "gaussian": "Gaussian noise",
    "impulse": "impulse noise",
    "upsampling": "upsampling",
    "background": "background",
    "rotation": "rotation",
    "shear": "shear",
    "distortion": "free-form distortion",
    "distortion_rbf": "RBF distortion",
    "distortion_rbf_inv": "inverse RBF distortion",
}
SHOWN = 3  # the severity of the images
_NETWORKS = (
    ("pre-trained", "pretrained", "circle", "solid"),
    ("untrained", "untrained", "square-open", "dash"),
)
_IMAGE = 160  # pixels
_HARDEST = 3  # corruptions named in the text


def robustness(data: RunData, result: "RobustnessResult") -> Section:
    """Return the summary, one shape under each corruption, curves against severity, and both tables."""
    figures = {f"robust-{kind}": _curve(result, kind) for kind in NAMES}
    untrained = tag("details", tag("summary", "The untrained encoder's figures"), _table(result, "untrained"))
    body = [
        tag("p", *_text(result)),
        _summary(result),
        tag("h3", f"One shape under each corruption, severity {SHOWN}"),
        _images(result.example),
        tag("h3", "Accuracy against severity"),
        _legend(),
        _curves(result),
        tag("h3", "Accuracy under each corruption"),
        _table(result, "pretrained"),
        untrained,
    ]
    return Section("robustness", "Robustness", join(body), figures)


def _text(result: "RobustnessResult") -> list[str]:
    """Return the protocol and the main figures as text."""
    good, plain = result.pretrained, result.untrained
    worst = sorted(good.error, key=lambda kind: -good.error[kind].mean)[:_HARDEST]
    named = [f"{NAMES[kind]} ({percent(good.right(kind).mean)})" for kind in worst]
    some = "" if result.test == result.available else f", drawn by class from {result.available:,},"
    return [
        f"A linear classifier learnt from clean clouds and was scored on {plural(result.test, 'test shape')} "
        f"of “{result.data}”{some} corrupted in {plural(len(NAMES), 'way')} at five severities. With the "
        "pre-trained encoder it is then wrong for ",
        tag("b", percent(good.mce_plain.mean)),
        f" of the shapes on average, with the untrained one for {percent(plain.mce_plain.mean)}. "
        f"Corruptions cost {_points(good.lost.mean)} of the pre-trained encoder's clean accuracy, "
        f"{_points(plain.lost.mean)} of the untrained one's. Most harmful: {', '.join(named)}.",
    ]


def _points(share: float) -> str:
    return f"{100 * share:.1f} points".replace("-", "−")


def _summary(result: "RobustnessResult") -> Html:
    """Return the summary table of both encoders."""
    both = (result.pretrained, result.untrained)
    rows = [
        ["accuracy, clean", *(str(one.clean) for one in both)],
        ["mCE, plain", *(str(one.mce_plain) for one in both)],
        ["mCE, normalized", *(str(one.mce_normalised or "–") for one in both)],
        ["accuracy drop", *(str(one.lost) for one in both)],
        ["random rotation", *(str(one.rotated["any"]) for one in both)],
        ["turned about y", *(str(one.rotated["y"]) for one in both)],
    ]
    rows += [
        [f"{count} points of {result.points:,}", *(str(one.fewer[count]) for one in both)]
        for count in result.pretrained.fewer
    ]
    penalties = [" · ".join(f"{c:.2g}" for c in one.C) for one in both]
    note = (
        "mCE, the mean corruption error: errors averaged over severities, then over corruptions; lower is "
        "better. Normalized: the errors of each corruption are first divided by the untrained encoder's. "
        "All other figures are accuracies. "
        f"{plural(result.points, 'point')}; {result.classifier} (C {penalties[0]}, of the "
        f"untrained {penalties[1]}), {result.train:,} training shapes; "
        f"{result.spread}. The kinds of corruption are those of ModelNet40-C, computed by this program: "
        "figures cannot be compared with published ones."
    )
    columns = ("", *(name for name, *_ in _NETWORKS))
    return table("Robustness summary", columns, rows, note=note, class_="numbers")


def _images(example: "Example") -> Html:
    """Return images of the example, clean and under each corruption."""
    points = np.array(example.points, dtype=np.float32)[None]
    shape = np.array([example.shape])
    boxes = [_image(points[0], "clean", example)]
    for kind, name in NAMES.items():
        boxes.append(_image(corrupt(kind, points, SHOWN, 0, shape)[0], name, example))
    note = f"{example.id}, a test shape drawn at random; corrupted as it was in the first repetition."
    return join([tag("div", *boxes, class_="damaged"), tag("p", note, class_="note")])


def _image(points: np.ndarray, name: str, example: "Example") -> Html:
    ball = BALL * ROOM / math.sqrt(len(example.points))
    drawn = render_cloud(PointCloud((ROOM * points).astype(np.float32)), orbit(1), SIDE, ball)[0]
    said = f"{example.class_name}, {name}"
    return tag("figure", image(webp(drawn, _IMAGE), said, _IMAGE), tag("figcaption", name))


def _legend() -> Html:
    keys = [
        tag("span", tag("span", class_=f"line-key {dash}", aria_hidden="true"), name)
        for name, _, _, dash in _NETWORKS
    ]
    return tag("p", *keys, "bars: standard deviation; severity 0: clean", class_="legend")


def _curves(result: "RobustnessResult") -> Html:
    """Return a small figure for each corruption, one family a row."""
    groups = []
    for family, kinds in FAMILIES.items():
        boxes = [
            tag("figure", tag("figcaption", NAMES[kind]), plot(f"robust-{kind}", _spoken(result, kind)))
            for kind in kinds
        ]
        groups.append(tag("div", *boxes, role="group", aria_label=family))
    return tag("div", *groups, class_="small-multiples")


def _along(network: "Robustness", kind: str) -> "list[Figure]":
    """Return clean accuracy, then severities 1 to 5."""
    return [network.clean, *network.corrupted[kind]]


def _spoken(result: "RobustnessResult", kind: str) -> str:
    parts = [
        f"{name} {', '.join(percent(figure.mean) for figure in _along(getattr(result, key), kind))}"
        for name, key, _, _ in _NETWORKS
    ]
    return f"Accuracy under {NAMES[kind]}, clean and severities 1 to 5: {'; '.join(parts)}."


def _curve(result: "RobustnessResult", kind: str) -> dict[str, Any]:
    traces = []
    for index, (name, key, symbol, dash) in enumerate(_NETWORKS, start=1):
        figures = _along(getattr(result, key), kind)
        color = f"--line-{index}"
        spread = [round(figure.std, 4) for figure in figures]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": [0, *SEVERITIES],
                "y": [round(figure.mean, 4) for figure in figures],
                "error_y": {"array": spread, "color": color, "thickness": 1, "width": 0},
                "line": {"width": 1.6, "dash": dash, "color": color},
                "marker": {"size": 6, "symbol": symbol},
                "hovertemplate": "%{y:.1%}",
            }
        )
    return {
        "kind": "plot",
        "data": traces,
        "layout": layout(
            xaxis=axis(tickvals=[0, *SEVERITIES], range=[-0.3, 5.3], fixedrange=True),
            yaxis=axis(range=[0, 1.05], tickvals=[0, 0.5, 1], tickformat=".0%", fixedrange=True),
            margin={"l": 36, "r": 4, "t": 6, "b": 22},
            showlegend=False,
            hovermode="x unified",
            dragmode=False,
        ),
    }


def _table(result: "RobustnessResult", key: str) -> Html:
    network, other = getattr(result, key), result.untrained
    rows = []
    for kind, name in NAMES.items():
        cells = [percent(figure.mean) for figure in _along(network, kind)]
        mean = str(network.right(kind)).replace(" %", "\u00a0%")
        gain = other.error[kind].mean - network.error[kind].mean
        against = [f"{100 * gain:+.1f}".replace("-", "−")] if key == "pretrained" else []
        rows.append([name, *cells, tag("b", mean), *against])
    columns = ["", "clean", *(f"severity {number}" for number in SEVERITIES), "mean of 1 to 5"]
    columns += ["above untrained"] if key == "pretrained" else []
    caption = f"Accuracy under each corruption, {'pre-trained' if key == 'pretrained' else 'untrained'}"
    return table(caption, columns, rows, class_="numbers")
