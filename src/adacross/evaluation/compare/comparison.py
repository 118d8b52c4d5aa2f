"""The result of a comparison, and how it is written: a table, Markdown, CSV."""

import csv
import io
import re
from dataclasses import dataclass

from adacross.console import Table, cell
from adacross.evaluation.results import Figure

NUMBERS = ("mean", "std", "difference", "low", "high", "p", "p_holm")


@dataclass(frozen=True)
class ComparedRow:
    """One entry of the comparison.

    Attributes:
        name: what it is called.
        pretrained: False for freshly drawn weights.
        encoders: names of its pre-trainings, which take turns over the seeds.
        accuracy: one a seed.
        difference: to the baseline under the same seed; None for the baseline itself.
        units: how many independent differences the test is over.
        low: end of the 95 % confidence interval of the mean difference; None where there is no test.
        high: its other end.
        p: of the paired t-test, two-sided.
        p_holm: corrected for all the comparisons of the table.
    """

    name: str
    pretrained: bool
    encoders: list[str]
    accuracy: Figure
    difference: Figure | None
    units: int
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None


@dataclass(frozen=True)
class Comparison:
    """What `evaluate compare` measured, and under which protocol."""

    task: str
    measured: str
    data: str
    protocol: str
    figure: str
    points: int
    train: int
    test: int
    seeds: list[int]
    baseline: str
    spread: str
    notes: list[str]
    rows: list[ComparedRow]

    @property
    def title(self) -> str:
        """What was measured, in a line."""
        learnt = f"{self.train} train / " if self.train else ""
        return (
            f"{self.data}: {self.measured}, {self.points} points, {learnt}{self.test} test; {self.protocol}"
        )

    def table(self) -> Table:
        """Render as a rich table."""
        table = Table(title=self.title, caption="\n".join([self.spread, *self.notes]), caption_justify="left")
        for column in columns(self):
            table.add_column(column, no_wrap=True)
        for row in self.rows:
            table.add_row(*cells(row))
        return table


def columns(comparison: Comparison) -> list[str]:
    """The names of a table's columns."""
    against = f"difference to {comparison.baseline}"
    return ["encoder", comparison.figure, "each", against, "95 % interval", "p (Holm)"]


def cells(row: ComparedRow) -> list[str]:
    """A row as people read it; shares in per cent, differences in points."""
    if row.difference is None:
        return [row.name, str(row.accuracy), row.accuracy.each, "–", "–", "–"]
    interval = "–" if row.low is None or row.high is None else f"{points(row.low)} to {points(row.high)}"
    p = "–" if row.p_holm is None else "< 0.001" if row.p_holm < 0.001 else f"{row.p_holm:.3f}"
    return [row.name, str(row.accuracy), row.accuracy.each, points(row.difference.mean), interval, p]


def points(difference: float) -> str:
    """A difference of shares in percentage points: 0.021 -> "+2.1", -0.0001 -> "+0.0"."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def as_markdown(comparison: Comparison) -> str:
    """The table with its title above and its notes below."""
    lines = [columns(comparison), ["---"] * 6, *(cells(row) for row in comparison.rows)]
    table = ["| " + " | ".join(map(_literal, line)) + " |" for line in lines]
    notes = [f"- {note}" for note in (comparison.spread, *comparison.notes)]
    return "\n".join([comparison.title, "", *table, "", *notes]) + "\n"


def _literal(text: str) -> str:
    """Text that Markdown shows as it is, in a table's cell."""
    return re.sub(r"([\\|*])", r"\\\1", text)


def as_csv(comparison: Comparison) -> str:
    """One line an entry, shares from 0 to 1, with what was measured; empty where there is no figure."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    seeds = [f"seed_{seed}" for seed in comparison.seeds]
    writer.writerow(["data", "task", "points", "encoder", "pretrained", "baseline", *NUMBERS, "n", *seeds])
    for row in comparison.rows:
        own = [cell(comparison.data), comparison.measured, comparison.points, cell(row.name), row.pretrained]
        mean = row.difference.mean if row.difference else None
        figures = [row.accuracy.mean, row.accuracy.std, mean, row.low, row.high, row.p, row.p_holm]
        tested = row.units if row.p is not None else None
        writer.writerow([*own, cell(comparison.baseline), *figures, tested, *row.accuracy.values])
    return buffer.getvalue()
