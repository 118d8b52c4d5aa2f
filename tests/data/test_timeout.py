import time
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from adacross.cli import main
from adacross.data import isolated
from adacross.data.collection import prepare as prepare_module
from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.data.collection.sample import serve_sample
from adacross.data.isolated import serve_check
from adacross.errors import UserError


def read_or_hang(request: dict[str, Any]) -> bytes:
    """What `prepare` asks its workers for, but for a reader that hangs on one file."""
    if request["item"]["id"] == "hangs.off":
        time.sleep(600)
    return serve_sample(request)


@pytest.mark.slow
def test_prepare_names_the_file_on_which_its_reader_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_module, "SERVE_RENDERED", "test_timeout:read_or_hang")
    (tmp_path / "m").mkdir()
    for name in ("good", "hangs", "fine"):
        (tmp_path / "m" / f"{name}.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    options = ["--timeout", "20", "--points", "8", "--views", "1", "--size", "16", "--workers", "1"]
    assert main(["prepare", str(tmp_path / "m"), str(tmp_path / "c"), *options]) == 0
    info = Collection.open(tmp_path / "c").info
    assert info.count == 2
    assert info.skipped == [{"name": "hangs.off", "reason": "reading it took longer than 20 s"}]


def check_or_hang(request: dict[str, Any]) -> bytes:
    if request["item"]["id"] == "hangs.off":
        time.sleep(600)
    return serve_check(request)


@pytest.mark.slow
def test_inspect_reads_in_processes_with_the_limit_of_prepare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert signature(prepare).parameters["timeout"].default == isolated.SHAPE_TIMEOUT
    monkeypatch.setattr(isolated, "SHAPE_TIMEOUT", 20.0)
    checked, each = f"{isolated.__name__}:serve_check", isolated.each
    monkeypatch.setattr(
        isolated, "each", lambda name, *rest: each(name.replace(checked, "test_timeout:check_or_hang"), *rest)
    )
    for name in ("good", "hangs"):
        (tmp_path / f"{name}.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    head = "ply\nformat ascii 1.0\ncomment TextureFile gone.png\nelement vertex 3\n"
    xyz = "property float x\nproperty float y\nproperty float z\n"
    body = (
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    )
    (tmp_path / "texture.ply").write_text(head + xyz + body)
    assert main(["inspect", str(tmp_path)]) == 0
    said = capfd.readouterr()
    assert "reading it took longer than 20 s" in said.out
    assert "Traceback" not in said.out + said.err


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_none(timeout: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it must be more than 0 seconds"):
        prepare("builtin", str(tmp_path / "c"), timeout=timeout)
