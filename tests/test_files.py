"""Whole files and folders, one writer at a time, and nothing deleted that is not adacross's own."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import SafetensorError

from adacross.errors import UserError
from adacross.io.files import (
    check_free,
    check_replaceable,
    locked,
    remove_own,
    strangers,
    sweep,
    whole_file,
    whole_folder,
    write_json,
)

OWN = re.compile(r"kept\.json|data/part-\d+\.bin")
posix = pytest.mark.skipif(os.name != "posix", reason="links, modes and signals are those of POSIX")


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def killed_while(code: str, path: Path) -> None:
    """Run `code` in a process that is killed as soon as it says that it is ready."""
    with child(code, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.stderr
        process.send_signal(signal.SIGKILL)
        process.wait()


WRITES = """
import sys, time
from pathlib import Path
from adacross.io.files import whole_file
with whole_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(600)
"""
HOLDS = """
import sys, time
from pathlib import Path
from adacross.io.files import locked
with locked(Path(sys.argv[1]), "prepare"):
    print("ready", flush=True)
    time.sleep(600)
"""


@posix
def test_a_link_stays_a_link_and_a_private_file_private(tmp_path: Path):
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    with whole_file(link) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        temporary.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


def test_two_writers_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Processes of two containers may have the same number."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with whole_file(tmp_path / "a") as one, whole_file(tmp_path / "a") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_all_files_of_a_folder_are_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settled: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: settled.append(os.fstat(handle).st_ino))
    with whole_folder(tmp_path / "encoder") as temporary:
        (temporary / "data").mkdir()
        files = [temporary / "config.json", temporary / "data" / "part-0.bin"]
        for path in files:
            path.write_text("content")
        expected = {path.stat().st_ino for path in (*files, temporary, temporary / "data")}
        assert not settled
    assert expected <= set(settled)
    assert tmp_path.stat().st_ino == settled[-1]


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device. Free some space or"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "Free some space or"),
        (RuntimeError("PytorchStreamWriter failed: Disk quota exceeded"), "Disk quota exceeded. Free some"),
        (
            OSError(errno.EROFS, "Read-only file system"),
            "Choose a folder that you may",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), "Choose a folder that you may write to"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "Choose a shorter name"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error. Check the path."),
    ],
)
@pytest.mark.parametrize("writer", [whole_file, whole_folder])
def test_a_refused_write_is_a_sentence_whichever_library_raised_it(
    tmp_path: Path, writer: Callable, raised: Exception, told: str
):
    with pytest.raises(UserError, match=f"cannot write .*{re.escape(told)}"), writer(tmp_path / "a"):
        raise raised
    assert not list(tmp_path.iterdir())


def test_other_errors_are_not_taken_for_the_disks(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a"):
        raise ZeroDivisionError


@posix
def test_the_rests_of_a_killed_writer_go_with_the_next_write(tmp_path: Path):
    killed_while(WRITES, tmp_path / "labels.csv")
    assert len(list(tmp_path.glob(".labels.csv.*.part"))) == 1
    write = "import sys, pathlib, adacross.io.files as f; f.write_json(pathlib.Path(sys.argv[1]), 1)"
    with child(write, tmp_path / "other.json") as process:
        assert process.wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


@posix
def test_the_files_of_a_living_writer_are_not_swept(tmp_path: Path):
    with child(WRITES, tmp_path / "labels.csv") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sweep(tmp_path)
        assert len(list(tmp_path.glob(".labels.csv.*.part"))) == 1
        process.kill()


def test_only_old_files_of_other_machines_are_swept(tmp_path: Path):
    fresh, old, mine = (tmp_path / name for name in (
        ".a.json.00000000-1-12345678.part", ".b.json.00000000-1-12345678.part", ".c.json.part"
    ))  # fmt: skip
    for path in (fresh, old, mine):
        path.write_text("")
    os.utime(old, (0, 0))
    os.utime(mine, (0, 0))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([fresh.name, mine.name])
    sweep(tmp_path, alone=True)
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]


@pytest.mark.parametrize("alone", [False, True])
def test_files_of_others_with_such_endings_are_not_swept(tmp_path: Path, alone: bool):
    for name in (".bashrc.20240101.old", ".film.mp4.7.part", ".a.part", ".a.00000000-1-12345678.old.bak"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".work.1.old").mkdir()
    sweep(tmp_path, alone)
    assert len(strangers(tmp_path)) == 4
    assert (tmp_path / ".work.1.old").is_dir()


def test_a_folder_that_was_moved_aside_when_the_power_went_comes_back(tmp_path: Path):
    aside = tmp_path / ".encoder.00000000-1-12345678.old"
    aside.mkdir()
    (aside / "config.json").write_text("{}")
    sweep(tmp_path, alone=True)
    assert (tmp_path / "encoder" / "config.json").read_text() == "{}"


@posix
def test_one_writer_at_a_time_and_a_killed_one_frees_the_lock(tmp_path: Path):
    target = tmp_path / "parts"
    with child(HOLDS, target) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(2):  # asking does not harm the lock
            with (
                pytest.raises(
                    UserError, match=rf"parts is in use: adacross prepare \(process {process.pid} on "
                ),
                locked(target, "prepare"),
            ):
                pass
        process.kill()
        process.wait()
    with locked(target, "prepare"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_in_a_folder_leaves_nothing(tmp_path: Path):
    with locked(tmp_path / "run", "pretrain", inside=True):
        with pytest.raises(UserError, match="in use"), locked(tmp_path / "run", "pretrain", inside=True):
            pass
        assert not strangers(tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.slow
def test_waiting_for_another_writer(tmp_path: Path):
    """Two processes count together; no turn is lost."""
    counts = """
import sys
from pathlib import Path
from adacross.io.files import locked, read_json, write_json
path = Path(sys.argv[1])
for _ in range(50):
    with locked(path, "count", wait=60):
        write_json(path, read_json(path, "a number") + 1)
"""
    write_json(tmp_path / "n.json", 0)
    with child(counts, tmp_path / "n.json") as one, child(counts, tmp_path / "n.json") as other:
        assert (one.wait(), other.wait()) == (0, 0)
    assert (tmp_path / "n.json").read_text() == "100\n"
    assert [path.name for path in tmp_path.iterdir()] == ["n.json"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files of ours and of somebody else."""
    folder = tmp_path / "ours"
    (folder / "data").mkdir(parents=True)
    (folder / "kept.json").write_text("{}")
    (folder / "data" / "part-0.bin").write_text("")
    return folder


def test_only_own_files_are_removed(folder: Path):
    (folder / "data" / "thesis.txt").write_text("mine")
    (folder / "empty").mkdir()  # somebody's, too
    assert strangers(folder, OWN) == ["data/thesis.txt"]
    remove_own(folder, OWN)
    assert (folder / "empty").is_dir()
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == [
        "data/thesis.txt"
    ]


@posix
def test_a_link_in_a_folder_is_not_followed(folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "part-1.bin").write_text("mine")
    (folder / "data" / "part-1.bin").symlink_to(tmp_path / "elsewhere" / "part-1.bin")
    remove_own(folder, OWN)
    assert not folder.exists()
    assert (tmp_path / "elsewhere" / "part-1.bin").read_text() == "mine"


def test_what_may_be_replaced(folder: Path, tmp_path: Path):
    def check(marked: bool = True, overwrite: bool = True) -> None:
        check_replaceable(folder, "a box", marked, OWN, overwrite)

    check()
    with pytest.raises(UserError, match="exists and is not a box"):
        check(marked=False)
    with pytest.raises(UserError, match="or replace it with --overwrite"):
        check(overwrite=False)
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"did not write \(thesis.txt\)"):
        check()
    check_replaceable(tmp_path / "new", "a box", False, OWN, False)


def test_an_existing_file_is_replaced_only_if_told(tmp_path: Path):
    path = tmp_path / "result.json"
    check_free(path, overwrite=False)
    path.write_text("{}")
    check_free(path, overwrite=True)
    with pytest.raises(UserError, match=r"exists\. Choose another name, or replace it with --overwrite"):
        check_free(path, overwrite=False)
    with pytest.raises(UserError, match="is a folder"):
        check_free(tmp_path, overwrite=True)
