"""A run and a collection of their own: features are cached in their folders."""

import shutil
from pathlib import Path

import pytest

from adacross.data.collection.collection import Collection


@pytest.fixture(scope="session")
def toy_collection(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    own = tmp_path_factory.mktemp("embedded") / toy_collection.folder.name
    return Collection.open(shutil.copytree(toy_collection.folder, own))


@pytest.fixture
def toy_run(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(toy_run, tmp_path_factory.mktemp("embed") / toy_run.name))
