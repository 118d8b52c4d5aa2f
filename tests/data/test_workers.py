import os
import re
import signal
import sys
import time
from typing import Any

import pytest

from adacross.data.workers import Died, each


def answer(request: dict[str, Any]) -> bytes:
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
        case "spin":  # native code that never returns, and never lets Python run either
            re.match(r"(a+)+$", "a" * 60 + "b")
    while True:
        time.sleep(600)


def test_a_crash_costs_only_the_request_that_caused_it() -> None:
    requests: list[dict[str, Any]] = [{"do": "double", "number": i} for i in range(6)]
    requests[1:1] = [{"do": "crash"}, {"do": "raise"}, {"do": "exit"}, {"do": "large"}, {"do": "threads"}]
    answers = dict(each("test_workers:answer", requests, 2))
    assert len(answers) == len(requests)
    assert [answers[i] for i in (0, 6, 7, 8, 9, 10)] == [b"0", b"2", b"4", b"6", b"8", b"10"]
    assert answers[1] == Died("the process that read it was killed by SIGSEGV")
    assert answers[2] == Died("KeyError: 'no such thing'")
    assert answers[3] == Died("the process that read it ended with code 3")
    assert answers[4] == b"x" * 3_000_000
    assert answers[5] == b"1"


def test_a_request_that_hangs_is_ended_and_costs_only_itself() -> None:
    requests: list[dict[str, Any]] = [{"do": "double", "number": i} for i in range(4)]
    requests[1:1] = [{"do": "sleep"}, {"do": "spin"}]
    answers = dict(each("test_workers:answer", requests, 2, timeout=10.0))
    assert [answers[i] for i in (0, 3, 4, 5)] == [b"0", b"2", b"4", b"6"]
    assert answers[1] == answers[2] == Died("reading it took longer than 10 s")


def test_leaving_early_ends_workers_at_once() -> None:
    """If a worker was waited for, this would hang; if it was forgotten, `conftest.py` would find it."""
    answers = each(
        "test_workers:answer", [{"do": "double", "number": 4}, {"do": "sleep"}, {"do": "sleep"}], 2
    )
    assert next(answers) == (0, b"8")
    answers.close()


def test_worker_that_cannot_start_is_an_error_not_an_answer() -> None:
    with pytest.raises(RuntimeError, match=r"could not start.*no_such_module"):
        list(each("no_such_module:function", [{}, {}], 1))


def test_no_requests_no_answers() -> None:
    assert list(each("test_workers:answer", [], 2)) == []
