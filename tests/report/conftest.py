"""Runs to report on: one measured, one that has only begun, one of Joint-MAE."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from toy import TOY_MASKED

from adacross.data.collection.collection import Collection
from adacross.evaluation.linear import linear
from adacross.report.run import Curves, RunData, read_run
from adacross.training.config import PretrainConfig
from adacross.training.pretrain import pretrain


@pytest.fixture(scope="session")
def masked_run(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished toy run of Joint-MAE. Read it, do not write to it."""
    folder = tmp_path_factory.mktemp("runs") / "masked"
    return pretrain(PretrainConfig(str(toy_collection.folder), run=str(folder), **TOY_MASKED))


@pytest.fixture(scope="session")
def measured_run(toy_run: Path, toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy run with a linear probe. Read it, do not write to it."""
    folder = tmp_path_factory.mktemp("runs") / "measured"
    shutil.copytree(toy_run, folder)
    linear(str(folder), toy_collection, seeds=2, folds=3, device="cpu")
    return folder


@pytest.fixture(scope="session")
def full_run(measured_run: Path) -> RunData:
    return read_run(measured_run)


@pytest.fixture(scope="session")
def bare_run() -> RunData:
    """A run that has only just begun, whose collection is gone."""
    nothing = np.zeros(0)
    values = dict.fromkeys(("epoch", "loss", "lr", "seconds"), nothing)
    log = Curves(np.zeros(0, dtype=np.int64), values, {}, {}, np.zeros(0, dtype=np.int64), {})
    config = {"collection": "gone", "method": "crosspoint", "encoder": "pointnet"}
    why = "The collection cannot be read: gone does not exist."
    absent = dict.fromkeys(("collection", "features"), why)
    return RunData(Path("runs/bare"), config, "collection: gone\n", {}, log, absent=absent)
