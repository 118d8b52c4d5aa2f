"""From what a user types to an encoder, or to a whole trained method."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from adacross.data.collection.collection import is_collection
from adacross.distributed.device import find_device
from adacross.encoders import Encoder, load
from adacross.encoders.pretrained import CONFIG_FILE, shipped_names
from adacross.errors import UserError
from adacross.io.hub import SCHEME


@dataclass(frozen=True)
class Found:
    """An encoder, what to call it, and the run it came from if it came from one."""

    name: str
    encoder: Encoder
    run: Path | None


def kind_of(place: str) -> Literal["collection", "encoder", ""]:
    """Return what lies in a place, by the names of its files; "" for anything else.

    Args:
        place: as typed: a folder, the name of a shipped encoder, hf://owner/name, or a pattern of runs.
    """
    if place in shipped_names() or place.startswith(SCHEME):
        return "encoder"
    folders = [Path(match) for match in _matches(place)]
    if any(map(is_collection, folders)):
        return "collection"
    files = (folder / name for folder in folders for name in ("config.yaml", CONFIG_FILE))
    return "encoder" if any(file.is_file() for file in files) else ""


def usual_device(given: str | None = None) -> str:
    """The device that was given, else cuda where there is one.

    Raises:
        UserError: there is no such device.
    """
    return str(find_device(given))


def untrained_like(encoder: Encoder, seed: int) -> Encoder:
    """An encoder with the same options and freshly drawn weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return type(encoder)(**encoder.options).eval()


def find_encoders(given: str | list[str]) -> list[Found]:
    """Encoders named by a run, an encoder folder, hf://owner/name, a pattern of runs, or a list of those.

    Raises:
        UserError: nothing there, a run that has no encoder yet, or encoders of several kinds.
    """
    names = [given] if isinstance(given, str) else given
    found = [_find(match) for name in names for match in _matches(name)]
    if not found:
        raise UserError(f"nothing matches {given}; expected a run, an encoder folder or a pattern of runs.")
    kinds = sorted({type(item.encoder).__name__ for item in found})
    if len(kinds) > 1:
        raise UserError(f"{given} matches several kinds of encoder ({', '.join(kinds)}); expected one.")
    return found


def find_runs(given: str | list[str]) -> list[Path]:
    """Return the runs among what `find_encoders` would find, without reading them."""
    names = [given] if isinstance(given, str) else given
    folders = [Path(match) for name in names for match in _matches(name)]
    return [folder for folder in folders if (folder / "config.yaml").is_file()]


def _matches(name: str) -> list[str]:
    """The folders that a pattern stands for; anything else is itself."""
    path = Path(name)
    if "*" not in path.name:
        return [name]
    return sorted(str(match) for match in path.parent.glob(path.name) if match.is_dir())


def _find(name: str) -> Found:
    path = Path(name)
    if is_collection(path):
        raise UserError(f"{path} is a collection; expected a run or an encoder.")
    if not (path / "config.yaml").is_file():
        return Found(name if name.startswith(SCHEME) else path.name, load(name), None)
    if not (path / "encoder").is_dir():
        raise UserError(f"run {path} is not finished; continue it with --resume auto.")
    return Found(path.name, load(path / "encoder"), path)
