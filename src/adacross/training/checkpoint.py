"""Checkpoints that are written whole or not at all, and found again.

A run keeps its two newest: should the newest be damaged, the one before still is there. A new one is safely
on the disk before the oldest goes.
"""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from adacross.console import console
from adacross.errors import UserError
from adacross.io.files import CACHED_FEATURES, read_yaml, remove_own, sweep, whole_file
from adacross.io.torch_files import load_plain

KEEP = 2
_NAME = re.compile(r"step-(\d{8})\.pt")
_TASKS = "linear|few-shot|fine-tune|part-seg|sem-seg|retrieval|robustness|images|compare|reconstruction"
_OWN = re.compile(
    r"config\.yaml|environment\.json|log\.jsonl|log\.csv|method\.safetensors|report\.html"
    r"|checkpoints/step-\d{8}\.pt(\.damaged)?"
    r"|encoder/(config\.json|model\.safetensors)"
    rf"|evaluation/({_TASKS})(-as-[\w-]+|-C-[\w.+-]+|-scanned)?(-episodes)?(\.json|\.(pieces|partial)/[^/]+\.(json|pt))"
    r"|evaluation/compare\.(md|csv)"
    rf"|{CACHED_FEATURES}"
    r"|nonfinite-step-\d{8}/(config\.yaml|step\.json|step\.pt)"
)  # what adacross writes into a run, by relative path


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
    except OSError as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({error.strerror or error}); "
            "expected a file of a run's checkpoints."
        ) from None
    except ValueError as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({error}). Delete it and resume from the one before."
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
            console.print(str(error).partition(" Delete it")[0], soft_wrap=True, style="yellow")
            continue
        for other in damaged:
            other.replace(other.with_name(f"{other.name}.damaged"))
        if damaged:
            told = f"continuing from the one before, {path.name}, after step {state['step']}"
            console.print(told, soft_wrap=True, style="yellow")
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
    for part in (folder, folder / "checkpoints", folder / "encoder"):
        sweep(part, alone=True)


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a run: a `config.yaml` that pre-training wrote, in any version.

    Other programs write files of that name, too; no other has these options.
    """
    try:
        options = read_yaml(Path(folder) / "config.yaml", "options of pre-training")
    except UserError:
        return False
    return (
        isinstance(options, dict) and {"collection", "method", "encoder", "weighting_args"} <= options.keys()
    )


def remove_run(run: Path) -> None:
    """Delete what adacross wrote into a run folder; any other file stays."""
    remove_own(Path(run), _OWN)
