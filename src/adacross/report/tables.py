"""Sections of comparisons of encoders and of the efficiency of trainings."""

import numpy as np

from adacross.evaluation.compare import Comparison
from adacross.evaluation.efficiency import Efficiency
from adacross.report.figures import COLORS, Figure, Series, dot_chart, line_chart
from adacross.report.page import Section, section
from adacross.report.run import RunData


def table_sections(run: RunData) -> list[Section]:
    """Return a section for each comparison, and for efficiency."""
    sections = []
    for number, one in enumerate(run.tables):
        if isinstance(one, Comparison):
            title, dots, lines = f"Comparison, {one.task}", _compared(one), None
        else:
            title, dots, lines = "Efficiency", [], _curves(one)
        sections.append(section("table", title, f"table-{number}", table=one, dots=dots, lines=lines))
    return sections


def _compared(result: Comparison) -> list[Figure]:
    """Draw the first metric of each entry, and its difference from the baseline's."""
    rows = [row for row in result.rows if row.metric == result.rows[0].metric]
    colors = {
        name: number % COLORS + 1 for number, name in enumerate(dict.fromkeys(row.encoder for row in rows))
    }
    named = [(", ".join(row.setting.values()), row.encoder, colors[row.encoder], row) for row in rows]
    figures = [(*words, row.figure) for *words, row in named]
    differences = [(*words, row.difference) for *words, row in named if row.difference]
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
