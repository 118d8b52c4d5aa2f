"""The work folder of a preparation: whole shards, a note beside each, and a fingerprint.

`<collection>.partial/` becomes the collection by a rename, so a collection is whole or not there. Until
then a rerun with the same options takes over every shard that has its note.
"""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow as pa

from adacross.data.collection.schema import arrow_schema, dataset_features, to_bytes
from adacross.errors import UserError
from adacross.io.files import fits, read_json, remove_own, replace_folder, whole_file, write_json

SHARD = 64  # items a shard: seconds of work lost at most, and few enough files at 50,000 shapes
_NOTES = "progress"
_OWN = re.compile(
    r"(collection|state|dataset_info)\.json|data-\d{5,}-of-\d{5,}\.arrow|progress/(plan|shard-\d{5,})\.json"
)  # files of an unfinished preparation, by relative path
Entries = list[dict[str, str]]  # {"name": of a shape, "reason": what about it}
Note = dict[
    str, Entries
]  # "skipped": shapes that are left out; "remarks": shapes that are in, but not as usual


@dataclass(frozen=True)
class Plan:
    """What a preparation is going to do; equal plans give equal collections.

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
        return -(-self.items // SHARD)


def digest_of(values: Any) -> str:
    """Return a short fingerprint of JSON values."""
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()


def partial_of(collection: Path) -> Path:
    """Return where the work on a collection lies until it is whole."""
    return collection.with_name(f"{collection.name}.partial")


def shard_name(shard: int, shards: int) -> str:
    """Return a shard's file name, as Hugging Face `datasets` calls them."""
    return f"data-{shard:05d}-of-{shards:05d}.arrow"


def write_datasets_files(folder: Path, names: list[str], fingerprint: str, columns: dict[str, Any]) -> None:
    """Write `state.json` and `dataset_info.json`, which `datasets.load_from_disk` looks for.

    Args:
        folder: of the collection.
        names: of its shards, in order.
        fingerprint: of its content; `datasets` names what it caches by it.
        columns: as `adacross.data.collection.schema.dataset_features` describes them.

    Raises:
        UserError: no space, or no permission.
    """
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    write_json(folder / "state.json", state)
    write_json(folder / "dataset_info.json", {"features": columns})


def read_plan(folder: Path) -> tuple[Plan, int]:
    """Return the plan of a work folder and how many of its shards are done.

    Raises:
        UserError: not a work folder.
    """
    raw = read_json(folder / _NOTES / "plan.json", "the plan of an unfinished preparation")
    hints = get_type_hints(Plan)
    if (
        not isinstance(raw, dict)
        or raw.keys() != hints.keys()
        or not all(fits(raw[n], hints[n]) for n in raw)
    ):
        raise UserError(
            f"{folder / _NOTES / 'plan.json'} is not of an unfinished preparation of this version. "
            f"Delete {folder}."
        )
    plan = Plan(**raw)
    return plan, len(list((folder / _NOTES).glob("shard-*.json")))


def read_note(path: Path) -> Note:
    """Return what a finished shard has to say: "skipped" and "remarks".

    Raises:
        UserError: it cannot be read.
    """
    note = read_json(path, "a shard's note")
    if not fits(note, Note) or not all(
        {"name", "reason"} <= one.keys() for few in note.values() for one in few
    ):
        raise UserError(
            f"{path} is not a shard's note. Delete it, and the same command does that part again."
        )
    return {"skipped": [], "remarks": []} | note


class Partial:
    """A work folder that is open for writing."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan

    @classmethod
    def open(cls, collection: Path, plan: Plan, overwrite: bool = False) -> "tuple[Partial, str]":
        """Continue or begin the work on a collection; also return a message for people.

        Args:
            collection: the collection to be made.
            plan: what to do.
            overwrite: whether unfinished work of another plan may be discarded.

        Raises:
            UserError: there is unfinished work of another plan, or the folder cannot be written.
        """
        folder = partial_of(collection)
        message = ""
        if (folder / _NOTES / "plan.json").is_file():
            old, done = read_plan(folder)
            if old == plan:
                return cls(
                    folder, plan
                ), f"continuing: {done} of {plan.shards} shards are done" if done else ""
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
        write_json(folder / _NOTES / "plan.json", vars(plan))
        return cls(folder, plan), message

    def notes(self) -> dict[int, Note]:
        """Return what each finished shard has to say."""
        found = sorted((self.folder / _NOTES).glob("shard-*.json"))
        return {int(path.stem[6:]): read_note(path) for path in found}

    def save(self, shard: int, table: pa.Table, note: Note) -> None:
        """Write a shard, then its note: without the note the shard does not count.

        Raises:
            UserError: no space, or no permission.
        """
        rows = table.combine_chunks().to_batches()
        empty = pa.RecordBatch.from_pylist([], schema=table.schema)
        with whole_file(self.folder / self.name(shard)) as temporary:
            temporary.write_bytes(to_bytes(rows[0] if rows else empty))
        write_json(self.folder / _NOTES / f"shard-{shard:05d}.json", note)

    def name(self, shard: int) -> str:
        """Return a shard's file name."""
        return shard_name(shard, self.plan.shards)

    def describe(self, classes: list[str], points: int, parts: bool) -> None:
        """Add the two files that let `datasets.load_from_disk` open the folder.

        Raises:
            UserError: no space, or no permission.
        """
        names = [self.name(shard) for shard in range(self.plan.shards)]
        columns = dataset_features(arrow_schema(points, parts), classes)
        write_datasets_files(self.folder, names, self.plan.digest, columns)

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
        shutil.rmtree(collection / _NOTES, ignore_errors=True)

    def discard(self) -> None:
        """Delete the work: nothing in it is worth keeping."""
        remove_own(self.folder, _OWN)
