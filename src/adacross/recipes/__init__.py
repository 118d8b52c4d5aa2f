"""Recipes: YAML files of pre-training options, found by name.

They are the repository's `recipes/*.yaml`; a wheel carries them beside this file. The first line of each is a
comment that says what the recipe is for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from adacross.console import Table
from adacross.errors import UserError, one_of

_BESIDE = Path(__file__).parent
FOLDER = _BESIDE if any(_BESIDE.glob("*.yaml")) else _BESIDE.parents[2] / "recipes"


@dataclass(frozen=True)
class Recipe:
    """A built-in recipe.

    Attributes:
        name: what `--config` takes.
        purpose: what it is for, one sentence.
        options: the options of pre-training that it sets, by name.
    """

    name: str
    purpose: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Recipes:
    """The built-in recipes, by name."""

    recipes: tuple[Recipe, ...]

    def table(self) -> Table:
        """Render as a rich table."""
        table = Table(title="recipes for adacross pretrain --config")
        for column in ("recipe", "for", "method", "encoder", "points", "image", "epochs"):
            table.add_column(column)
        for one in self.recipes:
            sizes = (str(one.options.get(name, "")) for name in ("points", "image_size", "epochs"))
            table.add_row(one.name, one.purpose, one.options["method"], one.options["encoder"], *sizes)
        return table


def recipes() -> Recipes:
    """List the built-in recipes, with what each is for."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        purpose = text.split("\n", 1)[0].removeprefix("#").strip()
        found.append(Recipe(path.stem, purpose, yaml.safe_load(text)))
    return Recipes(tuple(found))


def recipe_names() -> list[str]:
    """Return the names of the built-in recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def recipe_path(given: str) -> Path:
    """Return the file of a recipe given by path or by name.

    Raises:
        UserError: neither a file nor a known name; lists the names.
    """
    path = Path(given)
    if path.is_file():
        return path
    if path.suffix:
        raise UserError(f"there is no recipe file {given}. Built-in recipes: {', '.join(recipe_names())}.")
    return FOLDER / f"{one_of('recipe', given, recipe_names())}.yaml"
