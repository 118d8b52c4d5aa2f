"""Sections of comparisons of encoders and of the efficiency of trainings."""

import numpy as np

from adacross.evaluation.compare import Comparison
from adacross.evaluation.efficiency import Efficiency
from adacross.evaluation.result import CHANCE
from adacross.report.figures import COLORS, Dot, Figure, Series, dot_chart, line_chart
from adacross.report.page import Section, missing, section
from adacross.report.pictures import FAILURES
from adacross.report.run import RunData


def table_sections(run: RunData) -> list[Section]:
    """Return a section for each comparison, and for efficiency."""
    sections = []
    for number, one in enumerate(run.tables):
        title = f"Comparison, {one.task}" if isinstance(one, Comparison) else "Efficiency"
        try:
            dots, lines = (_compared(one), None) if isinstance(one, Comparison) else ([], _curves(one))
            sections.append(section("table", title, f"table-{number}", table=one, dots=dots, lines=lines))
        except FAILURES as error:
            reason = f"It cannot be shown ({type(error).__name__}: {error}); delete its file and repeat it."
            sections.append(missing(f"table-{number}", title, reason))
    return sections


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
