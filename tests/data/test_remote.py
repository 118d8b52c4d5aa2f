"""Collections behind URLs: fsspec's memory, and a server that speaks S3 (moto)."""

import errno
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from toy import TOY

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.data.collection.inspect import inspect
from adacross.errors import UserError
from adacross.io import remote
from adacross.io.remote import local_folder

URL = "memory://bucket/toy"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADACROSS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "collections"


@pytest.fixture
def memory(toy_collection: Collection) -> Iterator[MemoryFileSystem]:
    storage = fsspec.filesystem("memory")
    storage.put(str(toy_collection.folder), "/bucket/toy", recursive=True)
    yield storage
    storage.store.clear()
    storage.pseudo_dirs[:] = [""]


@pytest.fixture(scope="module")
def s3(s3_server: None, toy_collection: Collection) -> Iterator[str]:
    """The toy collection in a bucket."""
    storage = fsspec.filesystem("s3")
    storage.mkdir("bucket")
    storage.put(str(toy_collection.folder), "bucket/toy", recursive=True)
    yield "s3://bucket/toy"
    storage.clear_instance_cache()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_copy_is_the_collection(
    memory: MemoryFileSystem, toy_collection: Collection, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collection = Collection.open(URL)
    assert "copying memory://bucket/toy to " in " ".join(capsys.readouterr().err.split())
    assert collection.folder.parent == cache
    assert files(collection.folder) == files(toy_collection.folder)
    assert collection.ids == toy_collection.ids
    assert collection.info == toy_collection.info
    np.testing.assert_array_equal(collection.view(7, 0), toy_collection.view(7, 0))
    assert list(cache.iterdir()) == [collection.folder]


def test_a_copy_is_made_once_and_again_when_the_storage_changes(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = local_folder(URL)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "get_file", None)
        assert local_folder(URL) == first
        assert local_folder(f"{URL}/") == first
    memory.pipe("/bucket/toy/state.json", b"{}")
    second = local_folder(URL)
    assert second != first
    assert (second / "state.json").read_bytes() == b"{}"
    assert first.is_dir()  # somebody may be reading it


def test_an_interrupted_copy_goes_on(
    memory: MemoryFileSystem, toy_collection: Collection, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "STREAMS", 1)
    get_file, got = MemoryFileSystem.get_file, []

    def interrupted(self: MemoryFileSystem, rpath: str, lpath: str, **options: Any) -> None:
        if len(got) == 3:
            Path(lpath).write_bytes(b"the beginn")
            raise ConnectionResetError(errno.ECONNRESET, "the line is dead")
        got.append(rpath)
        get_file(self, rpath, lpath, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "get_file", interrupted)
        with pytest.raises(UserError, match=r"cannot read memory://bucket/toy: .*the line is dead"):
            Collection.open(URL)
    (partial,) = cache.glob("*.partial")
    assert len(files(partial)) == 3
    (partial / ".data.1.part").write_bytes(b"what a killed process leaves")
    monkeypatch.setattr(
        MemoryFileSystem,
        "get_file",
        lambda self, rpath, lpath: got.append(rpath) or get_file(self, rpath, lpath),
    )
    collection = Collection.open(URL)
    assert files(collection.folder) == files(toy_collection.folder)
    assert len(got) == len(set(got)) == len(files(toy_collection.folder))


def test_a_file_that_comes_short_or_changes_is_refused(
    memory: MemoryFileSystem, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_file = MemoryFileSystem.get_file

    def short(self: MemoryFileSystem, rpath: str, lpath: str) -> None:
        Path(lpath).write_bytes(b"short")

    def changed(self: MemoryFileSystem, rpath: str, lpath: str) -> None:
        get_file(self, rpath, lpath)
        self.pipe("/bucket/toy/dataset_info.json", b"[]" * len(rpath))

    monkeypatch.setattr(MemoryFileSystem, "get_file", short)
    with pytest.raises(UserError, match=r"came with 5 of [\d,]+ bytes"):
        Collection.open(URL)
    monkeypatch.setattr(MemoryFileSystem, "get_file", changed)
    with pytest.raises(
        UserError, match=r"(was changed while it was copied|came with [\d,]+ of [\d,]+ bytes)"
    ):
        Collection.open(URL)
    assert not [path for path in cache.iterdir() if path.suffix not in (".lock", ".partial")]
    monkeypatch.setattr(MemoryFileSystem, "get_file", get_file)
    assert len(Collection.open(URL)) == 220


def test_names_of_a_listing_never_leave_the_cache(
    memory: MemoryFileSystem, toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ls = MemoryFileSystem.ls
    bad = (
        "../../../escaped",
        "../data-00000-of-00001.arrow/../../../x",
        "data-00000-of-00001.arrow\n",
        ".bashrc",
    )
    bad = (*bad, "/etc/data", "..", "notes.txt", "..\\..\\escaped", "sub/../../../../collection.json.sh")

    def hostile(self: MemoryFileSystem, path: str, **options: Any) -> list[dict[str, Any]]:
        extra = [{"name": f"{path}/{name}", "size": 3, "type": "file"} for name in bad]
        return ls(self, path, **options) + extra

    monkeypatch.setattr(MemoryFileSystem, "ls", hostile)
    before = set(tmp_path.rglob("*"))
    collection = Collection.open(URL)
    assert files(collection.folder) == files(toy_collection.folder)
    new = set(tmp_path.rglob("*")) - before
    assert all(path == tmp_path / "cache" or tmp_path / "cache" in path.parents for path in new)


def test_processes_that_ask_at_once_make_one_copy(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_file, got = MemoryFileSystem.get_file, []
    monkeypatch.setattr(
        MemoryFileSystem,
        "get_file",
        lambda self, rpath, lpath: got.append(rpath) or get_file(self, rpath, lpath),
    )
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(local_folder(URL))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert len(got) == len(files(folders[0]))


def test_a_full_disk_is_one_sentence_and_no_copy(
    memory: MemoryFileSystem, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: MemoryFileSystem, rpath: str, lpath: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "get_file", full)
        with pytest.raises(UserError, match=r"cannot write .*No space left on device"):
            Collection.open(URL)
        patch.setattr(remote.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
        with pytest.raises(UserError, match=r"needs .* MiB and .* has 0 MiB left.*ADACROSS_CACHE"):
            Collection.open(URL)
    assert not [path for path in cache.iterdir() if path.suffix not in (".lock", ".partial")]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://bucket/nothing", r"memory://bucket/nothing does not exist"),
        ("memory://bucket", r"memory://bucket is not a collection: no collection\.json is there"),
        (
            "s4://bucket/toy",
            r"s4://bucket/toy cannot be opened\. Expected a folder, or a URL that begins with s3://",
        ),
    ],
)
def test_urls_of_no_collection(url: str, message: str, memory: MemoryFileSystem) -> None:
    with pytest.raises(UserError, match=message):
        Collection.open(url)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(url: str) -> None:
        raise ImportError("Install xyz to access it")

    monkeypatch.setattr(fsspec, "url_to_fs", lacking)
    with pytest.raises(UserError, match=r"s3:// needs a package .* pip install '\.\[s3\]'"):
        Collection.open("s3://bucket/toy")
    with pytest.raises(UserError, match=r"abfs:// needs a package .* pip install 'adlfs'"):
        Collection.open("abfs://bucket/toy")


@pytest.mark.parametrize("command", ["prepare builtin s3://bucket/new", "pretrain {} --run s3://bucket/new"])
def test_what_is_written_goes_into_a_folder(
    command: str, toy_collection: Collection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.format(toy_collection.folder).split()) == 2
    assert "aws s3 cp --recursive FOLDER s3://bucket/new" in capsys.readouterr().err


@pytest.mark.slow
def test_s3_from_the_command_line(
    s3: str, toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pre-train, evaluate, inspect and report, as a user types it; all from one copy."""
    monkeypatch.chdir(tmp_path)
    options = [f"--{name}={str(value).lower()}" for name, value in TOY.items() if not isinstance(value, dict)]
    assert main(["pretrain", s3, "--run", "run", *options, "--encoder-args=width=32"]) == 0
    assert f"collection: {s3}" in (tmp_path / "run" / "config.yaml").read_text()
    assert main(["evaluate", "retrieval", "run", s3]) == 0
    assert main(["report", "run", "--collection", s3]) == 0
    assert main(["pretrain", s3, "--run", "run", "--resume", "auto", "--config", "run/config.yaml"]) == 0
    assert inspect(s3).sheet == Path("toy-contact-sheet.png")
    assert (tmp_path / "toy-contact-sheet.png").is_file()
    (folder,) = (path for path in (tmp_path / "cache" / "collections").iterdir() if path.is_dir())
    assert files(folder) == files(toy_collection.folder)


def test_a_collection_on_a_web_server(toy_collection: Collection) -> None:
    folder = str(toy_collection.folder)

    class Listing(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Listing, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            copied = local_folder(f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
            thread.join()
    assert files(copied) == files(toy_collection.folder)


def test_a_listing_does_not_lead_to_another_address(
    memory: MemoryFileSystem, toy_collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ls, get_file, got = MemoryFileSystem.ls, MemoryFileSystem.get_file, []

    def hostile(self: MemoryFileSystem, path: str, **options: Any) -> list[dict[str, Any]]:
        return [
            about | {"name": f"/elsewhere/{Path(about['name']).name}"} for about in ls(self, path, **options)
        ]

    monkeypatch.setattr(MemoryFileSystem, "ls", hostile)
    monkeypatch.setattr(
        MemoryFileSystem,
        "get_file",
        lambda self, rpath, lpath: got.append(rpath) or get_file(self, rpath, lpath),
    )
    Collection.open(URL)
    assert {Path(path).parent for path in got} == {Path("/bucket/toy")}


@pytest.mark.slow
def test_s3_says_what_is_wrong(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UserError, match=r"s3://nobody/toy does not exist \(The specified bucket does not exist"
    ):
        Collection.open("s3://nobody/toy")
    with pytest.raises(UserError, match=r"s3://bucket/other does not exist"):
        Collection.open("s3://bucket/other")
    fsspec.filesystem("s3").clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(UserError, match=r"s3://bucket/toy.*redentials.*AWS_ACCESS_KEY_ID"):
        Collection.open(s3)
    fsspec.filesystem("s3").clear_instance_cache()
