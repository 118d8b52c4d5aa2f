"""Numbers that go wrong: the run stops before the step, names the term, and keeps the step."""

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_runs import configured, logged

from adacross.data.collection.collection import Collection
from adacross.data.transforms import RawBatch
from adacross.distributed.group import ProcessGroup
from adacross.errors import UserError
from adacross.methods import METHODS
from adacross.training.checkpoint import checkpoints, load_checkpoint, remove_run
from adacross.training.config import PretrainConfig
from adacross.training.loop import loss_terms
from adacross.training.networks import new_method
from adacross.training.nonfinite import NotFiniteError, finite_values
from adacross.training.pretrain import pretrain

OPTIONS: dict[str, Any] = {"epochs": 2, "monitor_every": 0}
STEP = 9  # of 14, in the second epoch


def poison(patch: pytest.MonkeyPatch, spoiled: Any, method: str = "adacrossnet") -> None:
    """From the tenth call on, `spoiled(term, parameter)` in place of the term `cross`."""
    original, calls = METHODS[method].losses, []

    def losses(self: Any, batch: Any) -> dict[str, Tensor]:
        calls.append(1)
        terms = original(self, batch)
        name = "cross" if "cross" in terms else next(iter(terms))
        parameter = self.shared_parameters()[0]
        return terms | {name: spoiled(terms[name], parameter)} if len(calls) > STEP else terms

    patch.setattr(METHODS[method], "losses", losses)


def infinite_slope(term: Tensor, parameter: Tensor) -> Tensor:
    """The same value; the square root's slope at 0 makes the gradient infinite times 0."""
    return term + (parameter - parameter.detach()).abs().sum().sqrt()


def kept(run: Path) -> Path:
    (folder,) = run.glob("nonfinite-step-*")
    assert folder.name == f"nonfinite-step-{STEP:08d}"
    return folder


def test_a_gradient_that_is_not_finite_stops_the_run_though_the_loss_is(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    poison(monkeypatch, infinite_slope)
    run = tmp_path / "run"
    message = (
        r"gradient of loss term 'cross' is not finite at step 9, .* It is that of point_head.*step-00000007"
    )
    with pytest.raises(UserError, match=message):
        pretrain(configured(toy_collection, run, **OPTIONS))
    assert logged(run, "step", "step") == list(range(1, STEP + 1))
    about = json.loads((kept(run) / "step.json").read_text())
    assert (about["what"], about["of"]) == ("gradient", ["cross"])
    assert math.isfinite(float(about["terms"]["cross"]))


@pytest.mark.slow
def test_the_kept_step_repeats_the_runs_own_numbers(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A healthy run logs the values that the dump of the spoiled one leads to: everything was kept."""
    whole = pretrain(configured(toy_collection, tmp_path / "whole", **OPTIONS))
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, lambda term, _: term * math.nan)
        with pytest.raises(
            UserError, match=r"'cross' became nan at step 9\. The step is kept in .*nonfinite"
        ):
            pretrain(configured(toy_collection, run, **OPTIONS))
    about = json.loads((kept(run) / "step.json").read_text())
    terms = logged(whole, "step", "terms")[STEP]
    assert about["terms"] == {"intra": str(terms["intra"]), "cross": "nan"}
    assert (about["what"], about["of"], about["step"]) == ("loss", ["cross"], STEP)
    assert set(about["shapes"]) <= set(toy_collection.ids)
    assert len(about["shapes"]) == 16
    config, state = PretrainConfig.load(kept(run)), load_checkpoint(kept(run) / "step.pt")
    method = new_method(config)
    method.load_state_dict(state["method"])
    batch, group = RawBatch(state["points"], state["views"]), ProcessGroup(torch.device("cpu"))
    again = loss_terms(method, batch, config, STEP, group)
    assert {name: float(value.detach()) for name, value in again.items()} == terms


@pytest.mark.slow
@pytest.mark.parametrize("weighting", ["gradnorm", "dwa"])
def test_weightings_with_and_without_gradient_norms_remember_nothing_of_the_step(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weighting: str
):
    """Stopped and resumed without the poison, the run is the one that had none."""
    options = OPTIONS | {"weighting": weighting}
    whole = pretrain(configured(toy_collection, tmp_path / "whole", **options))
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, infinite_slope)
        with pytest.raises(UserError, match="gradient of loss term 'cross' is not finite"):
            pretrain(configured(toy_collection, run, **options))
    pretrain(configured(toy_collection, run, resume="auto", **options))
    assert logged(run, "step", "terms", "weights") == logged(whole, "step", "terms", "weights")


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_learning_rate_beyond_reason_is_found(toy_collection: Collection, tmp_path: Path, precision: str):
    """Nothing is poisoned here. The weights of the second step overflow a matrix product."""
    run = tmp_path / "run"
    options = OPTIONS | {"learning_rate": 1e25, "precision": precision}
    cure = "Lower learning_rate or give clip_norm or raise temperature" + " or use precision float32" * (
        precision == "bf16"
    )
    with pytest.raises(UserError, match=rf"nan at step 1\..*No checkpoint is from before it\. {cure}, and"):
        pretrain(configured(toy_collection, run, **options))
    folder = run / "nonfinite-step-00000001"
    assert folder.exists()
    remove_run(run)
    assert not folder.exists()


@pytest.mark.slow
def test_a_masked_methods_step_is_kept_without_images(toy_collection: Collection, tmp_path: Path):
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, lambda term, _: term / 0, "joint-mae")
        with pytest.raises(
            UserError, match=r"became inf at step 9.*\. Lower learning_rate or give clip_norm, and start"
        ):
            pretrain(configured(toy_collection, run, method="joint-mae", **OPTIONS))
    assert load_checkpoint(kept(run) / "step.pt")["views"] is None


def test_a_full_disk_does_not_hide_the_term(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    poison(monkeypatch, lambda term, _: term * math.nan)
    run = tmp_path / "run"
    original = Path.write_bytes

    def write(path: Path, content: Any) -> int:
        if "step.pt" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(path, content)

    monkeypatch.setattr(Path, "write_bytes", write)
    message = r"'cross' became nan at step 9\. The step could not be kept: cannot write .*No space left"
    with pytest.raises(UserError, match=message):
        pretrain(configured(toy_collection, run, **OPTIONS))
    assert [path.name for path in checkpoints(run)] == ["step-00000007.pt"]
    assert not list(run.glob("*nonfinite*"))


def test_every_term_that_is_not_finite_is_named():
    terms = {"a": torch.tensor(math.inf), "b": torch.tensor(1.0), "c": torch.tensor(math.nan)}
    with pytest.raises(NotFiniteError, match=r"'a' became inf and 'c' became nan at step 3") as caught:
        finite_values(terms, 3)
    assert caught.value.about["of"] == ["a", "c"]
