"""A run's folder: its checkpoints, its identity, and the files that are its own.

While a run trains, the newest two checkpoints are kept: should the newest be damaged, the one before still is
there. A new one is safely on the disk before the oldest goes.
"""

import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from adacross.console import console
from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.io.files import CACHED_FEATURES, read_json, read_yaml, remove_own, sweep, whole_file
from adacross.io.weights import load_plain
from adacross.training.config import PretrainConfig, current_names

KEEP = 2  # checkpoints while training
_NAME = re.compile(r"step-(\d{8})\.pt")
_TASKS = "linear|few-shot|fine-tune|part-seg|sem-seg|retrieval|robustness|images|compare|reconstruction"
_OWN = re.compile(
    r"config\.yaml|environment\.json|log\.jsonl|log\.csv|method\.safetensors|report\.html"
    r"|checkpoints/(step-\d{8}\.pt(\.damaged)?|best-on-test\.pt)"
    r"|tensorboard/([\d.]+/)?(events\.out\.tfevents\.[\w.-]+|hparams\.yml)"
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


def save_checkpoint(run: Path, step: int, state: dict[str, Any], keep: int | None = None) -> Path:
    """Write `state` as the run's newest checkpoint, then remove all but the newest `keep` (2)."""
    path = Path(run) / "checkpoints" / f"step-{step:08d}.pt"
    save_state(path, state)
    remove_checkpoints(run, keep or KEEP)
    return path


def remove_checkpoints(run: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, at least 1."""
    for old in checkpoints(run)[:-keep]:
        old.unlink(missing_ok=True)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all."""
    content = BytesIO()  # torch's own writer hides a full disk behind a RuntimeError
    torch.save(state, content)
    with whole_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's tensors and plain values; code in it is refused, not run."""
    try:
        state = load_plain(path)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}")
        return state
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}. Start afresh without --resume.") from None
    except OSError as error:
        reason, advice = str(error.strerror or error), "; expected a file of a run's checkpoints."
    except ValueError as error:
        reason, advice = str(error), ". Delete it and resume from the one before."
    raise UserError(f"checkpoint {path} cannot be read ({reason}){advice}")


def newest_checkpoint(run: Path) -> dict[str, Any] | None:
    """Return the newest checkpoint that can be read, None of a run that has none; refuse if none can.

    Damaged ones are named, and renamed to `*.pt.damaged` once an older one can be read.
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


def rollback(run: Path, step: int) -> None:
    """Remove checkpoints after `step`, which the log does not reach, and whatever is half written."""
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
    own = {"collection", "method", "encoder", "weighting_args"}
    return isinstance(options, dict) and own <= options.keys()


def remove_run(run: Path) -> None:
    """Delete what adacross wrote into a run folder; any other file stays."""
    remove_own(Path(run), _OWN)


def identity_of(
    folder: Path, config: PretrainConfig, collection: Collection, checkpoint: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what the checkpoints of a run say of it: "run", a random name, its "options", and its "data".

    The name is in `environment.json`, too; where that is lost, the `checkpoint` to continue from has it.
    """
    path = folder / "environment.json"
    kept = None
    with suppress(UserError):
        kept = read_json(path, "a run's environment")
    if not isinstance(kept, dict) and (kept := (checkpoint or {}).get("identity")):
        console.print(f"{path} is lost; the checkpoint says which run this is.", style="yellow")
    run = kept.get("run") if isinstance(kept, dict) else None
    name = run if isinstance(run, str) else secrets.token_hex(8)
    return {"run": name, "options": config.compared(), "data": collection.digest()}


def check_identity(checkpoint: Mapping[str, Any], own: Mapping[str, Any], config: PretrainConfig) -> None:
    """Refuse a checkpoint of another run, other options or other shapes than `identity_of` this run."""
    kept = checkpoint.get("identity")
    if kept is None:
        console.print("the checkpoint is from adacross 0.1: whether it saw the same shapes is not known.")
        return
    if not isinstance(kept, dict) or not isinstance(kept.get("options"), dict):
        raise UserError("the checkpoint's identity is damaged. Resume from the checkpoint before it.")
    config.must_match(current_names(kept["options"]))
    if kept.get("data") != own["data"]:
        raise UserError(
            f"{config.collection} holds other shapes than the run was trained on, or the same ones "
            "prepared with other options. Give the run's own collection, or another --run."
        )
    if kept.get("run") != own["run"]:
        raise UserError(
            "the checkpoint belongs to another run. Resume from one of this run, or give another --run."
        )
