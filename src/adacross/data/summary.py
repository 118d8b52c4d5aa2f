"""A collection's description as tables for the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType

from adacross.console import Table
from adacross.errors import shortened

if TYPE_CHECKING:
    from adacross.data.collection import Collection, CollectionInfo

LISTED = 40  # entries of a long table that are shown
LONGEST = 1000  # characters of a name or a reason in it


def describe(info: "CollectionInfo") -> RenderableType:
    """Return what a collection holds, how it was made, and what was not as usual or skipped, and why."""
    rows = {
        "shapes": f"{info.count:,} ({', '.join(f'{name} {n:,}' for name, n in info.splits.items())})",
        "classes": str(len(info.classes)) if info.classes else "none: unlabelled",
        "parts": str(len(info.parts)) if info.parts else "none",
        "points": f"{info.points:,} a shape, y up, centroid 0, largest norm 1",
        "views": f"{info.views} a shape, {info.view_size} x {info.view_size} pixels",
        "source": f"{info.source} ({info.kind}, up was {info.source_up})",
        "made": _made(info),
        "skipped": f"{len(info.skipped)}" if info.skipped else "none",
    }
    return Group(facts(f"collection {info.name}", rows), *notes(info.remarks, info.skipped))


def facts(title: str, rows: dict[str, str]) -> Table:
    """Return a two-column table of names and texts."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def notes(remarks: list[dict[str, str]], skips: list[dict[str, str]]) -> list[RenderableType]:
    """Return the tables of shapes with a remark and of those that are left out; none for an empty list."""
    tables: list[RenderableType] = [remarked(remarks)] if remarks else []
    return [*tables, skipped(skips)] if skips else tables


def skipped(entries: list[dict[str, str]]) -> Table:
    """Return the table of what could not be prepared, and why."""
    return _named(f"skipped: {len(entries)}", "bold yellow", entries)


def remarked(entries: list[dict[str, str]]) -> Table:
    """Return the table of what is in, but not as its source promises."""
    return _named(f"in, but not as usual: {len(entries)}", "bold", entries)


def _named(title: str, style: str, entries: list[dict[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style=style)
    table.add_column("shape", overflow="fold")
    table.add_column("reason", overflow="fold")
    for entry in entries[:LISTED]:
        table.add_row(shortened(entry["name"], LONGEST), shortened(entry["reason"], LONGEST))
    if len(entries) > LISTED:
        table.add_row(f"... and {len(entries) - LISTED} more", "all are in collection.json")
    return table


def classes(collection: "Collection") -> Table:
    """Return how many training and test shapes each class has."""
    table = Table(title="classes", title_justify="left", title_style="bold")
    table.add_column("class")
    table.add_column("train", justify="right")
    table.add_column("test", justify="right")
    names = [*collection.info.classes, "(no class)"]
    counts = {
        split: np.bincount(collection.labels[collection.indices(split)] % len(names), minlength=len(names))
        for split in ("train", "test")
    }
    for i, name in enumerate(names):
        if i < len(names) - 1 or counts["train"][i] + counts["test"][i]:
            table.add_row(shortened(name), f"{counts['train'][i]:,}", f"{counts['test'][i]:,}")
    return table


def size_of(folder: Path) -> str:
    """Return the size of all files in a folder, for people."""
    size = float(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _made(info: "CollectionInfo") -> str:
    made = info.made
    options = ", ".join(
        f"{name} {value}" for name, value in made.get("options", {}).items() if name != "source"
    )
    return f"{made.get('date', 'at an unknown time')} with adacross {made.get('adacross', '?')} ({options})"
