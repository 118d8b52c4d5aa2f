"""`FrameAveraged`: the same features in any orientation, one frame while training, saved and loaded."""

from pathlib import Path

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

import adacross
from adacross.encoders import FrameAveraged, build_encoder
from adacross.features.sources import untrained_like
from adacross.ops.frames import principal_frames

SMALL = {
    "pointnet": {"width": 16},
    "dgcnn": {"k": 5, "width": 16},
    "point-m2ae": {
        "groups": [16, 8, 4],
        "neighbors": [4, 4, 4],
        "dims": [16, 32, 48],
        "width": 8,
        "heads": 4,
    },
}


@pytest.fixture
def clouds() -> Tensor:
    return torch.randn(4, 64, 3) * torch.tensor([0.4, 0.25, 0.1])


@pytest.fixture
def rotation() -> Tensor:
    return torch.from_numpy(Rotation.random(random_state=0).as_matrix()).float()


@pytest.mark.parametrize("kind", SMALL)
def test_features_do_not_depend_on_the_orientation(kind: str, clouds: Tensor, rotation: Tensor) -> None:
    encoder = FrameAveraged(kind, SMALL[kind]).eval()
    turned = clouds @ rotation
    torch.testing.assert_close(encoder(turned), encoder(clouds), atol=1e-4, rtol=1e-3)
    assert not torch.allclose(encoder.encoder(turned), encoder.encoder(clouds), atol=1e-2)
    for before, after in zip(encoder.both_features(clouds), encoder.both_features(turned), strict=True):
        torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(encoder.point_features(clouds), encoder.both_features(clouds)[0])


def test_they_are_the_mean_over_the_frames_and_of_one_while_training(clouds: Tensor) -> None:
    encoder = FrameAveraged("pointnet", {"width": 16}).eval()
    seen = [clouds @ frame.mT for frame in principal_frames(clouds).unbind(1)]
    torch.testing.assert_close(encoder(clouds), torch.stack([encoder.encoder(each) for each in seen]).mean(0))
    encoder.train()
    alike = build_encoder("pointnet", width=16).train()
    alike.load_state_dict(encoder.encoder.state_dict())
    torch.testing.assert_close(encoder(clouds), alike(seen[0]))


def test_it_is_saved_and_loaded(clouds: Tensor, tmp_path: Path) -> None:
    encoder = FrameAveraged("dgcnn", {"k": 5, "width": 16}).eval()
    encoder.save_pretrained(tmp_path)
    loaded = adacross.load(tmp_path)
    assert loaded.options == {"encoder": "dgcnn", "encoder_args": {"k": 5, "width": 16, "fused": True}}
    assert loaded.inputs.up == "any"
    assert torch.equal(loaded(clouds), encoder(clouds))
    assert untrained_like(loaded, 0)(clouds).shape == (4, loaded.dim)


def test_one_of_upright_clouds_is_taken_over(clouds: Tensor, rotation: Tensor) -> None:
    upright = adacross.load("builtin-small")
    encoder = FrameAveraged.around(upright)
    assert encoder.inputs.points == upright.inputs.points
    assert not encoder.training
    torch.testing.assert_close(encoder(clouds @ rotation), encoder(clouds), atol=1e-4, rtol=1e-3)


def test_an_encoder_without_features_of_points_has_none_here() -> None:
    assert FrameAveraged("pointnet", {"width": 16}).has_point_features
    assert not FrameAveraged("test_frame_averaged:Clouds").has_point_features


def test_an_encoder_of_another_package_that_needs_memory_is_loaded(clouds: Tensor, tmp_path: Path) -> None:
    encoder = FrameAveraged("test_frame_averaged:Clouds").eval()
    encoder.save_pretrained(tmp_path)
    assert torch.equal(adacross.load(tmp_path)(clouds), encoder(clouds))


class Clouds(adacross.Encoder):
    """An encoder of clouds alone, which looks at numbers while it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.dim = int(torch.full((1,), 3.0).item())

    def forward(self, points: Tensor) -> Tensor:
        return points.amax(1)
