"""Checkpoints that are written whole or not at all, and found again.

A run keeps its two newest: should the newest be damaged, the one before still is there. A new one is safely
on the disk before the oldest goes.
"""

import re
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from adacross.console import console
from adacross.encoders.torch_files import load_plain
from adacross.errors import UserError
from adacross.files import whole_file

KEEP = 2
_NAME = re.compile(r"step-(\d{8})\.pt")
_LEFT_OVER = re.compile(r"\..+\.\d+\.(part|old)")  # as adacross.files names what is not whole yet


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
        state = load_plain(path)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}")
        return state
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}. Start afresh without --resume.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"checkpoint {path} cannot be read ({reason}). Delete it and resume from the one before."
        ) from None


def newest_checkpoint(run: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read; damaged ones are said, and set aside as `*.pt.damaged`.

    Returns:
        Its content, or None if the run has no checkpoint.

    Raises:
        UserError: the run has checkpoints, and none can be read.
    """
    damaged = []
    for path in reversed(checkpoints(run)):
        try:
            state = load_checkpoint(path)
        except UserError as error:
            damaged.append(path)
            console.print(f"[yellow]{str(error).partition(' Delete it')[0]}", soft_wrap=True)
            continue
        for other in damaged:
            other.replace(other.with_name(f"{other.name}.damaged"))
        if damaged:
            told = f"[yellow]continuing from the one before, {path.name}, after step {state['step']}"
            console.print(told, soft_wrap=True)
        return state
    if damaged:
        raise UserError(
            f"none of the {len(damaged)} checkpoints in {damaged[0].parent} can be read. "
            "Start afresh with --overwrite."
        )
    return None


def take_back(run: Path, step: int) -> None:
    """Make a run folder one that was left after `step`: no later checkpoint, nothing half written.

    Later checkpoints are there if the run is continued from an older one by its name. Were they kept, the
    next resumption would find them, with a log that does not reach so far.
    """
    folder = Path(run)
    for path in checkpoints(folder):
        if int(_NAME.fullmatch(path.name)[1]) > step:  # type: ignore[index]  # checkpoints() matched it
            path.unlink()
    for path in [*folder.glob(".*"), *(folder / "checkpoints").glob(".*"), *(folder / "encoder").glob(".*")]:
        if _LEFT_OVER.fullmatch(path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def remove_run(run: Path) -> None:
    """Delete what pre-training wrote into a run folder, and nothing else."""
    folders = [Path(run) / name for name in ("checkpoints", "encoder", "evaluation")]
    for folder in [*folders, *Path(run).glob("nonfinite-step-*")]:
        shutil.rmtree(folder, ignore_errors=True)
    for name in (
        "config.yaml",
        "environment.json",
        "log.jsonl",
        "log.csv",
        "method.safetensors",
        "report.html",
    ):
        (Path(run) / name).unlink(missing_ok=True)
