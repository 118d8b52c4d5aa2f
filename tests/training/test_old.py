"""Collections, encoders and runs that version 0.1 wrote (commit a276d03) stay readable.

`tests/old` holds a collection of 24 shapes, a finished run of CrossPoint (without its checkpoints) and one of
Point-M2AE that was stopped after 3 of 4 steps.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_runs import logged
from waiting import HANGS

import adacross
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.training.checkpoint import checkpoints
from adacross.training.config import PretrainConfig

OLD = Path(__file__).parents[1] / "old"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, in the working folder: the runs name their collection relative to it."""
    folder = Path(shutil.copytree(OLD, tmp_path / "old"))
    monkeypatch.chdir(folder)
    return folder


def command(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "adacross", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_collection_opens():
    collection = Collection.open(OLD / "collection")
    assert len(collection) == 24
    assert collection.info.classes == ["bottle", "chair", "mug", "table"]
    assert np.bincount(collection.labels).tolist() == [6, 6, 6, 6]
    assert collection.points(np.arange(24)).shape == (24, 64, 3)
    assert collection.view(3, 0).shape == (32, 32, 3)


def test_a_finished_run_and_its_encoder_open():
    run = adacross.Run(OLD / "finished")
    assert (run.config.method, run.config.image_size, run.config.image_cache) == ("crosspoint", 32, 4.0)
    assert run.log["step"].tolist() == [1, 2, 3, 4]
    assert run.monitor["probe_accuracy"].shape == (2,)
    features = run.encoder(torch.from_numpy(Collection.open(OLD / "collection").points(np.arange(4))))
    assert features.shape == (4, run.encoder.dim)
    assert "crosspoint, pointnet" in run._repr_html_()


def test_a_stopped_run_goes_on(old: Path):
    config = PretrainConfig.load(old / "stopped")
    options = {name: value for name, value in vars(config).items() if name not in ("collection", "run")}
    run = adacross.pretrain("collection", **options | {"run": "stopped", "resume": "auto"})
    assert logged(run.folder, "step", "step") == [1, 2, 3, 4]
    assert run.encoder.dim == 8
    assert [path.name for path in checkpoints(run.folder)] == ["step-00000004.pt"]


@pytest.mark.slow
def test_the_commands_read_them(old: Path):
    assert "24" in command("inspect", "collection")
    assert "report.html" in command("report", "finished")
    command("evaluate", "linear", "finished", "collection")
    assert (old / "finished" / "evaluation" / "collection" / "linear.json").exists()


@pytest.mark.slow
def test_a_run_that_cannot_go_on_says_why(old: Path):
    with pytest.raises(UserError, match="a finished run without checkpoints"):
        adacross.pretrain("collection", run="finished", resume="auto", batch_size=4)
    with pytest.raises(UserError, match=r"cannot resume with other options \(.*image_size was 64, is 32"):
        adacross.pretrain("collection", run="stopped", resume="auto", batch_size=4, image_size=32)


def test_the_encoder_that_the_package_carries_loads():
    assert adacross.load("builtin-small")(torch.randn(2, 64, 3)).shape[0] == 2
