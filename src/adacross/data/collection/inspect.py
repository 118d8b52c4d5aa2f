"""What is this folder, what is missing, what is broken."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np

from adacross.console import Table
from adacross.data.collection import summary
from adacross.data.collection.collection import DESCRIPTION, Collection
from adacross.data.collection.contact_sheet import write_contact_sheet
from adacross.data.collection.partial import partial_of, read_note, read_plan
from adacross.data.collection.split import spread
from adacross.data.formats import LAYOUTS, scanobjectnn, shapenet
from adacross.data.image_set import holds_pictures, read_image_set
from adacross.data.isolated import check_apart, find_apart
from adacross.data.source import Kind, Source, up_of
from adacross.errors import UserError, check_ending, listed, shortened
from adacross.io.files import check_free, read_yaml
from adacross.io.remote import is_url, local_folder

if TYPE_CHECKING:
    from rich.console import RenderableType

Found = Kind | Literal["collection", "unfinished collection", "run", "pictures"]
CHECKED = 200  # shapes that are read, spread over the folder
CHECKED_ROWS = 25  # of HDF5 files, where a whole block has to be read for one


@dataclass(frozen=True, eq=False)
class Inspection:
    """What a folder turned out to be.

    Attributes:
        path: the folder.
        kind: which of the folders that adacross knows.
        tables: what to show, in order.
        sheet: the contact sheet that was written (collections only).
    """

    path: Path
    kind: Found
    tables: "tuple[RenderableType, ...]"
    sheet: Path | None = None

    def table(self) -> "RenderableType":
        """Return everything as one text for the terminal."""
        from rich.console import Group

        return Group(*self.tables)


def inspect(path: str, sheet: str | None = None, overwrite: bool = False) -> Inspection:
    """Identify a folder and report problems; draw a contact sheet of a collection.

    Knows collections, unfinished ones, folders of meshes, the data sets that `prepare` reads, and runs.

    Args:
        path: a folder, or the URL of a collection.
        sheet: PNG file for the contact sheet; by default `<collection>-contact-sheet.png` beside the
            collection (in the working folder for a URL), which is replaced.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such folder, none that adacross knows, a damaged one, or a sheet that is already there.
    """
    if sheet:
        check_free(check_ending(sheet, ".png", "a contact sheet is a PNG file"), overwrite)
    folder = local_folder(path)
    if not folder.exists() and partial_of(folder).is_dir():
        folder = partial_of(folder)
    if (folder / DESCRIPTION).is_file():
        shown = Path(PurePosixPath(path).name) if is_url(path) else folder.resolve()
        given = Path(sheet) if sheet else shown.with_name(f"{shown.name}-contact-sheet.png")
        return _collection(folder, given)
    if (folder / "progress" / "plan.json").is_file():
        return _unfinished(folder)
    if (folder / "config.yaml").is_file():
        return _run(folder)
    try:
        variants = list(scanobjectnn.variants(folder))
        variant = variants[0] if variants else None
        source = find_apart(str(folder), up=None, count=1, variant=variant, seed=0)
        return _source(folder, source, variants)
    except UserError as error:
        if holds_pictures(folder):
            return _pictures(folder)
        raise UserError(
            f"{error} adacross inspect also knows collections ({DESCRIPTION}) and runs (config.yaml)."
        ) from None


def _pictures(folder: Path) -> Inspection:
    """Describe a set of labelled pictures, the part of it that is tested on where there are splits."""
    found = read_image_set(folder, 32)
    rows = {
        "layout": found.layout,
        "split": found.split,
        "pictures": f"{len(found.pictures):,} of {len(found.classes)} classes",
        "classes": listed(found.classes),
        "next": f"adacross evaluate images RUN {folder}",
    }
    broken = [{"name": folder.name, "reason": reason} for reason in found.skipped]
    tables = (summary.facts(f"pictures {folder}", rows), *summary.notes([], broken))
    return Inspection(folder, "pictures", tables)


def _collection(folder: Path, sheet: Path) -> Inspection:
    collection = Collection.open(folder)
    rows = {"on disk": summary.size_of(folder), "contact sheet": str(sheet)}
    drawn: Path | None = sheet
    try:
        write_contact_sheet(collection, sheet)
    except (
        UserError
    ) as error:  # an empty collection, or a folder that is read-only: the tables stand all the same
        rows["contact sheet"], drawn = f"not written: {error} Another place: --sheet FILE.png", None
    tables = (collection.info.table(), _classes(collection), summary.facts("files", rows))
    return Inspection(folder, "collection", tables, drawn)


def _unfinished(folder: Path) -> Inspection:
    plan, done = read_plan(folder)
    notes = [read_note(path) for path in sorted((folder / "progress").glob("shard-*.json"))]
    remarks, skipped = ([entry for note in notes for entry in note[kind]] for kind in ("remarks", "skipped"))
    rows = {
        "done": f"{done} of {plan.shards} parts of {plan.items:,} shapes",
        "options": ", ".join(f"{name} {value}" for name, value in plan.options.items()),
        "on disk": summary.size_of(folder),
        "next": "run the same prepare command again: it goes on where it stopped",
    }
    tables = [summary.facts(f"unfinished collection {folder.name}", rows)]
    return Inspection(folder, "unfinished collection", (*tables, *summary.notes(remarks, skipped)))


def _source(folder: Path, source: Source, variants: list[str]) -> Inspection:
    """Describe a folder that `prepare` takes, and read some of its files to see whether they are whole."""
    option = f" --variant {source.variant}" if variants else ""
    counts = Counter(source.classes[item.label] if item.label >= 0 else "(no class)" for item in source.items)
    splits = Counter(item.split or "none" for item in source.items)
    rows = {
        "layout": LAYOUTS[source.kind],
        "shapes": f"{len(source.items):,}",
        "classes": listed(f"{shortened(name)} {n:,}" for name, n in sorted(counts.items())),
        "own splits": ", ".join(f"{name} {n:,}" for name, n in sorted(splits.items())),
        "up": f"{up_of(source.items)} if you do not say otherwise with --up",
    }
    if source.stored is not None:
        rows["points"] = f"{source.stored:,} a shape"
    if source.parts:
        rows["parts"] = f"{len(source.parts)}"
    if variants:
        rows["variants"] = f"{', '.join(variants)}; this is {source.variant}"
    if source.note:
        rows["note"] = source.note
    if source.missing:
        rows["missing"] = "; ".join(source.missing)
    if source.kind in ("meshes", "clouds"):
        types = Counter(Path(item.path).suffix.lower() for item in source.items)
        rows["files"] = ", ".join(f"{suffix} {n:,}" for suffix, n in sorted(types.items()))
    if source.kind == "shapenet":
        pictures = shapenet.counts_of(source).items()
        rows["pictures"] = ", ".join(
            f"{shapes:,} shapes with {count or 'none'}" for count, shapes in pictures
        )
    remarks, broken, checked = _read(source)
    rows["readable"] = f"{checked - len(broken)} of {checked} {_unit(source)} that were read"
    rows["next"] = f"adacross prepare {folder} COLLECTION{option}"
    title = summary.facts(f"{source.kind} {folder}", rows)
    return Inspection(folder, source.kind, (title, *summary.notes(remarks, source.skipped + broken)))


def _read(source: Source) -> tuple[list[dict[str, str]], list[dict[str, str]], int]:
    """Read up to `CHECKED` shapes, all their pictures, too.

    Returns:
        Shapes with a remark, shapes that cannot be read, each with the reason; how many were looked at.
    """
    points = min(source.stored or 1, 2048)  # as `prepare` does unless told otherwise
    most = CHECKED if _unit(source) == "files" else CHECKED_ROWS
    remarks: list[dict[str, str]] = []
    broken: list[dict[str, str]] = []
    chosen = [source.items[i] for i in spread(len(source.items), most)]
    for item, (readable, remark) in zip(chosen, check_apart(source, chosen, points), strict=True):
        if remark:
            (remarks if readable else broken).append({"name": item.id, "reason": remark})
    return remarks, broken, len(chosen)


def _unit(source: Source) -> str:
    return "rows" if Path(source.items[0].path).suffix == ".h5" else "files"


def _run(folder: Path) -> Inspection:
    """Describe a run and say what it still lacks."""
    config = read_yaml(folder / "config.yaml", "a run's options")
    wanted = {
        "encoder": ("encoder", "adacross pretrain ... --resume auto"),
        "log": ("log.jsonl", "adacross pretrain ... --resume auto"),
        "linear probe": ("evaluation/linear.json", f"adacross evaluate linear {folder} COLLECTION"),
        "retrieval": ("evaluation/retrieval.json", f"adacross evaluate retrieval {folder} COLLECTION"),
        "report": ("report.html", f"adacross report {folder}"),
    }
    rows = {
        name: str(folder / place) if (folder / place).exists() else f"missing; make it: {command}"
        for name, (place, command) in wanted.items()
    }
    options = {str(name): str(value) for name, value in config.items()} if isinstance(config, dict) else {}
    tables = (summary.facts(f"run {folder}", rows), summary.facts("options", options))
    return Inspection(folder, "run", tables)


def _classes(collection: Collection) -> Table:
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
