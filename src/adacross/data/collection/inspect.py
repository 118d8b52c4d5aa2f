"""Inspection of a folder: its kind, and what is missing or broken."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from adacross.console import Shown, Table
from adacross.data.collection.build import PLAN, read_notes, read_plan
from adacross.data.collection.collection import Collection
from adacross.data.collection.contact_sheet import write_contact_sheet
from adacross.data.collection.description import DESCRIPTION, facts, notes, size_of, unfinished
from adacross.data.formats import FILES, format_of
from adacross.data.formats.axes import mixed_habits
from adacross.data.formats.base import DatasetIndex
from adacross.data.formats.measures import mixed_units
from adacross.data.formats.scanobjectnn import variants as variants_of
from adacross.data.formats.shapenet import images_of
from adacross.data.image_set import holds_pictures, read_image_set
from adacross.data.isolated import check_apart, find_apart
from adacross.data.sampling import spread
from adacross.errors import UserError, check_ending, listed, shortened
from adacross.io.files import check_free, read_yaml
from adacross.io.remote import is_url, local_folder

if TYPE_CHECKING:
    from rich.console import RenderableType

CHECKED = 200  # shapes that are read, spread over the folder
CHECKED_ROWS = 25  # of HDF5 files, where a whole block has to be read for one


@dataclass(frozen=True, eq=False)
class Inspection(Shown):
    """Result of `inspect`."""

    path: Path
    kind: str  # "collection", "unfinished collection", "run", "pictures", or the name of a source's format
    tables: "tuple[RenderableType, ...]"
    sheet: Path | None = None  # the contact sheet that was written, of a collection

    def table(self) -> "RenderableType":
        """Return everything as one text for the terminal."""
        from rich.console import Group

        return Group(*self.tables)


def inspect(
    path: str, sheet: str | None = None, format: str | None = None, overwrite: bool = False
) -> Inspection:
    """Identify a folder and report problems; draw a contact sheet of a collection.

    Knows collections, unfinished ones, folders of meshes, the data sets that `prepare` reads, and runs.

    Args:
        path: a folder, or the URL of a collection.
        sheet: PNG file for the contact sheet; by default `<collection>-contact-sheet.png` beside the
            collection (in the working folder for a URL), which is replaced.
        format: format of a source, as for `prepare`; recognized by default.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such folder, none that adacross knows, a damaged one, or a sheet that is already there.
    """
    if sheet:
        check_free(check_ending(sheet, ".png", "a contact sheet is a PNG file"), overwrite)
    folder = local_folder(path)
    if not folder.exists() and unfinished(folder).is_dir():
        folder = unfinished(folder)
    if (folder / DESCRIPTION).is_file():
        shown = Path(PurePosixPath(path).name) if is_url(path) else folder.resolve()
        given = Path(sheet) if sheet else shown.with_name(f"{shown.name}-contact-sheet.png")
        return _collection(folder, given)
    if (folder / PLAN).is_file():
        return _unfinished(folder)
    if (folder / "config.yaml").is_file():
        return _run(folder)
    try:
        variants = list(variants_of(folder)) if format in (None, "scanobjectnn") else []
        variant = variants[0] if variants else None
        source = find_apart(str(folder), format=format, count=1, variant=variant)
        return _source(folder, source, variants, format)
    except UserError as error:
        if holds_pictures(folder):
            return _pictures(folder)
        raise UserError(
            f"{error} adacross inspect also knows collections ({DESCRIPTION}) and runs (config.yaml)."
        ) from None


def _pictures(folder: Path) -> Inspection:
    """Describe a set of labeled pictures, the part of it that is tested on where there are splits."""
    found = read_image_set(folder, 32)
    rows = {
        "layout": found.layout,
        "split": found.split,
        "pictures": f"{len(found.pictures):,} of {len(found.classes)} classes",
        "classes": listed(found.classes),
        "next": f"adacross evaluate images RUN {folder}",
    }
    broken = [{"name": folder.name, "reason": reason} for reason in found.skipped]
    return Inspection(folder, "pictures", (facts(f"pictures {folder}", rows), *notes([], broken)))


def _collection(folder: Path, sheet: Path) -> Inspection:
    collection = Collection.open(folder)
    rows = {"on disk": size_of(folder), "contact sheet": str(sheet)}
    drawn: Path | None = sheet
    try:
        write_contact_sheet(collection, sheet)
    except UserError as error:  # an empty collection, or a folder that is read-only: the tables still stand
        rows["contact sheet"], drawn = f"not written: {error} Another place: --sheet FILE.png", None
    tables = (collection.info.table(), _classes(collection), facts("files", rows))
    return Inspection(folder, "collection", tables, drawn)


def _unfinished(folder: Path) -> Inspection:
    plan, done = read_plan(folder)
    note = read_notes(folder)
    rows = {
        "done": f"{done} of {plan.shards} parts of {plan.items:,} shapes",
        "options": ", ".join(f"{name} {value}" for name, value in plan.options.items()),
        "on disk": size_of(folder),
        "next": "run the same prepare command again: it goes on where it stopped",
    }
    title = facts(f"unfinished collection {folder.name}", rows)
    return Inspection(folder, "unfinished collection", (title, *notes(note["warnings"], note["skipped"])))


def _source(folder: Path, source: DatasetIndex, variants: list[str], format: str | None) -> Inspection:
    """Describe a folder that `prepare` takes, and read some of its files to see whether they are whole."""
    option = f" --variant {source.variant}" if variants else ""
    counts = Counter(source.class_of(item) or "(no class)" for item in source.items)
    splits = Counter(item.split or "none" for item in source.items)
    rows = {
        "layout": format_of(source.format).layout,
        "shapes": f"{len(source.items):,}",
        "classes": listed(f"{shortened(name)} {n:,}" for name, n in sorted(counts.items())),
        "own splits": ", ".join(f"{name} {n:,}" for name, n in sorted(splits.items())),
        "up": f"{source.up} (override with --up)",
    }
    rows |= {
        "points": "" if source.points is None else f"{source.points:,} a shape",
        "parts": f"{len(source.parts)}" if source.parts else "",
        "variants": f"{', '.join(variants)}; this is {source.variant}" if variants else "",
        "note": source.note,
        "missing": "; ".join(source.missing),
    }
    if source.format == FILES:
        types = Counter(Path(item.path).suffix.lower() for item in source.items)
        rows["files"] = ", ".join(f"{suffix} {n:,}" for suffix, n in sorted(types.items()))
    if source.format == "shapenet":
        images = sorted(Counter(len(images_of(Path(item.path))) for item in source.items).items())
        rows["images"] = ", ".join(f"{n:,} shapes with {count or 'none'}" for count, n in images)
    unit, most = ("rows", CHECKED_ROWS) if Path(source.items[0].path).suffix == ".h5" else ("files", CHECKED)
    points = min(source.points or 1, 2048)  # as `prepare` does unless told otherwise
    warnings: list[dict[str, str]] = []
    broken: list[dict[str, str]] = []
    chosen = [source.items[i] for i in spread(len(source.items), most)]
    checked = check_apart(source.format, chosen, points)
    for item, (readable, reason, _) in zip(chosen, checked, strict=True):
        if reason:
            (warnings if readable else broken).append({"name": item.id, "reason": reason})
    rows["readable"] = f"{len(chosen) - len(broken)} of {len(chosen)} {unit} that were read"
    if extents := [extent for _, _, extent in checked if extent]:
        rows["sizes"] = f"{min(extents):.4g} to {max(extents):.4g}, the longest side in the source's unit"
    rows["units"] = mixed_units(np.array(extents))
    option += "" if format is None else f" --format {format}"
    if said := mixed_habits(source):
        rows["up"] = f"{said}; prepare takes --up by-format for that, or one axis for all"
        option += " --up by-format"
    rows["next"] = f"adacross prepare {folder} COLLECTION{option}"
    title = facts(f"{source.format} {folder}", {name: text for name, text in rows.items() if text})
    return Inspection(folder, source.format, (title, *notes(warnings, source.skipped + broken)))


def _run(folder: Path) -> Inspection:
    """Describe a run and the commands for its missing parts."""
    config = read_yaml(folder / "config.yaml", "a run's options")
    resume = "adacross pretrain ... --resume auto"
    wanted = {
        "encoder": ("encoder", resume),
        "log": ("log.jsonl", resume),
        "linear probe": ("evaluation/linear.json", f"adacross evaluate linear {folder} COLLECTION"),
        "retrieval": ("evaluation/retrieval.json", f"adacross evaluate retrieval {folder} COLLECTION"),
        "report": ("report.html", f"adacross report {folder}"),
    }
    rows = {
        name: str(folder / place) if (folder / place).exists() else f"missing; make it: {command}"
        for name, (place, command) in wanted.items()
    }
    options = {str(name): str(value) for name, value in config.items()} if isinstance(config, dict) else {}
    return Inspection(folder, "run", (facts(f"run {folder}", rows), facts("options", options)))


def _classes(collection: Collection) -> Table:
    """Return how many training and test shapes each class has."""
    table = Table(title="classes", title_justify="left", title_style="bold")
    table.add_column("class")
    table.add_column("train", justify="right")
    table.add_column("test", justify="right")
    names = [*collection.info.classes, "(no class)"]
    labels = [collection.labels[collection.indices(split)] % len(names) for split in ("train", "test")]
    train, test = (np.bincount(found, minlength=len(names)) for found in labels)
    for i, name in enumerate(names):
        if i < len(names) - 1 or train[i] + test[i]:
            table.add_row(shortened(name), f"{train[i]:,}", f"{test[i]:,}")
    return table
