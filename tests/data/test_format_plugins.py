"""A format of somebody else's: found by its name in every process, also after an interruption."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waiting import wait_until

from adacross import plugins
from adacross.data.collection.collection import Collection
from adacross.data.collection.inspect import inspect
from adacross.data.collection.prepare import prepare
from adacross.data.formats import FORMATS, index_source
from adacross.data.formats.base import Format, SampleRef
from adacross.data.shape import PointCloud
from adacross.errors import UserError

PACKAGE = Path(__file__).parents[1] / "plugin_package"
NAME = "adacross_example.formats:ColoredText"
COUNT = 140  # shapes: three shards


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cups and jars, and one that cannot be read; the package is installed, so to say."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        path = tmp_path / "source" / ("cup", "jar")[i % 2] / f"{i:03d}.xyzc"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, np.hstack([rng.normal(size=(40, 3)) * (1, 2, 8), rng.integers(0, 256, (40, 3))]))
    (tmp_path / "source" / "cup" / "bad.xyzc").write_text("one two")
    return tmp_path / "source"


def test_found_by_name_and_by_its_entry_point(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_source(str(source), format=NAME)
    assert (index.format, index.classes, index.up) == (NAME, ["cup", "jar"], "z")
    assert len(index.items) == COUNT + 1
    assert all(item.fingerprint for item in index.items)
    with pytest.raises(UserError, match="no shapes of a known format"):
        index_source(str(source))
    monkeypatch.setattr(plugins, "_registered", lambda kind: {"colored": NAME} if kind == "format" else {})
    assert index_source(str(source)).format == "colored"
    assert index_source(str(source), format="colored").classes == ["cup", "jar"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nonsense", "unknown format 'nonsense'.*package.module:Name"),
        ("collections:OrderedDict", "not a class derived from adacross.data.formats.base.Format"),
        ("adacross_example.formats:Other", "has no Other"),
        ("nowhere_at_all:Other", "cannot import nowhere_at_all"),
    ],
)
def test_names_that_are_no_format(source: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        index_source(str(source), format=name)


def test_options_of_prepare_are_those_of_the_constructor(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"variant x was given, but .* has none \(files\)"):
        index_source(str(tmp_path), format="meshes", variant="x")
    assert issubclass(FORMATS["modelnet40"], Format)


class Odd(Format):
    """Clouds that are unusual, and one that is too small."""

    layout = "numbers in a name"
    keep = "cycle"

    def recognise(self, folder: Path) -> bool:
        return False

    def find(self, folder: Path) -> list[SampleRef]:
        return [SampleRef(str(count)) for count in (2, 40, 0)]

    def load(self, item: SampleRef) -> PointCloud:
        points = np.random.default_rng(0).normal(size=(int(item.id), 3)).astype(np.float32)
        return PointCloud(points, warnings=("odd",))


@pytest.mark.slow
def test_warnings_of_a_shape_are_kept_with_the_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"points": 3, "views": 0, "workers": 1, "format": f"{__name__}:Odd"}
    info = prepare(str(tmp_path), str(tmp_path / "c"), **options).info
    small = "odd; 2 real points, fewer than 3; they are repeated in turn"
    assert info.warnings == [{"name": "2", "reason": small}, {"name": "40", "reason": "odd"}]
    assert info.skipped == [{"name": "0", "reason": "there is no point in it"}]


def run(*words: str) -> "subprocess.Popen[bytes]":
    heed = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's background ignores Ctrl-C
    code = f"import signal, sys; {heed}; from adacross.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE), *sys.path])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C as POSIX sends it")
def test_prepare_with_processes_goes_on_after_an_interruption(source: Path, tmp_path: Path) -> None:
    def words(target: str, workers: int) -> list[str]:
        options: dict[str, Any] = {"format": NAME, "points": 32, "views": 1, "size": 160, "workers": workers}
        typed = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return ["prepare", str(source), str(tmp_path / target), *typed]

    interrupted = run(*words("c", 1))
    notes = tmp_path / "c.partial" / "progress"
    wait_until(lambda: any(notes.glob("shard-*.json")))
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate()
    assert interrupted.returncode == 130, said.decode()
    assert b"run the same command again" in b" ".join(said.split())
    _, said = (again := run(*words("c", 2))).communicate()
    assert again.returncode == 0, said.decode()
    assert b"continuing:" in said
    _, said = (whole := run(*words("d", 2))).communicate()
    assert whole.returncode == 0, said.decode()
    made, other = Collection.open(tmp_path / "c"), Collection.open(tmp_path / "d")
    assert made.digest() == other.digest()
    assert (made.info.format, made.info.source_up, made.info.count) == (NAME, "z", COUNT)
    assert made.info.classes == ["cup", "jar"]
    assert [entry["name"] for entry in made.info.skipped] == ["cup/bad"]
    assert "ValueError" in made.info.skipped[0]["reason"]
    extent = np.ptp(made.points(made.indices("all")), axis=1).mean(0)
    assert extent.argmax() == 1  # z became y
    assert json.loads((tmp_path / "c" / "collection.json").read_text())["format"] == NAME


@pytest.mark.slow
def test_inspect_knows_it_by_its_name(source: Path) -> None:
    found = inspect(str(source), format=NAME)
    assert found.kind == NAME
