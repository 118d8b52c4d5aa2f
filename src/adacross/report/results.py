"""A section for each result: table, chart, verdict and pictures; and one for each table of several runs."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from adacross.evaluation.compare import Comparison
from adacross.evaluation.efficiency import Efficiency
from adacross.evaluation.result import BASELINES, CHANCE, METRIC, PRETRAINED, SCRATCH, Result, Score
from adacross.features.statistics import Difference, Estimate
from adacross.report.figures import COLORS, Dot, Figure, Series, dot_chart, ends, line_chart
from adacross.report.names import result_name
from adacross.report.page import SPACE, Section, missing, percent, section, sentence, signed
from adacross.report.pictures import FAILURES, pictures
from adacross.report.run import RunData

_SENTENCES = 6  # verdicts; of more settings the number is given
_ROWS = 30  # of a table or a chart; longer tables are folded
_FEWEST = 3  # values of a setting that make a line

Cell = tuple[str, str]  # a figure and its uncertainty


def result_sections(run: RunData) -> list[Section]:
    """Return a section for every result."""
    several = len({one.data.digest for one in run.results}) > 1
    sections = []
    for number, result in enumerate(run.results):
        anchor, title = f"result-{number}", result_name(result.task, result.name)
        title += f", on {result.data.name}" if several else ""
        what = f"{result.name} on {result.data.name} cannot be shown"
        sections.append(_shown(anchor, title, what, partial(_section, run, result, anchor, title)))
    return sections


def table_sections(run: RunData) -> list[Section]:
    """Return a section for each comparison, and for efficiency."""
    sections = []
    for number, table in enumerate(run.tables):
        anchor = f"table-{number}"
        title = f"Comparison, {table.task}" if isinstance(table, Comparison) else "Efficiency"
        sections.append(_shown(anchor, title, "It cannot be shown", partial(_table, table, anchor, title)))
    return sections


def _shown(anchor: str, title: str, what: str, make: Callable[[], Section]) -> Section:
    """Return a section; one whose values contradict each other says so."""
    try:
        return make()
    except FAILURES as error:
        reason = f"{what} ({type(error).__name__}: {error}); delete its file and measure again."
        return missing(anchor, title, reason)


def _section(run: RunData, result: Result, anchor: str, title: str) -> Section:
    dots, lines = chart(result)
    rows = [
        ([cell(row.get(column)) for column in result.columns], row[METRIC] == first(result).metric)
        for row in result.rows()
    ]
    return section(
        "result",
        title,
        anchor,
        result=result,
        verdicts=verdicts(result),
        headline=first(result).metric,
        texts=result.columns.index(METRIC) + 1,  # columns that are no figures
        rows=rows,
        folded=len(rows) > _ROWS,
        dots=dots,
        lines=lines,
        notes=_notes(result),
        stale=not run.own(result),
        pictures=pictures(run, result),
    )


def headlines(run: RunData) -> list[dict[str, Any]]:
    """Return the first figure of each result, for the overview: the figure, its baseline and the gain."""
    found = []
    for number, result in enumerate(run.results):
        try:
            score = first(result)
            beside = [one for one in result.scores if one.key == score.key]
            baseline = next((one for one in beside if one.network in BASELINES), None)
            chance = next((one for one in beside if one.network == CHANCE), None)
            found.append(
                {
                    "anchor": f"result-{number}",
                    "name": result_name(result.task, result.name),
                    "data": result.data.name,
                    "metric": score.metric,
                    "setting": _words(score),
                    "pretrained": cell(score.estimate),
                    "baseline": cell(baseline.estimate if baseline else None),
                    "network": baseline.network if baseline else "",
                    "chance": percent(chance.estimate.mean) if chance else "",
                    "gain": cell(score.minus(baseline) if baseline else None),
                    "verdict": next(iter(verdicts(result)), ""),
                    "own": run.own(result),
                }
            )
        except FAILURES:  # its section says so
            continue
    return found


def cell(figure: Any) -> Cell:
    """Return an estimate, a difference, a text or nothing as a cell of a table."""
    match figure:
        case Estimate(std=std) if std is not None:
            return percent(figure.mean), f"± {100 * std:.1f}"
        case Estimate():
            return percent(figure.mean), _range(figure.low, figure.high, "{:.1f}")
        case Difference():
            return f"{signed(figure.mean)} points", _range(figure.low, figure.high, "{:+.1f}")
    return "" if figure is None else str(figure), ""


def verdict(gain: Difference, baseline: str, where: str = "") -> str:
    """Return one sentence on the difference from a baseline, in a setting if there are several."""
    prefix = f"{where}: " if where else ""
    other = "training from scratch" if baseline == SCRATCH else "the untrained encoder"
    if gain.p is None:
        return f"{prefix}{signed(gain.mean)} points against {other}; {gain.test}."
    if not gain.significant:
        points = f"{signed(gain.mean)} points{_interval(gain.low, gain.high)}"
        return f"{prefix}No difference from {other} can be told from chance: {points}."
    word, low, high = "gains", gain.low, gain.high
    if gain.mean < 0 and low is not None and high is not None:
        word, low, high = "loses", -high, -low
    return f"{prefix}Pre-training {word} {100 * abs(gain.mean):.1f} points{_interval(low, high)}."


def verdicts(result: Result) -> list[str]:
    """Return a sentence for each setting of the first figure, or a count if there are many."""
    metric = first(result).metric
    gains = [(one, gain) for one, gain in result.gains() if one.metric == metric and not one.detail]
    if not gains:
        return []
    if len(gains) > _SENTENCES:
        told = [gain.mean > 0 for _, gain in gains if gain.significant]
        mean = float(np.mean([gain.mean for _, gain in gains]))
        return [
            f"Pre-training gains in {sum(told)} of {len(gains)} settings and loses in "
            f"{len(told) - sum(told)}; in the others no "
            f"difference can be told from chance. Mean difference: {signed(mean)} points."
        ]
    baseline = next(one.network for one in result.scores if one.network in BASELINES)
    return [verdict(gain, baseline, _words(score) if len(gains) > 1 else "") for score, gain in gains]


def chart(result: Result) -> tuple[Figure | None, list[Figure]]:
    """Draw the first figure: dots, or a chart of lines over a setting that is a number for each other one."""
    metric = first(result).metric
    scores = [one for one in result.scores if one.metric == metric]
    settings = dict.fromkeys(name for one in scores for name in one.setting)
    along = next((name for name in settings if _is_axis(scores, name)), None)
    if along:
        return None, _lines(scores, along, first(result))
    networks = [one for one in dict.fromkeys(one.network for one in result.scores) if one != CHANCE]
    colors = {network: number % COLORS + 1 for number, network in enumerate(networks)}
    order = [one.setting for one in scores]
    scores.sort(key=lambda one: order.index(one.setting))
    rows: list[Dot] = [(_words(one), one.network, colors.get(one.network, 0), one.estimate) for one in scores]
    return (dot_chart(metric, rows) if 1 < len(rows) <= _ROWS else None), []


def first(result: Result) -> Score:
    """Return the headline: the first score of the pre-trained encoder, or the first of all."""
    return next((one for one in result.scores if one.network == PRETRAINED), result.scores[0])


def _notes(result: Result) -> str:
    """Return what the figures are of: uncertainty, notes, what was left out, and when it was measured."""
    data = result.data
    left_out = [f"left out: {what} ({why})" for what, why in islice(data.left_out.items(), _ROWS)]
    more = len(data.left_out) - len(left_out)
    units = first(result).units.removeprefix("test ")
    options = "".join(f", {name.strip('_')} {value}" for name, value in result.options.items())
    texts = (
        result.uncertainty.replace("[", "“a to b”: ").replace("]", ""),
        *result.notes,
        *left_out,
        f"{more:,} more are left out" if more else "",
        f"“{data.name}”: {f'{data.train:,} training and ' if data.train else ''}{data.test:,} test {units}",
        f"Encoder {', '.join(result.encoders)}{options}",
        f"Measured {result.date[:16].replace('T', ' ')} with adacross {result.version}",
    )
    return " ".join(map(sentence, filter(None, texts)))


def _words(score: Score) -> str:
    """Return a score's setting as text: "labels 10 %"."""
    return ", ".join(f"{name} {value}" for name, value in score.setting.items())


def _number(text: str) -> float | None:
    """Return a setting's value as a number: "10 %" -> 10."""
    try:
        return float(text.removesuffix("%").replace(",", "").strip())
    except ValueError:
        return None


def _is_axis(scores: Sequence[Score], name: str) -> bool:
    values = {one.setting[name] for one in scores if name in one.setting}
    return len(values) >= _FEWEST and all(_number(value) is not None for value in values)


def _lines(scores: Sequence[Score], along: str, head: Score) -> list[Figure]:
    """Return a chart for each value of the other settings, with a line for each network.

    A headline without a number, such as the accuracy on clean clouds, is where lines begin.
    """
    groups: dict[str, dict[str, list[Score]]] = {}
    origin = [one for one in scores if one.setting == head.setting and along not in one.setting]
    for one in scores:
        if along in one.setting:
            rest = ", ".join(value for name, value in one.setting.items() if name != along)
            begun = [each for each in origin if each.network == one.network]
            groups.setdefault(rest, {}).setdefault(one.network, begun).append(one)
    window = (0.0, 1.0) if len(groups) > 1 else None
    charts = []
    for name, networks in groups.items():
        lines: list[Series] = []
        ticks: dict[float, str] = {}
        for network, members in networks.items():
            places = {_number(one.setting.get(along, "")) or 0.0: one for one in members}
            points = sorted((x, one.estimate.mean, *ends(one.estimate)) for x, one in places.items())
            lines.append(Series(network, *(np.array(column) for column in zip(*points, strict=True))))
            ticks |= {x: one.setting.get(along, _words(one).split()[-1]) for x, one in places.items()}
        at, title = sorted(ticks.items()), name or head.metric
        charts.append(line_chart(title, lines, x_title=along, x_ticks=at, y_range=window, share=True))
    return [one for one in charts if one]


def _range(low: float | None, high: float | None, style: str) -> str:
    """Return an interval of shares in per cent: "66.1 to 75.0"."""
    if low is None or high is None:
        return ""
    texts = (style.format(round(100 * share, 1) + 0.0) for share in (low, high))  # never -0.0
    return " to ".join(texts).replace("-", "−")


def _interval(low: float | None, high: float | None) -> str:
    found = _range(low, high, "{:.1f}")
    return f" (95{SPACE}% interval {found})" if found else ""


def _table(table: Comparison | Efficiency, anchor: str, title: str) -> Section:
    dots, lines = (_compared(table), None) if isinstance(table, Comparison) else ([], _curves(table))
    return section("table", title, anchor, table=table, dots=dots, lines=lines)


def _compared(result: Comparison) -> list[Figure]:
    """Draw the first metric of each entry, and its difference from the baseline's."""
    rows = [row for row in result.rows if row.metric == result.rows[0].metric]
    names = dict.fromkeys(row.encoder for row in rows)
    colors = {name: number % COLORS + 1 for number, name in enumerate(names)} | {CHANCE: 0}
    figures: list[Dot] = []
    differences: list[Dot] = []
    for row in rows:
        setting, color = ", ".join(row.setting.values()), colors[row.encoder]
        figures.append((setting, row.encoder, color, row.figure))
        if row.difference:
            differences.append((setting, row.encoder, color, row.difference))
    charts = [dot_chart(rows[0].metric, figures)]
    return charts + ([dot_chart(f"Difference from {result.baseline}", differences)] if differences else [])


def _curves(result: Efficiency) -> Figure | None:
    """Draw the monitor's accuracy against steps, for the first run of each entry."""
    series = [
        Series(one.name, *(np.array(one.curves[0][name], np.float64) for name in ("step", "accuracy")))
        for one in result.entries
        if one.curves and one.curves[0].get("accuracy")
    ]
    return line_chart("Monitor accuracy of the first runs", series, share=True)
