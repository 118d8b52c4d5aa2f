"""Segmentation heads against the published layers, written out on repeated features."""

import pytest
import torch
from torch import nn

from adacross.encoders import (
    DGCNNPartSeg,
    DGCNNSemSeg,
    PartSegHead,
    PointNetPartSeg,
    PointNetPartSegHead,
    SemSegHead,
)
from adacross.errors import UserError

CATEGORY = torch.tensor([3, 0, 2])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def plain(layer, x):
    """A layer as published: convolution of size 1, BatchNorm, activation; x is `(B, C, N)`."""
    y = nn.functional.conv1d(x, layer.linear.weight[:, :, None], layer.linear.bias)
    y = nn.functional.batch_norm(y, None, None, layer.norm.weight, layer.norm.bias, training=True)
    return nn.functional.leaky_relu(y, layer.negative_slope)


def features(local, width):
    return torch.randn(3, 40, local, dtype=torch.float64), torch.randn(3, width, dtype=torch.float64)


def repeated(point_features, *of_cloud):
    """Features of the cloud, repeated to its points, above the points' own: `(B, C, N)`."""
    clouds = [feature[:, :, None].expand(-1, -1, point_features.shape[1]) for feature in of_cloud]
    return torch.cat([*clouds, point_features.transpose(1, 2)], 1)


def same(found, layers, last, x):
    for layer in layers:
        x = plain(layer, x)
    expected = nn.functional.conv1d(x, last.weight[:, :, None], last.bias).transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_part_segmentation_is_the_published_head():
    head = PartSegHead(24, local=12, categories=5, parts=7, dropout=0.0).double()
    points, cloud = features(12, 24)
    label = plain(head.label, nn.functional.one_hot(CATEGORY, 5).double()[:, :, None])[:, :, 0]
    found = head(points, cloud, CATEGORY)
    assert found.shape == (3, 40, 7)
    same(found, [head.join, *head.layers], head.last, repeated(points, cloud, label))


def test_pointnet_part_segmentation_is_the_published_head():
    head = PointNetPartSegHead(24, local=12, categories=5, parts=7).double()
    points, cloud = features(12, 24)
    onehot = nn.functional.one_hot(CATEGORY, 5).double()
    same(
        head(points, cloud, CATEGORY),
        [head.join, *head.layers],
        head.last,
        repeated(points, cloud, onehot),
    )


def test_semantic_segmentation_is_the_published_head():
    head = SemSegHead(24, local=12, classes=4, dropout=0.0).double()
    points, cloud = features(12, 24)
    same(head(points, cloud), [head.join, head.layer], head.last, repeated(points, cloud))


def test_papers_sizes():
    def weights(head):
        return [tuple(tensor.shape) for tensor in head.parameters() if tensor.ndim == 2]

    assert weights(PartSegHead()) == [(64, 16), (256, 1280), (256, 256), (128, 256), (50, 128)]
    assert weights(PointNetPartSegHead()) == [(256, 4944), (256, 256), (128, 256), (50, 128)]
    assert weights(SemSegHead()) == [(512, 1216), (256, 512), (13, 256)]
    assert [head.dropout.p for head in (PartSegHead(), SemSegHead())] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("encoder", "head"),
    [
        (DGCNNPartSeg(k=5, width=16), PartSegHead(16)),
        (DGCNNSemSeg(k=5, width=16), SemSegHead(16)),
        (PointNetPartSeg(width=16), PointNetPartSegHead(16)),
    ],
    ids=["dgcnn-partseg", "dgcnn-semseg", "pointnet-partseg"],
)
def test_an_encoder_and_its_head_learn_together(encoder, head):
    category = () if isinstance(head, SemSegHead) else (CATEGORY,)
    points = torch.randn(3, 40, 3)
    head(*encoder.both_features(points), *category).square().mean().backward()
    for network in (encoder, head):
        assert all(torch.isfinite(tensor.grad).all() for tensor in network.parameters())
    encoder.eval(), head.eval()
    scores = head(*encoder.both_features(points), *category)
    one = head(*encoder.both_features(points[:1]), *(value[:1] for value in category))
    torch.testing.assert_close(one, scores[:1], rtol=1e-4, atol=1e-4)


def test_the_category_matters():
    head = PartSegHead(8, local=4).eval()
    points, cloud = torch.randn(1, 40, 4), torch.randn(1, 8)
    assert not torch.equal(head(points, cloud, torch.tensor([1])), head(points, cloud, torch.tensor([2])))


@pytest.mark.parametrize("head", [PartSegHead(8, local=4), PointNetPartSegHead(8, local=4)])
def test_refusals_say_what_to_do(head):
    points, cloud = torch.randn(3, 40, 4), torch.randn(3, 8)
    for wrong in ([0, 16, 1], [0, -1, 1]):
        with pytest.raises(UserError, match=r"categories run from .* knows 0 to 15"):
            head(points, cloud, torch.tensor(wrong))


def test_a_batch_of_one_cannot_train():
    head = PartSegHead(8, local=4)
    arguments = torch.randn(1, 40, 4), torch.randn(1, 8), torch.tensor([1])
    with pytest.raises(UserError, match="batch of 1"):
        head(*arguments)
    assert head.eval()(*arguments).shape == (1, 40, 50)
