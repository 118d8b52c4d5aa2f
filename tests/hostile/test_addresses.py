"""Addresses that are written in files: no command follows them."""

import errno
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.evaluation import evaluate
from adacross.io.remote import local_folder

ADDRESSES = (
    "http://{host}/toy",
    "reference::http://{host}/refs.json",
    "simplecache::http://{host}/toy",
    "reference://?fo=http://{host}/refs.json",
    "s3://{host}/{{HF_TOKEN}}",
    "file:///etc",
    "hf://datasets/{host}/toy",
    r"\\{host}\share",
    "//{host}/share",
    "owner/toy-of-nobody",
)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every address that this process wants to connect to or asks a name server for; none answers."""
    asked: list[object] = []

    def refused(*given: object, **_: object) -> None:
        asked.append(given)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "no connections in this test")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    return asked


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """An address that listens, where a request would be seen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BlockingIOError):  # nobody waits there
            server.accept()


@pytest.fixture(scope="module")
def measured(toy_run: Path, toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose retrieval was measured."""
    folder = tmp_path_factory.mktemp("measured") / "run"
    shutil.copytree(toy_run, folder)
    evaluate("retrieval", folder, toy_collection, seeds=1, device="cpu")
    return folder


def run_that_names(address: str, measured: Path, folder: Path) -> Path:
    """A run whose files name an address wherever they name data."""
    shutil.copytree(measured, folder)
    options = yaml.safe_load((folder / "config.yaml").read_text()) | {"collection": address}
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    (path,) = (folder / "evaluation").glob("*/retrieval*.json")
    value = json.loads(path.read_text())
    value |= {"data": value["data"] | {"name": address}, "encoders": [address], "ids": [address]}
    path.write_text(json.dumps(value))
    return folder


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_run_that_names_an_address_makes_no_connection(
    address: str,
    host: str,
    measured: Path,
    connections: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    named = address.format(host=host)
    folder = run_that_names(named, measured, tmp_path / "run")
    assert main(["report", str(folder)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    if named.startswith("owner"):
        assert "owner/toy-of-nobody does not exist" in said
    else:
        assert "an address that is read in a file is not opened" in said
        assert f"adacross report {folder} --collection" in said
    assert "secret" not in (folder / "report.html").read_text()
    assert main(["inspect", str(folder)]) == 0
    assert main(["share", str(folder), "owner/name", "--dry-run", "look"]) == 0
    assert connections == []


def test_a_result_that_names_an_address_makes_no_connection(
    host: str, measured: Path, toy_collection: Collection, connections: list[object], tmp_path: Path
) -> None:
    folder = run_that_names(f"reference::http://{host}/refs.json", measured, tmp_path / "run")
    assert main(["report", str(folder), "--collection", str(toy_collection.folder)]) == 0
    assert connections == []


def test_evaluation_asks_nobody(
    host: str, measured: Path, toy_collection: Collection, connections: list[object], tmp_path: Path
) -> None:
    folder = run_that_names(f"reference::http://{host}/refs.json", measured, tmp_path / "run")
    given = [str(folder), str(toy_collection.folder), "--seeds", "1", "--device", "cpu"]
    assert main(["evaluate", "retrieval", *given, "--output", str(tmp_path / "result.json")]) == 0
    assert connections == []


def test_a_recipe_that_names_an_address_is_not_followed(
    host: str,
    connections: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    place = f"//{host}/share"
    Path("recipe.yaml").write_text(yaml.safe_dump({"collection": place, "run": place}))
    assert main(["pretrain", "--config", "recipe.yaml"]) == 2
    assert "required: COLLECTION" in capsys.readouterr().err
    assert main(["pretrain", "nothing", "--config", "recipe.yaml"]) == 2
    assert f"recipe.yaml: run is {place}; an address" in capsys.readouterr().err
    assert main(["pretrain", "nothing", "--config", "recipe.yaml", "--run", "here"]) == 2
    assert "nothing does not exist" in capsys.readouterr().err
    assert connections == []


@pytest.mark.parametrize("address", ADDRESSES[1:7])
def test_urls_that_are_typed_are_plain(address: str, host: str, connections: list[object]) -> None:
    with pytest.raises(
        UserError, match=r"cannot be opened\. Expected a folder, or a URL that begins with s3://"
    ):
        local_folder(address.format(host=host))
    assert connections == []
