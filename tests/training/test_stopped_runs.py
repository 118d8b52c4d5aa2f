"""Runs that must stop: signals, a full disk, a read-only folder, damaged checkpoints. Nothing is lost."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_killed_runs import history
from toy_runs import PowerCutError, configured, cut_power, logged, same
from waiting import HANGS

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.training.checkpoint import checkpoints
from adacross.training.interrupt import stop_request
from adacross.training.log import Log
from adacross.training.pretrain import pretrain

pytestmark = pytest.mark.slow

OPTIONS: dict[str, Any] = {"epochs": 4, "monitor_every": 2}
STEPS = 28
COMMAND = (
    *(
        "--encoder",
        "pointnet",
        "--encoder-args",
        '{"width": 32}',
        "--image-encoder",
        "resnet18",
        "--image-encoder-args",
        "width=8",
    ),
    *("--image-size", "32", "--points", "48", "--batch-size", "16", "--device", "cpu"),
    *("--epochs", "4", "--monitor-every", "2"),
)


@pytest.fixture(scope="module")
def whole(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing happens to."""
    return pretrain(configured(toy_collection, tmp_path_factory.mktemp("stopped") / "whole", **OPTIONS))


def typed(collection: Collection, run: Path, *more: str) -> list[str]:
    return ["pretrain", str(collection.folder), "--run", str(run), *COMMAND, *more]


def fail(patch: pytest.MonkeyPatch, name: str, which: int, number: int) -> None:
    """The `which`-th file of that name can only be written half."""
    original, calls = Path.write_bytes, []

    def write(path: Path, content: Any) -> int:
        if name in path.name:
            calls.append(path)
            if len(calls) == which:
                original(path, bytes(content)[: len(content) // 2])
                raise OSError(number, os.strerror(number))
        return original(path, content)

    patch.setattr(Path, "write_bytes", write)


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("adacross:")]
    return line


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_checkpoint_that_cannot_be_written_costs_nothing_but_the_time_since_the_last(
    toy_collection: Collection, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
):
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        fail(patch, "step-", 3, number)
        assert main(typed(toy_collection, run)) == 2
    told = only_line(capsys)
    assert os.strerror(number) in told
    assert "step-00000014.pt is kept: then continue with --resume auto." in told
    names = [path.name for path in (run / "checkpoints").iterdir()]
    assert sorted(names) == ["step-00000007.pt", "step-00000014.pt"]
    assert main(typed(toy_collection, run, "--resume", "auto")) == 0
    assert same(whole, run)
    assert history(whole) == history(run)


def test_the_result_that_cannot_be_written_is_there_after_the_same_command(
    toy_collection: Collection, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        fail(patch, "method.safetensors", 1, errno.ENOSPC)
        assert main(typed(toy_collection, run)) == 2
    told = only_line(capsys)
    assert "method.safetensors: No space left" in told
    assert "checkpoint is kept: continue with --resume auto" in told
    assert main(typed(toy_collection, run, "--resume", "auto")) == 0
    assert same(whole, run)


def test_a_log_on_a_full_disk_is_one_clear_error(tmp_path: Path):
    log = Log(tmp_path, 0)
    log.file.close()
    with (
        Path("/dev/full").open("ab", buffering=0) as log.file,
        pytest.raises(UserError, match=r"cannot write .*log\.jsonl: No space left on device"),
    ):
        log.write({"kind": "step", "step": 1})
    log.close()


def test_a_log_line_that_fits_only_in_part_is_an_error_and_is_dropped_later(tmp_path: Path):
    class Short:
        def write(self, line: bytes) -> int:
            return os.write(real.fileno(), line[:10])

    log = Log(tmp_path, 0)
    log.write({"kind": "step", "step": 1})
    real, log.file = log.file, Short()
    with pytest.raises(UserError, match="No space left"):
        log.write({"kind": "step", "step": 2})
    real.close()
    again = Log(tmp_path, 1)
    again.write({"kind": "step", "step": 3})
    again.close()
    assert logged(tmp_path, "step", "step") == [1, 3]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_to_is_told_before_training(
    toy_collection: Collection,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
):
    """Root may write anywhere, so the refusal is played."""
    original = Path.mkdir

    def refused(path: Path, *given: Any, **options: Any) -> None:
        if path.is_relative_to(tmp_path):
            raise OSError(number, os.strerror(number), str(path))
        original(path, *given, **options)

    monkeypatch.setattr(Path, "mkdir", refused)
    assert main(typed(toy_collection, tmp_path / "run")) == 2
    told = only_line(capsys)
    assert os.strerror(number) in told
    assert str(tmp_path / "run") in told


def test_schedulers_may_repeat_sigterm_and_a_second_ctrl_c_ends_at_once():
    with stop_request() as stop:
        assert not stop
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def half_way(toy_collection: Collection, run: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        cut_power(patch, 17)
        with pytest.raises(PowerCutError):
            pretrain(configured(toy_collection, run, **OPTIONS))
    assert [path.name for path in checkpoints(run)] == ["step-00000007.pt", "step-00000014.pt"]


def test_a_damaged_newest_checkpoint_is_said_and_the_one_before_used(
    toy_collection: Collection, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    half_way(toy_collection, run)
    damage(run / "checkpoints" / "step-00000014.pt")
    capsys.readouterr()
    assert main(typed(toy_collection, run, "--resume", "auto")) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "step-00000014.pt cannot be read" in told
    assert "continuing from the one before, step-00000007.pt, after step 7" in told
    assert (run / "checkpoints" / "step-00000014.pt.damaged").exists()
    assert same(whole, run)
    assert history(whole) == history(run)


def test_a_run_whose_checkpoints_are_all_damaged_says_so_and_touches_nothing(
    toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    half_way(toy_collection, run)
    for path in checkpoints(run):
        damage(path)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(typed(toy_collection, run, "--resume", "auto")) == 2
    assert "none of the 2 checkpoints" in only_line(capsys)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_continuing_from_an_older_checkpoint_deletes_its_successors_and_what_is_half_written(
    toy_collection: Collection, whole: Path, tmp_path: Path
):
    run = tmp_path / "run"
    half_way(toy_collection, run)
    (run / "checkpoints" / ".step-00000014.pt.77.part").write_bytes(b"half")
    (run / ".encoder.77.old").mkdir()
    (run / ".mine").touch()
    older = str(run / "checkpoints" / "step-00000007.pt")
    with pytest.MonkeyPatch.context() as patch:
        cut_power(patch, 9)
        with pytest.raises(PowerCutError):
            pretrain(configured(toy_collection, run, resume=older, **OPTIONS))
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000007.pt"]
    assert [path.name for path in run.glob(".*")] == [".mine"]
    pretrain(configured(toy_collection, run, resume="auto", **OPTIONS))
    assert same(whole, run)
    assert history(whole) == history(run)


def test_the_same_seed_gives_the_same_bits_in_two_processes(toy_collection: Collection, tmp_path: Path):
    runs = [tmp_path / "one", tmp_path / "two"]
    options = [sys.executable, "-m", "adacross"]
    processes = [
        subprocess.Popen([*options, *typed(toy_collection, run)], stderr=subprocess.DEVNULL) for run in runs
    ]
    assert [process.wait(timeout=HANGS) for process in processes] == [0, 0]
    assert same(*runs)
    assert history(runs[0]) == history(runs[1])
    assert len(logged(runs[0], "step", "step")) == STEPS
