import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from adacross.data.workers.local import WorkerCrash, each, share_of, shortage
from adacross.errors import UserError

pytestmark = pytest.mark.slow


kept: list[np.ndarray] = []


def answer(request: dict[str, Any]) -> bytes:  # noqa: PLR0911, PLR0912  one function has to do it all
    """Runs in the workers, which import this module by its name."""
    match request["do"]:
        case "double":
            sys.stdout.write("noise that must not reach the answers\n")
            return str(2 * request["number"]).encode()
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "raise":
            raise KeyError("no such thing")
        case "exit":
            os._exit(3)
        case "large":
            return b"x" * 3_000_000
        case "threads":
            return os.environ["OMP_NUM_THREADS"].encode()
        case "grow":
            grown = np.ones(int(request["gib"] * 2**27))
            if request.get("keep"):
                kept.append(grown)
            return b"grown"
        case "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "mark":
            Path(request["file"]).write_text(str(os.getpid()))
        case "beside":  # works for a moment, and leaves a file as long
            place = Path(request["folder"], f"beside-{request['number']}")
            place.touch()
            time.sleep(0.2)
            place.unlink()
            return b"worked"
        case "once":  # fails for what may not be its fault the first time, and looks around the second time
            folder = Path(request["folder"])
            first = folder / f"first-{request['number']}"
            if request.get("always") or not first.exists():
                first.touch()
                return fail(request["by"])
            return f"{len(list(folder.glob('beside-*')))} beside".encode()
        case "spin":  # native code that never returns, and never lets Python run either
            re.match(r"(a+)+$", "a" * 60 + "b")
    while True:
        time.sleep(600)


def fail(by: str) -> bytes:
    if by == "handles":
        try:
            raise OSError(errno.EMFILE, "Too many open files")
        except OSError as error:  # as a format's reader does
            raise ValueError("cannot be read") from error
    if by == "memory":
        raise MemoryError
    os.kill(os.getpid(), signal.Signals[by])
    time.sleep(60)
    return b""


def test_a_crash_costs_only_the_request_that_caused_it() -> None:
    requests: list[dict[str, Any]] = [{"do": "double", "number": i} for i in range(6)]
    requests[1:1] = [{"do": "crash"}, {"do": "raise"}, {"do": "exit"}, {"do": "large"}, {"do": "threads"}]
    answers = dict(each("test_workers:answer", requests, 2))
    assert len(answers) == len(requests)
    assert [answers[i] for i in (0, 6, 7, 8, 9, 10)] == [b"0", b"2", b"4", b"6", b"8", b"10"]
    assert answers[1] == WorkerCrash("the process that read it was killed by SIGSEGV")
    assert answers[2] == WorkerCrash("KeyError: 'no such thing'")
    assert answers[3] == WorkerCrash("the process that read it ended with code 3")
    assert answers[4] == b"x" * 3_000_000
    assert answers[5] == b"1"


def test_a_request_that_hangs_is_ended_and_costs_only_itself() -> None:
    requests: list[dict[str, Any]] = [{"do": "double", "number": i} for i in range(4)]
    requests[1:1] = [{"do": "sleep"}, {"do": "spin"}]
    answers = dict(each("test_workers:answer", requests, 2, timeout=10.0))
    assert [answers[i] for i in (0, 3, 4, 5)] == [b"0", b"2", b"4", b"6"]
    assert answers[1] == answers[2] == WorkerCrash("reading it took longer than 10 s")


def test_leaving_early_ends_workers_at_once() -> None:
    """If a worker was waited for, this would hang; if it was forgotten, `conftest.py` would find it."""
    answers = each(
        "test_workers:answer", [{"do": "double", "number": 4}, {"do": "sleep"}, {"do": "sleep"}], 2
    )
    assert next(answers) == (0, b"8")
    answers.close()


def test_worker_that_cannot_start_is_an_error_not_an_answer() -> None:
    with pytest.raises(UserError, match=r"could not start: .*no_such_module"):
        list(each("no_such_module:function", [{}, {}], 1))


def test_a_thread_that_cannot_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        list(each("test_workers:answer", [{"do": "double", "number": 1}], 2))


def test_a_process_that_is_killed_before_it_is_ready_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "ends_first.py"
    module.write_text(
        "import os, pathlib, signal\n"
        "first = pathlib.Path(__file__).with_name('first')\n"
        "if not first.exists():\n"
        "    first.touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "def answer(request):\n"
        "    return b'answered'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert list(each("ends_first:answer", [{}], 1)) == [(0, b"answered")]


def test_no_requests_no_answers() -> None:
    assert list(each("test_workers:answer", [], 2)) == []


def test_memory_beyond_the_limit_costs_only_the_request_that_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADACROSS_MEMORY", "0.5")
    requests = [{"do": "grow", "gib": gib} for gib in (0.1, 3.0, 0.2, 1000.0)]
    requests.append({"do": "double", "number": 4})
    answers = dict(each("test_workers:answer", requests, 2))
    assert [answers[i] for i in (0, 2, 4)] == [b"grown", b"grown", b"8"]
    assert answers[1] == answers[3] == WorkerCrash("reading it needs more than 0.5 GiB of memory")


def test_a_request_that_needs_more_than_a_share_is_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adacross.data.workers.local._machine", lambda: 2.0)
    assert share_of(4.0, 1) == 2.0
    assert share_of(4.0, 2) == 1.0
    assert share_of(4.0, 100) == 0.5
    assert share_of(0.25, 100) == 0.25
    assert list(each("test_workers:answer", [{"do": "grow", "gib": 1.5}], 2)) == [(0, b"grown")]


def test_memory_that_an_earlier_request_left_behind_costs_no_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADACROSS_MEMORY", "0.5")
    requests = [{"do": "grow", "gib": 0.3, "keep": True}] * 4
    assert dict(each("test_workers:answer", requests, 1)) == dict.fromkeys(range(4), b"grown")


def test_a_frozen_process_is_ended_by_the_callers_clock() -> None:
    requests = [{"do": "freeze"}, {"do": "double", "number": 4}]
    assert dict(each("test_workers:answer", requests, 1, timeout=2.0)) == {
        0: WorkerCrash("reading it took longer than 2 s"),
        1: b"8",
    }


def test_a_hanging_process_ends_without_its_caller(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from adacross.data.workers.local import each
requests = [{{"do": "mark", "file": {str(tmp_path / "number")!r}}}]
list(each("test_workers:answer", requests, 1, timeout=3.0))
"""
    with subprocess.Popen([sys.executable, "-c", code]) as caller:
        while not (tmp_path / "number").exists() or not (tmp_path / "number").read_text():
            assert caller.poll() is None
            time.sleep(0.02)
        worker = psutil.Process(int((tmp_path / "number").read_text()))
        caller.kill()
    assert not psutil.wait_procs([worker], timeout=60)[1]


@pytest.mark.parametrize("by", ["SIGKILL", "SIGTERM", "SIGSEGV", "memory", "handles"])
def test_what_may_be_the_machines_fault_is_tried_again_alone(by: str, tmp_path: Path) -> None:
    requests: list[dict[str, Any]] = [{"do": "beside", "number": i} for i in range(9)]
    for place in (0, 3, 8):
        requests[place] = {"do": "once", "by": by, "number": place}
    requests = [request | {"folder": str(tmp_path)} for request in requests]
    answers = dict(each("test_workers:answer", requests, 3))
    assert {place for place, said in answers.items() if said == b"0 beside"} == {0, 3, 8}
    assert sum(said == b"worked" for said in answers.values()) == 6


def test_a_second_death_names_the_reason(tmp_path: Path) -> None:
    common = {"do": "once", "always": True, "folder": str(tmp_path)}
    kinds = ("SIGKILL", "handles", "memory")
    requests = [common | {"by": by, "number": number} for number, by in enumerate(kinds)]
    answers = dict(each("test_workers:answer", requests, 1))
    assert answers[0] == WorkerCrash("the process that read it was killed by SIGKILL")
    assert answers[1] == WorkerCrash("the machine had no file handles left to read it")
    assert "reading it needs more than" in str(answers[2])


def test_very_many_that_are_tried_again_are_all_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adacross.data.workers.local._ASIDE", 2)
    requests = [{"do": "once", "by": "memory", "number": i, "folder": str(tmp_path)} for i in range(7)]
    answers = each("test_workers:answer", requests, 2)
    assert dict(answers) == dict.fromkeys(range(7), b"0 beside")


@pytest.mark.parametrize("given", ["much", "0", "-1", "nan"])
def test_a_limit_of_memory_that_is_none(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADACROSS_MEMORY", given)
    with pytest.raises(UserError, match=f"ADACROSS_MEMORY is '{given}'; expected GiB"):
        list(each("test_workers:answer", [{"do": "double", "number": 1}], 1))


def test_the_thing_that_was_lacking_stands_behind_an_error() -> None:
    def behind(cause: BaseException) -> str:
        error = ValueError("broken")
        error.__cause__ = cause
        return shortage(error)

    assert behind(MemoryError()) == behind(OSError(errno.ENOMEM, "")) == "memory"
    assert behind(OSError(errno.ENFILE, "")) == "file handles"
    assert behind(OSError(errno.ENOENT, "")) == shortage(None) == ""
