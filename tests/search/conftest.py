"""A run and a collection of their own: searching writes into their folders."""

import shutil
from pathlib import Path

import pytest

from adacross.data.collection.collection import Collection
from adacross.search.index import SearchIndex


@pytest.fixture(scope="session")
def toy_collection(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    own = tmp_path_factory.mktemp("searched") / toy_collection.folder.name
    return Collection.open(shutil.copytree(toy_collection.folder, own))


@pytest.fixture(scope="session")
def own_run(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(toy_run, tmp_path_factory.mktemp("search") / "run"))


@pytest.fixture(scope="session")
def search_index(toy_collection: Collection, own_run: Path) -> SearchIndex:
    return SearchIndex(toy_collection, own_run, device="cpu")
