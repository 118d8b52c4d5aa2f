"""Names of classes: built-in, `package.module:Name`, entry points."""

import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from adacross import cli, plugins
from adacross.errors import UserError


class Base:
    """What a plugin derives from."""


class Derived(Base):
    """One that does."""


def make() -> Derived:
    return Derived()


def make_something():
    return Derived()


def test_a_built_in_name_wins():
    assert plugins.find("thing", "derived", {"derived": Derived}, Base) is Derived


@pytest.mark.parametrize("name", ["Derived", "make"])
def test_a_module_and_a_name(name: str):
    assert plugins.find("thing", f"{__name__}:{name}", {}, Base) is globals()[name]


@pytest.mark.parametrize("name", ["subprocess:Popen", "os:system", f"{__name__}:make_something", "sys:path"])
def test_what_is_no_such_class_is_refused_before_it_is_called(name: str):
    with pytest.raises(UserError, match=r"is not a class derived from .*Base"):
        plugins.find("thing", name, {"derived": Derived}, Base)


def test_a_missing_module_or_name_says_what_to_do():
    with pytest.raises(UserError, match=r"cannot import no_such_module .* set PYTHONPATH"):
        plugins.find("thing", "no_such_module:Derived", {}, Base)
    with pytest.raises(UserError, match="has no Dreived"):
        plugins.find("thing", f"{__name__}:Dreived", {}, Base)


def test_an_unknown_name_lists_the_valid_ones():
    with pytest.raises(UserError, match=r"Did you mean 'derived'\? Valid: derived, package.module:Name"):
        plugins.find("thing", "derivde", {"derived": Derived}, Base)


def test_an_entry_point_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch):
    points = EntryPoints([EntryPoint("mine", f"{__name__}:Derived", "adacross.things")])
    monkeypatch.setattr(plugins, "entry_points", lambda group: points.select(group=group))
    assert plugins.find("thing", "mine", {}, Base) is Derived
    assert plugins.names("thing", ["derived"]) == ["derived", "mine"]


def test_the_working_folder_is_searched_only_for_a_name_that_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    plugins.allow_working_folder(["data", "--epochs", "3", "s3://bucket", "C:\\data"])
    assert str(tmp_path) not in sys.path
    plugins.allow_working_folder(["data", "--encoder=mine.nets:Net"])
    assert sys.path[-1] == str(tmp_path)


def test_what_to_type_next_finds_a_module_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Commands that only name a run do not look into the working folder on their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    cli.show("runs/a", [("report", "runs/a")])
    assert "next: adacross report runs/a" in capsys.readouterr().err
    plugins.allow_working_folder(["--encoder", "mine.nets:Net"])
    cli.show("runs/a", [("report", "runs/a")])
    assert "next: PYTHONPATH=. adacross report runs/a" in capsys.readouterr().err
