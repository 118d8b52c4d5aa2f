"""PointNet and DGCNN: sizes, symmetries, types and refusals. Their values are checked in test_golden.py."""

import copy
import subprocess
import sys

import pytest
import torch

from adacross.encoders import DGCNN, ENCODERS, PointNet
from adacross.errors import UserError

SMALL = {"pointnet": {"width": 24}, "dgcnn": {"k": 6, "width": 24}}
kinds = pytest.mark.parametrize("encoder", SMALL, indirect=True)


@pytest.fixture
def encoder(request):
    return ENCODERS[request.param](**SMALL[request.param])


def parameters(module):
    return sum(tensor.numel() for tensor in module.parameters())


def test_papers_sizes():
    assert PointNet().dim == 1024
    assert DGCNN().dim == 2048
    # The published widths, and two numbers of BatchNorm a channel.
    assert parameters(PointNet()) == 3 * 64 + 2 * 64 * 64 + 64 * 128 + 128 * 1024 + 2 * (3 * 64 + 128 + 1024)
    edges = 6 * 64 + 128 * 64 + 128 * 128 + 256 * 256
    assert parameters(DGCNN()) == edges + 512 * 1024 + 2 * (64 + 64 + 128 + 256 + 1024)


@kinds
@pytest.mark.parametrize(("B", "N"), [(1, 32), (3, 33), (2, 500)])
@pytest.mark.parametrize("training", [True, False])
def test_any_number_of_clouds_and_points(encoder, B, N, training):
    encoder.train(training)
    points = torch.randn(B, N, 3)
    assert encoder(points).shape == (B, encoder.dim)
    features = encoder.point_features(points)
    assert features.shape == (B, N, {"pointnet": 320, "dgcnn": 512}[encoder.kind])


@kinds
def test_order_of_points_does_not_matter(encoder):
    encoder.double()
    points = torch.randn(2, 64, 3, dtype=torch.float64)
    order = torch.randperm(64)
    for training in (True, False):
        encoder.train(training)
        torch.testing.assert_close(encoder(points[:, order]), encoder(points), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(
            encoder.point_features(points[:, order]),
            encoder.point_features(points)[:, order],
            rtol=1e-10,
            atol=1e-10,
        )


@kinds
def test_clouds_do_not_see_each_other_in_evaluation(encoder):
    encoder.double().eval()
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
    assert len(counters) == 5
    assert all(int(counter) == 2 for counter in counters)
    frozen = copy.deepcopy(encoder).eval()
    frozen(torch.randn(2, 40, 3))
    assert all(
        torch.equal(tensor, dict(encoder.named_buffers())[name]) for name, tensor in frozen.named_buffers()
    )


@pytest.mark.slow
@kinds
def test_exported_graphs_take_any_number_of_clouds(encoder):
    """With the tests' type checks switched off inside: torch.export cannot look through them."""
    code = (
        "import torch; from adacross.encoders import DGCNN, PointNet\n"
        f"encoder = {type(encoder).__name__}(**{encoder.options}).eval()\n"
        "batch = torch.export.Dim('batch', min=1, max=64)\n"
        "with torch.no_grad():\n"
        "    program = torch.export.export(encoder, (torch.randn(3, 64, 3),), dynamic_shapes=({0: batch},))\n"
        "    points = torch.randn(7, 64, 3)\n"
        "    torch.testing.assert_close(program.module()(points), encoder(points), rtol=1e-4, atol=1e-4)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]


@kinds
@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.zeros(2, 3, 100), r"\(2, 3, 100\); expected \(clouds, points, 3\).*transpose"),
        (torch.zeros(100, 3), r"\(100, 3\); expected \(clouds, points, 3\)"),
        (torch.zeros(2, 31, 3), "at least 32 points"),
        (torch.zeros(0, 64, 3), "at least 1 cloud"),
        (
            torch.zeros(2, 64, 3, dtype=torch.int64),
            r"points are int64, the encoder is float32; use points.to",
        ),
        (torch.zeros(2, 64, 3, dtype=torch.float64), r"points are float64, the encoder is float32"),
    ],
)
def test_refusals_say_what_to_do(encoder, points, message):
    with pytest.raises(UserError, match=message):
        encoder.check(points)


def test_dgcnn_needs_more_points_than_neighbors():
    with pytest.raises(UserError, match=r"32 points.*k = 32 neighbors"):
        DGCNN(k=32, width=8)(torch.randn(1, 32, 3))
    with pytest.raises(UserError, match="k 0"):
        DGCNN(k=0)
    with pytest.raises(UserError, match="width is 0"):
        PointNet(width=0)
