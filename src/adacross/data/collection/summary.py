"""Tables for the terminal: facts, and shapes with a reason."""

from pathlib import Path

from rich.console import RenderableType

from adacross.console import Table
from adacross.errors import shortened

LISTED = 40  # entries of a long table that are shown
LONGEST = 1000  # characters of a name or a reason in it


def facts(title: str, rows: dict[str, str]) -> Table:
    """Return a two-column table of names and texts."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def notes(warnings: list[dict[str, str]], skipped: list[dict[str, str]]) -> list[RenderableType]:
    """Return the tables of shapes with warnings and of those that are left out; none for an empty list."""
    tables = (("included with warnings", "bold", warnings), ("skipped", "bold yellow", skipped))
    return [_named(f"{title}: {len(entries)}", style, entries) for title, style, entries in tables if entries]


def _named(title: str, style: str, entries: list[dict[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style=style)
    table.add_column("shape", overflow="fold")
    table.add_column("reason", overflow="fold")
    for entry in entries[:LISTED]:
        table.add_row(shortened(entry["name"], LONGEST), shortened(entry["reason"], LONGEST))
    if len(entries) > LISTED:
        table.add_row(f"... and {len(entries) - LISTED} more", "all are in collection.json")
    return table


def size_of(folder: Path) -> str:
    """Return the size of all files in a folder, for people."""
    size = float(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
