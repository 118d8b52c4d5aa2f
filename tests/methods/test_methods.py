"""Each method's terms, against their equations written out."""

import pytest
import torch

from adacross.encoders import PointNet, ResNet
from adacross.losses.nt_xent import nt_xent
from adacross.methods import METHODS, AdaCrossNet, Batch, CrossNet, CrossPoint, build_method
from adacross.methods.crossnet import crossnet_terms


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(0)
    return Batch(torch.randn(2, 6, 40, 3), torch.randn(6, 3, 32, 32), torch.randn(6, 1, 32, 32))


def built(name: str) -> CrossPoint | CrossNet:
    torch.manual_seed(1)
    method = build_method(name, PointNet(width=32), image_depth=18, image_width=8)
    return method.eval()


def test_crosspoint_compares_the_mean_of_raw_projections(batch: Batch):
    method = built("crosspoint")
    z1, z2 = (method.embed_clouds(cloud) for cloud in batch.clouds)
    pictures = method.embed_pictures(batch.rgb)
    terms = method.losses(batch)
    assert torch.allclose(terms["intra"], nt_xent(z1, z2, 0.1))
    assert torch.allclose(terms["cross"], nt_xent((z1 + z2) / 2, pictures, 0.1))
    assert set(terms) == {"intra", "cross"}


@pytest.mark.parametrize("name", ["crossnet", "adacrossnet"])
def test_crossnet_pairs_cloud_one_with_rgb_and_cloud_two_with_gray(batch: Batch, name: str):
    method = built(name)
    x1, x2 = (method.embed_clouds(cloud) for cloud in batch.clouds)
    rgb, gray = method.embed_pictures(batch.rgb), method.gray_head(method.gray_encoder(batch.gray))
    terms = method.losses(batch)
    assert torch.allclose(terms["intra"], nt_xent(x1, x2, 0.2))
    assert torch.allclose(terms["cross"], nt_xent(torch.cat([x1, x2]), torch.cat([rgb, gray]), 0.2))


def test_masking_leaves_the_other_vectors_of_the_object_out():
    """With an object's four vectors equal the released term cannot fall below ln 3; the masked one can."""
    vectors = 50 * torch.eye(8)
    released = crossnet_terms(vectors, vectors, vectors, vectors, 0.05)
    masked = crossnet_terms(vectors, vectors, vectors, vectors, 0.05, mask_same_object=True)
    assert released["cross"].item() == pytest.approx(torch.tensor(3.0).log().item(), abs=1e-4)
    assert masked["cross"].item() == pytest.approx(0, abs=1e-4)
    assert torch.equal(released["intra"], masked["intra"])


def test_both_clouds_share_one_pass_and_so_their_batch_statistics(batch: Batch):
    method = built("adacrossnet").train()
    calls = []
    method.encoder.register_forward_hook(lambda module, inputs, output: calls.append(inputs[0].shape))
    method.losses(batch)
    assert calls == [(12, 40, 3)]


def test_every_network_gets_a_gradient(batch: Batch):
    for name in METHODS:
        method = built(name).train()
        sum(method.losses(batch).values()).backward()
        missing = [
            key for key, value in method.named_parameters() if value.grad is None or not value.grad.any()
        ]
        # The bias before a BatchNorm has none to rounding; all else must learn.
        assert [key for key in missing if key != "point_head.0.bias"] == [], name


def test_each_method_has_its_papers_weighting_and_temperature():
    assert (built("crosspoint").temperature, CrossPoint.weighting) == (0.1, "fixed")
    assert (built("crossnet").temperature, CrossNet.weighting) == (0.2, "fixed")
    assert (built("adacrossnet").temperature, AdaCrossNet.weighting) == (0.2, "adacrossnet")


def test_image_towers_read_three_channels_and_one():
    method = built("adacrossnet")
    assert isinstance(method.rgb_encoder, ResNet)
    assert method.rgb_encoder.conv1.in_channels == 3
    assert method.gray_encoder.conv1.in_channels == 1
