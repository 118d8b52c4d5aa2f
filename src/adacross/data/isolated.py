"""Files that a command looks at itself, read in processes of their own, with limits of memory and time.

`prepare` and `embed` hand whole shapes to `workers`; here is the rest: the look at a source before that, the
check of some of its shapes, and pictures.
"""

import json
import os
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from adacross.console import console
from adacross.data.formats import BUILTIN, format_of, index_source
from adacross.data.formats.base import DatasetIndex, SampleRef
from adacross.data.formats.files import ASSEMBLIES, bodies_in
from adacross.data.formats.measures import extent_of
from adacross.data.images import read_views
from adacross.data.shape import BrokenShapeError
from adacross.data.workers.local import Request, WorkerCrash, each, shortage
from adacross.errors import UserError

TIMEOUT = 60.0  # seconds that a picture or a query may take, unless a command says otherwise
SHAPE_TIMEOUT = 300.0  # seconds that a shape of a source may take, for `inspect` as for `prepare`
_LOOKING = 3600.0  # seconds for the look at a whole source, which may be a million files on a slow disk


def find_apart(source: str, **options: Any) -> DatasetIndex:
    """List a source as `index_source`, in a process of its own: lists and headers come from outside, too."""
    if source == BUILTIN:
        return index_source(source, **options)
    ((_, found),) = _ask("serve_index", [{"source": source, **options}], 1, _LOOKING)
    if isinstance(found, WorkerCrash):
        raise UserError(f"cannot look through {source}: {found.reason}. Move the file away that does this.")
    if "error" in found:
        raise UserError(found["error"])
    return DatasetIndex([SampleRef(**item) for item in found.pop("items")], **found)


def serve_index(request: Request) -> bytes:
    """List a source. Runs in a worker process."""
    try:
        found = index_source(**request)
    except UserError as error:
        if shortage(error):
            raise
        return json.dumps({"error": str(error)}).encode()
    return json.dumps(vars(found) | {"items": [vars(item) for item in found.items]}).encode()


def split_apart(
    index: DatasetIndex, workers: int | None = None, timeout: float = SHAPE_TIMEOUT
) -> DatasetIndex:
    """Return a source with an item for each body of each file that holds several.

    Its id is `file#body`; a drawn split keeps the bodies of a file together. Files that cannot be read stay
    one item, of which reading says why.
    """
    asked = [item for item in index.items if Path(item.path).suffix.lower() in ASSEMBLIES]
    requests: list[Request] = [{"path": item.path} for item in asked]
    count = min(workers or os.cpu_count() or 1, len(asked))
    with console.status("looking for bodies"):
        names = {asked[place].id: found for place, found in _ask("serve_bodies", requests, count, timeout)}
    items: list[SampleRef] = []
    for item in index.items:
        bodies = names.get(item.id, [])
        if isinstance(bodies, WorkerCrash) or len(bodies) < 2:
            items.append(item)
            continue
        for number, name in enumerate(bodies):
            group, extra = item.group or item.id, item.extra | {"body": number}
            items.append(replace(item, id=f"{item.id}#{name}", extra=extra, group=group))
    return replace(index, items=items)


def serve_bodies(request: Request) -> bytes:
    """Name the bodies in a file. Runs in a worker process."""
    try:
        found = bodies_in(Path(request["path"]))
    except BrokenShapeError as error:
        if shortage(error):
            raise
        found = []
    return json.dumps(found).encode()


def check_apart(format: str, items: Sequence[SampleRef], points: int) -> list[tuple[bool, str, float]]:
    """Read some shapes with all images.

    Returns for each whether it can be read, warnings or the reason, and the longest side of its box.
    """
    requests = [{"item": asdict(item), "format": format, "points": points} for item in items]
    found: list[tuple[bool, str, float]] = [(False, "", 0.0)] * len(items)
    for place, answer in _ask("serve_check", requests, _processes(items), SHAPE_TIMEOUT):
        found[place] = (False, answer.reason, 0.0) if isinstance(answer, WorkerCrash) else tuple(answer)
    return found


def serve_check(request: Request) -> bytes:
    """Read one shape and say what is wrong with it. Runs in a worker process."""
    item = SampleRef(**request["item"])
    try:
        raw = format_of(request["format"]).sample(item, request["points"], np.random.default_rng(0))
    except BrokenShapeError as error:
        if shortage(error):
            raise
        return json.dumps([False, str(error), 0.0]).encode()
    _, warnings = read_views(raw.images, max(1, len(raw.images)), 16)
    return json.dumps([True, "; ".join((*raw.warnings, *warnings)), extent_of(raw)]).encode()


def views_apart(
    paths: Sequence[Path], size: int, timeout: float = TIMEOUT
) -> Generator[tuple[int, UInt8[np.ndarray, "size size 3"] | None, str], None, None]:
    """Read image files as `read_views`; yield, as they finish, place, image or None, and why not."""
    requests: list[dict[str, Any]] = [{"path": str(path), "size": size} for path in paths]
    with closing(each(f"{__name__}:serve_view", requests, _processes(paths), timeout)) as answers:
        for place, answer in answers:
            if isinstance(answer, WorkerCrash):
                yield place, None, f"{paths[place].name} cannot be read ({answer.reason})"
            elif answer[:1] == b"+":
                yield place, np.frombuffer(answer[1:], np.uint8).reshape(size, size, 3), ""
            else:
                yield place, None, answer[1:].decode()


def serve_view(request: Request) -> bytes:
    """Read one picture. Runs in a worker process."""
    views, remarks = read_views([Path(request["path"])], 1, request["size"])
    return b"+" + views.tobytes() if views is not None else b"-" + remarks[0].encode(errors="replace")


def _ask(
    function: str, requests: Sequence[Request], processes: int, timeout: float
) -> Generator[tuple[int, Any], None, None]:
    """Yield place and answer, from JSON or a `WorkerCrash`, as worker processes finish requests."""
    with closing(each(f"{__name__}:{function}", requests, processes, timeout)) as answers:
        for place, answer in answers:
            yield place, answer if isinstance(answer, WorkerCrash) else json.loads(answer)


def _processes(files: Sequence[object]) -> int:
    """Return how many processes read so many files: one a core, each of them for 16 files or more."""
    return max(1, min(os.cpu_count() or 1, -(-len(files) // 16)))
