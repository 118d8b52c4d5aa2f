"""A section for each result: table, chart, verdict and pictures, whatever the protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from markupsafe import Markup

from adacross.evaluation.result import BASELINES, CHANCE, GAIN, PRETRAINED, SCRATCH, Result, Score
from adacross.features.statistics import Difference, Estimate
from adacross.report.figures import DotChart, LineChart, Series, dot_chart, line_chart
from adacross.report.names import result_name
from adacross.report.page import SPACE, Section, percent, section, sentence, signed
from adacross.report.pictures import pictures
from adacross.report.run import RunData

FAILURES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # of a file that was changed
_SENTENCES = 6  # verdicts; of more settings the number is given
_ROWS = 30  # of a table or a chart; longer tables are folded
_FEWEST = 3  # values of a setting that make a line


@dataclass(frozen=True)
class Cell:
    """A figure in a table: its mean and its uncertainty."""

    mean: str
    spread: str = ""

    @classmethod
    def of(cls, figure: Any) -> "Cell":
        """Return the cell of an estimate, a difference, a text, or of nothing."""
        match figure:
            case Estimate():
                if figure.std is not None:
                    return cls(percent(figure.mean), f"± {100 * figure.std:.1f}")
                return cls(percent(figure.mean), _interval(figure.low, figure.high))
            case Difference():
                spread = "" if figure.low is None or figure.high is None else (
                    f"{signed(figure.low)} to {signed(figure.high)}"
                )  # fmt: skip
                return cls(f"{signed(figure.mean)} points", spread)
        return cls("" if figure is None else str(figure))


@dataclass(frozen=True)
class Headline:
    """The first figure of a result, for the overview.

    Attributes:
        anchor: of its section.
        name: of the result.
        data: name of the data.
        metric: of the figure.
        setting: of the figure.
        pretrained: the figure.
        baseline: of the same encoder untrained or from scratch; empty where there is none.
        gain: their difference.
        own: True if it is of the run's weights.
    """

    anchor: str
    name: str
    data: str
    metric: str
    setting: str
    pretrained: Cell
    baseline: Cell
    gain: Cell
    own: bool


def result_sections(run: RunData) -> list[Section]:
    """Return a section for every result; one whose values contradict each other says so."""
    sections = []
    for number, result in enumerate(run.results):
        title = _title(run, result)
        try:
            sections.append(_section(run, result, anchor(number), title))
        except FAILURES as error:
            reason = (
                f"{result.name} on {result.data.name} cannot be shown ({type(error).__name__}: {error}); delete "
                "its file and measure again."
            )
            sections.append(section("missing", title, anchor(number), reason=reason, command=None))
    return sections


def anchor(number: int) -> str:
    """Return the id of the section of the result at a place of `RunData.results`."""
    return f"result-{number}"


def headlines(run: RunData) -> list[Headline]:
    """Return the first figure of each result."""
    found = []
    for number, result in enumerate(run.results):
        try:
            score = _first(result)
            baseline = next((one for one in _beside(result, score) if one.network in BASELINES), None)
            found.append(
                Headline(
                    anchor=anchor(number),
                    name=result_name(result.task, result.name),
                    data=result.data.name,
                    metric=score.metric,
                    setting=_words(score),
                    pretrained=Cell.of(score.estimate),
                    baseline=Cell.of(baseline.estimate if baseline else None),
                    gain=Cell.of(score.minus(baseline) if baseline else None),
                    own=run.own(result),
                )
            )
        except FAILURES:
            continue
    return found


def verdict(gain: Difference, baseline: str, where: str = "") -> str:
    """Return one sentence on the difference that pre-training makes.

    Args:
        gain: pre-trained minus untrained, or minus trained from scratch.
        baseline: "untrained" or "from scratch".
        where: the setting, if there are several.
    """
    prefix = f"{where}: " if where else ""
    other = "training from scratch" if baseline == SCRATCH else "the untrained encoder"
    interval = "" if gain.low is None or gain.high is None else (
        f" (95{SPACE}% interval {_points(gain.low)} to {_points(gain.high)})"
    )  # fmt: skip
    if gain.p is None:
        return f"{prefix}{signed(gain.mean)} points against {other}; {gain.test}."
    if gain.significant:
        word = "gains" if gain.mean > 0 else "loses"
        return f"{prefix}Pre-training {word} {_points(abs(gain.mean))} points{_turned(gain, interval)}."
    return (
        f"{prefix}No difference from {other} can be told from chance: {signed(gain.mean)} points{interval}."
    )


def verdicts(result: Result) -> list[str]:
    """Return a sentence for each setting of the first figure, or a count if there are many."""
    metric = _first(result).metric
    gains = [(score, gain) for score, gain in result.gains() if score.metric == metric]
    if not gains:
        return []
    baseline = next(one.network for one in result.scores if one.network in BASELINES)
    if len(gains) > _SENTENCES:
        better, worse = (
            sum(gain.significant and sign * gain.mean > 0 for _, gain in gains) for sign in (1, -1)
        )
        mean = float(np.mean([gain.mean for _, gain in gains]))
        return [
            f"Pre-training gains in {better} of {len(gains)} settings and loses in {worse}; in the others no "
            f"difference can be told from chance. Mean difference: {signed(mean)} points."
        ]
    several = len(gains) > 1
    return [verdict(gain, baseline, _words(score) if several else "") for score, gain in gains]


def chart(result: Result) -> tuple[DotChart | None, list[LineChart]]:
    """Draw the first figure of a result: lines over a setting that is a number, dots otherwise.

    Returns:
        Dots with intervals, or a line chart for each value of the other settings.
    """
    metric = _first(result).metric
    scores = [one for one in result.scores if one.metric == metric]
    along = next((name for name in _settings(scores) if _is_axis(scores, name)), None)
    if along:
        return None, _lines(scores, along, metric)
    rows = [(_words(one), one.network, _color(result, one.network), one.estimate) for one in scores]
    return (dot_chart(metric, rows) if 1 < len(rows) <= _ROWS else None), []


def _section(run: RunData, result: Result, anchor: str, title: str) -> Section:
    first = _first(result)
    dots, lines = chart(result)
    rows = [
        (
            [Cell.of(row.get(column)) for column in result.columns],
            row["encoder"] in (PRETRAINED, GAIN),
        )
        for row in result.rows()
    ]
    return section(
        "result",
        title,
        anchor,
        result=result,
        intro=sentence(result.protocol),
        verdicts=verdicts(result),
        headline=first.metric,
        columns=result.columns,
        texts=result.columns.index("encoder") + 1,
        rows=rows,
        folded=len(rows) > _ROWS,
        dots=dots,
        lines=lines,
        networks=list(dict.fromkeys(one.network for one in result.scores if one.network != CHANCE)),
        notes=_notes(result),
        measured=_measured(result),
        stale=not run.own(result),
        pictures=_pictures(run, result),
    )


def _pictures(run: RunData, result: Result) -> list[Markup]:
    try:
        return pictures(run, result)
    except FAILURES as error:
        return [
            Markup('<p class="note">Its pictures cannot be drawn ({}: {}).</p>').format(
                type(error).__name__, error
            )
        ]


def _title(run: RunData, result: Result) -> str:
    name = result_name(result.task, result.name)
    several = len({one.data.digest for one in run.results}) > 1
    return f"{name}, on {result.data.name}" if several else name


def _notes(result: Result) -> str:
    left_out = [f"left out: {what} ({why})" for what, why in islice(result.data.left_out.items(), _ROWS)]
    more = len(result.data.left_out) - len(left_out)
    left_out += [f"{more} more are left out"] if more > 0 else []
    uncertainty = result.uncertainty.replace("[", "“a to b”: ").replace("]", "")
    return " ".join(sentence(text) for text in (uncertainty, *result.notes, *left_out))


def _measured(result: Result) -> str:
    """Return when, with what and of how much a result was measured."""
    data, encoders = result.data, ", ".join(result.encoders)
    learned = f"{data.train:,} training and " if data.train else ""
    options = "".join(f", {name.strip('_')} {value}" for name, value in result.options.items())
    return (
        f"“{data.name}”: {learned}{data.test:,} test {_first(result).units.removeprefix('test ')}; "
        f"encoder {encoders}{options}; measured {result.date[:16].replace('T', ' ')} with adacross "
        f"{result.version}."
    )


def _first(result: Result) -> Score:
    """Return the headline: the first score of the pre-trained encoder, or the first of all."""
    return next((one for one in result.scores if one.network == PRETRAINED), result.scores[0])


def _beside(result: Result, score: Score) -> list[Score]:
    return [one for one in result.scores if one.metric == score.metric and one.setting == score.setting]


def _settings(scores: Sequence[Score]) -> list[str]:
    return list(dict.fromkeys(name for one in scores for name in one.setting))


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


def _lines(scores: Sequence[Score], along: str, metric: str) -> list[LineChart]:
    """Return a chart for each value of the other settings, with a line for each network."""
    groups: dict[str, list[Score]] = {}
    for one in scores:
        if along in one.setting:
            rest = ", ".join(value for name, value in one.setting.items() if name != along)
            groups.setdefault(rest, []).append(one)
    charts = []
    for name, members in groups.items():
        texts = {_number(one.setting[along]) or 0.0: one.setting[along] for one in members}
        series = [
            _line(network, [one for one in members if one.network == network], along)
            for network in dict.fromkeys(one.network for one in members)
        ]
        drawn = line_chart(
            name or metric,
            series,
            x_title=along,
            x_ticks=sorted(texts.items()),
            y_range=(0.0, 1.0) if len(groups) > 1 else None,
            share=True,
        )
        charts += [drawn] if drawn else []
    return charts


def _line(network: str, scores: Sequence[Score], along: str) -> Series:
    points = sorted((_number(one.setting[along]) or 0.0, *_bar(one.estimate)) for one in scores)
    x, y, low, high = (np.array(column) for column in zip(*points, strict=True))
    return Series(network, x, y, low, high)


def _bar(figure: Estimate) -> tuple[float, float, float]:
    """Return a figure with the ends of its interval, or a standard deviation away."""
    if figure.std is not None:
        return figure.mean, figure.mean - figure.std, figure.mean + figure.std
    if figure.low is None or figure.high is None:
        return figure.mean, figure.mean, figure.mean
    return figure.mean, figure.low, figure.high


def _color(result: Result, network: str) -> int:
    if network == CHANCE:
        return 0
    networks = list(dict.fromkeys(one.network for one in result.scores if one.network != CHANCE))
    return networks.index(network) % 6 + 1


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


def _points(share: float) -> str:
    return f"{100 * share:.1f}".replace("-", "−")


def _turned(gain: Difference, interval: str) -> str:
    """Return the interval of a gain, or of a loss, which is a positive number."""
    if gain.mean > 0 or gain.low is None or gain.high is None:
        return interval
    return f" (95{SPACE}% interval {_points(-gain.high)} to {_points(-gain.low)})"
