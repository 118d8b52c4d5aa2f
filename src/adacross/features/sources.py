"""Encoders by the name of a run, a folder, a repository or a pattern."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from adacross.data.collection.description import is_collection
from adacross.distributed.device import find_device
from adacross.encoders import Encoder, load
from adacross.encoders.base import CONFIG_FILE, shipped_names
from adacross.errors import UserError
from adacross.io.hub import SCHEME


@dataclass(frozen=True)
class NamedEncoder:
    """An encoder, its name, and its run, None if it comes from no run."""

    name: str
    encoder: Encoder
    run: Path | None


def kind_of(place: str) -> Literal["collection", "encoder", ""]:
    """Return what lies in a place, as it is typed for `find_encoders`, by its files; "" for anything else."""
    if place in shipped_names() or place.startswith(SCHEME):
        return "encoder"
    folders = [Path(match) for match in _matches(place)]
    if any(map(is_collection, folders)):
        return "collection"
    files = (folder / name for folder in folders for name in ("config.yaml", CONFIG_FILE))
    return "encoder" if any(file.is_file() for file in files) else ""


def usual_device(device: str | None = None) -> str:
    """Return the name of a device that is there; cuda by default if it is available."""
    return str(find_device(device))


def untrained_like(encoder: Encoder, seed: int) -> Encoder:
    """Return an encoder with the same options and newly initialized weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return type(encoder)(**encoder.options).eval()


def find_encoders(names: str | list[str]) -> list[NamedEncoder]:
    """Load the encoders of a run, a folder, a shipped name, hf://owner/name, a pattern of runs, or several.

    They must be of one kind, and of finished runs.
    """
    entries = [_find(match) for match in _matches(names)]
    if not entries:
        raise UserError(f"nothing matches {names}; expected a run, an encoder folder or a pattern of runs.")
    return check_alike(entries)


def check_alike(entries: list[NamedEncoder]) -> list[NamedEncoder]:
    """Return encoders, which must not differ in kind or options."""
    kinds = {f"{entry.encoder.kind} {entry.encoder.options}": entry.name for entry in entries}
    if len(kinds) > 1:
        each = "; ".join(f"{name}: {kind}" for kind, name in kinds.items())
        raise UserError(
            f"these encoders differ in more than their seed ({each}); expected one architecture. Compare "
            "them with `adacross evaluate compare`."
        )
    return entries


def find_encoder(name: str) -> NamedEncoder:
    """Load the one encoder of a name, as `find_encoders`; a pattern of several runs is refused."""
    entry, *others = find_encoders(name)
    if others:
        raise UserError(f"{name} matches {len(others) + 1} runs; expected one.")
    return entry


def find_runs(given: str | list[str]) -> list[Path]:
    """Return the runs among what `find_encoders` would find, without reading them."""
    folders = map(Path, _matches(given))
    return [folder for folder in folders if (folder / "config.yaml").is_file()]


def _matches(names: str | list[str]) -> list[str]:
    """Return the folders that match patterns; other names are returned as they are."""
    found = []
    for name in [names] if isinstance(names, str) else names:
        path = Path(name)
        if "*" in path.name:
            found += sorted(str(match) for match in path.parent.glob(path.name) if match.is_dir())
        else:
            found.append(name)
    return found


def _find(name: str) -> NamedEncoder:
    path = Path(name)
    if is_collection(path):
        raise UserError(f"{path} is a collection; expected a run or an encoder.")
    if not (path / "config.yaml").is_file():
        return NamedEncoder(name if name.startswith(SCHEME) else path.name, load(name), None)
    return NamedEncoder(path.name, load(encoder_folder(path)), path)


def encoder_folder(run: Path) -> Path:
    """Return the folder of a run's encoder; an unfinished run is refused."""
    if not (run / "encoder").is_dir():
        raise UserError(f"run {run} is not finished; continue it with --resume auto.")
    return run / "encoder"
