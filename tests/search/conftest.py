"""A run of its own: searching writes into the run's folder."""

import shutil
from pathlib import Path

import pytest

from adacross.data.collection import Collection
from adacross.search import SearchIndex


@pytest.fixture(scope="session")
def own_run(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(toy_run, tmp_path_factory.mktemp("search") / "run"))


@pytest.fixture(scope="session")
def search_index(toy_collection: Collection, own_run: Path) -> SearchIndex:
    return SearchIndex.build(toy_collection, own_run, device="cpu")
