"""Encoders with segmentation heads: one pass gives what two give, and everything is trained."""

import pytest
import torch
from torch import nn
from toy import TOY_M2AE

from adacross.encoders import (
    DGCNN,
    DGCNNPartSeg,
    DGCNNSemSeg,
    PartSegHead,
    PointM2AE,
    PointNet,
    PointNetPartSeg,
    PointNetPartSegHead,
)
from adacross.errors import UserError
from adacross.evaluation.segmentation import segmenter, with_neighbors
from adacross.nn.heads import PointM2AEPartSegHead

ENCODERS = {
    "pointnet": lambda: PointNet(width=24),
    "dgcnn": lambda: DGCNN(k=5, width=24),
    "pointnet-partseg": lambda: PointNetPartSeg(width=24),
    "dgcnn-partseg": lambda: DGCNNPartSeg(k=5, width=24),
    "dgcnn-semseg": lambda: DGCNNSemSeg(k=5, width=24),
    "point-m2ae": lambda: PointM2AE(**TOY_M2AE | {"depths": [1, 1, 1]}),
}
CATEGORY = torch.tensor([2, 0, 1])


@pytest.fixture(params=ENCODERS)
def encoder(request):
    torch.manual_seed(0)
    return ENCODERS[request.param]()


@pytest.fixture
def points():
    return torch.randn(3, 40, 3, generator=torch.Generator().manual_seed(1))


def test_one_pass_gives_what_two_give(encoder, points):
    encoder.eval()
    local, feature = encoder.both_features(points)
    assert local.shape[2] == encoder.point_dim
    torch.testing.assert_close(local, encoder.point_features(points))
    torch.testing.assert_close(feature, encoder(points))


def test_a_pass_while_training_moves_batchnorm_once(points):
    for make in ENCODERS.values():
        encoder = make().train()
        encoder.both_features(points)
        counts = [module.num_batches_tracked for module in encoder.modules() if hasattr(module, "momentum")]
        assert counts
        assert all(count == 1 for count in counts)


@pytest.mark.parametrize("kind", ["parts", "scene"])
def test_scores_for_every_point_and_gradients_everywhere(encoder, points, kind):
    network = segmenter(encoder, 7, categories=3 if kind == "parts" else None)
    network.train()
    scores = network(points, CATEGORY)
    assert scores.shape == (3, 40, 7)
    nn.functional.cross_entropy(scores.flatten(0, 1), torch.randint(7, (120,))).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


def test_points_keep_their_scores_in_another_order_and_batch(encoder, points):
    network = segmenter(encoder, 7, categories=3).eval()
    if isinstance(encoder, PointM2AE):  # its farthest points begin with the first
        order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(39)])
    else:
        order = torch.randperm(40)
    with torch.no_grad():
        scores = network(points, CATEGORY)
        torch.testing.assert_close(
            network(points[:, order], CATEGORY), scores[:, order], atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(network(points[1:2], CATEGORY[1:2]), scores[1:2], atol=1e-5, rtol=1e-4)


def test_the_category_matters_to_a_head_that_is_told_it(encoder, points):
    other = (CATEGORY + 1) % 3
    with torch.no_grad():
        told, untold = segmenter(encoder, 7, categories=3).eval(), segmenter(encoder, 7).eval()
        assert not torch.allclose(told(points, CATEGORY), told(points, other))
        assert torch.equal(untold(points, CATEGORY), untold(points, other))


def test_every_encoder_gets_the_head_of_its_paper():
    heads = {name: segmenter(make(), 50, categories=16).head for name, make in ENCODERS.items()}
    assert {name for name, head in heads.items() if type(head) is PartSegHead} == {
        "pointnet", "dgcnn", "dgcnn-partseg", "dgcnn-semseg"
    }  # fmt: skip
    assert type(heads["pointnet-partseg"]) is PointNetPartSegHead
    assert type(heads["point-m2ae"]) is PointM2AEPartSegHead


def test_point_m2aes_head_has_the_papers_widths():
    head = PointM2AEPartSegHead()
    shapes = [tuple(tensor.shape) for tensor in head.parameters() if tensor.ndim == 2]
    levels = [(1024, 96), (1024, 192), (1024, 384)]
    assert shapes == [*levels, (64, 16), (1024, 6208), (512, 1024), (256, 512), (50, 256)]
    small = segmenter(PointM2AE(**TOY_M2AE), 7, categories=3).head
    assert small.join.linear.out_features == round(1024 * 48 / 384)


def test_point_m2aes_head_written_out(points):
    """Features repeated to the points, layers as convolutions of size 1."""
    torch.manual_seed(0)
    head = PointM2AEPartSegHead((4, 6), categories=3, parts=5, width=16, dropout=0.0).double().train()
    local, cloud = torch.randn(3, 40, 10).double(), torch.zeros(3, 2).double()

    def plain(layer, x):
        y = nn.functional.conv1d(x, layer.linear.weight[:, :, None])
        y = nn.functional.batch_norm(y, None, None, layer.norm.weight, layer.norm.bias, training=True)
        return nn.functional.leaky_relu(y, layer.negative_slope)

    x = torch.cat([plain(head.levels[0], local.mT[:, :4]), plain(head.levels[1], local.mT[:, 4:])], 1)
    onehot = nn.functional.one_hot(CATEGORY, 3).double()[:, :, None]
    whole = torch.cat([x.amax(2, keepdim=True) + x.mean(2, keepdim=True), plain(head.label, onehot)], 1)
    x = plain(head.join, torch.cat([whole.expand(-1, -1, 40), x], 1))
    for layer in head.layers:
        x = plain(layer, x)
    expected = nn.functional.conv1d(x, head.last.weight[:, :, None], head.last.bias).mT
    torch.testing.assert_close(head(local, cloud, CATEGORY), expected, rtol=1e-9, atol=1e-9)


def test_point_m2aes_head_refuses_a_single_cloud_while_training():
    head = PointM2AEPartSegHead((4, 6), 3, 5, 16).train()
    with pytest.raises(UserError, match="batch of 1"):
        head(torch.randn(1, 40, 10), torch.randn(1, 2), CATEGORY[:1])


def test_neighbors_change_and_weights_stay(points):
    given = DGCNNPartSeg(k=4, width=24)
    changed = with_neighbors(given, 9)
    assert (given.k, changed.k, changed.options["k"]) == (4, 9, 9)
    assert all(torch.equal(a, b) for a, b in zip(given.parameters(), changed.parameters(), strict=True))
    assert not torch.allclose(given.eval()(points), changed(points))
    assert torch.equal(given.eval()(points), with_neighbors(changed, 4)(points))


def test_neighbors_of_an_encoder_without():
    with pytest.raises(UserError, match="PointNet has no neighbors"):
        with_neighbors(PointNet(width=8), 9)
