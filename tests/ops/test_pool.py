"""The layers that are pooled over points, by maximum or by maximum and mean, against the plain layers."""

import copy

import pytest
import torch
from normalized import layer_of, random_norm
from torch import nn

from adacross.ops.fused import blocks
from adacross.ops.fused.max_and_mean import max_and_mean_layer
from adacross.ops.fused.pool import pooled_layer

BOTH = pytest.mark.parametrize("layer", [pooled_layer, max_and_mean_layer])


def plain(layer, x, weight, norm, slope):
    normal = norm(nn.functional.linear(x, weight).flatten(0, 1)).unflatten(0, x.shape[:2])
    active = nn.functional.leaky_relu(normal, slope)
    return active.amax(1) if layer is pooled_layer else torch.cat([active.amax(1), active.mean(1)], 1)


def ours(layer, x, weight, norm, slope):
    return layer(x, layer_of(weight, norm, slope))


def example(dtype, training, offset=0.0):
    torch.manual_seed(0)
    x = (torch.randn(3, 60, 7) + offset).to(dtype).requires_grad_()
    weight = torch.randn(11, 7).to(dtype).requires_grad_()
    norm = random_norm(nn.BatchNorm1d, 11, dtype)
    return x, weight, norm.train(training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-4)])
@pytest.mark.parametrize("block", [1, 8 * 60 * 11 * 2, 2**20])
@BOTH
def test_equals_the_plain_layers(layer, training, slope, dtype, tolerance, block, monkeypatch):
    monkeypatch.setitem(blocks.CPU, "pool", block)
    monkeypatch.setitem(blocks.CPU, "max and mean", block)
    x, weight, norm = example(dtype, training, offset=5.0)
    twin = copy.deepcopy(norm)
    results = []
    for way, bn in ((plain, norm), (ours, twin)):
        y = way(layer, x, weight, bn, slope)
        torch.manual_seed(1)
        grads = torch.autograd.grad(y, (x, weight, bn.weight, bn.bias), torch.randn(y.shape).to(dtype))
        results.append([y, *grads, bn.running_mean, bn.running_var])
    for expected, found in zip(*results, strict=True):
        scale = expected.abs().max()
        torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=tolerance)


@BOTH
def test_a_gain_of_zero_learns_from_point_0_as_published(layer):
    x, weight, norm = example(torch.float64, training=True)
    with torch.no_grad():
        norm.weight[4] = 0
        norm.bias.abs_()
    twin = copy.deepcopy(norm)
    published = norm(nn.functional.linear(x, weight).flatten(0, 1)).unflatten(0, (3, 60)).relu().max(1).values
    (expected,) = torch.autograd.grad(published[:, 4].sum(), norm.weight)
    (found,) = torch.autograd.grad(ours(layer, x, weight, twin, 0.0)[:, 4].sum(), twin.weight)
    assert expected[4] != 0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@BOTH
@pytest.mark.parametrize("training", [True, False])
def test_values_that_are_not_numbers_come_out_and_break_nothing(training, layer):
    x, weight, norm = example(torch.float32, training)
    with torch.no_grad():
        x[0, 3] = torch.nan
    found = ours(layer, x, weight, norm, 0.0)
    found.sum().backward()
    assert found[0].isnan().all()


@BOTH
def test_evaluation_without_gradients_gives_the_same(layer):
    x, weight, norm = example(torch.float64, training=False)
    with torch.no_grad():
        torch.testing.assert_close(
            ours(layer, x, weight, norm, 0.2), plain(layer, x, weight, norm, 0.2), rtol=1e-12, atol=1e-12
        )


@BOTH
def test_gradients_agree_with_finite_differences(layer):
    x, weight, norm = example(torch.float64, training=True)
    assert torch.autograd.gradcheck(
        lambda x, weight: ours(layer, x, weight, copy.deepcopy(norm), 0.2), (x[:2, :9], weight)
    )


@BOTH
def test_bfloat16_is_computed_in_float32_and_rounded_once(layer):
    x, weight, norm = example(torch.bfloat16, training=True)
    found = ours(layer, x, weight, copy.deepcopy(norm), 0.0)
    assert found.dtype == torch.bfloat16
    expected = plain(layer, x.float(), weight.float(), norm.float(), 0.0)
    torch.testing.assert_close(found.float(), expected, rtol=2**-8, atol=1e-5)


@BOTH
def test_the_gradient_of_a_shared_maximum_goes_to_the_first_point(layer):
    x, weight, norm = example(torch.float64, training=True)
    x = torch.cat([x, x], 1).detach().requires_grad_()  # every point twice, the maximum's, too
    best = ours(layer, x, weight, norm, 0.2)[:, :11]
    (found,) = torch.autograd.grad(best[0, 0], x)
    twins = (found[:, :60] - found[:, 60:]).abs().sum(2)
    assert (twins > 1e-12).sum() == 1
    extra = (found[:, :60] - found[:, 60:]).sum((0, 1))
    assert extra @ (norm.weight[0] * weight[0]) > 0  # it is the first twin's
