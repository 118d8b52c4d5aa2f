"""Where progress and messages go: standard error, so that standard output stays for results."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

WIDE = 160  # columns of a table that goes to no terminal

console = Console(stderr=True, highlight=False)
# A file or a pipe has no width of its own, and a table cut to 80 columns would lose figures.
results = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)


@contextmanager
def progress_bar(unit: str) -> Iterator[Progress]:
    """A bar with a count, the time left and a free text column `{task.fields[note]}`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        yield progress
