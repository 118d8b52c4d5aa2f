"""Checkpoints that are written whole or not at all, and found again."""

import re
import shutil
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251  the error's name only: nothing here unpickles
from typing import Any

import torch

from adacross.errors import UserError
from adacross.files import whole_file

KEEP = 2
_NAME = re.compile(r"step-(\d{8})\.pt")


def checkpoints(run: Path) -> list[Path]:
    """A run's checkpoints, oldest first."""
    folder = Path(run) / "checkpoints"
    return sorted(path for path in folder.glob("step-*.pt") if _NAME.fullmatch(path.name))


def save_checkpoint(run: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `state` as the run's newest checkpoint, then remove all but the newest two.

    Raises:
        UserError: the disk is full or the folder read-only; older checkpoints are still there.
    """
    path = Path(run) / "checkpoints" / f"step-{step:08d}.pt"
    save_state(path, state)
    for old in checkpoints(run)[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all.

    Raises:
        UserError: the disk is full or the folder read-only.
    """
    content = BytesIO()  # torch's own writer hides a full disk behind a RuntimeError
    torch.save(state, content)
    with whole_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's tensors and plain values; code in it is refused, not run.

    Raises:
        UserError: the file is missing, damaged, or holds anything but tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}. Start afresh without --resume.") from None
    except (RuntimeError, UnpicklingError, EOFError, KeyError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"checkpoint {path} cannot be read ({reason}). Delete it and resume from the one before."
        ) from None


def remove_run(run: Path) -> None:
    """Delete what pre-training wrote into a run folder, and nothing else."""
    for name in ("checkpoints", "encoder", "evaluation"):
        shutil.rmtree(Path(run) / name, ignore_errors=True)
    for name in (
        "config.yaml",
        "environment.json",
        "log.jsonl",
        "log.csv",
        "method.safetensors",
        "report.html",
    ):
        (Path(run) / name).unlink(missing_ok=True)
