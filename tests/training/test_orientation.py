"""Clouds in any orientation: what is trained on them, and what the encoder says of it."""

from pathlib import Path

import pytest
import torch
from toy import TOY

import adacross
from adacross.encoders import FrameAveraged, PointM2AE
from adacross.training.config import PretrainConfig
from adacross.training.networks import new_method, warm_start


@pytest.mark.parametrize("method", ["crosspoint", "joint-mae"])
def test_clouds_are_turned_out_of_the_upright(method: str) -> None:
    flat = torch.rand(3, 100, 3) * torch.tensor([1.0, 0.0, 1.0])  # in the plane across the upright axis
    for orientation, tilted in (("up", False), ("any", True)):
        config = PretrainConfig("none", method=method, orientation=orientation)  # type: ignore[arg-type]
        drawn = new_method(config).augment(flat, torch.Generator().manual_seed(0))
        spread = drawn[..., 1].std(1)
        assert bool((spread > 0.1).all()) == tilted


def test_the_encoder_is_averaged_over_frames(toy_collection: adacross.Collection, tmp_path: Path) -> None:
    options = TOY | {"epochs": 1, "monitor_every": 0, "orientation": "any"}
    run = adacross.pretrain(toy_collection, run=str(tmp_path / "run"), **options)
    encoder = adacross.load(run.folder)
    assert encoder.inputs.up == "any"
    assert encoder.options["encoder"] == "pointnet"
    cloud = torch.randn(1, 64, 3) * torch.tensor([0.4, 0.2, 0.1])
    torch.testing.assert_close(encoder(cloud.roll(1, 2)), encoder(cloud), atol=1e-4, rtol=1e-3)
    again = adacross.pretrain(toy_collection, run=str(tmp_path / "more"), **options, init=str(run.folder))
    assert adacross.load(again.folder).kind == encoder.kind


def test_an_encoder_of_upright_clouds_may_begin_it(toy_run: Path) -> None:
    upright = adacross.load(toy_run)
    encoder = FrameAveraged("pointnet", upright.options)
    warm_start(encoder, str(toy_run))
    assert all(map(torch.equal, encoder.encoder.state_dict().values(), upright.state_dict().values()))
    with pytest.raises(adacross.UserError, match=r"init .* is a FrameAveraged with .*'width': 32"):
        warm_start(FrameAveraged("pointnet", {"width": 16}), str(toy_run))


def test_masked_methods_learn_rotated_clouds_as_they_are() -> None:
    method = new_method(PretrainConfig("none", method="point-m2ae", orientation="any"))
    assert isinstance(method.encoder, PointM2AE)
