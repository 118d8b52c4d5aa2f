"""Thousands of damaged files, read in processes with little memory: nothing hangs, crashes or reaches out."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile_child import judge
from hostile_readers import Notes, Reader, sane
from hostile_runner import GROUPS, run_group
from mutations import MUTATORS, mutants

from adacross.errors import UserError

LEAST = {
    "meshes": 700, "data sets": 700, "use": 250, "pictures": 500, "collections": 300, "runs": 400,
    "networks": 500,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_damaged_files_end_in_a_named_error_a_named_skip_or_sane_shapes(group: str, tmp_path: Path) -> None:
    tallies = run_group(group, tmp_path)
    wrong = [f"{name}, {text}" for name, tally in tallies.items() for text in tally.wrong]
    assert not wrong, "\n".join(wrong)
    assert sum(tally.mutants for tally in tallies.values()) >= LEAST[group]
    for name, tally in tallies.items():  # damage is noticed, and what is whole is not refused
        assert tally.outcomes["error"] + tally.outcomes["skip"] + tally.outcomes["valid"] == tally.mutants
        assert tally.mutants > len(MUTATORS), name


def test_the_same_damage_every_time_and_another_each_turn() -> None:
    whole = b"10 20 30\n" * 40
    first, again = list(mutants(whole, 2, "a")), list(mutants(whole, 2, "a"))
    assert first == again
    assert len({name for name, _ in first}) == 2 * len(MUTATORS)
    assert sum(content == whole for _, content in first) <= 2
    assert dict(first)["flip_bit 0"] != dict(first)["flip_bit 1"]
    assert first != list(mutants(whole, 2, "b"))


@pytest.mark.parametrize("whole", [b"x", b"\n", b"\0", b"7"])
def test_mutators_take_the_smallest_files(whole: bytes) -> None:
    for _, content in mutants(whole, 3, "small"):
        assert isinstance(content, bytes)


def reader(read) -> Reader:
    return Reader("fake", "fakes", lambda folder: None, "torn.bin", read)


def raises(error: BaseException):
    def read(folder: Path) -> Notes:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (raises(UserError("torn.bin is damaged")), "error"),
        (raises(UserError("something is damaged")), "WRONG"),
        (raises(KeyError("torn.bin")), "WRONG"),
        (raises(MemoryError()), "WRONG"),
        (raises(SystemExit(2)), "WRONG"),
        (lambda folder: [("torn", "is damaged")], "skip"),
        (lambda folder: [("whole", "is damaged")], "WRONG"),
        (lambda folder: [], "valid"),
        (lambda folder: sane(np.isfinite(np.nan), "points"), "WRONG"),
    ],
)
def test_broken_promises_are_noticed(read, outcome: str, tmp_path: Path) -> None:
    assert judge(reader(read), tmp_path)[0] == outcome


def test_what_reaches_out_is_noticed(tmp_path: Path) -> None:
    for name in ("case", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("x")
    code = f"""
import json, os, subprocess, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from hostile_child import Guard
work = Path({str(tmp_path)!r})
guard = Guard(work)
guard.folder = str(work / "case")
(work / "case" / "x").read_text()
(work / "case" / "y").write_text("y")
allowed = len(guard.crimes)
(work / "case" / ".." / "outside" / "x").read_text()
(work / "case-beside").write_text("z")
os.system("true")
subprocess.run(["true"])
guard.folder = ""
print(json.dumps([allowed, guard.crimes]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    allowed, crimes = json.loads(done.stdout.splitlines()[-1])
    assert allowed == 0
    for what in ("outside/x", "case-beside", "os.system", "subprocess.Popen"):
        assert any(what in crime for crime in crimes), what
