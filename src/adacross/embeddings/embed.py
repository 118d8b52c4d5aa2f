"""`adacross embed`: features of many shapes in one file, computed block by block so that it can continue."""

import re
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Float64

from adacross.console import Shown, Table, console, progress_bar, words
from adacross.data.collection.build import digest_of
from adacross.data.collection.collection import Collection, box_sides
from adacross.data.collection.description import DESCRIPTION
from adacross.data.collection.prepare import Engine, make_rows
from adacross.data.collection.sample import Row, SampleOptions
from adacross.data.collection.schema import encode_view
from adacross.data.formats import FILES
from adacross.data.formats.archives import is_archive, is_file
from adacross.data.formats.axes import Up, turned
from adacross.data.formats.base import DatasetIndex, SampleRef, printable
from adacross.data.formats.files import file_ref
from adacross.data.isolated import find_apart
from adacross.embeddings.table import Embeddings, concatenate, read_embeddings
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode
from adacross.errors import UserError, check_ending, check_least, one_of
from adacross.features.collection import (
    FeatureCache,
    collection_features,
    points_for,
    print_differences,
    weights_digest,
)
from adacross.features.projection import clusters_of, map_of
from adacross.features.sources import find_encoder, usual_device
from adacross.features.whitening import comparable
from adacross.io.files import check_free, fits, locked, read_json, remove_own, write_json
from adacross.io.remote import at_home, is_url
from adacross.version import __version__

if TYPE_CHECKING:
    from rich.console import RenderableType

LIST = "-"  # paths from standard input
Skipped = list[dict[str, str]]  # {"name": of a shape, "reason": why it was left out}
Parts = dict[int, Skipped]
_OWN = re.compile(r"plan\.json|part-\d{6,}\.(parquet|json)")  # files of unfinished work
ENDINGS = (".parquet", ".csv")
Column = Literal["path", "size", "thumbnail", "map", "cluster"]
# columns that each shape has by itself; the others are made of all of them
COLUMNS = {"path": ["path"], "size": ["size_x", "size_y", "size_z"], "thumbnail": ["thumbnail"]}
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})  # as Hugging Face `datasets` stores one
THUMBNAIL = 224  # pixels along a side; of a collection, as its images
BLOCK = 256  # shapes a part; an interruption costs at most one


class Files:
    """Clouds of files that are not prepared: read and sampled as by `prepare`.

    `stored` is the number of points of a shape, None if any can be sampled; the digest is of the files.
    """

    def __init__(self, source: DatasetIndex) -> None:
        # another machine, and a table's reader, have other working folders
        items = [
            replace(item, path=str(Path(item.path).absolute())) if item.path else item
            for item in source.items
        ]
        self.source = replace(source, items=items)
        self.stored, self.up = source.points, source.up
        self.digest = digest_of([source.format, [asdict(item) for item in source.items]])

    def __len__(self) -> int:
        return len(self.source.items)

    def blocks(
        self, numbers: Sequence[int], how: SampleOptions, **options: Any
    ) -> Generator[tuple[int, list[tuple[SampleRef, Row]]], None, None]:
        """Read blocks of `BLOCK` files, each file in a process that may crash; `options` are of `make_rows`.

        Yields a block's number, and its items with their rows, once all of them are there.
        """
        items = self.source.items
        members = {n: range(n * BLOCK, min((n + 1) * BLOCK, len(items))) for n in numbers}
        places = [place for n in numbers for place in members[n]]
        read: dict[int, dict[int, Row]] = {n: {} for n in numbers}
        made = make_rows([items[place] for place in places], how, self.source.location, **options)
        with closing(made) as arriving:
            for number, row in arriving:
                block = places[number] // BLOCK
                read[block][places[number]] = row
                if len(read[block]) == len(members[block]):
                    rows = read.pop(block)
                    yield block, [(items[place], rows[place]) for place in members[block]]


def find_data(data: str, *, up: Up | None) -> Collection | Files:
    """Open a collection or its URL, anything that `prepare` reads, a file, or files from standard input."""
    data = data if data == LIST or is_url(data) else str(at_home(data))
    if data == LIST or (is_file(Path(data)) and not is_archive(Path(data))):
        lines = [line.rstrip("\r\n") for line in sys.stdin if line.strip()] if data == LIST else [data]
        paths = list(map(Path, lines))
        if not paths:
            raise UserError("standard input named no files; expected one path a line, as `ls *.stl` writes.")
        axis = None if up == "by-format" else up
        items = [file_ref(path, axis) for path in dict.fromkeys(paths)]
        return Files(DatasetIndex(items, format=FILES, location=str(Path.cwd())))
    if is_url(data) or (Path(data) / DESCRIPTION).is_file():
        collection = Collection.open(data)
        if up is not None:
            raise UserError(
                f"--up {up} cannot be given for {data}: a collection is y up already (its source was "
                f"{collection.info.source_up} up). Omit --up, or give the source."
            )
        return collection
    index = find_apart(data, up=up)
    if index.note:
        console.print(index.note)
    return Files(turned(index, up)[0])


@dataclass(frozen=True)
class Embedded(Shown):
    """Result of `embed`."""

    path: Path  # the file
    count: int  # number of shapes
    dim: int  # features a shape
    points: int  # points a cloud
    skipped: Skipped = field(default_factory=list)  # files that could not be read

    def table(self) -> "RenderableType":
        """Render as a line about the file, and a table of what was skipped."""
        from rich.console import Group

        size = f"{self.count:,} shapes x {self.dim:,} features ({self.points:,} points a cloud)"
        line = f"{size} in {self.path}"
        if not self.skipped:
            return words(line)
        table = Table("shape", "reason", title=f"{len(self.skipped)} skipped", title_justify="left")
        for entry in self.skipped:
            table.add_row(entry["name"], entry["reason"])
        return Group(words(line), table)


def embed(
    encoder: str,
    data: str,
    output: str,
    *,
    up: Up | None = None,
    points: int | None = None,
    batch_size: int = 32,
    device: str | None = None,
    workers: int | None = None,
    timeout: float = 300.0,
    engine: Engine = "local",
    ray_address: str | None = None,
    columns: Sequence[Column] = (),
    overwrite: bool = False,
) -> Embedded:
    """Encode shapes and write their features, ids and classes as Parquet or CSV.

    The work lies in `<output>.partial` until all of it is done; the same command run again goes on where an
    interrupted one stopped. A file that cannot be read is left out and named.

    Args:
        encoder: a run, an encoder folder, hf://owner/name, builtin-small, builtin-base or builtin-any.
        data: a collection or its URL; any source that prepare reads; one mesh or cloud; or "-" for paths from
            standard input, one per line.
        output: the file to write, .parquet or .csv.
        up: up axis of the files, as for `prepare`. A collection is y up.
        points: points per cloud; by default as in the encoder's training, 1,024 if unknown.
        batch_size: clouds per batch; does not change the result.
        device: cpu or cuda; cuda if available.
        workers: processes that read files; one per core by default.
        timeout: seconds allowed per file.
        engine: what reads files: this machine, or all machines of a Ray cluster, as for `prepare`.
        ray_address: address of the cluster, as for `prepare`.
        columns: further columns: the file's path; size_x, size_y and size_z, the sides of the bounding box in
            the source's unit; thumbnail, an image (not as CSV); map, which is x and y; cluster, -1 for none.
        overwrite: replace an existing output file.

    Returns:
        What was written; `.skipped` lists what was left out. `read_embeddings` reads the file.

    Raises:
        UserError: no such encoder or data, an option out of its range, a file that is already there, none of
            the shapes readable.
        KeyboardInterrupt: Ctrl-C; its message says how to go on.
    """
    target = check_ending(output, ENDINGS, "embed writes Parquet and CSV")
    one_of("up axis", up or "y", get_args(Up))
    one_of("engine", engine, get_args(Engine))
    for column in columns:
        one_of("column", column, get_args(Column))
    if "thumbnail" in columns and target.suffix.lower() == ".csv":
        raise UserError(f"{target} cannot hold thumbnails; give {target.with_suffix('.parquet')}.")
    check_least(points=points, batch_size=batch_size, workers=workers)
    check_free(target, overwrite)
    entry = find_encoder(encoder)
    network = entry.encoder
    source = find_data(data, up=up)
    stored: int | None
    if isinstance(source, Collection):
        stored, axis, digest = source.info.points, source.info.source_up, source.digest()
    else:
        stored, axis, digest = source.stored, source.up, source.digest
        if up is None:
            console.print(f"{data}: taken as {axis} up, the default of these files; change it with --up.")
    count = points_for(network, points, stored)
    about = {
        "encoder": {"name": entry.name, "kind": network.kind, "inputs": network.inputs.stored()},
        "fingerprint": weights_digest(network),
        "data": data,
        "digest": digest,
        "up": axis,
        "points": count,
        "columns": sorted(columns),
    }
    where = usual_device(device)
    with locked(target, "embed"):
        if isinstance(source, Collection):
            cache = FeatureCache.of(network, source, count, entry.run or source.folder)
            features = collection_features(
                network, source, points=count, batch_size=batch_size, device=where, cache=cache
            )
            check_free(target, overwrite)
            return _write(target, _of_collection(source, features, about), [])
        print_differences(network, count)
        reading = {"workers": workers, "timeout": timeout, "engine": engine, "ray_address": ray_address}
        work = target.with_name(f"{target.name}.partial")
        done = _continued(work, about, overwrite)
        try:
            _encode_all(network, source, work, about, done, batch_size, where, reading)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted. {len(done)} blocks of {BLOCK} shapes are kept in {work}; "
                "run the same command again to continue."
            ) from None
        check_free(target, overwrite)  # after hours, it may be another program's file
        return _finish(work, target, done, about)


def _of_collection(collection: Collection, features: np.ndarray, about: dict[str, Any]) -> Embeddings:
    """Return the embeddings of a whole collection."""
    names = collection.info.classes
    test = set(collection.indices("test").tolist())
    return Embeddings(
        collection.ids,
        [names[label] if label >= 0 else None for label in collection.labels],
        ["test" if row in test else "train" for row in range(len(collection))],
        features,
        about,
        _columns(
            about["columns"],
            collection.files(),
            collection.sizes() if "size" in about["columns"] else None,
            (encode_view(collection.thumbnail(row)) for row in range(len(collection))),
        ),
    )


def _columns(
    names: Sequence[str],
    paths: Iterable[str | Path | None],
    sizes: Float64[np.ndarray, "n 3"] | None,
    images: Iterable[bytes],
) -> dict[str, pa.Array]:
    """Return the columns that each shape has by itself, of those that are asked for."""
    columns: dict[str, pa.Array] = {}
    if "path" in names:
        texts = [printable(str(path)) if path else None for path in paths]
        columns["path"] = pa.array(texts, pa.string())
    if sizes is not None:
        columns |= {f"size_{axis}": pa.array(side) for axis, side in zip("xyz", sizes.T, strict=True)}
    if "thumbnail" in names:
        columns["thumbnail"] = pa.array([{"bytes": image, "path": None} for image in images], IMAGE)
    return columns


def _encode_all(
    encoder: Encoder,
    files: Files,
    work: Path,
    about: dict[str, Any],
    done: Parts,
    batch_size: int,
    device: str,
    reading: dict[str, Any],
) -> None:
    """Encode every block that is not in `done`, and add it there with its skipped files."""
    points, names, source = about["points"], about["columns"], files.source
    how = SampleOptions(
        source.format,
        points,
        views=int("thumbnail" in names),
        size=THUMBNAIL,
        source=source.location if "size" in names else "",
    )
    todo = [number for number in range(-(-len(files) // BLOCK)) if number not in done]
    with progress_bar("shapes") as progress, closing(files.blocks(todo, how, **reading)) as blocks:
        bar = progress.add_task("encoding", total=len(files), completed=BLOCK * len(done), note="")
        for number, block in blocks:
            skipped = [{"name": item.id, "reason": row.note} for item, row in block if row.table is None]
            items = [item for item, row in block if row.table is not None]
            tables = [row.table for _, row in block if row.table is not None]
            clouds = [row.points[:points] for _, row in block if row.points is not None]
            features = np.zeros((0, encoder.dim), np.float32)
            if clouds:
                features = encode(encoder, np.stack(clouds), batch_size=batch_size, device=device)
            part = Embeddings(
                [item.id for item in items],
                [source.class_of(item) for item in items],
                [item.split for item in items],
                features,
                about,
                _columns(
                    names,
                    (item.path for item in items),
                    box_sides(tables) if "size" in names else None,
                    (table["views"][0].as_py()[0]["bytes"] for table in tables),
                ),
            )
            part.write(work / f"part-{number:06d}.parquet")
            write_json(work / f"part-{number:06d}.json", skipped)  # marks the part as finished
            done[number] = skipped
            progress.update(bar, advance=len(block))


def _continued(work: Path, about: dict[str, Any], overwrite: bool) -> Parts:
    """Return the finished blocks of an interrupted command; none in a new folder."""
    plan = work / "plan.json"
    started = read_json(plan, "the plan of an unfinished embed") if plan.is_file() else None
    if started == about:
        notes = {path: read_json(path, "a block's note") for path in sorted(work.glob("part-*.json"))}
        if wrong := [path for path, note in notes.items() if not fits(note, Skipped)]:
            raise UserError(f"{wrong[0]} is not a block's note. Delete it; the block is then encoded again.")
        if notes:
            console.print(f"continuing: {len(notes)} blocks of {BLOCK} shapes are done")
        return {int(path.stem.removeprefix("part-")): note for path, note in notes.items()}
    ours = isinstance(started, dict) and started.keys() == about.keys()
    if not ours and work.exists() and any(work.iterdir()):
        raise UserError(f"{work} exists and is not an unfinished embed. Move it away.")
    if started and not overwrite:
        changed = ", ".join(name for name in about if started[name] != about[name])
        raise UserError(
            f"{work} holds unfinished work with other options ({changed}). Give the same options to continue "
            "it, another output, or --overwrite to discard it."
        )
    remove_own(work, _OWN)
    write_json(plan, about)
    return {}


def _finish(work: Path, target: Path, parts: Parts, about: dict[str, Any]) -> Embedded:
    """Write the blocks as one file, and delete them."""
    names = [column for name in about["columns"] for column in COLUMNS.get(name, [])]
    paths = [work / f"part-{number:06d}.parquet" for number in sorted(parts)]
    whole = concatenate([read_embeddings(path, names) for path in paths])
    skipped = [entry for number in sorted(parts) for entry in parts[number]]
    if not len(whole):
        remove_own(work, _OWN)
        reasons = "\n".join(f"  {entry['name']}: {entry['reason']}" for entry in skipped[:10])
        raise UserError(f"none of the {len(skipped)} shapes in {about['data']} can be read:\n{reasons}")
    result = _write(target, whole, skipped)
    remove_own(work, _OWN)
    return result


def _write(target: Path, embeddings: Embeddings, skipped: Skipped) -> Embedded:
    about, columns = embeddings.about | {"adacross": __version__}, dict(embeddings.columns)
    if {"map", "cluster"} & set(about["columns"]):
        with console.status("drawing the map"):
            xy = map_of(comparable(embeddings.features))
        if "map" in about["columns"]:
            columns |= {"x": pa.array(xy[:, 0]), "y": pa.array(xy[:, 1])}
        if "cluster" in about["columns"]:
            columns["cluster"] = pa.array(clusters_of(xy))
    replace(embeddings, about=about, columns=columns).write(target)
    return Embedded(target, len(embeddings), embeddings.features.shape[1], about["points"], skipped)
