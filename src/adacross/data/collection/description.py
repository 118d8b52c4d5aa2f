"""Description of a collection: `collection.json`, and the two files that `datasets.load_from_disk` reads."""

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import pyarrow as pa

from adacross.console import Table
from adacross.data.collection.schema import arrow_schema, dataset_features
from adacross.errors import UserError, shortened
from adacross.io.files import CACHED_FEATURES, check_replaceable, fits, read_json, write_json

if TYPE_CHECKING:
    from rich.console import RenderableType

VERSION = 2
COPIED = "which is trained on"  # how the warning about a test shape ends that is a copy
DESCRIPTION = "collection.json"
_RENAMED = {"kind": "format", "remarks": "warnings"}  # in version 2
OWN = r"(collection|state|dataset_info)\.json|data-\d{5,}-of-\d{5,}\.arrow"  # files, by relative path
LISTED = 40  # entries of a long table that are shown
LONGEST = 1000  # characters of a name or a reason in it


@dataclass(frozen=True)
class CollectionInfo:
    """Content and origin of a collection (`collection.json`)."""

    version: int  # of the layout; this code writes `VERSION` and reads those before it
    name: str  # the folder's name when it was made
    source: str  # the folder it was made from, or "builtin", or "arrays"
    format: str  # that read it: a name in `adacross.data.formats.FORMATS`, or `package.module:Class`
    source_up: str  # "x", "y", "z", or "mixed" where file types differ; the collection itself is y up
    count: int  # number of shapes
    points: int  # a shape
    views: int  # images a shape
    view_size: int  # their side in pixels
    classes: list[str]  # empty for an unlabeled collection
    parts: list[str]  # empty where points carry no part
    splits: dict[str, int]  # number of shapes in each split
    skipped: list[dict[str, str]] = field(default_factory=list)  # {"name": ..., "reason": ...}
    warnings: list[dict[str, str]] = field(default_factory=list)  # the same, of shapes that are in
    note: str = ""  # sentences about the source as a whole: its split, its objects, what was not read
    unread: dict[str, int] = field(default_factory=dict)  # files in the source that are not shapes, by ending
    measured: bool = False  # whether each shape's size in its source is kept (`schema.MEASURED`)
    described: bool = False  # whether each shape's signature is kept (`schema.SIGNATURE`)
    made: dict[str, Any] = field(default_factory=dict)  # options, seed, version of adacross and date

    @property
    def schema(self) -> pa.Schema:
        """The columns of its files."""
        return arrow_schema(self.points, bool(self.parts), self.measured, self.described)

    @property
    def copied(self) -> int:
        """Number of test shapes that are copies of training shapes."""
        return sum(entry["reason"].endswith(COPIED) for entry in self.warnings)

    def table(self) -> "RenderableType":
        """Return it as tables for the terminal; the last ones name what was unusual, and was skipped."""
        from rich.console import Group

        made = self.made
        options = [f"{name} {value}" for name, value in made.get("options", {}).items() if name != "source"]
        when = f"{made.get('date', 'at an unknown time')} with adacross {made.get('adacross', '?')}"
        size = f"{self.views} a shape, {self.view_size} x {self.view_size} pixels"
        rows = {
            "shapes": f"{self.count:,} ({', '.join(f'{name} {n:,}' for name, n in self.splits.items())})",
            "classes": str(len(self.classes)) if self.classes else "none: unlabeled",
            "parts": str(len(self.parts)) if self.parts else "none",
            "points": f"{self.points:,} a shape, y up, centroid 0, largest norm 1",
            "views": size if self.views else "none",
            "source": f"{self.source} ({self.format}, up was {self.source_up})",
            "made": f"{when} ({', '.join(options)})",
            "skipped": f"{len(self.skipped)}" if self.skipped else "none",
        }
        rows |= {"note": self.note} if self.note else {}
        return Group(facts(f"collection {self.name}", rows), *notes(self.warnings, self.skipped))

    def write(self, folder: Path) -> None:
        """Write `collection.json`."""
        write_json(folder / DESCRIPTION, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "CollectionInfo":
        """Read `collection.json`; UserError if it is missing, unfinished, damaged or of a later version."""
        path = folder / DESCRIPTION
        if not path.is_file():
            raise UserError(_why_not(folder))
        raw = read_json(path, "a collection's description")
        version = raw.get("version") if isinstance(raw, dict) else None
        if version not in (1, VERSION):
            source = raw.get("source", "SOURCE") if isinstance(raw, dict) else "SOURCE"
            raise UserError(
                f"{folder} is a collection of version {version}; this adacross reads 1 to {VERSION}. "
                f"Prepare it again: adacross prepare {source} {folder} --overwrite"
            )
        known = get_type_hints(cls)
        raw = {_RENAMED.get(name, name): value for name, value in raw.items()}
        if wrong := [name for name, kind in known.items() if name in raw and not fits(raw[name], kind)]:
            raise UserError(f"{path}: {wrong[0]} is of a wrong type. Prepare the collection again.")
        try:
            info = cls(**{name: value for name, value in raw.items() if name in known} | {"version": VERSION})
        except TypeError as error:
            raise UserError(f"{path} is incomplete ({error}). Prepare the collection again.") from None
        if not (0 < info.points < 2**31 and all(0 <= size < 2**31 for size in (info.views, info.view_size))):
            raise UserError(f"{path} promises impossible sizes. Prepare the collection again.")
        return info


def write_description(folder: Path, info: CollectionInfo, shards: list[str], fingerprint: str) -> None:
    """Write the files that describe a collection; `datasets` names what it caches by the fingerprint."""
    state: dict[str, Any] = {"_data_files": [{"filename": name} for name in shards]}
    state |= {"_fingerprint": fingerprint, "_format_columns": None, "_format_kwargs": {}}
    state |= {"_format_type": None, "_output_all_columns": False, "_split": None}
    columns = dataset_features(info.schema, info.classes)
    write_json(folder / "state.json", state)
    write_json(folder / "dataset_info.json", {"features": columns})
    info.write(folder)


def is_collection(folder: Path) -> bool:
    """Return whether a folder is a collection, maybe a damaged one, and not another's `collection.json`."""
    if not (folder / DESCRIPTION).is_file():
        return False
    if any(folder.glob("data-*-of-*.arrow")):
        return True
    try:
        raw = read_json(folder / DESCRIPTION, "a collection's description")
    except UserError:
        return False
    return isinstance(raw, dict) and {"version", "splits", "points", "views"} <= raw.keys()


def check_target(target: Path, overwrite: bool) -> None:
    """Refuse a target (UserError) that exists, unless it is a collection, no more, and may be replaced."""
    own = re.compile(f"{OWN}|{CACHED_FEATURES}")
    check_replaceable(target, "a collection", is_collection(target), own, overwrite)


def unfinished(collection: Path) -> Path:
    """Return where the work on a collection lies until it is whole."""
    return collection.with_name(f"{collection.name}.partial")


def _why_not(folder: Path) -> str:
    """Return what a folder without `collection.json` is, and what to do."""
    if unfinished(folder).is_dir():
        return (
            f"{folder} is not finished: its preparation was interrupted. Run the same prepare command again."
        )
    if not folder.exists():
        return f"{folder} does not exist; expected a collection. Make one: adacross prepare SOURCE {folder}"
    return f"{folder} is not a collection: it has no {DESCRIPTION}. Make one: adacross prepare {folder} NAME"


def facts(title: str, rows: dict[str, str]) -> Table:
    """Return a two-column table of names and texts."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def notes(warnings: list[dict[str, str]], skipped: list[dict[str, str]]) -> "list[RenderableType]":
    """Return the tables of shapes with warnings and of those that are left out; none for an empty list."""
    tables = (("included with warnings", "bold", warnings), ("skipped", "bold yellow", skipped))
    return [_named(f"{title}: {len(entries)}", style, entries) for title, style, entries in tables if entries]


def _named(title: str, style: str, entries: list[dict[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style=style)
    table.add_column("shape", overflow="fold")
    table.add_column("reason", overflow="fold")
    for name, reason in first_of(entries):
        table.add_row(shortened(name, LONGEST), shortened(reason, LONGEST))
    return table


def first_of(entries: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Return names and reasons of the first entries of a list, and a row that counts the others."""
    rows = [(entry.get("name", ""), entry.get("reason", "")) for entry in entries[:LISTED]]
    more = (f"... and {len(entries) - LISTED} more", f"all are in {DESCRIPTION}")
    return rows + [more] * (len(entries) > LISTED)


def size_of(folder: Path) -> str:
    """Return the size of all files in a folder, for people."""
    from rich.filesize import decimal

    return decimal(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
