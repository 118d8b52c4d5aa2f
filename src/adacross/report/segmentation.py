"""Part and semantic segmentation: figures, categories, and examples."""

from collections.abc import Sequence
from typing import Any

from adacross.evaluation.results import Figure
from adacross.evaluation.segmentation.parts import PartSegResult
from adacross.evaluation.segmentation.scenes import SemSegResult
from adacross.report.html import Html, Section, join, percent, plot, plural, table, tag
from adacross.report.inputs import RunData
from adacross.report.plots import LINES, axis, layout
from adacross.report.segmented_clouds import STARTS, segmented_clouds


def part_segmentation(data: RunData, result: PartSegResult) -> Section:
    """Return mIoU of both starts under both conventions, every category, and shapes."""
    rows = []
    for row in result.labels:
        labels = f"{100 * row.fraction:g}\u00a0% ({row.shapes})"
        for name, scores, known in zip(
            STARTS,
            (row.pretrained, row.scratch),
            (row.pretrained_known, row.scratch_known),
            strict=True,
        ):
            rest = (scores.by_class, scores.accuracy, known.instance, known.by_class)
            rows.append([f"{labels}, {name}", tag("b", _figure(scores.instance)), *map(_figure, rest)])
    note = (
        f"“{result.data}”: {result.train} training shapes, {plural(result.test, 'test shape')}, "
        f"{plural(len(result.parts), 'part')} of {plural(len(result.categories), 'category')}, "
        f"{plural(result.points, 'point')}. {result.protocol}. Seeds {', '.join(map(str, result.seeds))}; "
        f"{result.spread}. IoU of a shape: mean over the parts of its category, a part absent in truth and "
        "prediction counting 1. Instance mIoU is the mean over shapes, class mIoU the mean over categories."
    )
    columns = ("labels, start", "instance mIoU", "class mIoU", "points right", "instance mIoU, own parts",
               "class mIoU, own parts")  # fmt: skip
    verdicts = [
        _verdict(f"With {100 * row.fraction:g} % of the labels", "instance mIoU", row.gain)
        for row in result.labels
    ]
    last = result.labels[-1]
    figures = {"part-seg-plot": _curve(result)} if len(result.labels) > 1 else {}
    said = "; ".join(
        f"{100 * row.fraction:g} %: {_figure(row.pretrained.instance)} pre-trained, "
        f"{_figure(row.scratch.instance)} from scratch"
        for row in result.labels
    )
    body = [
        tag("p", "Encoder and segmentation head are fine-tuned to predict the part of every point, with and "
                 "without pre-training. The category is an input. A part is predicted among all parts, or "
                 "(“own parts”) among those of the shape's category."),
        *(tag("p", verdict) for verdict in verdicts),
        table("Part segmentation", columns, rows, note=note, class_="numbers"),
        *(plot(name, f"Instance mIoU over labels. {said}.", class_="curve") for name in figures),
        *segmented_clouds(result.examples, result.parts, f"{100 * last.fraction:g} % of the labels"),
        _each("Every category", "category", result.categories, last.pretrained.categories,
              last.scratch.categories, f"{100 * last.fraction:g} % of the labels", result.tested),
    ]  # fmt: skip
    return Section("part-seg", "Part segmentation", join(body), figures)


def semantic_segmentation(data: RunData, result: SemSegResult) -> Section:
    """Return mIoU of both starts for everything held out, every class, and blocks."""
    together = [result.together] if len(result.folds) > 1 else []
    rows = [
        [f"{fold.name}, {name}", tag("b", _figure(scores.miou)), _figure(scores.accuracy), str(fold.test)]
        for fold in [*result.folds, *together]
        for name, scores in zip(STARTS, (fold.pretrained, fold.scratch), strict=True)
    ]
    note = (
        f"“{result.data}”: {plural(len(result.classes), 'class')}, {result.points} of {result.stored} "
        f"points a block, {result.coordinates}; {result.folds[0].train} training blocks. "
        f"{result.protocol}. Seeds {', '.join(map(str, result.seeds))}; {result.spread}. Intersections and "
        "unions are counted over all blocks; absent classes do not count."
    )
    columns = ("held out, initialization", "mIoU", "points right", "blocks")
    verdicts = [_verdict(f"On {fold.name}", "mIoU", fold.gain) for fold in [*result.folds, *together]]
    body = [
        tag("p", "Encoder and segmentation head are fine-tuned to predict the class of every point, with "
                 "and without pre-training."),
        *(tag("p", verdict) for verdict in verdicts),
        table("Semantic segmentation", columns, rows, note=note, class_="numbers"),
        *segmented_clouds(result.examples, result.classes, result.folds[0].name),
        _each("Every class", "class", result.classes, result.together.pretrained.classes,
              result.together.scratch.classes, result.together.name, None),
    ]  # fmt: skip
    return Section("sem-seg", "Semantic segmentation", join(body))


def _figure(figure: Figure) -> str:
    return f"{100 * figure.mean:.1f} ± {100 * figure.std:.1f}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _verdict(where: str, what: str, gain: Figure) -> str:
    """Return one sentence on the gain."""
    better = sum(value > 0 for value in gain.values)
    return (
        f"{where}, pre-training changes {what} by {_points(gain.mean)} ± {100 * gain.std:.1f} points; better "
        f"in {better} of {plural(len(gain.values), 'seed')}."
    )


def _curve(result: PartSegResult) -> dict[str, Any]:
    """Instance mIoU over the label fraction, with the spread over seeds."""
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": [row.fraction for row in result.labels],
            "y": [round(scores.mean, 4) for scores in figures],
            "error_y": {"type": "data", "array": [round(scores.std, 4) for scores in figures], "width": 4},
            "line": {"width": 2, "color": LINES[index], "dash": ("solid", "dot")[index]},
            "marker": {"size": 8, "symbol": ("circle", "square")[index]},
            "hovertemplate": "%{y:.1%}",
        }
        for index, (name, figures) in enumerate(
            (
                ("pre-trained", [row.pretrained.instance for row in result.labels]),
                ("from scratch", [row.scratch.instance for row in result.labels]),
            )
        )
    ]
    fractions = [row.fraction for row in result.labels]
    ticks = {"tickvals": fractions, "ticktext": [f"{100 * fraction:g} %" for fraction in fractions]}
    return {
        "kind": "plot",
        "data": traces,
        "layout": layout(
            xaxis=axis("label fraction", type="log", **ticks), yaxis=axis("mIoU", tickformat=".0%"),
            hovermode="x unified", showlegend=True,
        ),
    }  # fmt: skip


def _each(
    title: str,
    column: str,
    names: Sequence[str],
    pretrained: Sequence[float | None],
    scratch: Sequence[float | None],
    of: str,
    tested: Sequence[int] | None,
) -> Html:
    """Return a table of every category or class."""
    rows = []
    for index, (name, one, other) in enumerate(zip(names, pretrained, scratch, strict=True)):
        if one is None and other is None:
            continue
        gain = _points(one - other) if one is not None and other is not None else "–"
        cells = ["–" if value is None else percent(value) for value in (one, other)]
        rows.append([name, *([str(tested[index])] if tested else []), *cells, gain])
    columns = (column, *(["test shapes"] if tested else []), *STARTS, "difference")
    shown = table(title, columns, rows, note=f"Mean IoU over seeds, {of}.", class_="numbers")
    return tag("details", tag("summary", f"{title} ({len(rows)})"), shown)
