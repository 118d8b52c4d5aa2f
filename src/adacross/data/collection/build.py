"""Writing a collection: a plan, shards as their rows arrive, a description; interrupted work goes on.

`<collection>.partial/` becomes the collection by a rename, so a collection is whole or not there. Until then
it holds whole shards, a note beside each, and the plan; a rerun with the same options takes them over.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree

from adacross.console import console, progress_bar
from adacross.data.collection.description import (
    COPIED,
    OWN,
    VERSION,
    CollectionInfo,
    check_target,
    unfinished,
    write_description,
)
from adacross.data.collection.sample import Row, SampleOptions
from adacross.data.collection.schema import (
    arrow_schema,
    mapped,
    read_stream,
    shard_name,
    signatures_of,
    write_shard,
)
from adacross.data.formats.base import DatasetIndex, SampleRef
from adacross.data.formats.invariants import AGREE, Signature
from adacross.data.shape import Split
from adacross.errors import UserError, one_of
from adacross.io.files import fits, locked, read_json, remove_own, replace_folder, write_json
from adacross.io.remote import local_target
from adacross.version import __version__

SHARD = 64  # items a shard: seconds of work lost at most
FILE = 4096  # items a finished file holds at most: few enough files at 10 million shapes
FILE_BYTES = 2**29  # of a finished file, which is put together in memory
PLAN = "progress/plan.json"
_FILES = "progress/files.json"  # the shards of each finished file
_NOTES = "progress/shard-*.json"
_OWN = re.compile(rf"{OWN}|progress/(plan|files|shard-\d{{5,}})\.json")  # of an unfinished preparation
# "skipped": shapes that are left out, "warnings": shapes that are in; each {"name": ..., "reason": ...}.
Note = dict[str, list[dict[str, str]]]
# Makes the rows of some items, by number, in any order: yields (place in the numbers, row).
Rows = Callable[[DatasetIndex, Sequence[int]], Generator[tuple[int, Row], None, None]]


def check_options(up: str | None, test_fraction: float) -> None:
    """Refuse an axis that is none, and a fraction out of its range."""
    one_of("up axis", up or "y", ("x", "y", "z"))
    if not 0 <= test_fraction < 1:
        raise UserError(f"test_fraction is {test_fraction}; it must be at least 0 and below 1.")


def target_of(collection: str | Path, overwrite: bool) -> Path:
    """Return the absolute path that a collection is to have; UserError if something is in the way."""
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
    replaces: bool = False,
) -> None:
    """Write a collection, or go on with the work that an interruption has left.

    Args:
        target: as `target_of` returns it.
        index: what to write, with rows that `rows` makes as `how` says.
        options: of the caller; unfinished work goes on only with the same ones. `test_fraction` and `seed`
            draw the split where the index has none.
        content: digest of what the rows are made from, where the items do not say it.
        overwrite: replace a collection, and discard unfinished work of other options.
        replaces: replace a collection, and go on with unfinished work or refuse.

    Raises UserError if the target is in use or holds other files, no shape can be read, or the disk is
    full. The message of KeyboardInterrupt says how to go on.
    """
    splits = splits_of(index.items, options["test_fraction"], options["seed"])
    refs = [replace(item, split=split) for item, split in zip(index.items, splits, strict=True)]
    index, items = replace(index, items=refs), [asdict(item) for item in refs]
    said = [SHARD, [VERSION, items, index.classes, index.parts, index.skipped, content]]
    with locked(target, "prepare"):
        check_target(target, overwrite or replaces)
        work, message = WorkFolder.open(target, Plan(options, len(items), digest_of(said)), overwrite)
        if message:
            console.print(message)
        schema = arrow_schema(how.points, bool(how.parts), bool(how.source), bool(how.source))
        with _saying_how_to_go_on(work):
            for shard, found in _shards(work, index, rows):
                names = [index.items[number].id for number in work.plan.members(shard)]
                work.save(shard, found, names, schema)
            work.merge()
        work.describe(_description(work, target.name, index, how))
        check_target(target, overwrite or replaces)  # hours later, it may hold other files
        work.finish(target)


@dataclass(frozen=True)
class Plan:
    """Work that a preparation is going to do; equal plans give equal collections."""

    options: dict[str, Any]  # what the user asked for, by name
    items: int  # in the source
    digest: str  # of the items themselves, so that a changed source is noticed

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.items // SHARD)

    def members(self, shard: int) -> range:
        """Return the items of a shard, by number."""
        return range(shard * SHARD, min((shard + 1) * SHARD, self.items))


@dataclass(frozen=True)
class WorkFolder:
    """The folder of an unfinished collection, open for writing."""

    folder: Path
    plan: Plan

    @classmethod
    def open(cls, collection: Path, plan: Plan, overwrite: bool = False) -> "tuple[WorkFolder, str]":
        """Continue or begin the work on a collection; return a message, too. UserError for other work."""
        work = cls(unfinished(collection), plan)
        folder, message = work.folder, ""
        if (folder / PLAN).is_file():
            old, done = read_plan(folder)
            if old == plan:
                return work, f"continuing: {done} of {plan.shards} shards are done" if done else ""
            changed = [name for name in plan.options if old.options.get(name) != plan.options[name]]
            why = ", ".join(f"{n} was {old.options.get(n)!r}" for n in changed) or "the source has changed"
            if done and not overwrite:
                raise UserError(
                    f"{folder} holds {done} of {old.shards} shards of unfinished work with other options "
                    f"({why}). Give the same options to continue it, another name for the collection, or "
                    "--overwrite to discard it."
                )
            message = f"discarding unfinished work with other options ({why})" if done else ""
        elif folder.exists() and any(folder.iterdir()):
            raise UserError(
                f"{folder} exists and is not an unfinished preparation. "
                "Move it away or choose another name for the collection."
            )
        work.discard()
        write_json(folder / PLAN, vars(plan))
        return work, message

    def done(self) -> set[int]:
        """Return the shards that are whole."""
        return {int(path.stem[6:]) for path in self.folder.glob(_NOTES)}

    def save(self, shard: int, rows: Sequence[Row], names: Sequence[str], schema: pa.Schema) -> None:
        """Write a shard, a row an item, then its note: without the note the shard does not count."""
        note: Note = {"skipped": [], "warnings": []}
        for row, name in zip(rows, names, strict=True):
            if row.note or row.table is None:
                entry = {"name": name, "reason": row.note}
                note["skipped" if row.table is None else "warnings"].append(entry)
        tables = [row.table for row in rows if row.table is not None]
        write_shard(self.folder / shard_name(shard, self.plan.shards), tables, schema)
        write_json(self.folder / "progress" / f"shard-{shard:05d}.json", note)

    def describe(self, info: CollectionInfo) -> None:
        """Write the descriptions of the finished shards."""
        write_description(self.folder, info, self.merge(), self.plan.digest)

    def merge(self) -> list[str]:
        """Put the shards, all of which are there, together into the finished files; return their names."""
        shards = [shard_name(shard, self.plan.shards) for shard in range(self.plan.shards)]
        if not (self.folder / _FILES).is_file():
            write_json(self.folder / _FILES, _files([(self.folder / name).stat().st_size for name in shards]))
        files = read_json(self.folder / _FILES, "the shards of each finished file")
        if not fits(files, list[list[int]]) or [*chain(*files)] != [*range(len(shards))]:
            raise UserError(f"{self.folder / _FILES} is damaged. Delete {self.folder} and prepare again.")
        if len(files) == len(shards):
            return shards
        names = [shard_name(file, len(files)) for file in range(len(files))]
        for name, members in zip(names, files, strict=True):
            if not (self.folder / name).is_file():
                tables = [read_stream(mapped(self.folder / shards[shard])) for shard in members]
                write_shard(self.folder / name, tables, tables[0].schema)
                del tables  # an open map cannot be deleted on Windows
            for shard in members:
                (self.folder / shards[shard]).unlink(missing_ok=True)
        return names

    def copies(self) -> list[dict[str, str]]:
        """Name each test shape that is a copy of a training shape: of its file, content or surface."""
        trained: dict[str, str] = {}
        tested: list[tuple[str, str, str, Signature | None]] = []
        names: list[str] = []  # of training shapes with a signature
        known = [np.zeros((0, 9))]  # their invariants
        for file in self.merge():
            table = read_stream(mapped(self.folder / file))
            columns = [table[name].to_pylist() for name in ("id", "split", "sha256", "content")]
            for name, split, sha256, content, kept in zip(*columns, signatures_of(table), strict=True):
                if split == "test":
                    tested.append((name, sha256, content, kept))
                    continue
                trained |= {key: name for key in (sha256, content) if key}
                names += [name] if kept else []
                known += [kept.invariants[None]] if kept else []
        tree = cKDTree(np.concatenate(known))
        found = []
        for name, sha256, content, kept in tested:
            other, kind = trained.get(sha256) or trained.get(content), "surface or cloud"
            if sha256 in trained:
                kind = "file"
            elif not other and kept and names:
                distance, place = tree.query(kept.invariants, p=np.inf)
                other, kind = names[place] if distance <= AGREE else None, "surface, turned or resized,"
            if other:
                found.append({"name": name, "reason": f"the same {kind} as {other}, {COPIED}"})
        return found

    def finish(self, collection: Path) -> None:
        """Turn the work folder into the collection, in the place of one that is already there."""
        try:
            replace_folder(self.folder, collection)
        except OSError as error:
            why = error.strerror or error
            raise UserError(f"cannot move {self.folder} to {collection}: {why}.") from error
        shutil.rmtree(collection / "progress", ignore_errors=True)

    def discard(self) -> None:
        """Delete the work."""
        remove_own(self.folder, _OWN)


def read_plan(folder: Path) -> tuple[Plan, int]:
    """Return the plan of a work folder and how many shards are done; UserError for another folder."""
    path, hints = folder / PLAN, get_type_hints(Plan)
    raw = read_json(path, "the plan of an unfinished preparation")
    known = isinstance(raw, dict) and raw.keys() == hints.keys()
    if not (known and all(fits(raw[name], hint) for name, hint in hints.items())):
        raise UserError(f"{path} is not of an unfinished preparation of this version. Delete {folder}.")
    return Plan(**raw), len(list(folder.glob(_NOTES)))


def read_notes(folder: Path) -> Note:
    """Return the notes of all finished shards as one; UserError for a file that is none."""
    found: Note = {"skipped": [], "warnings": []}
    for path in sorted(folder.glob(_NOTES)):
        note = read_json(path, "a shard's note")
        entries = [one for few in note.values() for one in few] if fits(note, Note) else [{}]
        if not all({"name", "reason"} <= one.keys() for one in entries):
            raise UserError(
                f"{path} is not a shard's note. Delete it, and the same command does that part again."
            )
        found["skipped"] += note.get("skipped", [])
        found["warnings"] += note.get("warnings", note.get("remarks", []))  # version 0.1 wrote remarks
    return found


def _files(sizes: Sequence[int]) -> list[list[int]]:
    """Group shards of some sizes in bytes, in order, into files of at most `FILE` items and `FILE_BYTES`."""
    files: list[list[int]] = []
    size = 0
    for shard, more in enumerate(sizes):
        if not files or (len(files[-1]) + 1) * SHARD > FILE or size + more > FILE_BYTES:
            files.append([])
            size = 0
        files[-1].append(shard)
        size += more
    return files


def digest_of(values: Any) -> str:
    """Return a short fingerprint of JSON values."""
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()


def splits_of(items: Sequence[SampleRef], test_fraction: float, seed: int) -> list[Split]:
    """Give every item a split: the source's own, or a seeded draw stratified by class.

    The source's own counts where it knows both: with one alone there would be nothing to test on. An item
    without a split in such a source is drawn like the rest. Of `n` drawn items `round(test_fraction * n)` are
    for testing, spread over the classes by largest remainder: each has its share to within one shape. Items
    of one group count as one, of the first one's class, and share its split.
    """
    own = {item.split for item in items} >= {"train", "test"}
    splits: list[Split] = [item.split if own and item.split else "train" for item in items]
    groups: dict[str | int, list[int]] = {}
    for i, item in enumerate(items):
        if not (own and item.split):
            groups.setdefault(item.group or i, []).append(i)
    members = {few[0]: few for few in groups.values()}
    drawn = np.array(list(members), dtype=np.int64)
    labels = np.array([items[i].label for i in drawn], dtype=np.int64)
    rng = np.random.default_rng([seed, 1])
    classes, sizes = np.unique(labels, return_counts=True)
    shares = test_fraction * sizes
    quota = np.floor(shares + 1e-9).astype(np.int64)  # 0.29 * 100 is 28.999999999999996 and means 29
    missing = int(np.floor(shares.sum() + 0.5)) - int(quota.sum())
    order = np.lexsort((rng.permutation(len(classes)), -(shares - quota).round(9)))
    quota[order[: max(missing, 0)]] += 1
    for name, count in zip(classes, quota, strict=True):
        for first in rng.permutation(drawn[labels == name])[:count].tolist():
            for i in members[first]:
                splits[i] = "test"
    return splits


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
            shard = number // SHARD
            waiting.setdefault(shard, {})[number] = row
            if len(waiting[shard]) == len(work.plan.members(shard)):
                yield shard, [row for _, row in sorted(waiting.pop(shard).items())]
            speed = finished / (time.monotonic() - start)
            progress.update(bar, completed=before + finished, note=f"{speed:.1f} shapes/s")


def _description(work: WorkFolder, name: str, index: DatasetIndex, how: SampleOptions) -> CollectionInfo:
    """Return the description of the finished shards; UserError, and the work discarded, if all failed."""
    note = read_notes(work.folder)
    skipped = index.skipped + note["skipped"]
    gone = {entry["name"] for entry in skipped}
    splits = [item.split for item in index.items if item.id not in gone]
    if not splits:
        work.discard()
        reasons = "\n".join(f"  {entry['name']}: {entry['reason']}" for entry in skipped[:10])
        raise UserError(f"none of the {len(skipped)} shapes in {index.location} can be read:\n{reasons}")
    copies = work.copies() if how.source else []
    said = f"{len(copies):,} test shapes are copies of training shapes." if copies else ""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = {"options": work.plan.options, "seed": how.seed, "adacross": __version__, "date": now}
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
        warnings=note["warnings"] + copies,
        note=f"{index.note} {said}".strip(),
        unread=index.unread,
        measured=bool(how.source),
        described=bool(how.source),
        made=made,
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
