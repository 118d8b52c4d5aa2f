"""The documentation's sources; `make site` holds links, pages and references."""

import ast
import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from test_architecture import ROOMS

import adacross
from adacross.commands import COMMANDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")}


def test_every_public_name_is_in_the_api():
    described = re.findall(r"^::: adacross\.(?:[\w.]+\.)?(\w+)$", "\n".join(PAGES.values()), re.MULTILINE)
    assert not {*adacross.__all__} - {"__version__"} - {*described}
    assert len(described) == len({*described})


def test_every_command_that_is_shown_exists():
    shown = re.findall(r"^    adacross (\w[\w-]*)(?: ([a-z-]+))?", "\n".join(PAGES.values()), re.MULTILINE)
    for first, second in shown:
        assert {first, f"{first} {second}"} & {*COMMANDS}, f"adacross {first} {second}"


def test_every_recipe_that_is_shown_exists():
    there = {path.stem for path in (ROOT / "recipes").glob("*.yaml")}
    shown = re.findall(r"--config ([\w]+)(?!\.\w)", "\n".join(PAGES.values()))
    assert shown
    assert {*shown} - {"recipe"} <= there


def test_the_command_line_reference_has_every_command_and_option(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(DOCS / "theme"))
    page = import_module("command_line").page()
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == [*COMMANDS]
    (section,) = re.findall(r"^## pretrain$(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    options = {f"`--{field.name.replace('_', '-')}" for field in fields(adacross.PretrainConfig)}
    assert {option for option in options if option not in section} == {"`--collection"}


def test_the_picture_of_the_architecture_has_the_rooms_in_their_order():
    picture = PAGES["architecture.md"].split("```")[1].strip("\n")
    joined = re.sub(r"\n +", " ", picture)
    floors = [re.split(r" {2,}", line)[0] for line in joined.splitlines()[::-1]]
    rooms = []
    for floor in floors:
        name, colon, inside = floor.partition(": ")
        rooms += [f"{name}.{each}" for each in inside.split()] if colon else floor.split()
    assert rooms == [room for room in ROOMS if room != "__main__"]


def test_programs_on_the_pages_are_python():
    for name, text in PAGES.items():
        for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            ast.parse(program, name)
