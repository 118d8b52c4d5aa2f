"""The documentation's sources; `make site` holds links, pages and references."""

import ast
import re
from pathlib import Path

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


def test_every_demand_of_users_has_an_answer():
    numbers = re.findall(r"^## (\d+)\. ", PAGES["troubleshooting.md"], re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 20)]


def test_programs_on_the_pages_are_python():
    for name, text in PAGES.items():
        for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            ast.parse(program, name)
