"""Segmentation encoders: sizes, symmetries, types, refusals. Their values are checked in test_golden.py."""

import copy
import subprocess
import sys

import pytest
import torch

from adacross.encoders import ENCODERS, DGCNNPartSeg, DGCNNSemSeg, PointNetPartSeg, load
from adacross.errors import UserError
from adacross.nn.transform_nets import EdgeTransform, PointTransform

SMALL = {
    "dgcnn-partseg": {"k": 6, "width": 24},
    "dgcnn-semseg": {"k": 6, "width": 24},
    "pointnet-partseg": {"width": 24},
}
CHANNELS = {"dgcnn-partseg": 192, "dgcnn-semseg": 192, "pointnet-partseg": 832 + 24}
kinds = pytest.mark.parametrize("encoder", SMALL, indirect=True)


@pytest.fixture
def encoder(request):
    return ENCODERS[request.param](**SMALL[request.param])


def parameters(module):
    return sum(tensor.numel() for tensor in module.parameters())


def unsettled(encoder):
    """In float64, with transform nets that have left the identity."""
    encoder.double()
    for module in encoder.modules():
        if isinstance(module, EdgeTransform | PointTransform):
            torch.nn.init.normal_(module.matrix.weight, std=0.05)
    return encoder


def test_papers_sizes():
    edges = 6 * 64 + 64 * 64 + 128 * 64 + 64 * 64 + 128 * 64 + 2 * 5 * 64
    trunk = edges + 192 * 1024 + 2 * 1024
    transform = 6 * 64 + 64 * 128 + 128 * 1024 + 1024 * 512 + 512 * 256 + 256 * 9 + 9
    transform += 2 * (64 + 128 + 1024 + 512 + 256)
    assert parameters(DGCNNSemSeg()) == trunk
    assert parameters(DGCNNPartSeg()) == trunk + transform
    assert [encoder().dim for encoder in (DGCNNSemSeg, DGCNNPartSeg, PointNetPartSeg)] == [1024, 1024, 2048]


@kinds
def test_kinds_and_round_trip(encoder, tmp_path):
    encoder.train()
    encoder(torch.randn(2, 40, 3))  # moves the running statistics
    encoder.save_pretrained(tmp_path / "a")
    assert ENCODERS[encoder.kind] is type(encoder)
    loaded = load(tmp_path / "a")
    assert type(loaded) is type(encoder)
    assert loaded.options == encoder.options
    points = torch.randn(2, 40, 3)
    assert torch.equal(loaded(points), encoder.eval()(points))


@kinds
@pytest.mark.parametrize(("B", "N"), [(1, 32), (3, 33), (2, 300)])
@pytest.mark.parametrize("training", [True, False])
def test_any_number_of_clouds_and_points(encoder, B, N, training):
    encoder.train(training)
    points = torch.randn(B, N, 3)
    if training and B == 1 and encoder.kind != "dgcnn-semseg":
        with pytest.raises(UserError, match="batch of 1"):
            encoder(points)
        return
    assert encoder(points).shape == (B, encoder.dim)
    assert encoder.point_features(points).shape == (B, N, CHANNELS[encoder.kind])


@kinds
def test_both_features_are_the_two(encoder):
    encoder = unsettled(encoder)
    points = torch.randn(3, 40, 3, dtype=torch.float64)
    for training in (True, False):
        encoder.train(training)
        local, feature = encoder.both_features(points)
        assert torch.equal(local, encoder.point_features(points))
        torch.testing.assert_close(feature, encoder(points), rtol=1e-10, atol=1e-10)


@kinds
def test_order_of_points_does_not_matter(encoder):
    encoder = unsettled(encoder)
    points = torch.randn(2, 64, 3, dtype=torch.float64)
    order = torch.randperm(64)
    for training in (True, False):
        encoder.train(training)
        local, feature = encoder.both_features(points)
        shuffled, same = encoder.both_features(points[:, order])
        torch.testing.assert_close(same, feature, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(shuffled, local[:, order], rtol=1e-8, atol=1e-8)


@kinds
def test_clouds_do_not_see_each_other_in_evaluation(encoder):
    encoder = unsettled(encoder).eval()
    points = torch.randn(5, 40, 3, dtype=torch.float64)
    alone = torch.cat([encoder(cloud[None]) for cloud in points])
    torch.testing.assert_close(encoder(points), alone, rtol=1e-10, atol=1e-10)


@kinds
def test_duplicates_are_harmless(encoder):
    """The published augmentation overwrites up to 7 of 8 points by the first."""
    encoder.train()
    points = torch.randn(3, 64, 3)
    points[:, 8:] = points[:, :1]
    points[2] = 0
    points.requires_grad_()
    encoder(points).square().sum().backward()
    assert torch.isfinite(points.grad).all()
    assert all(torch.isfinite(tensor.grad).all() for tensor in encoder.parameters())
    assert all(torch.isfinite(tensor).all() for tensor in encoder.buffers())


@kinds
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.bfloat16, 0.1)])
def test_types_agree(encoder, dtype, tolerance):
    encoder.eval()
    points = torch.randn(4, 100, 3).bfloat16().float()
    expected = encoder(points)
    found = copy.deepcopy(encoder).to(dtype)(points.to(dtype))
    assert found.dtype == dtype
    assert (found.float() - expected).norm() < tolerance * expected.norm()


@kinds
def test_mixed_precision_trains(encoder):
    encoder.train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = encoder(torch.randn(4, 64, 3)).square().mean()
    loss.backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in encoder.parameters())


@kinds
def test_training_counts_batches_as_batchnorm_does(encoder):
    encoder.train()
    encoder(torch.randn(2, 40, 3))
    encoder(torch.randn(2, 40, 3))
    counters = [tensor for name, tensor in encoder.named_buffers() if name.endswith("num_batches_tracked")]
    assert len(counters) == {"dgcnn-partseg": 11, "dgcnn-semseg": 6, "pointnet-partseg": 15}[encoder.kind]
    assert {int(counter) for counter in counters} == {2}


@kinds
def test_transform_nets_start_as_the_identity(encoder):
    points = torch.randn(2, 40, 3)
    for module in encoder.modules():
        if isinstance(module, EdgeTransform):
            assert torch.equal(module(points, torch.zeros(2, 40, 1, dtype=torch.int64))[1], torch.eye(3))
        if isinstance(module, PointTransform):
            assert torch.equal(module(torch.randn(2, 40, module.dim))[1], torch.eye(module.dim))


@pytest.mark.slow
@kinds
def test_exported_graphs_take_any_number_of_clouds(encoder):
    """With the tests' type checks switched off inside: torch.export cannot look through them."""
    code = (
        "import torch; from adacross.encoders import ENCODERS\n"
        f"encoder = ENCODERS[{encoder.kind!r}](**{encoder.options}).eval()\n"
        "batch = torch.export.Dim('batch', min=1, max=64)\n"
        "with torch.no_grad():\n"
        "    program = torch.export.export(encoder, (torch.randn(3, 64, 3),), dynamic_shapes=({0: batch},))\n"
        "    points = torch.randn(7, 64, 3)\n"
        "    torch.testing.assert_close(program.module()(points), encoder(points), rtol=1e-4, atol=1e-4)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]


@kinds
def test_refusals_say_what_to_do(encoder):
    for method in (encoder, encoder.point_features, encoder.both_features):
        with pytest.raises(UserError, match=r"at least 32 points"):
            method(torch.zeros(2, 31, 3))
        with pytest.raises(UserError, match=r"float64, the encoder is float32"):
            method(torch.zeros(2, 64, 3, dtype=torch.float64))
    with pytest.raises(UserError, match="width"):
        type(encoder)(width=0)


@pytest.mark.parametrize("kind", [DGCNNPartSeg, DGCNNSemSeg])
def test_more_points_than_neighbors(kind):
    with pytest.raises(UserError, match="32 points, this encoder looks at k = 32 neighbors"):
        kind(k=32, width=8)(torch.randn(2, 32, 3))
    with pytest.raises(UserError, match="k 0"):
        kind(k=0)
