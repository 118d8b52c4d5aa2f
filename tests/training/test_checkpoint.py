"""Checkpoints: whole or not at all, nothing executed, the newest two kept."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.errors import UserError
from adacross.training.checkpoint import checkpoints, load_checkpoint, remove_run, save_checkpoint


def state(step: int) -> dict[str, object]:
    return {"step": step, "method": {"weight": torch.full((3,), float(step))}, "weighting": {"w": 0.5}}


def test_round_trip(tmp_path: Path):
    loaded = load_checkpoint(save_checkpoint(tmp_path, 7, state(7)))
    assert loaded["step"] == 7
    assert torch.equal(loaded["method"]["weight"], torch.full((3,), 7.0))


def test_newest_two_are_kept_in_order(tmp_path: Path):
    for step in (5, 10, 100, 1000):
        save_checkpoint(tmp_path, step, state(step))
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000100.pt", "step-00001000.pt"]


def test_code_in_a_checkpoint_is_refused_not_run(tmp_path: Path):
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    path = tmp_path / "checkpoints" / "step-00000001.pt"
    path.parent.mkdir()
    torch.save({"step": Evil()}, path)
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(path)
    assert not (tmp_path / "executed").exists()


def test_nobody_is_told_to_delete_a_run_folder(tmp_path: Path):
    with pytest.raises(UserError, match="expected a file of a run's checkpoints") as told:
        load_checkpoint(tmp_path)
    assert "Delete" not in str(told.value)


@pytest.mark.parametrize("damage", ["truncate", "garbage", "empty", "missing"])
def test_damaged_checkpoints_are_named(tmp_path: Path, damage: str):
    path = save_checkpoint(tmp_path, 3, state(3))
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"truncate": content[:-200], "garbage": b"\x80\x02hello" * 40, "empty": b""}[damage])
    with pytest.raises(UserError, match=path.name):
        load_checkpoint(path)


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path):
    """torch does not compare the checksums that its archives carry: nearly all of these would load."""
    given = {"step": 3, "method": {"weight": torch.randn(40, 40)}, "weighting": {"w": {"intra": 0.5}}}
    path = save_checkpoint(tmp_path, 3, given)
    content = path.read_bytes()
    rng = np.random.default_rng()
    refused = 0
    for place in rng.integers(len(content), size=200):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            loaded = load_checkpoint(path)
        except UserError:
            refused += 1
        else:  # in what fills the gaps between the archive's parts
            assert torch.equal(loaded["method"].pop("weight"), given["method"]["weight"])
            assert loaded == given | {"method": {}}
    assert refused > 100


@pytest.mark.slow
def test_a_full_disk_is_one_clear_error_and_keeps_the_last_good_checkpoint(tmp_path: Path):
    """A real limit on file size, in a process of its own. Without -B it might cut a module's bytecode."""
    save_checkpoint(tmp_path, 1, state(1))
    program = f"""
import resource, signal, sys, torch
from pathlib import Path
from adacross.errors import UserError
from adacross.training.checkpoint import save_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save_checkpoint(Path({str(tmp_path)!r}), 2, {{"step": 2, "weights": torch.zeros(100_000)}})
except UserError as error:
    print(error)
    sys.exit(2)
"""
    done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stdout
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001.pt"]
    assert load_checkpoint(checkpoints(tmp_path)[-1])["step"] == 1


def test_remove_run_leaves_what_it_did_not_write(tmp_path: Path):
    save_checkpoint(tmp_path, 1, state(1))
    (tmp_path / "config.yaml").write_text("a: 1")
    own = (
        "linear.json", "linear-as-crosspoint.json", "linear-C-0.1.json", "few-shot-episodes.json",
        "compare.md", "few-shot.pieces/protocol.json", "part-seg-as-crosspoint.pieces/100.pt",
        "linear-scanned.json",
    )  # fmt: skip
    foreign = {
        "notes.txt", "evaluation/linear.ipynb", "evaluation/linear-notes.json", "evaluation/compare.xlsx",
        "evaluation/retrieval-paper.pdf", "search/mine.safetensors",
        "features/mine.safetensors", "checkpoints/.notes.2024.old",
    }  # fmt: skip
    for name in (
        *(f"evaluation/{name}" for name in own),
        f"features/features-{'0' * 20}.safetensors",
        f"features/block00000256-{'0' * 20}.safetensors",
        f"search/features-{'0' * 20}.safetensors",  # version 0.1's
        *foreign,
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    remove_run(tmp_path)
    assert {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    } == foreign
