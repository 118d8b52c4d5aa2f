"""The pooled layer and the double pooling against the plain layers."""

import copy

import pytest
import torch
from torch import nn

from adacross.ops import pool
from adacross.ops.pool import max_and_mean, pooled_layer


def plain(x, weight, norm, slope):
    normal = norm(nn.functional.linear(x, weight).flatten(0, 1)).unflatten(0, x.shape[:2])
    return nn.functional.leaky_relu(normal, slope).amax(1)


def ours(x, weight, norm, slope):
    return pooled_layer(
        x,
        weight,
        gain=norm.weight,
        bias=norm.bias,
        running_mean=norm.running_mean,
        running_var=norm.running_var,
        training=norm.training,
        momentum=norm.momentum,
        eps=norm.eps,
        slope=slope,
    )


def example(dtype, training, offset=0.0):
    torch.manual_seed(0)
    x = (torch.randn(3, 60, 7) + offset).to(dtype).requires_grad_()
    weight = torch.randn(11, 7).to(dtype).requires_grad_()
    norm = nn.BatchNorm1d(11, momentum=0.3)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(11))
        norm.bias.copy_(torch.randn(11))
        norm.running_mean.copy_(torch.randn(11))
        norm.running_var.copy_(torch.rand(11) + 0.5)
    return x, weight, norm.to(dtype).train(training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-4)])
@pytest.mark.parametrize("block", [1, 8 * 60 * 11 * 2, 2**20])
def test_equals_the_plain_layers(training, slope, dtype, tolerance, block, monkeypatch):
    monkeypatch.setattr(pool, "_CPU_BLOCK", block)
    x, weight, norm = example(dtype, training, offset=5.0)
    twin = copy.deepcopy(norm)
    results = []
    for layer, bn in ((plain, norm), (ours, twin)):
        y = layer(x, weight, bn, slope)
        torch.manual_seed(1)
        grads = torch.autograd.grad(y, (x, weight, bn.weight, bn.bias), torch.randn(y.shape).to(dtype))
        results.append([y, *grads, bn.running_mean, bn.running_var])
    for expected, found in zip(*results, strict=True):
        scale = expected.abs().max()
        torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=tolerance)


def test_a_gain_of_zero_learns_from_point_0_as_published():
    x, weight, norm = example(torch.float64, training=True)
    with torch.no_grad():
        norm.weight[4] = 0
        norm.bias.abs_()
    twin = copy.deepcopy(norm)
    published = norm(nn.functional.linear(x, weight).flatten(0, 1)).unflatten(0, (3, 60)).relu().max(1).values
    (expected,) = torch.autograd.grad(published[:, 4].sum(), norm.weight)
    (found,) = torch.autograd.grad(ours(x, weight, twin, 0.0)[:, 4].sum(), twin.weight)
    assert expected[4] != 0
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("training", [True, False])
def test_values_that_are_not_numbers_come_out_and_break_nothing(training):
    x, weight, norm = example(torch.float32, training)
    with torch.no_grad():
        x[0, 3] = torch.nan
    found = ours(x, weight, norm, 0.0)
    found.sum().backward()
    assert found[0].isnan().all()
    pooled = max_and_mean(x)
    pooled.sum().backward()
    assert pooled[0].isnan().all()


def test_evaluation_without_gradients_gives_the_same():
    x, weight, norm = example(torch.float64, training=False)
    with torch.no_grad():
        torch.testing.assert_close(
            ours(x, weight, norm, 0.2), plain(x, weight, norm, 0.2), rtol=1e-12, atol=1e-12
        )


def test_gradients_agree_with_finite_differences():
    x, weight, norm = example(torch.float64, training=True)
    assert torch.autograd.gradcheck(
        lambda x, weight: ours(x, weight, copy.deepcopy(norm), 0.2), (x[:2, :9], weight)
    )


def test_bfloat16_is_computed_in_float32_and_rounded_once():
    x, weight, norm = example(torch.bfloat16, training=True)
    found = ours(x, weight, copy.deepcopy(norm), 0.0)
    assert found.dtype == torch.bfloat16
    expected = plain(x.float(), weight.float(), norm.float(), 0.0)
    torch.testing.assert_close(found.float(), expected, rtol=2**-8, atol=1e-5)


def test_max_and_mean():
    x = torch.randn(3, 20, 5, dtype=torch.float64, requires_grad=True)
    expected = torch.cat([x.max(1).values, x.mean(1)], 1)
    torch.testing.assert_close(max_and_mean(x), expected)
    with torch.no_grad():
        torch.testing.assert_close(max_and_mean(x), expected)
    assert torch.autograd.gradcheck(max_and_mean, (x,))


def test_the_gradient_of_a_shared_maximum_goes_to_the_first_point():
    x = torch.zeros(1, 4, 1, requires_grad=True)
    max_and_mean(x)[0, 0].backward()
    assert x.grad.flatten().tolist() == [1, 0, 0, 0]
