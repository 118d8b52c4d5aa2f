"""From what a user types to an encoder, or to a whole trained method."""

from dataclasses import dataclass
from pathlib import Path

import torch

from adacross.encoders import Encoder, load_encoder
from adacross.errors import UserError


@dataclass(frozen=True)
class Found:
    """An encoder, what to call it, and the run it came from if it came from one."""

    name: str
    encoder: Encoder
    run: Path | None


def untrained_like(encoder: Encoder, seed: int) -> Encoder:
    """An encoder with the same options and freshly drawn weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return type(encoder)(**encoder.options).eval()


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file()


def find_encoders(given: str) -> list[Found]:
    """Encoders named by a run, an encoder folder, a hub id, or a pattern of runs.

    Raises:
        UserError: nothing there, or a run that has no encoder yet.
    """
    path = Path(given)
    matches = sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
    found = []
    for path in matches:
        if _is_run(path):
            if not (path / "encoder").is_dir():
                raise UserError(
                    f"run {path} has no encoder yet; finish it with `adacross pretrain ... --resume auto`."
                )
            found.append(Found(path.name, load_encoder(str(path / "encoder")), path))
        else:
            found.append(Found(path.name, load_encoder(str(path) if path.exists() else given), None))
    kinds = {type(item.encoder).__name__ for item in found}
    if len(kinds) > 1:
        raise UserError(
            f"{given} matches encoders of different kinds ({', '.join(sorted(kinds))}); expected one kind."
        )
    return found
