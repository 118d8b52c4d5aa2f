"""The axis that points up in the files of a source: by its format, or as the user says."""

import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from adacross.console import console
from adacross.data.formats.base import DatasetIndex
from adacross.data.formats.files import MESHES, axis_of
from adacross.data.shape import Axis
from adacross.errors import UserError, listed

Up = Literal["x", "y", "z", "by-format"]
_NEUTRAL = (".dae", ".off")  # COLLADA states its axis, OFF has no usual one


def turned(index: DatasetIndex, up: Up | None) -> tuple[DatasetIndex, Up | None]:
    """Decide which axis of each shape is up, where meshes of both habits are mixed by asking the user.

    Modeling programs write y up (glTF, OBJ, PLY), those of engineers and printers z up (STL, STEP, IGES,
    3MF); a folder of both mixes sources, or holds copies converted without a turn.

    Returns the index, its items with their axes, and the axis as given or chosen. Raises UserError if no axis
    was given, and there is no terminal to ask.
    """
    if up is not None or not (said := mixed_habits(index)):
        return index, up
    question = f"{index.location} mixes files of different up axes: {said}."
    if not (sys.stdin.isatty() and console.is_terminal):
        raise UserError(
            f"{question} Give --up by-format if each format keeps its own, or --up y or --up z if one axis "
            "points up in all of them."
        )
    from rich.prompt import Prompt

    answer = Prompt.ask(
        f"{question} Which one is up?", choices=list(get_args(Up)), default="by-format", console=console
    )
    axes: dict[str, Axis] = {axis: axis for axis in get_args(Axis)}
    if answer not in axes:
        return index, "by-format"
    items = [replace(item, up=axis_of(Path(item.path), axes[answer])) for item in index.items]
    return replace(index, items=items), axes[answer]


def mixed_habits(index: DatasetIndex) -> str:
    """Return the files of each up axis as a clause, "" where the formats of meshes agree about it."""
    endings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in index.items:
        endings[str(item.up)][Path(item.path).suffix.lower()] += 1
    asked = [axis for axis, found in endings.items() if found.keys() & set(MESHES) - set(_NEUTRAL)]
    if len(asked) < 2:
        return ""
    return " and ".join(
        f"{axis} in {listed(f'{count:,} {ending}' for ending, count in sorted(found.items()))}"
        for axis, found in sorted(endings.items())
    )
