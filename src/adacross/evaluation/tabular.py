"""Tables of results: on the console, in a notebook, as Markdown, CSV, LaTeX and a data frame."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from adacross.console import Table, csv_text, html_table, markdown_table
from adacross.errors import UserError, check_ending, install
from adacross.io.files import check_free

if TYPE_CHECKING:
    import pandas

_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{",
    "}": r"\}", "±": r"$\pm$", "≥": r"$\geq$", "<": "$<$", ">": "$>$", "–": "--",
})  # fmt: skip
BESIDE = (".md", ".csv", ".tex")  # written beside the JSON of a comparison


class Tabular(ABC):
    """A result with a table. Abstract."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Line above the table."""

    @property
    @abstractmethod
    def caption(self) -> str:
        """Text below the table."""

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """Names of the columns."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Plain values that are equal for two results of the same thing."""

    @abstractmethod
    def text_rows(self) -> list[list[str]]:
        """Return the rows as text, a cell a column."""

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """Return a flat record of plain values for every figure."""

    def table(self) -> Table:
        """Render as a rich table."""
        table = Table(title=self.title, caption=self.caption)
        for column in self.columns:
            table.add_column(column, no_wrap=column in ("encoder", "metric"))
        for row in self.text_rows():
            table.add_row(*row)
        return table

    def to_markdown(self) -> str:
        """Return the rows as a Markdown table."""
        return markdown_table(self.columns, self.text_rows())

    def to_latex(self) -> str:
        """Return the rows as a LaTeX `tabular` of package booktabs."""

        def written(texts: Sequence[str]) -> str:
            return " & ".join(text.translate(_LATEX) for text in texts) + r" \\"

        lines = [
            rf"\begin{{tabular}}{{{'l' * len(self.columns)}}}",
            r"\toprule",
            written(self.columns),
            r"\midrule",
            *map(written, self.text_rows()),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """Return `records` as CSV."""
        records = self.records()
        return csv_text(records, list(dict.fromkeys(name for each in records for name in each)))

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return `records` as a pandas data frame.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise UserError(f"to_dataframe needs pandas. {install('all')}, or use records().") from None
        return pandas.DataFrame(self.records())

    def _repr_html_(self) -> str:
        table = html_table(self.columns, self.text_rows())
        return f"<b>{escape(self.title)}</b>{table}<small>{escape(self.caption)}</small>"


def check_output(output: str | None, what: str, overwrite: bool) -> None:
    """Refuse an output that is not JSON and, without `overwrite`, one that exists, itself or beside it."""
    if output is not None:
        path = check_ending(output, ".json", f"{what} is JSON")
        for each in (path, *map(path.with_suffix, BESIDE)):
            check_free(each, overwrite)
