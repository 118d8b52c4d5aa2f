"""Every method under every weighting, and weightings with a memory over an interruption."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy_runs import PowerCutError, configured, cut_power, logged, same

from adacross.data.collection.collection import Collection
from adacross.losses.weighting import WEIGHTINGS
from adacross.methods import METHODS
from adacross.training.config import PretrainConfig
from adacross.training.pretrain import pretrain


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_every_method_trains_with_every_weighting(
    toy_collection: Collection, tmp_path: Path, method: str, weighting: str
):
    options = {"method": method, "weighting": weighting, "epochs": 1, "monitor_every": 0, "batch_size": 48}
    run = pretrain(configured(toy_collection, tmp_path / "run", **options))
    steps = logged(run, "step", "loss", "terms", "weights")
    assert len(steps) == 119 // 48
    for step in steps:
        weighted = [step["weights"][name] * value for name, value in step["terms"].items()]
        assert np.isfinite(weighted).all()
        assert step["loss"] == pytest.approx(sum(weighted))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weighting", "arguments"),
    [
        ("gradnorm", {}),
        ("uncertainty", {}),
        ("adacrossnet", {}),
        ("convergence", {"short": 2.0, "long": 5.0}),
        ("dwa", {"period": 3}),
        ("softadapt", {"period": 3, "beta": 2.0}),
    ],
)
def test_a_resumed_run_weighs_as_if_nothing_had_happened(
    toy_collection: Collection, tmp_path: Path, weighting: str, arguments: dict[str, Any]
):
    """Cut off in the middle of the second epoch, it goes on from the checkpoint after the first."""
    options = {"weighting": weighting, "weighting_args": arguments, "epochs": 2, "monitor_every": 0}
    whole = pretrain(configured(toy_collection, tmp_path / "whole", **options))
    run = tmp_path / "cut"
    with pytest.MonkeyPatch.context() as patch:
        cut_power(patch, step=10)
        with pytest.raises(PowerCutError):
            pretrain(configured(toy_collection, run, **options))
    pretrain(configured(toy_collection, run, resume="auto", **options))
    taken = ("step", "terms", "weights", "lr")
    assert logged(run, "step", *taken) == logged(whole, "step", *taken)
    weights = logged(run, "step", "weights")
    assert weights[7] != weights[0]  # it had something to remember
    assert same(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize("term", ["intra", "cross"])
def test_an_ablation_trains_as_if_the_other_term_did_not_exist(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: str
):
    """The recipes with one term alone give the other the weight 0."""
    recipe = PretrainConfig.recipe(f"adacrossnet_{term}_only", str(toy_collection.folder))
    assert recipe.method == "adacrossnet"
    options = {"weighting": "fixed", "epochs": 1, "monitor_every": 0}
    weights = {"weighting_args": recipe.weighting_args}
    run = pretrain(configured(toy_collection, tmp_path / "run", **options, **weights))
    assert logged(run, "step", "weights")[-1] == {"intra": 0.0, "cross": 0.0} | {term: 1.0}
    both = METHODS["adacrossnet"].losses
    monkeypatch.setattr(METHODS["adacrossnet"], "losses", lambda self, batch: {term: both(self, batch)[term]})
    alone = pretrain(configured(toy_collection, tmp_path / "alone", **options))
    first, second = (load_file(each / "encoder" / "model.safetensors") for each in (run, alone))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
