"""Shared fixtures: a small prepared collection, a finished toy run, and a check that tests clean up."""

import os
import random
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from toy import TOY

from adacross.data.collection import build
from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.training.config import PretrainConfig
from adacross.training.pretrain import pretrain

_shared: dict[Path, dict[str, int]] = {}  # folders that tests may only read, with their files


def _files(folder: Path) -> dict[str, int]:
    """Every file below a folder, with its time of modification."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def read_only(folder: Path) -> Path:
    """Let every later test fail that writes into `folder`."""
    _shared[folder] = _files(folder)
    return folder


def pytest_runtest_setup() -> None:
    """Start every test, with its fixtures, from the same random state, whatever ran before."""
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _environment_is_restored() -> Iterator[None]:
    """Undo what commands set in the environment of this process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _shared_folders_stay_as_they_are() -> Iterator[None]:
    """Let a test fail that changes what others read."""
    yield
    for folder, before in _shared.items():
        after = _shared[folder] = _files(folder)  # the next test is not to blame
        changed = {name for name, _ in before.items() ^ after.items()}
        assert not changed, f"the test changed files in {folder}, which others read: {sorted(changed)}"


@pytest.fixture(autouse=True, scope="module")
def _no_process_is_left_running() -> Iterator[None]:
    """Let a module fail whose tests or fixtures leave a process behind; end the process."""
    this = psutil.Process()
    before = set(this.children(recursive=True))
    yield
    started = [child for child in this.children(recursive=True) if child not in before]
    _, left = psutil.wait_procs(started, timeout=60)  # a process that was told to end may take a while
    commands = [" ".join(child.cmdline()) for child in left]
    for child in left:
        child.kill()
    assert not left, f"processes were left running: {commands}"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine on which nobody listens, nor can begin to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="module")
def s3_server() -> Iterator[None]:
    """A server that speaks S3 and holds nothing; its address and keys are in the environment."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_ACCESS_KEY_ID", "someone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield
    # Every server of a process serves the same buckets.
    with urllib.request.urlopen(f"{address}/moto-api/reset", data=b"", timeout=60):
        server.stop()


@pytest.fixture(scope="session")
def toy_collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Built-in shapes, five of a category, small clouds and pictures, in several files."""
    folder = tmp_path_factory.mktemp("collections") / "toy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "FILE", build.SHARD)
        prepare("builtin", str(folder), count=220, points=64, views=1, size=32, workers=1, test_fraction=0.4)
    return Collection.open(read_only(folder))


@pytest.fixture(scope="session")
def toy_run(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the toy collection."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    return read_only(pretrain(PretrainConfig(str(toy_collection.folder), run=str(folder), **TOY)))
