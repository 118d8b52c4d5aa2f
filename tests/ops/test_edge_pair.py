"""The edge convolution of two layers against the published one, written out."""

import copy

import pytest
import torch
from normalized import layer_of, random_norm
from torch import nn

from adacross.ops.fused import blocks
from adacross.ops.fused.edge import edge_moments
from adacross.ops.fused.edge_pair import edge_pair_convolution
from adacross.ops.neighbors import knn


def edges_of(x, neighbors):
    """`(B, N, k, 2 C)`, every edge."""
    neighbor = x[torch.arange(len(x))[:, None, None], neighbors]
    center = x[:, :, None].expand_as(neighbor)
    return torch.cat([neighbor - center, center], 3)


def published(x, neighbors, weights, norms):
    """The layer as the paper states it, every edge built."""
    y = edges_of(x, neighbors).permute(0, 3, 1, 2)
    for weight, norm in zip(weights, norms, strict=True):
        y = nn.functional.leaky_relu(norm(nn.functional.conv2d(y, weight[:, :, None, None])), 0.2)
    return y.amax(3).transpose(1, 2)


def ours(x, neighbors, weights, norms):
    layers = [layer_of(weight, norm) for weight, norm in zip(weights, norms, strict=True)]
    return edge_pair_convolution(x, neighbors, *layers)


def example(dtype=torch.float64, training=True, offset=0.0, B=3, N=70, Cin=5, H=9, C=11, k=6):
    torch.manual_seed(0)
    x = (torch.randn(B, N, Cin) + offset).to(dtype).requires_grad_()
    weights = [torch.randn(H, 2 * Cin).to(dtype), torch.randn(C, H).to(dtype)]
    norms = nn.ModuleList(
        [random_norm(nn.BatchNorm2d, H, dtype), random_norm(nn.BatchNorm2d, C, dtype)]
    ).train(training)
    return x, knn(x, k), [weight.requires_grad_() for weight in weights], norms


def compare(arguments, tolerance):
    x, neighbors, weights, norms = arguments
    results = []
    for layer, twins in ((published, norms), (ours, copy.deepcopy(norms))):
        y = layer(x, neighbors, weights, twins)
        torch.manual_seed(1)
        learnt = (x, *weights, *twins.parameters())
        grads = torch.autograd.grad(y, learnt, torch.randn(y.shape).to(y.dtype))
        results.append([y, *grads, *(norm.running_mean for norm in twins), *(n.running_var for n in twins)])
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
    compare(example(torch.float32, training, offset=3.0), 1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_blocks_do_not_show(training, monkeypatch):
    """Blocks of a few points, the last one shorter."""
    monkeypatch.setitem(blocks.CPU, "edge pair", 13 * 6 * 11 * 8)
    compare(example(training=training), 1e-11)


def test_one_norm_frozen_and_one_not():
    arguments = example()
    arguments[3][0].eval()
    compare(arguments, 1e-11)
    arguments[3].train()[1].eval()
    compare(arguments, 1e-11)


def test_one_channel_and_one_neighbor():
    compare(example(k=1), 1e-11)


def test_moments_are_those_of_all_edges():
    torch.manual_seed(0)
    u, v = torch.randn(2, 2, 50, 4, dtype=torch.float64) + 2
    neighbors = torch.randint(50, (2, 50, 7))
    sums = u[torch.arange(2)[:, None, None], neighbors] + v[:, :, None]
    mean, square = edge_moments(u, v, neighbors)
    torch.testing.assert_close(mean, sums.mean((0, 1, 2)))
    torch.testing.assert_close(square, sums.square().mean((0, 1, 2)))


def test_half_precision_is_computed_in_float32():
    x, neighbors, weights, norms = example(torch.float32, training=False)
    expected = ours(x, neighbors, weights, norms)
    found = ours(
        x.bfloat16(), neighbors, [weight.bfloat16() for weight in weights], copy.deepcopy(norms).bfloat16()
    )
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).norm() < 0.02 * expected.norm()


def test_no_tensor_over_all_edges_is_kept():
    x, neighbors, weights, norms = example(torch.float32, N=400, H=64, C=64, k=20)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        ours(x, neighbors, weights, norms)
    assert max(sizes) <= 3 * 400 * 64  # of points; neighbors' indices are 3 * 400 * 20


def test_of_equal_maxima_one_receives_the_gradient():
    """Every point twice: the gradients of both add up to the published ones."""
    x, _, weights, norms = example(torch.float32)
    twice = torch.cat([x, x], 1).detach()
    neighbors = knn(twice, 6)
    sums = []
    for layer, twins in ((published, norms), (ours, copy.deepcopy(norms))):
        points = twice.clone().requires_grad_()
        layer(points, neighbors, weights, twins).square().sum().backward()
        first, second = points.grad.chunk(2, 1)
        sums.append(first + second)
    torch.testing.assert_close(sums[1], sums[0], rtol=0, atol=1e-4 * float(sums[0].abs().max()))


@pytest.mark.parametrize("size", [7, 32, 64])
def test_all_points_are_neighbors_in_layers_of_any_width(size):
    compare(example(torch.float32, N=12, k=12, H=size, C=size), 1e-4)


def test_a_neighbor_that_is_no_point_is_refused():
    x, neighbors, weights, norms = example(torch.float32, training=False)
    with pytest.raises(IndexError):
        ours(x, neighbors + 3 * 70, weights, norms)
