"""What several tests start from: a small prepared collection and a finished toy run."""

from pathlib import Path

import pytest
from toy import TOY

from adacross.data.collection import Collection
from adacross.data.prepare import prepare
from adacross.training.config import PretrainConfig
from adacross.training.pretrain import pretrain


@pytest.fixture(scope="session")
def toy_collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Built-in shapes, five of a category, small clouds and pictures."""
    folder = tmp_path_factory.mktemp("collections") / "toy"
    prepare("builtin", str(folder), count=220, points=64, views=1, size=32, workers=1, test_fraction=0.4)
    return Collection.open(folder)


@pytest.fixture(scope="session")
def toy_run(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the toy collection. Read it, do not write to it."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    return pretrain(PretrainConfig(str(toy_collection.folder), run=str(folder), **TOY))
