"""Reads a bomb of three sizes as a command does, and prints the memory that it took: `READER BOMB FOLDER`.

It is the caller's peak and that of the largest of its children, in MiB, after an ordinary file and each size.
"""

import json
import logging
import resource
import sys
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "data"), str(TESTS / "hostile")]
OFF = "OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n"


def prepared(path: Path) -> str:
    from adacross.data.collection.prepare import prepare

    small = {"points": 16, "views": 1, "size": 16, "workers": 1, "overwrite": True, "timeout": 120.0}
    info = prepare(str(path.parent), str(path.parent.with_name("collection")), **small).info
    return "; ".join(entry["reason"] for entry in info.skipped)


def inspected(path: Path) -> str:
    from layout_files import printed

    from adacross.data.collection.inspect import inspect

    return printed(inspect(str(path.parent)).table())


def loaded(path: Path) -> str:
    from adacross.data.collection.sample import load_shape

    load_shape(path, points=16, timeout=120.0)
    return ""


def embedded(path: Path) -> str:
    from adacross.data.collection.sample import SampleOptions
    from adacross.embeddings.embed import Files, find_data

    files = find_data(str(path), up=None)
    assert isinstance(files, Files)
    how = SampleOptions(files.source.format, 16, views=0, size=16)
    ((_, rows),) = files.blocks([0], how, workers=1, timeout=120.0, engine="local", ray_address=None)
    return "; ".join(row.note for _, row in rows if row.table is None)


def queried(path: Path) -> str:
    from adacross.search.query import read_query

    read_query(path, points=16, size=16)
    return ""


def evaluated(path: Path) -> str:
    from adacross.data.image_set import read_image_set

    return "; ".join(read_image_set(path.parent.parent, 16).skipped)


READERS: dict[str, Callable[[Path], str]] = {
    f.__name__: f for f in (prepared, inspected, loaded, embedded, queried, evaluated)
}


def peaks() -> tuple[int, int]:
    return tuple(resource.getrusage(who).ru_maxrss // 1024 for who in (0, resource.RUSAGE_CHILDREN))  # type: ignore[return-value]


def main(reader: str, bomb: str, folder: Path) -> None:
    import bombs

    from adacross.errors import UserError

    logging.disable(logging.CRITICAL)
    read = READERS[reader]
    plain = folder / "plain"
    plain.mkdir()
    (plain / "a.off").write_text(OFF)
    first = read if reader != "evaluated" else inspected
    first(plain / "a.off")
    records = [{"said": "", "memory": peaks()}]
    for n in (1, 2, 4):
        place = folder / str(n) / "class"
        place.mkdir(parents=True)
        path = getattr(bombs, bomb)(place, n)
        if reader == "evaluated":  # two classes at least
            (place.with_name("other")).mkdir()
            for name in ("class/good.png", "other/good.png"):
                (place.parent / name).write_bytes(bombs.png(8, 8, bytes(16)))
        try:
            said = read(path)
        except UserError as error:
            said = str(error)
        path.unlink()
        records.append({"said": said, "memory": peaks()})
    json.dump(records, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
