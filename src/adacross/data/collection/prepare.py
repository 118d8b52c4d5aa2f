"""From a source of shapes to a collection: sampled, upright, normalised, drawn, on all cores."""

import os
import re
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

from adacross.console import console, progress_bar
from adacross.data.collection.collection import MOST_PIXELS, VERSION, CollectionInfo, is_collection
from adacross.data.collection.partial import SHARD, Note, Partial, Plan, digest_of
from adacross.data.collection.pipeline import Answer, read_answer
from adacross.data.collection.schema import arrow_schema
from adacross.data.collection.split import splits_of
from adacross.data.isolated import find_apart
from adacross.data.shape import Split
from adacross.data.source import Axis, Source, up_of
from adacross.data.workers import ray as ray_workers
from adacross.data.workers.local import Died, Request, each
from adacross.errors import UserError, one_of
from adacross.io.files import KEPT_FEATURES, check_replaceable, locked
from adacross.io.remote import local_target

Engine = Literal["local", "ray"]
Answers = Callable[[list[Request]], Generator[tuple[int, bytes | Died], None, None]]
_OWN = re.compile(
    rf"(collection|state|dataset_info)\.json|data-\d{{5,}}-of-\d{{5,}}\.arrow|{KEPT_FEATURES}"
)  # files of a collection, by relative path
MOST_POINTS = 2**20  # of a shape; `encoders.inputs` allows no more
_READ = "adacross.data.collection.pipeline:serve_item"


def prepare(
    source: str,
    collection: str,
    *,
    points: int = 2048,
    views: int = 12,
    size: int = 224,
    up: Axis | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    workers: int | None = None,
    timeout: float = 300.0,
    engine: Engine = "local",
    ray_address: str | None = None,
    count: int = 2000,
    variant: str | None = None,
    overwrite: bool = False,
) -> CollectionInfo:
    """Turn meshes, a published data set or built-in shapes into a collection.

    The work lies in `<collection>.partial` until all of it is done. The same command run again goes on where
    an interrupted one stopped, and the result does not depend on that, nor on the number of workers, nor on
    the engine. A shape that cannot be read is left out, and named with the reason in the summary. A shape
    whose ready-made pictures are missing is drawn, and named, too.

    Args:
        source: a folder of meshes (OFF, OBJ, PLY, STL, GLB, in any layout), an unpacked data set (ModelNet40
            as HDF5 or text, ScanObjectNN, ShapeNet with ShapeNetRendering, ShapeNetPart, S3DIS in blocks), or
            the word "builtin" (a folder of that name is "./builtin").
        collection: the folder to create.
        points: points per shape, uniform over the surface. Of stored clouds the first ones are kept, or all
            if fewer; ShapeNetPart's text files, of any length, are sampled.
        views: images per shape, from cameras around it. Of existing images the first by name are kept, on
            white; a shape with fewer than most repeats its own.
        size: side of an image in pixels; existing images are resized.
        up: up axis of the source; by default z for OFF files and S3DIS, y otherwise. The collection is always
            y up and records the source's axis.
        test_fraction: fraction of the shapes set aside for testing, equally from every class, if the source
            has no split.
        seed: random seed.
        workers: processes; by default one per core, of all machines together.
        timeout: seconds allowed per shape; a file that takes longer is skipped and listed.
        engine: local uses this machine; ray uses all machines of a Ray cluster, which need the source under
            the same path and the same packages. Only this machine writes.
        ray_address: address of the cluster: host:port, or "auto" on one of its machines; by default
            RAY_ADDRESS, or Ray on this machine alone.
        count: number of built-in shapes.
        variant: which variant of the source. Built-in shapes: clean (default), or scanned as a depth camera
            sees them. ModelNet40: modelnet40 (default) or modelnet10. ScanObjectNN: obj_only, obj_bg or
            pb_t50_rs; by default the one present.
        overwrite: replace an existing collection.

    Returns:
        The collection's description; `.skipped` lists what was left out.

    Raises:
        UserError: an option out of its range, no Ray, no source, a variant it does not have, no shapes in it,
            a collection that is already there, none of the shapes readable, or a disk that is full.
        KeyboardInterrupt: Ctrl-C; its message says how to go on.
    """
    _check_numbers(points=points, views=views, size=size, seed=seed, workers=workers, count=count)
    if points > MOST_POINTS:
        raise UserError(f"points is {points:,}; an encoder takes at most {MOST_POINTS:,}.")
    if views * size**2 > MOST_PIXELS:
        raise UserError(
            f"views is {views:,} and size {size:,}, {views * size**2:,} pixels a shape; expected at most "
            f"{MOST_PIXELS:,}. Give fewer --views, or a smaller --size."
        )
    if not timeout > 0:
        raise UserError(f"timeout is {timeout}; it must be more than 0 seconds.")
    if not 0 <= test_fraction < 1:
        raise UserError(f"test_fraction is {test_fraction}; it must be at least 0 and below 1.")
    one_of("up axis", up or "y", ("x", "y", "z"))
    one_of("engine", engine, get_args(Engine))
    target = Path(os.path.realpath(local_target(collection)))  # a link stays one, and "." has a name
    check_target(target, overwrite)
    with console.status("looking at the source"):
        found = find_apart(source, up=up, count=count, variant=variant, seed=seed)
    kept, shown = _there("points", points, found.stored), _there("pictures", views, found.pictures)
    if found.note:
        console.print(found.note)
    if found.missing:
        console.print(f"missing in the source: {'; '.join(found.missing)}.")
    options: dict[str, Any] = {
        "source": found.location,
        "points": points,
        "views": views,
        "size": size,
        "up": up,
        "test_fraction": test_fraction,
        "seed": seed,
    }
    if found.kind == "builtin":
        options["count"] = count
    if found.variant:
        options["variant"] = found.variant
    splits = splits_of(found.items, test_fraction, seed)
    items = [asdict(item) for item in found.items]
    digest = digest_of([VERSION, SHARD, items, found.classes, found.parts, found.skipped])
    common = {
        "kind": found.kind,
        "points": kept,
        "views": shown,
        "size": size,
        "seed": seed,
        "parts": found.parts,
    }
    requests = [{"item": item, "split": split} | common for item, split in zip(items, splits, strict=True)]

    def answers(todo: list[Request]) -> Generator[tuple[int, bytes | Died], None, None]:
        if engine == "ray":
            folder = None if found.kind == "builtin" else found.location
            return ray_workers.each(_READ, todo, workers, timeout, address=ray_address, folder=folder)
        return each(_READ, todo, min(workers or os.cpu_count() or 1, len(todo)), timeout)

    with locked(target, "prepare"):
        check_target(target, overwrite)
        partial, message = Partial.open(target, Plan(options, len(items), digest), overwrite)
        if message:
            console.print(message)
        try:
            _work(partial, requests, arrow_schema(kept, bool(found.parts)), answers)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_to_go_on("interrupted.", partial)) from None
        except UserError as error:
            raise UserError(_to_go_on(str(error), partial)) from error
        info = _describe(partial, target, found, splits, points=kept, views=shown)
        check_target(target, overwrite)  # hours later, it may hold somebody's files
        partial.finish(target)
    return info


def _work(partial: Partial, requests: Sequence[Request], schema: pa.Schema, answers: Answers) -> None:
    """Prepare every shard that is not done yet and write each as soon as it is whole."""
    done = partial.notes().keys()
    todo = [number for number in range(len(requests)) if number // SHARD not in done]
    if not todo:
        return
    waiting: dict[int, dict[int, Answer]] = {}
    with progress_bar("shapes") as progress:
        start, finished = time.monotonic(), len(requests) - len(todo)
        bar = progress.add_task("preparing", total=len(requests), completed=finished, note="starting")
        for number, answer in _read(answers, requests, todo):
            shard = number // SHARD
            waiting.setdefault(shard, {})[number] = answer
            if len(waiting[shard]) == min(SHARD, len(requests) - shard * SHARD):
                _save(partial, shard, waiting.pop(shard), requests, schema)
            finished += 1
            speed = (finished - len(requests) + len(todo)) / (time.monotonic() - start)
            progress.update(bar, completed=finished, note=f"{speed:.1f} shapes/s")


def _read(
    answers: Answers, requests: Sequence[Request], todo: Sequence[int]
) -> Generator[tuple[int, Answer], None, None]:
    """Yield `(item's number, answer)` in the order in which the workers finish."""
    with closing(answers([requests[number] for number in todo])) as arriving:
        for place, answer in arriving:
            if isinstance(answer, Died):
                yield todo[place], Answer(None, answer.reason)
            else:
                yield todo[place], read_answer(answer)


def _save(
    partial: Partial,
    shard: int,
    answers: dict[int, Answer],
    requests: Sequence[Request],
    schema: pa.Schema,
) -> None:
    """Write one shard's rows, in the items' order, and what is to be said about them."""
    note: Note = {"skipped": [], "remarks": []}
    for number, answer in sorted(answers.items()):
        if answer.remark or answer.row is None:
            entry = {"name": requests[number]["item"]["id"], "reason": answer.remark}
            note["skipped" if answer.row is None else "remarks"].append(entry)
    rows = [answers[number].row for number in sorted(answers) if answers[number].row is not None]
    partial.save(shard, pa.concat_tables([schema.empty_table(), *rows]), note)


def _describe(
    partial: Partial, target: Path, found: Source, splits: Sequence[Split], *, points: int, views: int
) -> CollectionInfo:
    """Write the descriptions of the finished shards."""
    from adacross.version import __version__

    options = partial.plan.options
    notes = [note for _, note in sorted(partial.notes().items())]
    skipped = found.skipped + [entry for note in notes for entry in note["skipped"]]
    gone = {entry["name"] for entry in skipped}
    used = [split for item, split in zip(found.items, splits, strict=True) if item.id not in gone]
    if not used:
        partial.discard()
        reasons = "\n".join(f"  {entry['name']}: {entry['reason']}" for entry in skipped[:10])
        raise UserError(f"none of the {len(skipped)} shapes in {found.location} can be read:\n{reasons}")
    info = CollectionInfo(
        version=VERSION,
        name=target.name,
        source=found.location,
        kind=found.kind,
        source_up=up_of(found.items),
        count=len(used),
        points=points,
        views=views,
        view_size=options["size"],
        classes=found.classes,
        parts=found.parts,
        splits={"train": used.count("train"), "test": used.count("test")},
        skipped=skipped,
        remarks=[entry for note in notes for entry in note["remarks"]],
        made={
            "options": options,
            "seed": options["seed"],
            "adacross": __version__,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    partial.describe(info.classes, points, bool(found.parts))
    info.write(partial.folder)
    return info


def _there(what: str, asked: int, there: int | None) -> int:
    """Return how many of what is asked for a shape can have, and say so where they are fewer."""
    if there is None or there >= asked:
        return asked
    console.print(f"the source has {there} {what} a shape, fewer than the {asked} asked for; all are kept.")
    return there


def _to_go_on(what: str, partial: Partial) -> str:
    kept = len(partial.notes())
    return (
        f"{what} {kept} of {partial.plan.shards} parts of the work are kept in {partial.folder}; "
        "run the same command again to go on."
    )


def _check_numbers(**numbers: int | None) -> None:
    """Refuse numbers out of their range."""
    for name, value in numbers.items():
        least = {"size": 16, "seed": 0}.get(name, 1)
        if value is not None and value < least:
            raise UserError(f"{name} is {value}; it must be at least {least}.")


def check_target(target: Path, overwrite: bool) -> None:
    """Refuse a target that exists, unless it is a collection, holds nothing else, and may be replaced.

    Raises:
        UserError: names what is in the way.
    """
    check_replaceable(target, "a collection", is_collection(target), _OWN, overwrite)
