"""Reads damaged files in a process with little memory, and writes down what became of each.

`python hostile_child.py WORK GROUP FIRST` reads the files of a group from number FIRST on. WORK.jsonl has a
line before and a line after each, so that a crash names its file.
"""

import contextlib
import faulthandler
import json
import logging
import os
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "hostile")]

from crafted import crafted_for  # noqa: E402  the paths above first
from hostile_readers import READERS, InsaneError, Reader, each_here  # noqa: E402
from mutations import mutants  # noqa: E402
from obstacles import OBSTACLES  # noqa: E402

MEMORY = 2**30  # bytes beyond what the imported libraries take
HANGS = 120  # seconds after which a process that does not come back is ended
FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "socket.connect",
    "pickle.find_class",
)


def cases(reader: Reader, whole: bytes) -> Iterator[tuple[str, Any]]:
    """What is put in the target's place: `(name, bytes or a function of its path)`."""
    yield from mutants(whole, reader.rounds, reader.name)
    yield from crafted_for(reader.name).items()
    for obstacle in OBSTACLES:
        yield obstacle.__name__, obstacle


class Guard:
    """Hears of every file that is opened, and of every program that is started."""

    def __init__(self, work: Path) -> None:
        self.work = str(work)
        self.folder = ""
        self.crimes: list[str] = []
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder:
            return
        if event.startswith(FORBIDDEN):
            self.crimes.append(f"{event} {arguments[:1]}")
        elif event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100  a link counts by its own place
            writes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if arguments[2] else False
            inside = path == self.folder or path.startswith(self.folder + os.sep)
            if not inside and (path.startswith(self.work) or (writes and not path.startswith("/dev/"))):
                self.crimes.append(f"opened {path}")


def around(work: Path) -> dict[str, float]:
    """Everything beside the folder of the file that is read, with its time of change."""
    return {str(path): path.lstat().st_mtime for path in (work / "outside").rglob("*")} | {
        path.name: 0.0 for path in work.iterdir()
    }


def judge(reader: Reader, folder: Path, *also: str) -> tuple[str, str]:
    """Read one folder: what became of it ("error", "skip", "valid" or "WRONG"), and what was said.

    What is said must name the file, or one of the other words that do.
    """
    from adacross.errors import UserError

    path = Path(reader.target)
    stem = (path.stem,) if len(path.stem) > 3 else ()  # rows of a file are called by its stem
    named = (path.name, *stem, *reader.also, *also)
    try:
        notes = reader.read(folder)
    except UserError as error:
        text = str(error)
        return ("error" if any(name in text for name in named) else "WRONG"), text
    except MemoryError:
        return "WRONG", "MemoryError"
    except InsaneError as error:
        return "WRONG", f"insane: {error}"
    except BaseException as error:  # noqa: BLE001  whatever it is, it is not what was promised
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-3:]
        where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(place))
        return "WRONG", f"{type(error).__name__}: {str(error)[:300]} ({where})"
    said = "; ".join(f"{name}: {reason}" for name, reason in notes)
    if not notes:
        return "valid", ""
    return ("skip" if any(name in said for name in named) else "WRONG"), said


def memory(what: str) -> int:
    """A line of /proc/self/status in bytes: VmRSS now, VmHWM at most, VmSize with all that is reserved."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def libraries(group: str) -> None:
    """Import what a group's readers import, and read each whole file once, before memory is counted."""
    import trimesh  # noqa: F401

    import adacross.data.collection.sample
    import adacross.data.formats
    import adacross.data.isolated

    adacross.data.collection.sample.load_kernels()
    adacross.data.isolated.each = each_here  # this process has the limits, and starts no other

    if group in ("runs", "networks"):
        import torch

        torch.set_num_threads(1)
        import adacross.cli
        import adacross.encoders
        import adacross.report


def main(work: Path, group: str, first: int) -> None:
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    libraries(group)
    os.chdir(work / "here")
    guard = Guard(work)
    limited = False
    number = 0
    results = (work.parent / f"{work.name}.jsonl").open("a", encoding="utf-8", buffering=1)
    for reader in (reader for reader in READERS if reader.group == group):
        whole = work / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir()
        reader.fill(whole)
        outcome, said = judge(reader, _copied(whole, work / "case"))
        if outcome != "valid":
            raise RuntimeError(f"{reader.name}: the undamaged file is {outcome}: {said}")
        if not limited:
            most = memory("VmSize") + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            limited = True
        content = (whole / reader.target).read_bytes()
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the highest memory so far
        idle = memory("VmRSS")
        for name, damage in cases(reader, content):
            number += 1
            if number <= first:
                continue
            folder = _copied(whole, work / "case")
            target = folder / reader.target
            if isinstance(damage, bytes):
                target.write_bytes(damage)
            else:
                damage(target)
            results.write(json.dumps({"number": number, "reader": reader.name, "mutant": name}) + "\n")
            before = around(work)
            faulthandler.dump_traceback_later(HANGS, exit=True)
            guard.folder = str(folder)
            start = time.process_time(), time.monotonic()
            # Where there is no file of that name, the folder is one of another kind, and named itself.
            also = () if isinstance(damage, bytes) else (str(folder), "missing")
            outcome, said = judge(reader, folder, *also)
            seconds, wall = time.process_time() - start[0], time.monotonic() - start[1]
            guard.folder = ""
            faulthandler.cancel_dump_traceback_later()
            if around(work) != before or guard.crimes:
                outcome, said = "WRONG", f"reached outside: {guard.crimes or 'files have changed'}"
                guard.crimes = []
            record = {
                "number": number,
                "outcome": outcome,
                "said": said[:1000],
                "seconds": seconds,
                "wall": wall,
                "memory": max(0, memory("VmHWM") - idle),
            }
            results.write(json.dumps(record) + "\n")
    results.write(json.dumps({"done": True}) + "\n")


def _copied(whole: Path, folder: Path) -> Path:
    """A fresh copy, whatever lies there."""
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                Path(place, name).unlink()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    return folder


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
