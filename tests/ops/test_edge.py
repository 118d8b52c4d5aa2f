"""The factorised edge convolution against the published layer, written out."""

import copy

import pytest
import torch
from normalized import layer_of, random_norm
from torch import nn

from adacross.ops.fused import blocks
from adacross.ops.fused.edge import edge_convolution, edge_max
from adacross.ops.fused.layer import NormalizedLayer
from adacross.ops.neighbors import knn


def published(x, neighbors, weight, norm, slope=0.2):
    """The layer as the paper states it, every edge built."""
    clouds = torch.arange(len(x))[:, None, None]
    neighbor = x[clouds, neighbors]  # (B, N, k, C)
    center = x[:, :, None].expand_as(neighbor)
    edges = torch.cat([neighbor - center, center], 3).permute(0, 3, 1, 2)
    normal = norm(nn.functional.conv2d(edges, weight[:, :, None, None]))
    return nn.functional.leaky_relu(normal, slope).amax(3).transpose(1, 2)


def ours(x, neighbors, weight, norm, slope=0.2):
    return edge_convolution(x, neighbors, layer_of(weight, norm, slope))


def example(dtype=torch.float64, training=True, B=3, N=70, Cin=5, C=9, k=6, offset=0.0):
    torch.manual_seed(0)
    x = (torch.randn(B, N, Cin) + offset).to(dtype).requires_grad_()
    weight = torch.randn(C, 2 * Cin).to(dtype).requires_grad_()
    norm = random_norm(nn.BatchNorm2d, C, dtype)
    return x, knn(x, k), weight, norm.train(training)


def compare(arguments, tolerance, cotangent=None):
    x, neighbors, weight, norm = arguments
    twin = copy.deepcopy(norm)
    results = []
    for layer, bn in ((published, norm), (ours, twin)):
        y = layer(x, neighbors, weight, bn)
        torch.manual_seed(1)
        grads = torch.autograd.grad(y, (x, weight, bn.weight, bn.bias), torch.randn(y.shape).to(y.dtype))
        results.append([y, *grads, bn.running_mean, bn.running_var])
    for expected, found in zip(*results, strict=True):
        assert found.dtype == expected.dtype
        scale = expected.abs().max()
        torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_equals_the_published_layer(training, offset):
    compare(example(training=training, offset=offset), 1e-11)


@pytest.mark.parametrize("training", [True, False])
def test_equals_the_published_layer_in_float32(training):
    compare(example(torch.float32, training, offset=3.0), 5e-5)


@pytest.mark.parametrize(
    "shape", [{"k": 1}, {"k": 32, "N": 32}, {"B": 1, "N": 40, "k": 2}, {"C": 2, "Cin": 1}]
)
def test_equals_the_published_layer_at_the_edges_of_its_range(shape):
    compare(example(**shape), 1e-11)


def test_blocks_change_nothing(monkeypatch):
    monkeypatch.setitem(blocks.CPU, "edge", 8 * 6 * 9 * 17)
    compare(example(), 1e-11)
    compare(example(training=False), 1e-11)


def test_gradients_agree_with_finite_differences():
    x, neighbors, weight, norm = example(B=2, N=12, Cin=2, C=3, k=4)
    assert torch.autograd.gradcheck(
        lambda x, weight, gain, bias: edge_convolution(
            x,
            neighbors,
            NormalizedLayer(
                weight, gain, bias, norm.running_mean.clone(), norm.running_var.clone(), training=True
            ),
        ),
        (x, weight, norm.weight, norm.bias),
    )


def test_a_gain_of_zero_learns_from_the_point_itself_as_published():
    """There, neighbors are in order of distance, and the maximum takes the first of equals."""
    x, neighbors, weight, norm = example()
    with torch.no_grad():
        norm.weight[4] = 0
        norm.bias.abs_()
    y = ours(x, neighbors, weight, norm)
    torch.testing.assert_close(y[:, :, 4], norm.bias[4].expand(3, 70))
    (found,) = torch.autograd.grad(y.sum(), norm.weight)

    neighbor = x[torch.arange(3)[:, None, None], neighbors]
    center = x[:, :, None].expand_as(neighbor)
    edges = torch.cat([neighbor - center, center], 3) @ weight.T
    itself = torch.cat([x - x, x], 2) @ weight.T
    normal = (itself - edges.mean((0, 1, 2))) / (edges.var((0, 1, 2), correction=0) + norm.eps).sqrt()
    torch.testing.assert_close(found[4], normal[:, :, 4].sum(), rtol=1e-10, atol=1e-10)


def test_values_that_are_not_numbers_come_out_and_break_nothing():
    x, neighbors, weight, norm = example()
    with torch.no_grad():
        x[0, 3] = torch.nan
    y = ours(x, neighbors, weight, norm)
    y.sum().backward()
    assert y.isnan().any()


def test_duplicate_points_share_one_gradient():
    """With ties the gradient may go to any of the equal points; their sum is the published one."""
    x, _, weight, norm = example(B=2, N=40)
    with torch.no_grad():
        x[:, 20:] = x[:, :1]
    neighbors = knn(x, 6)
    twin = copy.deepcopy(norm)
    cotangent = torch.randn(2, 40, 9, dtype=torch.float64)
    expected, found = published(x, neighbors, weight, norm), ours(x, neighbors, weight, twin)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    (first,), (second,) = (torch.autograd.grad(y, x, cotangent) for y in (expected, found))
    torch.testing.assert_close(second[:, 1:20], first[:, 1:20], rtol=0, atol=1e-10)
    pooled = [grad[:, 20:].sum(1) + grad[:, 0] for grad in (first, second)]
    torch.testing.assert_close(pooled[1], pooled[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_is_computed_in_float32_and_rounded_once(training):
    x, neighbors, weight, norm = example(torch.bfloat16, training)
    wide = copy.deepcopy(norm).float()
    found = ours(x, neighbors, weight, norm)
    assert found.dtype == torch.bfloat16
    expected = published(x.float(), neighbors, weight.float(), wide)
    torch.testing.assert_close(found.float(), expected, rtol=2**-8, atol=1e-5)
    found.float().sum().backward()
    assert torch.isfinite(x.grad).all()


def test_autocast_does_not_reach_inside():
    x, neighbors, weight, norm = example(torch.float32)
    expected = ours(x, neighbors, weight, copy.deepcopy(norm))
    with torch.autocast("cpu", torch.bfloat16):
        found = ours(x, neighbors, weight, norm)
    assert torch.equal(found, expected)


def test_no_tensor_of_edges_is_kept_for_backward():
    """Autograd saves a handful of (B, N, C) tensors, where the published layer saves (B, C, N, k) ones."""
    x, neighbors, weight, norm = example(torch.float32, B=2, N=256, Cin=32, C=32, k=20)
    largest = 0

    def measure(tensor):
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(measure, lambda tensor: tensor):
        ours(x, neighbors, weight, norm)
    assert largest <= 2 * 256 * 32


def test_edge_max_and_its_gradient():
    u, v = torch.randn(2, 2, 30, 4, dtype=torch.float64)
    neighbors = torch.randint(30, (2, 30, 5))
    expected = u[torch.arange(2)[:, None, None], neighbors].amax(2) + v
    assert torch.equal(edge_max(u, v, neighbors), expected)
    u.requires_grad_()
    assert torch.equal(edge_max(u, v, neighbors), expected)
    assert torch.autograd.gradcheck(lambda u, v: edge_max(u, v, neighbors), (u, v.requires_grad_()))
