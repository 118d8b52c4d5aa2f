"""Several processes train as one does: the same losses, gradients, statistics, samples, runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from job_checks import RUNS, exactly, options, stopped
from ranks import checks_of, outcomes, same_ratio
from safetensors.torch import load_file
from toy_runs import configured
from waiting import HANGS, wait_until

from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import DecodedViews
from adacross.distributed.batch import BatchSlice
from adacross.training.checkpoint import checkpoints
from adacross.training.config import PretrainConfig
from adacross.training.loader import BatchLoader
from adacross.training.log import read_log
from adacross.training.networks import new_method
from adacross.training.pretrain import pretrain

pytestmark = pytest.mark.slow

MODULES = ["shared_checks", "job_checks"]
LAST = "check_last_that_others_follow_a_process_that_ends"
WORLDS = [2, 3]


@pytest.fixture(scope="module")
def alone(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One process's runs: each of `RUNS`, and `stopped`, broken off."""
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "collection").write_text(str(toy_collection.folder))
    for name in RUNS:
        with exactly():
            pretrain(options(folder / "alone", name, folder / name))
    stopped(options(folder / "alone", "crossnet", folder / "stopped"))
    yield folder
    shutil.rmtree(folder)  # most of a gigabyte


@pytest.fixture(scope="module")
def told(alone: Path) -> dict[int, dict[str, str]]:
    """What the checks of a group of each size found, by name."""
    return {world: outcomes(MODULES, world, alone / f"group-{world}") for world in WORLDS}


def same_weights(run: Path, expected: Path) -> None:
    mine, other = load_file(run / "method.safetensors"), load_file(expected / "method.safetensors")
    assert mine.keys() == other.keys()
    for name, tensor in mine.items():
        same_ratio(tensor, other[name], name)


@pytest.mark.parametrize("name", [name for name in checks_of(MODULES) if name != LAST])
@pytest.mark.parametrize("world", WORLDS)
def test_every_process_agrees_with_one(told: dict[int, dict[str, str]], world: int, name: str):
    assert not told[world][name], told[world][name]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.usefixtures("told")
def test_a_run_in_several_processes_ends_with_one_processs_weights(alone: Path, world: int, name: str):
    run = alone / f"group-{world}" / name
    same_weights(run, alone / name)
    for record, other in zip(read_log(run / "log.jsonl"), read_log(alone / name / "log.jsonl"), strict=True):
        assert record["weights"] == pytest.approx(other["weights"])
        assert record["terms"] == pytest.approx(other["terms"])


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.usefixtures("told")
def test_a_run_goes_on_in_another_number_of_processes(alone: Path, world: int, tmp_path: Path):
    same_weights(alone / f"group-{world}" / "resumed", alone / "crossnet")
    run = Path(shutil.copytree(alone / f"group-{world}" / "stopped", tmp_path / "stopped"))
    with exactly():
        pretrain(options(alone / "alone", "crossnet", run, resume="auto"))
    same_weights(run, alone / "crossnet")


@pytest.mark.usefixtures("told")
def test_a_process_that_ends_speaks_for_all(alone: Path):
    endings = [(alone / "group-2" / f"ending-{process}").read_text() for process in range(2)]
    assert endings == ["", "a picture is damaged"]


@pytest.mark.usefixtures("told")
def test_one_process_tells_that_another_was_killed(alone: Path):
    endings = [(alone / "group-3" / f"ending-{process}").read_text() for process in (0, 2)]
    assert sorted(map(bool, endings)) == [False, True]
    assert "lost contact with another one" in max(endings)
    assert "--resume auto" in max(endings)


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_processes_read_all_shapes_and_none_twice(toy_collection: Collection, tmp_path: Path, processes: int):
    train, pictures = toy_collection.indices("train"), DecodedViews(toy_collection, tmp_path, 0)
    shares = [BatchSlice.of(13, process, processes) for process in range(processes)]
    loaders = [BatchLoader(toy_collection, train, 13, 0, pictures, share) for share in shares]
    whole = BatchLoader(toy_collection, train, 13, 0, pictures)
    for step in range(whole.steps_per_epoch + 1):
        parts, batch = [loader.load(step) for loader in loaders], whole.load(step)
        assert np.array_equal(np.concatenate([part.points for part in parts]), batch.points)
        assert np.array_equal(np.concatenate([part.views for part in parts]), batch.views)
    assert max(share.stop - share.start for share in shares) - min(s.stop - s.start for s in shares) <= 1


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--", "adacross"]
ACCELERATE = [
    "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0",
    "-m", "adacross",
]  # fmt: skip


def launched(launcher: list[str], config: PretrainConfig) -> subprocess.Popen[str]:
    """`adacross pretrain` in two processes, as a user starts it, in a session of its own."""
    config.save(Path(f"{config.run}-options"))
    words = ["pretrain", config.collection, "--config", f"{config.run}-options/config.yaml"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, *words, "--run", str(config.run)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip


def ended(job: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; a job that hangs is ended."""
    try:
        output, errors = job.communicate(timeout=HANGS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
    return job.returncode, output, errors


def distance(run: Path, other: Path) -> float:
    """Between the weights of two runs, as a part of how far training moved them."""
    weights = new_method(PretrainConfig.load(run))
    a, b = load_file(run / "method.safetensors"), load_file(other / "method.safetensors")
    drawn = {name: parameter.detach() for name, parameter in weights.named_parameters()}
    apart = sum(float((a[name] - b[name]).square().sum()) for name in drawn)
    return (apart / sum(float((b[name] - drawn[name]).square().sum()) for name in drawn)) ** 0.5


def test_the_command_under_torchrun_trains_as_one_process_does(toy_collection: Collection, tmp_path: Path):
    """In float32 rounding grows from step to step: to a twentieth of the way here, alone to 0.9 of it."""
    options = {"optimizer": "sgd", "learning_rate": 1e-4, "epochs": 1}
    job = launched(TORCHRUN, configured(toy_collection, tmp_path / "two", **options))
    one = pretrain(configured(toy_collection, tmp_path / "one", **options))
    code, output, errors = ended(job)
    assert code == 0, errors
    assert output.split() == [str(tmp_path / "two")]
    assert errors.count("epoch 1/1") == errors.count("the encoder is in") == 1
    assert distance(tmp_path / "two", one) < 0.2
    records, expected = (read_log(run / "log.jsonl") for run in (tmp_path / "two", one))
    for record, other in zip(records, expected, strict=True):
        assert record["kind"] == other["kind"]
        assert record.get("terms", {}) == pytest.approx(other.get("terms", {}), rel=1e-3)
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["processes"] == 2


def test_the_command_under_accelerate_stops_and_says_how_to_go_on(toy_collection: Collection, tmp_path: Path):
    job = launched(ACCELERATE, configured(toy_collection, tmp_path / "run", epochs=500, monitor_every=0))
    log = tmp_path / "run" / "log.jsonl"
    wait_until(lambda: len(read_log(log)) >= 3 or job.poll() is not None)
    job.send_signal(signal.SIGTERM)
    _, output, errors = ended(job)
    [newest] = checkpoints(tmp_path / "run")[-1:]
    last = read_log(tmp_path / "run" / "log.jsonl")[-1]["step"]
    assert newest.name == f"step-{last:08d}.pt"
    assert errors.count("adacross: stopped after step") == 1, errors
    assert f"stopped after step {last} of 3500" in errors
    assert not output
