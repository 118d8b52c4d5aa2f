"""A run as training leaves it, but for the training."""

from pathlib import Path

import pytest
import torch
from toy import TOY

from adacross.data.collection.collection import Collection
from adacross.encoders import PointNet
from adacross.encoders.inputs import InputSpec
from adacross.io.files import write_json
from adacross.training.config import PretrainConfig
from adacross.training.environment import environment
from adacross.training.log import Log


@pytest.fixture(scope="module")
def run(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without a measurement. Copy it before you change it."""
    folder = tmp_path_factory.mktemp("my runs") / "toy"
    PretrainConfig(str(toy_collection.folder), run=str(folder), **TOY).save(folder)
    write_json(folder / "environment.json", environment(torch.device("cpu")))
    log = Log(folder, 0)
    log.write({"kind": "step", "step": 12, "epoch": 2.0})
    log.close()
    encoder = PointNet(**TOY["encoder_args"])
    encoder.inputs = InputSpec(points=TOY["points"])
    encoder.save_pretrained(folder / "encoder")
    return folder
