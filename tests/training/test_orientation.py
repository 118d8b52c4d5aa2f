"""Clouds in any orientation: what is trained on them, and what the encoder says of it."""

from pathlib import Path

import pytest
import torch
from toy import TOY

import adacross
from adacross.training.config import PretrainConfig
from adacross.training.networks import new_method


@pytest.mark.parametrize("method", ["crosspoint", "joint-mae"])
def test_clouds_are_turned_out_of_the_upright(method: str) -> None:
    flat = torch.rand(3, 100, 3) * torch.tensor([1.0, 0.0, 1.0])  # in the plane across the upright axis
    for orientation, tilted in (("up", False), ("any", True)):
        config = PretrainConfig("none", method=method, orientation=orientation)  # type: ignore[arg-type]
        drawn = new_method(config).augment(flat, torch.Generator().manual_seed(0))
        spread = drawn[..., 1].std(1)
        assert bool((spread > 0.1).all()) == tilted


def test_the_encoder_says_so(toy_collection: adacross.Collection, tmp_path: Path) -> None:
    options = TOY | {"epochs": 1, "monitor_every": 0, "orientation": "any"}
    run = adacross.pretrain(toy_collection, run=str(tmp_path / "run"), **options)
    assert adacross.load(run.folder).inputs.up == "any"
