"""`adacross embed`: features of many shapes into one file, block by block, so that nothing is lost."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adacross.console import Table, console, progress_bar, words
from adacross.data.source import Axis
from adacross.embeddings.sources import Block, Clouds, Files, find_clouds
from adacross.embeddings.table import Embeddings, joined, read_embeddings
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode
from adacross.errors import UserError, check_ending, one_of
from adacross.evaluation.results import fingerprint
from adacross.features.collection import points_for, say_differences
from adacross.features.sources import find_encoders, usual_device
from adacross.io.files import check_free, fits, locked, read_json, remove_own, write_json

if TYPE_CHECKING:
    from rich.console import RenderableType

_OWN = re.compile(r"plan\.json|part-\d{6,}\.(parquet|json)")  # files of unfinished work
BLOCK = 256  # shapes a part: what an interruption costs at most
Skipped = list[dict[str, str]]  # {"name": of a shape, "reason": why it was left out}
Parts = dict[int, Skipped]


@dataclass(frozen=True)
class Embedded:
    """What `embed` did.

    Attributes:
        path: the Parquet file.
        count: shapes in it.
        dim: features a shape.
        points: points a cloud that were encoded.
        skipped: shapes that could not be read: `{"name": ..., "reason": ...}`.
    """

    path: Path
    count: int
    dim: int
    points: int
    skipped: Skipped = field(default_factory=list)

    def table(self) -> "RenderableType":
        """Return a line about the file, and a table of what was left out."""
        from rich.console import Group

        line = (
            f"{self.count:,} shapes x {self.dim:,} features ({self.points:,} points a cloud) in {self.path}"
        )
        if not self.skipped:
            return words(line)
        table = Table("shape", "why", title=f"{len(self.skipped)} skipped", title_justify="left")
        for entry in self.skipped:
            table.add_row(entry["name"], entry["reason"])
        return Group(words(line), table)


def embed(
    encoder: str,
    data: str,
    output: str,
    *,
    up: Axis | None = None,
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
        up: up axis of the files; by default z for OFF, y otherwise. A collection is y up.
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
    one_of("up axis", up or "y", ("x", "y", "z"))
    for name, value in (("points", points), ("batch_size", batch_size), ("workers", workers)):
        if value is not None and value < 1:
            raise UserError(f"{name} is {value}; it must be at least 1.")
    check_free(target, overwrite)
    found = find_encoders(encoder)
    if len(found) > 1:
        raise UserError(f"{encoder} matches {len(found)} encoders; expected one.")
    network = found[0].encoder
    clouds = find_clouds(data, up=up, workers=workers, timeout=timeout)
    count = points_for(network, points, clouds.stored)
    say_differences(network, count)
    if isinstance(clouds, Files) and up is None:
        console.print(f"{data}: taken as {clouds.up} up, as is usual for such files; --up says otherwise.")
    about = {
        "encoder": {"name": found[0].name, "kind": network.kind, "inputs": network.inputs.stored()},
        "fingerprint": fingerprint(network),
        "data": data,
        "digest": clouds.digest,
        "up": clouds.up,
        "points": count,
    }
    work = target.with_name(f"{target.name}.partial")
    with locked(target, "embed"):
        done = _continued(work, about, overwrite)
        try:
            _encode_all(network, clouds, work, about, done, batch_size, usual_device(device))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted. {len(done)} blocks of {BLOCK} shapes are kept in {work}; "
                "run the same command again to go on."
            ) from None
        check_free(target, overwrite)  # hours later, it may be somebody's file
        return _finish(work, target, done, about)


def _encode_all(
    encoder: Encoder,
    clouds: Clouds,
    work: Path,
    about: dict[str, Any],
    done: Parts,
    batch_size: int,
    device: str,
) -> None:
    """Encode every block that is not in `done` yet, and add it there with the files that it left out."""
    with progress_bar("shapes") as progress:
        bar = progress.add_task("encoding", total=clouds.count, note="")
        for number, start in enumerate(range(0, clouds.count, BLOCK)):
            stop = min(start + BLOCK, clouds.count)
            if number not in done:
                block = clouds.read(start, stop, about["points"])
                features = np.zeros((0, encoder.dim), np.float32)
                if len(block.clouds):
                    features = encode(encoder, block.clouds, batch_size=batch_size, device=device)
                _save(work, number, block, features, about)
                done[number] = block.skipped
            progress.update(bar, completed=stop)


def _continued(work: Path, about: dict[str, Any], overwrite: bool) -> Parts:
    """The blocks that an interrupted command of the same kind left; none in a new folder.

    Raises:
        UserError: the folder holds something else, or unfinished work of other options that may not be
            discarded.
    """
    plan = work / "plan.json"
    begun = read_json(plan, "the plan of an unfinished embed") if plan.is_file() else None
    if begun == about:
        notes = {path: read_json(path, "what a block left out") for path in sorted(work.glob("part-*.json"))}
        if wrong := [path for path, note in notes.items() if not fits(note, Skipped)]:
            raise UserError(f"{wrong[0]} is not a block's note. Delete it, and that block is done again.")
        if notes:
            console.print(f"continuing: {len(notes)} blocks of {BLOCK} shapes are done")
        return {int(path.stem.removeprefix("part-")): note for path, note in notes.items()}
    if (
        not (isinstance(begun, dict) and begun.keys() == about.keys())
        and work.exists()
        and any(work.iterdir())
    ):
        raise UserError(f"{work} exists and is not an unfinished embed. Move it away.")
    if begun and not overwrite:
        changed = ", ".join(name for name in about if begun[name] != about[name])
        raise UserError(
            f"{work} holds unfinished work with other options ({changed}). Give the same options to continue "
            "it, another output, or --overwrite to discard it."
        )
    remove_own(work, _OWN)
    write_json(plan, about)
    return {}


def _save(work: Path, number: int, block: Block, features: np.ndarray, about: dict[str, Any]) -> None:
    """Write a block, then its note: without the note it does not count."""
    part = Embeddings(block.ids, block.classes, block.splits, features, about)
    part.write(work / f"part-{number:06d}.parquet")
    write_json(work / f"part-{number:06d}.json", block.skipped)


def _finish(work: Path, target: Path, parts: Parts, about: dict[str, Any]) -> Embedded:
    from adacross.version import __version__

    whole = joined([read_embeddings(work / f"part-{number:06d}.parquet") for number in sorted(parts)])
    skipped = [entry for number in sorted(parts) for entry in parts[number]]
    if not len(whole):
        remove_own(work, _OWN)
        reasons = "\n".join(f"  {entry['name']}: {entry['reason']}" for entry in skipped[:10])
        raise UserError(f"none of the {len(skipped)} shapes in {about['data']} can be read:\n{reasons}")
    final = Embeddings(
        whole.ids, whole.classes, whole.splits, whole.features, about | {"adacross": __version__}
    )
    final.write(target)
    remove_own(work, _OWN)
    return Embedded(target, len(final), final.features.shape[1], about["points"], skipped)
