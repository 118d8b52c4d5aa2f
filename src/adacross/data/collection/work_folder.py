"""Work folder of a preparation: whole shards, a note beside each, and a fingerprint.

`<collection>.partial/` becomes the collection by a rename, so a collection is whole or not there. Until
then a rerun with the same options takes over every shard that has its note.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow as pa

from adacross.data.collection.description import CollectionInfo, unfinished, write_description
from adacross.data.collection.sample import Row
from adacross.data.collection.schema import shard_name, write_shard
from adacross.errors import UserError
from adacross.io.files import fits, read_json, remove_own, replace_folder, write_json

SHARD = 64  # items a shard: seconds of work lost at most, and few enough files at 50,000 shapes
PLAN = "progress/plan.json"
_NOTES = "progress/shard-*.json"
_OWN = re.compile(
    r"(collection|state|dataset_info)\.json|data-\d{5,}-of-\d{5,}\.arrow|progress/(plan|shard-\d{5,})\.json"
)  # files of an unfinished preparation, by relative path
# "skipped": shapes that are left out, "warnings": shapes that are in; each {"name": ..., "reason": ...}.
Note = dict[str, list[dict[str, str]]]


@dataclass(frozen=True)
class Plan:
    """Work that a preparation is going to do; equal plans give equal collections.

    Attributes:
        options: what the user asked for, by name.
        items: number of items in the source.
        digest: of the items themselves, so that a changed source is noticed.
    """

    options: dict[str, Any]
    items: int
    digest: str

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.items // SHARD)

    @classmethod
    def of(cls, options: dict[str, Any], items: int, content: Any) -> "Plan":
        """Return the plan whose digest is of `content`, JSON values that say all about the items."""
        return cls(options, items, digest_of([SHARD, content]))

    def shard_of(self, item: int) -> int:
        """Return the shard of an item, by number."""
        return item // SHARD

    def members(self, shard: int) -> range:
        """Return the items of a shard, by number."""
        return range(shard * SHARD, min((shard + 1) * SHARD, self.items))


def digest_of(values: Any) -> str:
    """Return a short fingerprint of JSON values."""
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()


class WorkFolder:
    """The folder of an unfinished collection, open for writing."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan

    @classmethod
    def open(cls, collection: Path, plan: Plan, overwrite: bool = False) -> "tuple[WorkFolder, str]":
        """Continue or begin the work on a collection; also return a message for people.

        Args:
            collection: the collection to be made.
            plan: what to do.
            overwrite: whether unfinished work of another plan may be discarded.

        Raises:
            UserError: there is unfinished work of another plan, or the folder cannot be written.
        """
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
        remove_own(folder, _OWN)
        write_json(folder / PLAN, vars(plan))
        return work, message

    def done(self) -> set[int]:
        """Return the shards that are whole."""
        return {int(path.stem[6:]) for path in self.folder.glob(_NOTES)}

    def save(self, shard: int, rows: Sequence[Row], names: Sequence[str], schema: pa.Schema) -> None:
        """Write a shard, then its note: without the note the shard does not count.

        Args:
            shard: its number.
            rows: one an item, in the items' order.
            names: of the items.
            schema: of the rows.

        Raises:
            UserError: no space, or no permission.
        """
        note: Note = {"skipped": [], "warnings": []}
        for row, name in zip(rows, names, strict=True):
            if row.note or row.table is None:
                entry = {"name": name, "reason": row.note}
                note["skipped" if row.table is None else "warnings"].append(entry)
        tables = [row.table for row in rows if row.table is not None]
        write_shard(self.folder / shard_name(shard, self.plan.shards), tables, schema)
        write_json(self.folder / "progress" / f"shard-{shard:05d}.json", note)

    def describe(self, info: CollectionInfo) -> None:
        """Write the descriptions of the finished shards.

        Raises:
            UserError: no space, or no permission.
        """
        shards = [shard_name(shard, self.plan.shards) for shard in range(self.plan.shards)]
        write_description(self.folder, info, shards, self.plan.digest)

    def finish(self, collection: Path) -> None:
        """Turn the work folder into the collection; one that is already there is replaced.

        Raises:
            UserError: the rename is refused.
        """
        try:
            replace_folder(self.folder, collection)
        except OSError as error:
            raise UserError(
                f"cannot move {self.folder} to {collection}: {error.strerror or error}."
            ) from error
        shutil.rmtree(collection / "progress", ignore_errors=True)

    def discard(self) -> None:
        """Delete the work: nothing in it is worth keeping."""
        remove_own(self.folder, _OWN)


def read_plan(folder: Path) -> tuple[Plan, int]:
    """Return the plan of a work folder and how many of its shards are done.

    Raises:
        UserError: not a work folder.
    """
    raw = read_json(folder / PLAN, "the plan of an unfinished preparation")
    hints = get_type_hints(Plan)
    if (
        not isinstance(raw, dict)
        or raw.keys() != hints.keys()
        or not all(fits(raw[n], hints[n]) for n in raw)
    ):
        raise UserError(
            f"{folder / PLAN} is not of an unfinished preparation of this version. Delete {folder}."
        )
    return Plan(**raw), len(list(folder.glob(_NOTES)))


def read_notes(folder: Path) -> Note:
    """Return what the finished shards of a work folder have to say: "skipped" and "warnings".

    Raises:
        UserError: a note cannot be read.
    """
    found: Note = {"skipped": [], "warnings": []}
    for path in sorted(folder.glob(_NOTES)):
        note = read_json(path, "a shard's note")
        if not fits(note, Note) or not all(
            {"name", "reason"} <= one.keys() for few in note.values() for one in few
        ):
            raise UserError(
                f"{path} is not a shard's note. Delete it, and the same command does that part again."
            )
        found["skipped"] += note.get("skipped", [])
        found["warnings"] += note.get("warnings", note.get("remarks", []))  # version 0.1 wrote remarks
    return found
