"""Runs to report on: one made up, one that has only begun, one of Joint-MAE."""

from pathlib import Path

import numpy as np
import pytest
from made_up import make_run
from toy import TOY_MASKED

from adacross.data.collection.collection import Collection
from adacross.report.inputs import Log, RunData
from adacross.training.config import PretrainConfig
from adacross.training.pretrain import pretrain


@pytest.fixture(scope="session")
def masked_run(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished toy run of Joint-MAE. Read it, do not write to it."""
    folder = tmp_path_factory.mktemp("runs") / "masked"
    return pretrain(PretrainConfig(str(toy_collection.folder), run=str(folder), **TOY_MASKED))


@pytest.fixture(scope="session")
def full_run() -> RunData:
    return make_run()


@pytest.fixture(scope="session")
def bare_run() -> RunData:
    """A run that has only just begun, whose collection is gone."""
    nothing = np.zeros(0)
    log = Log(np.zeros(0, dtype=np.int64), nothing, {}, {}, {}, np.zeros(0, dtype=np.int64), {})
    config = {"collection": "gone", "method": "crosspoint", "encoder": "pointnet"}
    why = "The collection cannot be read: gone does not exist."
    absent = dict.fromkeys(("facts", "embedding", "neighbors", "image_to_shape", "clouds"), why)
    return RunData(Path("runs/bare"), config, "collection: gone\n", {}, log, absent=absent)
