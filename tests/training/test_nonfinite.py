"""Numbers that go wrong: the run stops before the step, names the term, and the step can be taken again."""

import errno
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_runs import configured, logged

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.methods import METHODS
from adacross.training.checkpoint import checkpoints, load_checkpoint, remove_run, save_state
from adacross.training.nonfinite import NotFiniteError, _first_culprit, _watch, finite_values, replay
from adacross.training.pretrain import pretrain

OPTIONS: dict[str, Any] = {"epochs": 2, "monitor_every": 0}
SMALL_DGCNN: dict[str, Any] = {"encoder": "dgcnn", "encoder_args": {"k": 5, "width": 32}}
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
    found = replay(kept(run))
    assert math.isfinite(found.terms["cross"])
    assert not math.isfinite(found.gradients["cross"])
    assert 0 < found.gradients["intra"] < math.inf
    assert found.module is None


def test_the_kept_step_repeats_the_runs_own_numbers_and_says_what_is_needed(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A healthy run logs the values that the replay of the spoiled one finds: all was kept."""
    whole = pretrain(configured(toy_collection, tmp_path / "whole", **OPTIONS))
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, lambda term, _: term * math.nan)
        with pytest.raises(
            UserError, match=r"'cross' became nan at step 9\. The step is kept in .*nonfinite"
        ):
            pretrain(configured(toy_collection, run, **OPTIONS))
    folder = kept(run)
    about = json.loads((folder / "step.json").read_text())
    terms = logged(whole, "step", "terms")[STEP]
    assert about["terms"] == {"intra": str(terms["intra"]), "cross": "nan"}
    assert (about["what"], about["of"]) == ("loss", ["cross"])
    shutil.copytree(folder, tmp_path / "elsewhere")
    shutil.rmtree(run)  # what is kept is enough
    found = replay(tmp_path / "elsewhere")
    assert found.terms == terms
    assert found.step == STEP
    assert found.shapes == about["shapes"]
    assert set(found.shapes) <= set(toy_collection.ids)
    assert len(found.shapes) == 16


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
def test_a_learning_rate_beyond_reason_is_found_and_the_network_named(
    toy_collection: Collection, tmp_path: Path, precision: str
):
    """Nothing is poisoned here. The weights of the second step overflow a matrix product."""
    run = tmp_path / "run"
    options = OPTIONS | {"learning_rate": 1e25, "precision": precision}
    cure = "Lower learning_rate or raise temperature" + " or use precision float32" * (precision == "bf16")
    with pytest.raises(UserError, match=rf"nan at step 1\..*No checkpoint is from before it\. {cure}, and"):
        pretrain(configured(toy_collection, run, **options))
    folder = run / "nonfinite-step-00000001"
    found = replay(folder)
    assert found.module == "encoder.layers.1.linear"
    assert all(math.isnan(value) for value in found.terms.values())
    remove_run(run)
    assert not folder.exists()


def test_a_masked_method_is_repeated_without_pictures(toy_collection: Collection, tmp_path: Path):
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, lambda term, _: term / 0, "joint-mae")
        with pytest.raises(UserError, match=r"became inf at step 9.*\. Lower learning_rate, and start"):
            pretrain(configured(toy_collection, run, method="joint-mae", **OPTIONS))
    assert load_checkpoint(kept(run) / "step.pt")["views"] is None
    assert all(math.isfinite(value) for value in replay(kept(run)).terms.values())


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
    assert caught.value.terms == ["a", "c"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "spoiled", "module"),
    [
        (
            {"encoder": "dgcnn", "encoder_args": {"k": 5, "width": 32}},
            "encoder.edges.1.linear",
            "encoder.edges.1",
        ),
        ({"encoder": "dgcnn", "encoder_args": {"k": 5, "width": 32}}, "encoder.last.linear", "encoder"),
        (
            {"encoder": "dgcnn-partseg", "encoder_args": {"k": 5}},
            "encoder.edges.0.second.linear",
            "encoder.edges.0",
        ),
        ({}, "encoder.last.linear", "encoder"),
        ({}, "encoder.layers.2.linear", "encoder.layers.2.linear"),
        ({}, "towers.gray.encoder.layer2.0.conv1", "towers.gray.encoder.layer2.0.conv1"),
        ({"method": "joint-mae"}, "encoder.embeddings.1.last", "encoder.embeddings.1"),
        ({"method": "point-m2ae"}, "encoder.embeddings.0.second.linear", "encoder.embeddings.0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_first_module_that_overflowed_is_named_even_if_it_is_fused(
    toy_collection: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    spoiled: str,
    module: str,
):
    """One weight of a kept step is made too large for a product."""
    poison(monkeypatch, lambda term, _: term * math.nan, options.get("method", "adacrossnet"))
    with pytest.raises(UserError, match="became nan at step 9"):
        pretrain(configured(toy_collection, tmp_path / "run", **OPTIONS | options))
    monkeypatch.undo()
    folder = kept(tmp_path / "run")
    state = load_checkpoint(folder / "step.pt")
    state["method"][f"{spoiled}.weight"].fill_(3e38)
    save_state(folder / "step.pt", state)
    found = replay(folder)
    assert not all(map(math.isfinite, found.terms.values()))
    assert found.module == module


def test_a_module_that_no_strange_term_depends_on_is_not_blamed():
    """The first to overflow feeds a healthy term; the second, of larger weights, the other."""
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    first.weight.data.fill_(3e38)
    second.weight.data.fill_(3e38)
    found: dict[str, list[Tensor]] = {}
    for name, layer in (("first", first), ("second", second)):
        layer.register_forward_hook(_watch(name, found), with_kwargs=True)
    x = torch.full((1, 2), 10.0)
    made = [layer(x).sum() for layer in (first, second)]
    assert list(found) == ["first", "second"]
    assert _first_culprit(found, [made[1]]) == "second"
    assert _first_culprit(found, made) == "first"
    assert _first_culprit(found, []) is None


@pytest.mark.parametrize("damage", ["missing", "torn"])
def test_what_is_no_kept_step_is_refused(tmp_path: Path, damage: str):
    if damage == "torn":
        (tmp_path / "step.json").write_text('{"step": ')
    with pytest.raises(UserError, match=r"step\.json"):
        replay(tmp_path)
