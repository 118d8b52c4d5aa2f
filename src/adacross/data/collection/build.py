"""Writing a collection: a plan, shards as their rows arrive, a description; interrupted work goes on."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adacross.console import console, progress_bar
from adacross.data.collection.description import VERSION, CollectionInfo, check_target
from adacross.data.collection.sample import Row, SampleOptions
from adacross.data.collection.schema import arrow_schema
from adacross.data.collection.split import splits_of
from adacross.data.collection.work_folder import Plan, WorkFolder, read_notes
from adacross.data.formats.base import DatasetIndex
from adacross.errors import UserError
from adacross.io.files import locked
from adacross.io.remote import local_target
from adacross.version import __version__

# Makes the rows of some items, by number, in any order: yields (place in the numbers, row).
Rows = Callable[[DatasetIndex, Sequence[int]], Generator[tuple[int, Row], None, None]]


def target_of(collection: str | Path, overwrite: bool) -> Path:
    """Return the folder that a collection is to be, absolute: a link stays one, and "." has a name.

    Raises:
        UserError: it is a URL, or something is there that may not be replaced.
    """
    target = Path(os.path.realpath(local_target(str(collection))))
    check_target(target, overwrite)
    return target


def build_collection(
    target: Path,
    index: DatasetIndex,
    how: SampleOptions,
    rows: Rows,
    options: dict[str, Any],
    *,
    content: str = "",
    overwrite: bool = False,
) -> None:
    """Write a collection, or go on with the work that an interruption has left.

    Args:
        target: as `target_of` returns it.
        index: what to write.
        how: how its shapes are made.
        rows: makes their rows.
        options: of the caller; unfinished work goes on only with the same ones. `test_fraction` and `seed`
            draw the split where the index has none.
        content: digest of what the rows are made from, where the items do not say it.
        overwrite: replace a collection, and discard unfinished work of other options.

    Raises:
        UserError: the target is in use or holds somebody's files, none of the shapes can be read, or the disk
            is full.
        KeyboardInterrupt: Ctrl-C; its message says how to go on.
    """
    splits = splits_of(index.items, options["test_fraction"], options["seed"])
    index = replace(
        index, items=[replace(item, split=split) for item, split in zip(index.items, splits, strict=True)]
    )
    items = [asdict(item) for item in index.items]
    said = [VERSION, items, index.classes, index.parts, index.skipped, content]
    plan = Plan.of(options, len(items), said)
    with locked(target, "prepare"):
        check_target(target, overwrite)
        work, message = WorkFolder.open(target, plan, overwrite)
        if message:
            console.print(message)
        with _saying_how_to_go_on(work):
            for shard, found in _shards(work, index, rows):
                names = [index.items[number].id for number in plan.members(shard)]
                work.save(shard, found, names, arrow_schema(how.points, bool(how.parts)))
        work.describe(_description(work, target.name, index, how))
        check_target(target, overwrite)  # hours later, it may hold somebody's files
        work.finish(target)


def _shards(work: WorkFolder, index: DatasetIndex, rows: Rows) -> Iterator[tuple[int, list[Row]]]:
    """Yield every shard that is not done yet, as soon as it is whole, with its rows in the items' order."""
    done = work.done()
    todo = [n for shard in range(work.plan.shards) if shard not in done for n in work.plan.members(shard)]
    if not todo:
        return
    waiting: dict[int, dict[int, Row]] = {}
    with progress_bar("shapes") as progress, closing(rows(index, todo)) as arriving:
        start, before = time.monotonic(), len(index.items) - len(todo)
        bar = progress.add_task("preparing", total=len(index.items), completed=before, note="starting")
        for finished, (place, row) in enumerate(arriving, 1):
            number = todo[place]
            shard = work.plan.shard_of(number)
            waiting.setdefault(shard, {})[number] = row
            if len(waiting[shard]) == len(work.plan.members(shard)):
                yield shard, [row for _, row in sorted(waiting.pop(shard).items())]
            speed = finished / (time.monotonic() - start)
            progress.update(bar, completed=before + finished, note=f"{speed:.1f} shapes/s")


def _description(work: WorkFolder, name: str, index: DatasetIndex, how: SampleOptions) -> CollectionInfo:
    """Return the description of the finished shards.

    Raises:
        UserError: none of the shapes can be read; the work is discarded.
    """
    note = read_notes(work.folder)
    skipped = index.skipped + note["skipped"]
    gone = {entry["name"] for entry in skipped}
    splits = [item.split for item in index.items if item.id not in gone]
    if not splits:
        work.discard()
        reasons = "\n".join(f"  {entry['name']}: {entry['reason']}" for entry in skipped[:10])
        raise UserError(f"none of the {len(skipped)} shapes in {index.location} can be read:\n{reasons}")
    return CollectionInfo(
        version=VERSION,
        name=name,
        source=index.location,
        format=index.format,
        source_up=index.up,
        count=len(splits),
        points=how.points,
        views=how.views,
        view_size=how.size,
        classes=index.classes,
        parts=index.parts,
        splits={"train": splits.count("train"), "test": splits.count("test")},
        skipped=skipped,
        warnings=note["warnings"],
        made={
            "options": work.plan.options,
            "seed": how.seed,
            "adacross": __version__,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


@contextmanager
def _saying_how_to_go_on(work: WorkFolder) -> Iterator[None]:
    """Add to an error's message, and to that of Ctrl-C, what is kept and how to go on."""

    def message(what: str) -> str:
        return (
            f"{what} {len(work.done())} of {work.plan.shards} parts of the work are kept in {work.folder}; "
            "run the same command again to go on."
        )

    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(message("interrupted.")) from None
    except UserError as error:
        raise UserError(message(str(error))) from error
