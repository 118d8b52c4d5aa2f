"""`adacross embed`: features of many shapes in one file, computed block by block so that it can continue."""

import os
import re
import sys
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from jaxtyping import Float32

from adacross.console import Table, console, progress_bar, words
from adacross.data.collection.build import digest_of
from adacross.data.collection.collection import Collection
from adacross.data.collection.description import DESCRIPTION
from adacross.data.collection.sample import SERVE, SampleOptions, read_row
from adacross.data.formats import FILES
from adacross.data.formats.archives import is_archive, is_file
from adacross.data.formats.axes import Up, turned
from adacross.data.formats.base import DatasetIndex, SampleRef
from adacross.data.formats.files import file_ref
from adacross.data.isolated import find_apart
from adacross.data.workers.local import each
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
from adacross.features.sources import find_encoder, usual_device
from adacross.io.files import check_free, fits, locked, read_json, remove_own, write_json
from adacross.io.remote import at_home, is_url
from adacross.version import __version__

if TYPE_CHECKING:
    from rich.console import RenderableType

LIST = "-"  # paths from standard input
Skipped = list[dict[str, str]]  # {"name": of a shape, "reason": why it was left out}
Parts = dict[int, Skipped]
_OWN = re.compile(r"plan\.json|part-\d{6,}\.(parquet|json)")  # files of unfinished work
BLOCK = 256  # shapes a part; an interruption costs at most one


class Files:
    """Clouds of files that are not prepared: read and sampled as by `prepare`, without images.

    Attributes:
        source: the files.
        stored: points a shape has, None if any number can be sampled.
        up: the axis that points up.
        digest: changes when the files do.
    """

    def __init__(self, source: DatasetIndex, workers: int | None, timeout: float) -> None:
        self.source = source
        self.stored, self.up = source.points, source.up
        self.digest = digest_of([source.format, [asdict(item) for item in source.items]])
        self._workers = workers or os.cpu_count() or 1
        self._timeout = timeout

    def __len__(self) -> int:
        return len(self.source.items)

    def read(
        self, start: int, stop: int, points: int
    ) -> tuple[list[SampleRef], Float32[np.ndarray, "n N 3"], Skipped]:
        """Read items `start` to `stop`, each in a process that may crash; return those that could be read."""
        items = self.source.items[start:stop]
        options = asdict(SampleOptions(self.source.format, points))
        requests = [{"item": asdict(item), "options": options} for item in items]
        rows: dict[int, np.ndarray] = {}
        skipped: dict[int, dict[str, str]] = {}
        workers = min(self._workers, len(items))
        with closing(each(SERVE, requests, workers, self._timeout)) as arriving:
            for place, answer in arriving:
                row = read_row(answer)
                if row.points is not None:
                    rows[place] = row.points[:points]
                else:
                    skipped[place] = {"name": items[place].id, "reason": row.note}
        kept = sorted(rows)
        clouds = np.stack([rows[place] for place in kept]) if kept else np.zeros((0, points, 3), np.float32)
        return [items[place] for place in kept], clouds, [skipped[place] for place in sorted(skipped)]


def find_data(data: str, *, up: Up | None, workers: int | None, timeout: float) -> Collection | Files:
    """Open a collection or its URL, anything that `prepare` reads, a file, or files from standard input."""
    data = data if data == LIST or is_url(data) else str(at_home(data))
    if data == LIST or (is_file(Path(data)) and not is_archive(Path(data))):
        lines = [line.rstrip("\r\n") for line in sys.stdin if line.strip()] if data == LIST else [data]
        paths = list(map(Path, lines))
        if not paths:
            raise UserError("standard input named no files; expected one path a line, as `ls *.stl` writes.")
        axis = None if up == "by-format" else up
        items = [file_ref(path, axis) for path in dict.fromkeys(paths)]
        return Files(DatasetIndex(items, format=FILES, location=str(Path.cwd())), workers, timeout)
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
    return Files(turned(index, up)[0], workers, timeout)


@dataclass(frozen=True)
class Embedded:
    """Result of `embed`."""

    path: Path  # the Parquet file
    count: int  # number of shapes
    dim: int  # features a shape
    points: int  # points a cloud
    # files that could not be read: `{"name": ..., "reason": ...}`
    skipped: Skipped = field(default_factory=list)

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
    overwrite: bool = False,
) -> Embedded:
    """Encode shapes and write their features, ids and classes as Parquet.

    The work lies in `<output>.partial` until all of it is done; the same command run again goes on where an
    interrupted one stopped. A file that cannot be read is left out and named.

    Args:
        encoder: a run, an encoder folder, hf://owner/name or builtin-small.
        data: a collection or its URL; any source that prepare reads; one mesh or cloud; or "-" for paths from
            standard input, one per line.
        output: the Parquet file to write.
        up: up axis of the files, as for `prepare`. A collection is y up.
        points: points per cloud; by default as in the encoder's training, 1,024 if unknown.
        batch_size: clouds per batch; does not change the result.
        device: cpu or cuda; cuda if available.
        workers: processes that read files; one per core by default.
        timeout: seconds allowed per file.
        overwrite: replace an existing output file.

    Returns:
        What was written; `.skipped` lists what was left out. `read_embeddings` reads the file.

    Raises:
        UserError: no such encoder or data, an option out of its range, a file that is already there, none of
            the shapes readable.
        KeyboardInterrupt: Ctrl-C; its message says how to go on.
    """
    target = check_ending(output, ".parquet", "embed writes Parquet")
    one_of("up axis", up or "y", get_args(Up))
    check_least(points=points, batch_size=batch_size, workers=workers)
    check_free(target, overwrite)
    entry = find_encoder(encoder)
    network = entry.encoder
    source = find_data(data, up=up, workers=workers, timeout=timeout)
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
        work = target.with_name(f"{target.name}.partial")
        done = _continued(work, about, overwrite)
        try:
            _encode_all(network, source, work, about, done, batch_size, where)
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
    )


def _encode_all(
    encoder: Encoder,
    files: Files,
    work: Path,
    about: dict[str, Any],
    done: Parts,
    batch_size: int,
    device: str,
) -> None:
    """Encode every block that is not in `done`, and add it there with its skipped files."""
    with progress_bar("shapes") as progress:
        bar = progress.add_task("encoding", total=len(files), note="")
        for number, start in enumerate(range(0, len(files), BLOCK)):
            stop = min(start + BLOCK, len(files))
            if number not in done:
                items, clouds, skipped = files.read(start, stop, about["points"])
                features = np.zeros((0, encoder.dim), np.float32)
                if items:
                    features = encode(encoder, clouds, batch_size=batch_size, device=device)
                classes = [files.source.class_of(one) for one in items]
                splits: list[str | None] = [one.split for one in items]
                part = Embeddings([one.id for one in items], classes, splits, features, about)
                part.write(work / f"part-{number:06d}.parquet")
                write_json(work / f"part-{number:06d}.json", skipped)  # marks the part as finished
                done[number] = skipped
            progress.update(bar, completed=stop)


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
    whole = concatenate([read_embeddings(work / f"part-{number:06d}.parquet") for number in sorted(parts)])
    skipped = [entry for number in sorted(parts) for entry in parts[number]]
    if not len(whole):
        remove_own(work, _OWN)
        reasons = "\n".join(f"  {entry['name']}: {entry['reason']}" for entry in skipped[:10])
        raise UserError(f"none of the {len(skipped)} shapes in {about['data']} can be read:\n{reasons}")
    result = _write(target, whole, skipped)
    remove_own(work, _OWN)
    return result


def _write(target: Path, embeddings: Embeddings, skipped: Skipped) -> Embedded:
    about = embeddings.about | {"adacross": __version__}
    replace(embeddings, about=about).write(target)
    return Embedded(target, len(embeddings), embeddings.features.shape[1], about["points"], skipped)
