"""Which axis points up: the format's own, the user's, or a question."""

from pathlib import Path

import pytest
import trimesh

from adacross.data.collection.prepare import prepare
from adacross.data.formats import axes, index_source
from adacross.data.formats.axes import mixed_habits, turned
from adacross.data.formats.files import axis_of
from adacross.errors import UserError


def folder(path: Path, *names: str) -> str:
    for name in names:
        trimesh.creation.box((1, 2, 3)).export(path / name)
    return str(path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.stl", "b.obj", "c.stl"], "y in 1 .obj and z in 2 .stl"),
        (["a.glb", "b.3mf", "c.off"], "y in 1 .glb and z in 1 .3mf, 1 .off"),
        (["a.off", "b.obj"], ""),
        (["a.off", "b.stl"], ""),
        (["a.obj", "b.glb", "c.ply"], ""),
        (["a.stl", "b.xyz"], ""),
    ],
)
def test_meshes_of_both_habits_are_asked_about(tmp_path: Path, names: list[str], said: str) -> None:
    for name in names:
        (tmp_path / name).write_text("0 0 0\n1 2 3\n4 5 7\n" * 6)
    index = index_source(str(tmp_path))
    assert mixed_habits(index) == said
    assert mixed_habits(turned(index, "by-format")[0]) == said
    if not said:
        assert turned(index, None) == (index, None)
        return
    with pytest.raises(UserError, match=rf"mixes files of different up axes: {said}\. Give --up by-format"):
        turned(index, None)


def test_the_answer_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_source(folder(tmp_path, "a.stl", "b.obj"))
    monkeypatch.setattr(axes.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(axes.console, "_force_terminal", True)
    for answer, found in (("by-format", ["z", "y"]), ("", ["z", "y"]), ("y", ["y", "y"]), ("x", ["x", "x"])):
        monkeypatch.setattr(axes.console, "input", lambda *_, said=answer, **__: said)
        decided, up = turned(index, None)
        assert ([item.up for item in decided.items], up) == (found, answer or "by-format")


def test_an_axis_that_is_given_holds_for_all_but_files_that_say_their_own(tmp_path: Path) -> None:
    source = folder(tmp_path, "a.stl", "b.obj")
    assert [item.up for item in index_source(source, up="x").items] == ["x", "x"]
    assert [item.up for item in index_source(source, up="by-format").items] == ["z", "y"]
    assert axis_of(Path("a.dae"), "z") == "y"  # it is turned while it is read
    assert axis_of(Path("a.STEP")) == "z"
    assert axis_of(Path("a.xyz")) is None


@pytest.mark.slow
def test_prepare_refuses_before_anything_is_read(tmp_path: Path) -> None:
    source = folder(tmp_path, "a.stl", "b.obj", "c.stl", "d.obj")
    with pytest.raises(UserError, match="Give --up by-format"):
        prepare(source, str(tmp_path / "c"), points=16, views=0)
    assert not (tmp_path / "c.partial").exists()
    made = prepare(source, str(tmp_path / "c"), points=16, views=0, up="by-format")
    assert made.info.source_up == "mixed"
