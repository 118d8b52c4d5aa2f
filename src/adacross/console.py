"""Where progress and messages go: standard error, so that standard output stays for results."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)
results = Console(highlight=False, soft_wrap=True)


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
