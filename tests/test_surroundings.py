"""The command line where something that is usually there is missing: a stream, a home, a locale, a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.data.collection.inspect import inspect
from adacross.errors import UserError
from adacross.io.remote import cache_folder

pytestmark = pytest.mark.slow


ADACROSS = f"{sys.executable} -m adacross"


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, toy_collection: Collection, tmp_path: Path):
    sheet = tmp_path / "sheet.png"
    done = shell(f"{ADACROSS} inspect {toy_collection.folder} --sheet {sheet} {closed}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert sheet.read_bytes().startswith(b"\x89PNG")  # nothing printed went into it
    assert shell(f"{ADACROSS} --help {closed}", tmp_path).returncode == 0
    mistaken = shell(f"{ADACROSS} evaluate liner {closed}", tmp_path)
    assert mistaken.returncode == 2
    assert "Traceback" not in mistaken.stderr


def test_import_with_closed_streams(tmp_path: Path):
    code = "import sys, adacross.console as c; c.console.print('x'); c.results.print('x'); sys.exit(7)"
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        done = shell(f'{sys.executable} -W error -c "{code}" {closed}', tmp_path)
        assert done.returncode == 7, done.stderr
    code = "import sys; sys.stdout.close(); import adacross.console; sys.stderr.write('imported')"
    assert shell(f'{sys.executable} -c "{code}"', tmp_path).stderr == "imported"


@pytest.mark.parametrize("command", ["--help", "evaluate --help", "--version"])
def test_a_full_standard_output_is_one_line(command: str, tmp_path: Path):
    done = shell(f"{ADACROSS} {command} > /dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "adacross: cannot read or write: No space left on device.\n"


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=str,
)
def test_a_locale_without_letters(environment: dict[str, str], tmp_path: Path):
    """What an encoding lacks is spelled out, in results and in errors."""
    code = (
        "import sys; from adacross import cli; "
        "cli.run = lambda *_: cli.show('Gr\\xf6\\xdfe \\u2013 \\u90e8\\u54c1'); "
        "sys.exit(cli.main(['report', 'x']))"
    )
    done = shell(f'{sys.executable} -c "{code}"', tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert "\\u90e8\\u54c1" in done.stdout
    done = shell(f"{ADACROSS} inspect $'\\xe9\\x83\\xa8'", tmp_path, **environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_no_home(monkeypatch: pytest.MonkeyPatch):
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "ADACROSS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does for a user without an entry
    with pytest.raises(UserError, match=r"this user has no home\. Name a folder in ADACROSS_CACHE"):
        cache_folder()
    monkeypatch.setenv("ADACROSS_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere/collections")


def test_a_folder_that_was_deleted(tmp_path: Path):
    line = f"mkdir gone && cd gone && rmdir ../gone && {ADACROSS}"
    done = shell(f"{line} inspect x", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("adacross: the working folder does not exist any more.")
    assert shell(f"{line} --help", tmp_path).returncode == 0


def test_a_very_narrow_terminal(toy_collection: Collection, tmp_path: Path):
    line = f"{ADACROSS} evaluate linear builtin-small {toy_collection.folder} --folds 1"
    done = shell(line, tmp_path, COLUMNS="1")
    assert done.returncode == 2
    assert max(map(len, done.stderr.splitlines())) > 20  # and not a letter a line


def test_a_contact_sheet_that_cannot_be_written(toy_collection: Collection, tmp_path: Path):
    """As in a folder that is read-only, which does not stop root: here a file is in the folder's place."""
    (tmp_path / "file").write_text("")
    found = inspect(str(toy_collection.folder), str(tmp_path / "file" / "sheet.png"))
    assert found.sheet is None
    assert len(found.tables) == 3


def test_advice_fits_the_error(
    toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").write_text("")
    assert main(["inspect", str(toy_collection.folder), "--sheet", str(tmp_path / "file" / "x.png")]) == 0
    printed = capsys.readouterr().out
    assert "not written: cannot write" in printed
    assert "Free some space" not in printed


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99", "xla", ""])
@pytest.mark.parametrize("command", ["search", "embed", "evaluate linear"])
def test_a_device_that_is_not_there(
    command: str, device: str, toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    data, more = str(toy_collection.folder), []
    if command != "evaluate linear":
        more = ["--query", toy_collection.ids[0]] if command == "search" else [str(tmp_path / "x.parquet")]
    assert main([*command.split(), "builtin-small", data, *more, "--device", device]) == 2
    assert f"device is {device!r}, which cannot be used here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 10 bytes"),
        RuntimeError("can't start new thread"),
    ],
    ids=str,
)
def test_too_little_memory_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(name: str, arguments: list[str]) -> None:
        raise error

    monkeypatch.setattr("adacross.cli.run", fail)
    assert main(["report", "x"]) == 2
    assert capsys.readouterr().err.startswith("adacross: not enough memory.")
