"""From a source of shapes to a collection: an index, and rows that worker processes make of it."""

import os
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

from adacross.console import console
from adacross.data.collection.build import build_collection, check_options, splits_of, target_of
from adacross.data.collection.collection import MOST_PIXELS, Collection
from adacross.data.collection.description import COPIED, is_collection
from adacross.data.collection.sample import SERVE, SERVE_RENDERED, Row, SampleOptions, read_row
from adacross.data.collection.schema import mapped, read_stream
from adacross.data.formats import BUILTIN, FILES
from adacross.data.formats.archives import sha256_of
from adacross.data.formats.axes import Up, turned
from adacross.data.formats.base import DatasetIndex, SampleRef
from adacross.data.formats.folder import Classes
from adacross.data.isolated import SHAPE_TIMEOUT, find_apart, split_apart
from adacross.data.rendering.render import load_kernels
from adacross.data.workers import ray as ray_workers
from adacross.data.workers.local import Request, each
from adacross.errors import UserError, one_of

Engine = Literal["local", "ray"]
MOST_POINTS = 2**20  # of a shape; `encoders.inputs` allows no more


def prepare(
    source: str,
    collection: str,
    *,
    format: str | None = None,
    classes: Classes = "auto",
    points: int = 2048,
    views: int = 12,
    size: int = 224,
    up: Up | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    workers: int | None = None,
    timeout: float = SHAPE_TIMEOUT,
    engine: Engine = "local",
    ray_address: str | None = None,
    count: int = 2000,
    variant: str | None = None,
    split_bodies: bool = False,
    update: bool = False,
    overwrite: bool = False,
) -> Collection:
    """Turn meshes, a published data set or built-in shapes into a collection.

    Work is kept in `<collection>.partial` until all of it is done, and the same command continues an
    interrupted one. The result depends neither on interruptions nor on the number of workers nor on the
    engine. A shape that cannot be read is skipped and named with the reason in the summary. A shape whose
    ready-made images are missing is rendered, with a warning.

    Args:
        source: a folder of meshes (OFF, OBJ, PLY, STL, GLB) and clouds in any layout, one such file, an
            unpacked data set (ModelNet40 as HDF5 or text, ScanObjectNN, ShapeNet with ShapeNetRendering,
            ShapeNet-55, ShapeNetPart, S3DIS in blocks), or the word "builtin" (a folder of that name is
            "./builtin").
        collection: the folder to create.
        format: how the source is read: a built-in format ("files", "modelnet40", ...), the name of an
            installed one, or `package.module:Class`; recognized by default.
        classes: whether the first level of folders is the class of a mesh or cloud: folder, none, or auto
            for folders that look like classes.
        points: points per shape, uniform over the surface. Of stored clouds the first ones are kept, or all
            if fewer; ShapeNetPart's text files, of any length, are sampled.
        views: images per shape, from cameras around it; 0 for none. Of existing images the first by name
            are kept, on white; a shape with fewer than most repeats its own.
        size: side of an image in pixels; existing images are resized.
        up: up axis of the source: x, y, z, or by-format, which is z for OFF, STL, STEP, IGES, 3MF, LAS and
            S3DIS, y otherwise. By default by-format, but for a folder of both habits (OBJ beside STL), of
            which a terminal asks. The collection is always y up and records the source's axis.
        test_fraction: fraction of the shapes set aside for testing, equally from every class, if the source
            has no split.
        seed: random seed.
        workers: processes; by default one per core, of all machines together.
        timeout: seconds allowed per shape; a file that takes longer is skipped and listed.
        engine: local uses this machine; ray uses all machines of a Ray cluster, which need the source under
            the same path and the same packages. Only this machine writes.
        ray_address: address of the cluster: host:port, or "auto" on one of its machines; by default
            RAY_ADDRESS, or Ray on only this machine.
        count: number of built-in shapes.
        variant: which variant of the source. Built-in shapes: clean (default), scanned as a depth camera
            sees them, or composite (nameless piles of primitives). ModelNet40: modelnet40 (default) or
            modelnet10. ScanObjectNN: obj_only, obj_bg, pb_t50_rs or a rarer one (docs/datasets.md); by
            default the one present.
        split_bodies: make each body of a STEP, IGES, 3MF, glTF or COLLADA file a shape of its own, called
            `file#body`: a product of an assembly or an object of a plate, in each place where it stands.
        update: bring an existing collection up to date: files that it has as they are now are not read
            again, and their shapes keep their split; files that are gone are left out.
        overwrite: replace an existing collection.

    Returns:
        The collection; `.info.skipped` lists what was left out.

    Raises:
        UserError: an option out of its range, no Ray, no source, a variant it does not have, no shapes in it,
            a collection that is already there, none of the shapes readable, or a disk that is full.
        KeyboardInterrupt: Ctrl-C; its message says how to go on.
    """
    positive = {"points": points, "workers": workers, "count": count}
    for least, numbers in ((1, positive), (0, {"views": views, "seed": seed}), (16, {"size": size})):
        for name, value in numbers.items():
            if value is not None and value < least:
                raise UserError(f"{name} is {value}; it must be at least {least}.")
    if points > MOST_POINTS:
        raise UserError(f"points is {points:,}; an encoder takes at most {MOST_POINTS:,}.")
    if views * size**2 > MOST_PIXELS:
        raise UserError(
            f"views is {views:,} and size {size:,}, {views * size**2:,} pixels a shape; expected at most "
            f"{MOST_PIXELS:,}. Give fewer --views, or a smaller --size."
        )
    if not timeout > 0:
        raise UserError(f"timeout is {timeout}; it must be more than 0 seconds.")
    check_options(None if up == "by-format" else up, test_fraction)
    one_of("engine", engine, get_args(Engine))
    one_of("choice of classes", classes, get_args(Classes))
    target = target_of(collection, overwrite or update)

    given = {"variant": variant, "classes": None if classes == "auto" else classes}
    with console.status("looking at the source"):
        index = find_apart(source, format=format, up=up, count=count, seed=seed, **given)
    kept, shown = _available("points", points, index.points), _available("images", views, index.images)
    how = SampleOptions(index.format, kept, shown, size, seed, index.parts, index.location)
    for sentence in (index.note, f"missing in the source: {'; '.join(index.missing)}." * bool(index.missing)):
        if sentence:
            console.print(sentence)
    index, up = turned(index, up)
    if split_bodies and index.format == FILES:
        index = split_apart(index, workers, timeout)
    options: dict[str, Any] = {
        "source": index.location, "points": points, "views": views, "size": size, "up": up,
        "test_fraction": test_fraction, "seed": seed,
    }  # fmt: skip
    more: dict[str, Any] = given | {"format": format, "variant": index.variant, "split_bodies": split_bodies}
    more["count"] = count if index.format == BUILTIN else None
    options |= {name: value for name, value in more.items() if value}

    earlier = None
    if update and is_collection(target):
        earlier = _Update(Collection.open(target), index, options)
        index = earlier.index
        new = len(index.items) - earlier.kept
        console.print(
            f"update: {earlier.kept:,} shapes are kept, {new:,} are read, {earlier.gone:,} are gone."
        )

    def rows(index: DatasetIndex, numbers: Sequence[int]) -> Generator[tuple[int, Row], None, None]:
        kept = {place: earlier.row(n) for place, n in enumerate(numbers)} if earlier else {}
        yield from ((place, row) for place, row in kept.items() if row)
        places = [place for place in range(len(numbers)) if not kept.get(place)]
        if not places:
            return
        items = [index.items[numbers[place]] for place in places]
        folder = None if index.format == BUILTIN else index.location
        made = make_rows(items, how, folder, workers, timeout, engine, ray_address)
        with closing(made) as arriving:
            yield from ((places[place], row) for place, row in arriving)

    build_collection(target, index, how, rows, options, overwrite=overwrite, replaces=update)
    return Collection.open(target)


def make_rows(
    items: Sequence[SampleRef],
    how: SampleOptions,
    folder: str | None,
    workers: int | None,
    timeout: float,
    engine: Engine,
    ray_address: str | None,
) -> Generator[tuple[int, Row], None, None]:
    """Read, sample and draw items in worker processes; yield (place in the items, row) as they finish.

    Every machine of a Ray cluster must see `folder`, None for shapes that are in no file; the other options
    are those of `prepare`.
    """
    served = SERVE
    if how.views:
        load_kernels()  # what draws is compiled here, not by each of the workers
        served = SERVE_RENDERED
    todo: list[Request] = [{"item": asdict(item), "options": asdict(how)} for item in items]
    if engine == "ray":
        answers = ray_workers.each(served, todo, workers, timeout, address=ray_address, folder=folder)
    else:
        answers = each(served, todo, min(workers or os.cpu_count() or 1, len(todo)), timeout)
    with closing(answers) as arriving:
        for place, answer in arriving:
            yield place, read_row(answer)


def _available(what: str, wanted: int, there: int | None) -> int:
    """Return how many of what is asked for a shape can have, and say so where they are fewer."""
    if there is None or there >= wanted:
        return wanted
    console.print(f"the source has {there} {what} a shape, fewer than the {wanted} asked for; all are kept.")
    return there


class _Update:
    """Rows of an earlier collection for items of its source that have not changed.

    A row is taken over where id and SHA-256 of the file are the same. Its split stays; only new shapes are
    drawn for training and testing. UserError for a collection of another source or other options.

    Attributes:
        index: the source, with the splits of all items.
        kept: number of the items that are taken over.
        gone: number of shapes of the collection that the source no longer holds.
    """

    def __init__(self, old: Collection, index: DatasetIndex, options: dict[str, Any]) -> None:
        info = old.info
        then = info.made.get("options", {})
        if changed := [name for name in options if then.get(name) != options[name]]:
            was = ", ".join(f"{name} was {then.get(name)!r}, is {options[name]!r}" for name in changed)
            raise UserError(
                f"{old.folder} was made with other options ({was}). Give the same, or --overwrite."
            )
        if not info.measured:
            raise UserError(f"{old.folder} keeps no digests of its files. Prepare it again with --overwrite.")
        self._names = info.schema.names
        self._tables = [read_stream(mapped(path)) for path in sorted(old.folder.glob("data-*-of-*.arrow"))]
        own = [entry for entry in info.warnings if not entry["reason"].endswith(COPIED)]
        self._warnings = {entry["name"]: entry["reason"] for entry in own}
        places: dict[str, tuple[int, int]] = {}
        for file, table in enumerate(self._tables):
            places |= {name: (file, row) for row, name in enumerate(table["id"].to_pylist())}
        self._rows: dict[int, tuple[int, int]] = {}
        for number, item in enumerate(index.items):
            place = places.get(item.id)
            with suppress(OSError):  # a file that cannot be read is not as it was
                if (
                    place
                    and (sha256 := self._value(place, "sha256"))
                    and sha256 == sha256_of(Path(item.path))
                ):
                    self._rows[number] = place
        self.kept = len(self._rows)
        self.gone = len(places.keys() - {item.id for item in index.items})
        self.index = replace(index, items=self._split(index, places, options))

    def row(self, number: int) -> Row | None:
        """Return the row of an item that is taken over, with its present label and split; None for others."""
        if number not in self._rows:
            return None
        file, row = self._rows[number]
        item = self.index.items[number]
        table = self._tables[file].slice(row, 1).select(self._names)
        for name, value in (("label", item.label), ("split", item.split)):
            column = table.schema.field(name)
            place = table.schema.get_field_index(name)
            table = table.set_column(place, column, pa.array([value], column.type))
        return Row(table, self._warnings.get(item.id, ""))

    def _value(self, place: tuple[int, int], name: str) -> Any:
        return self._tables[place[0]][name][place[1]].as_py()

    def _split(
        self, index: DatasetIndex, places: dict[str, tuple[int, int]], options: dict[str, Any]
    ) -> list[SampleRef]:
        """Return the items with the split of the source, of the collection, or a new one."""
        if {item.split for item in index.items} >= {"train", "test"}:
            return index.items
        before = {item.id: self._value(places[item.id], "split") for item in index.items if item.id in places}
        of_group = {item.group: before[item.id] for item in index.items if item.group and item.id in before}
        known = [before.get(item.id) or of_group.get(item.group) for item in index.items]
        new = [item for item, split in zip(index.items, known, strict=True) if split is None]
        drawn = iter(splits_of(new, options["test_fraction"], options["seed"]))
        splits = [split or next(drawn) for split in known]
        return [replace(item, split=split) for item, split in zip(index.items, splits, strict=True)]
