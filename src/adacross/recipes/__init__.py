"""Recipes: YAML files of pre-training options, found by name.

They are the repository's `recipes/*.yaml`; a wheel carries them beside this file.
"""

from pathlib import Path

from adacross.errors import UserError, one_of

_BESIDE = Path(__file__).parent
FOLDER = _BESIDE if any(_BESIDE.glob("*.yaml")) else _BESIDE.parents[2] / "recipes"


def recipe_names() -> list[str]:
    """Names of the built-in recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def recipe_path(given: str) -> Path:
    """The file of a recipe given by path or by name.

    Raises:
        UserError: neither a file nor a known name; lists the names.
    """
    path = Path(given)
    if path.is_file():
        return path
    if path.suffix:
        raise UserError(f"there is no recipe file {given}. Built-in recipes: {', '.join(recipe_names())}.")
    return FOLDER / f"{one_of('recipe', given, recipe_names())}.yaml"
