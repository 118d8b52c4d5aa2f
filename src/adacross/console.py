"""Text for people: on the terminal, and in cells that a spreadsheet opens. Nothing in it is an instruction.

Names of files and classes come from outside. A terminal would obey their escape sequences, rich their square
brackets, a spreadsheet their equals signs. Here all of them become text.

Progress and messages go to standard error, so that standard output stays for results.
"""

import csv
import io
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from copy import copy
from dataclasses import replace
from html import escape
from importlib.util import find_spec
from typing import Any, TypeVar

from rich import console as rich_console
from rich import table as rich_table
from rich.console import ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.status import Status
from rich.style import Style
from rich.text import Text

T = TypeVar("T")
WIDE = 160  # columns of a table that goes to no terminal
NARROW = 40  # columns that text needs; a terminal of fewer breaks its lines

# Control characters but newline and tab, separators of lines, overrides of direction, and lone surrogates.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_RUN_BY_SPREADSHEETS = re.compile(r"'*[=+\-@\t\r\n]")


def plain(text: str) -> str:
    r"""Return text that no terminal obeys: control characters are spelled out, as `\x1b`.

    So are overrides of the direction of writing, and bytes of file names that are not UTF-8.
    """
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def words(text: str, style: str | Style = "") -> Text:
    """Return a string as `Text`, in which rich finds no markup."""
    return Text(plain(text), style=style)


def _as_text(one: RenderableType) -> RenderableType:
    return words(one) if isinstance(one, str) else one


def cell(value: T) -> T | str:
    """Return a value for a CSV file; an apostrophe stands before text that a spreadsheet would run."""
    return f"'{value}" if isinstance(value, str) and _RUN_BY_SPREADSHEETS.match(value) else value


def from_cell(written: str) -> str:
    """Return the text that `cell` was given."""
    return written[1:] if written[:1] == "'" and _RUN_BY_SPREADSHEETS.match(written[1:]) else written


def markdown_text(value: Any) -> str:
    """Return a value as text that Markdown shows literally, in a line or in a table's cell."""
    if value is None or value in ("", {}, []):
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{markdown_text(name)} {markdown_text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(markdown_text, value))
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table whose cells are shown literally (`markdown_text`); names may be empty."""
    header = [markdown_text(name) if name else "" for name in columns]
    lines = [header, ["---"] * len(header), *(map(markdown_text, row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV, with no text that a spreadsheet would run (`cell`)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def html_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return an HTML table; what is in its cells is shown literally."""

    def line(tag: str, cells: Sequence[object]) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(str(each))}</{tag}>' for each in cells)}</tr>"

    return f"<table>{line('th', columns)}{''.join(line('td', row) for row in rows)}</table>"


class Console(rich_console.Console):
    """A console that shows every string as it is, without markup, emoji codes or highlights."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)
        self.width = max(self.width, NARROW)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as `Text`; tables, titles and messages come through here."""
        return super().render_str(plain(text), **options | {"markup": False, "emoji": False})

    def status(self, status: RenderableType, **options: Any) -> Status:
        """Show text beside a spinner."""
        return Status(_as_text(status), console=self.drawn, **options)

    @property
    def drawn(self) -> rich_console.Console:
        """The console that redraws: this one; none in a notebook that would append every picture instead."""
        if self.is_jupyter and find_spec("ipywidgets") is None:
            return rich_console.Console(quiet=True, force_jupyter=False)
        return self


class Table(rich_table.Table):
    """A table whose strings are shown as they are, on every console: a notebook's has markup."""

    def __rich_console__(self, console: rich_console.Console, options: ConsoleOptions) -> Iterator[Any]:
        yield from rich_table.Table.__rich_console__(self._as_text(), console, options)

    def __rich_measure__(self, console: rich_console.Console, options: ConsoleOptions) -> Measurement:
        return rich_table.Table.__rich_measure__(self._as_text(), console, options)

    def _as_text(self) -> "Table":
        """Return a copy with `Text` for every string."""
        shown = copy(self)
        shown.columns = [
            replace(column, header=_as_text(column.header), _cells=[_as_text(one) for one in column.cells])
            for column in self.columns
        ]
        if isinstance(self.title, str):
            shown.title = words(self.title, self.title_style or "table.title")
        if isinstance(self.caption, str):
            shown.caption = words(self.caption, self.caption_style or "table.caption")
        return shown


class Shown(ABC):
    """A result whose table a notebook shows. Abstract."""

    @abstractmethod
    def table(self) -> RenderableType:
        """Render as tables for the terminal."""

    def _repr_html_(self) -> str:
        paper = Console(record=True, file=io.StringIO(), width=WIDE, force_jupyter=False)
        paper.print(self.table())
        return paper.export_html(inline_styles=True, code_format='<pre style="line-height:1.2">{code}</pre>')


class _Words(ProgressColumn):
    """A column of text, in which fields of the task are put: `{task.description}`."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def render(self, task: Task) -> RenderableType:
        return words(self.form.format(task=task))


console = Console(stderr=True)
results = Console(soft_wrap=True)
if not results.is_terminal:
    # A file or a pipe has no width of its own, and a table cut to 80 columns would lose figures.
    results.width = WIDE


_seen: ContextVar[Callable[[str, float], None] | None] = ContextVar("seen", default=None)


@contextmanager
def progress_seen(seen: Callable[[str, float], None]) -> Iterator[None]:
    """Call `seen` as bars of this thread advance, with what is being done and the share done, 0 to 1."""
    token = _seen.set(seen)
    try:
        yield
    finally:
        _seen.reset(token)


class _Progress(Progress):
    """A bar that another place may show, too."""

    def advance(self, task_id: Any, advance: float | int = 1) -> None:
        """Advance a task."""
        super().advance(task_id, advance)
        if seen := _seen.get():
            task = self.tasks[task_id]
            seen(task.description, task.completed / (task.total or 1))


@contextmanager
def progress_bar(unit: str) -> Iterator[Progress]:
    """A bar with a count, the time left and a free text column `{task.fields[note]}`.

    Nothing is shown where there is no terminal and no notebook; rich would print an empty line for each bar.
    """
    columns = (
        _Words("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Words(unit),
        TimeRemainingColumn(),
        _Words("{task.fields[note]}"),
    )
    progress = _Progress(*columns, console=console.drawn, transient=not console.is_terminal)
    with progress if console.is_interactive or console.is_jupyter else nullcontext():
        yield progress
