"""A run that is killed again and again ends as one that never was: weights, monitor's history and log.

The processes are real and die by SIGKILL. They are forked from this one, which has everything imported.
"""

import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_runs import configured, same
from waiting import HANGS

from adacross.data.collection.collection import Collection
from adacross.training.checkpoint import checkpoints
from adacross.training.config import PretrainConfig
from adacross.training.log import Log, read_log
from adacross.training.pretrain import pretrain

pytestmark = pytest.mark.slow

OPTIONS: dict[str, Any] = {"epochs": 16, "batch_size": 24, "monitor_every": 3, "checkpoint_every": 1}
KILLED = {"in_a_checkpoint": 4, "at_any_call": 6}  # ten kills
ALSO_IN = ("config.yaml", "log.jsonl", "method.safetensors")  # and one in each of these


def die_in(name: str, which: int, part: float) -> None:
    """Let this process kill itself when it has written a part of the `which`-th file of that name."""
    writes = itertools.count()
    for method in ("write_bytes", "write_text"):
        original = getattr(Path, method)

        def write(path: Path, content: Any, *rest: Any, _whole: Any = original, **options: Any) -> int:
            if name in path.name and path.name.endswith(".part") and next(writes) == which:
                raw = content.encode() if isinstance(content, str) else bytes(content)
                with path.open("wb") as file:
                    file.write(raw[: int(part * len(raw))])
                os.kill(os.getpid(), signal.SIGKILL)
            return _whole(path, content, *rest, **options)

        setattr(Path, method, write)


def die_at_call(steps: int, calls: int) -> None:
    """Let this process kill itself so many calls, of Python or C, after it has logged so many steps.

    Counted, not timed: then a busy machine cannot let the run end before it is killed.
    """
    write = Log.write
    logged, called = itertools.count(1), itertools.count(1)

    def count(frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call") and next(called) == calls:
            os.kill(os.getpid(), signal.SIGKILL)

    def write_and_count(log: Log, record: dict[str, Any]) -> None:
        write(log, record)
        if record["kind"] == "step" and next(logged) == steps:
            sys.setprofile(count)

    Log.write = write_and_count  # type: ignore[method-assign]


def attempt(config: PretrainConfig, change: Callable[..., None], *given: Any) -> None:
    """What a forked process does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    change(*given)
    pretrain(config)


def run_until(config: PretrainConfig, change: Callable[..., None] = lambda: None, *given: Any) -> int:
    """Train in a process of its own, after a change to it that may kill it; its exit code."""
    process = multiprocessing.get_context("fork").Process(target=attempt, args=(config, change, *given))
    process.start()
    process.join(HANGS)
    process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def history(run: Path) -> list[dict[str, Any]]:
    """The log without what the clock says."""
    clock = ("seconds", "shapes_per_second")
    records = read_log(run / "log.jsonl")
    return [{name: value for name, value in record.items() if name not in clock} for record in records]


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_run_killed_ten_times_ends_as_one_never_interrupted(toy_collection: Collection, tmp_path: Path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # a forked process has none of this one's threads
    try:
        whole = configured(toy_collection, tmp_path / "whole", **OPTIONS)
        assert run_until(whole) == 0
        run = tmp_path / "killed"
        config = configured(toy_collection, run, resume="auto", **OPTIONS)
        rng = np.random.default_rng(0)
        kinds = rng.permutation([kind for kind, count in KILLED.items() for _ in range(count)])
        reached = []
        for kind in kinds:
            if kind == "in_a_checkpoint":
                code = run_until(config, die_in, "step-", int(rng.integers(2)), rng.random())
                assert list((run / "checkpoints").glob(".*.part"))
            else:
                code = run_until(config, die_at_call, int(rng.integers(1, 5)), int(rng.integers(1, 120_000)))
            assert code == -signal.SIGKILL, (kind, reached)
            reached.append(len(checkpoints(run)) and int(checkpoints(run)[-1].stem[5:]))
        assert reached == sorted(reached)
        for name in ALSO_IN:
            assert run_until(config, die_in, name, 0, 0.5) == -signal.SIGKILL, name
        assert run_until(config) == 0
    finally:
        torch.set_num_threads(before)
    assert same(tmp_path / "whole", run)
    assert history(run) == history(tmp_path / "whole")
    assert [path.name for path in checkpoints(run)] == [path.name for path in checkpoints(tmp_path / "whole")]
    assert not [path for path in run.rglob("*") if path.name.endswith((".part", ".old"))]
