"""The fused second half of a group's embedding against its layers written out."""

import pytest
import torch
from normalized import layer_of
from torch import nn

from adacross.ops.fused import blocks
from adacross.ops.fused.group_pool import pooled_groups

n, k, F, L, S, D = 23, 5, 3, 6, 7, 4


@pytest.fixture(autouse=True)
def _several_blocks(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setitem(blocks.CPU, "group pool", 4 * k * S * 8)  # four groups each


def layers(dtype=torch.float64):
    """The three layers and the BatchNorm between, with gains below and above 0."""
    local, joined, norm, last = nn.Linear(F, L), nn.Linear(2 * L, S), nn.BatchNorm1d(S), nn.Linear(S, D)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return nn.ModuleList([local, joined, norm, last]).to(dtype)


def plain(members, modules, slope=0.0):
    """As published: the maximum repeated beside each member."""
    local, joined, norm, last = modules
    x = local(members)
    whole = x.max(1, keepdim=True).values.expand_as(x)
    normal = norm(joined(torch.cat([whole, x], 2)).flatten(0, 1)).unflatten(0, members.shape[:2])
    return last(nn.functional.leaky_relu(normal, slope)).max(1).values


def fused(members, modules, slope=0.0):
    local, joined, norm, last = modules
    layer = layer_of(joined.weight, norm, slope)
    return pooled_groups(members, local.weight, local.bias, layer, joined.bias, last.weight, last.bias)


def gradients(tokens, members, modules):
    weight = torch.linspace(-1, 2, tokens.numel(), dtype=tokens.dtype).view_as(tokens)
    return torch.autograd.grad((tokens * weight).sum(), [members, *modules.parameters()])


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients_are_those_of_the_layers(training, slope):
    modules = layers().train(training)
    modules[2].running_mean.normal_()
    members = torch.randn(n, k, F, dtype=torch.float64, requires_grad=True)
    expected = plain(members, modules, slope)
    theirs = gradients(expected, members, modules)
    found = fused(members, modules, slope)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for a, b in zip(gradients(found, members, modules), theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)


def test_running_statistics_are_those_of_batchnorm():
    modules, members = layers(), torch.randn(n, k, F, dtype=torch.float64) + 3
    norm, before = modules[2], {name: value.clone() for name, value in modules[2].state_dict().items()}
    plain(members, modules)
    expected = {name: value.clone() for name, value in norm.state_dict().items()}
    norm.load_state_dict(before)
    fused(members, modules)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(norm, name), expected[name], rtol=1e-12, atol=1e-12)
        assert not torch.equal(getattr(norm, name), before[name])


def test_duplicate_members_share_what_they_receive():
    """Equal members are the maximum together; together they receive what one would, as do the weights."""
    modules = layers()
    members = torch.randn(n, 3, F, dtype=torch.float64)[:, [0, 0, 1, 2, 2]].requires_grad_()
    expected = plain(members, modules)
    b, *theirs = gradients(expected, members, modules)
    found = fused(members, modules)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    a, *ours = gradients(found, members, modules)
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-11)
    for pair in ((0, 1), (3, 4)):
        torch.testing.assert_close(a[:, pair].sum(1), b[:, pair].sum(1), rtol=1e-10, atol=1e-11)


def test_a_gain_of_0_lets_the_bias_through_and_can_leave_0():
    modules = layers()
    nn.init.zeros_(modules[2].weight)
    members = torch.randn(n, k, F, dtype=torch.float64, requires_grad=True)
    found = fused(members, modules)
    token = modules[3](modules[2].bias.relu())
    torch.testing.assert_close(found, token.expand(n, -1), rtol=1e-12, atol=1e-12)
    into_members, *_ = gradients(found, members, modules)
    assert not into_members.any()


def test_far_from_the_origin_no_digits_are_lost():
    modules, members = layers(torch.float32), torch.randn(200, k, F) + 1000
    exact = plain(members.double(), layers_like(modules))
    torch.testing.assert_close(fused(members, modules).double(), exact, rtol=0, atol=5e-3)


def layers_like(modules):
    """The same in float64."""
    other = layers()
    other.load_state_dict(modules.state_dict())
    return other.double()


def test_blocks_and_a_second_backward_do_not_show(monkeypatch):
    modules = layers()
    members = torch.randn(n, k, F, dtype=torch.float64, requires_grad=True)
    found = fused(members, modules)
    weight = torch.randn_like(found)
    once, again = (
        torch.autograd.grad(found, [members, *modules.parameters()], weight, retain_graph=True)
        for _ in range(2)
    )
    monkeypatch.setitem(blocks.CPU, "group pool", 2**20)
    whole = fused(members, modules)
    torch.testing.assert_close(whole, found, rtol=1e-13, atol=1e-13)
    at_once = torch.autograd.grad(whole, [members, *modules.parameters()], weight)
    for a, b, c in zip(once, again, at_once, strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, rtol=1e-11, atol=1e-12)


def test_nothing_but_z_is_kept_of_that_width():
    modules = layers(torch.float32)
    members = torch.randn(100, k, F, requires_grad=True)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        fused(members, modules)
    assert sorted(sizes)[-2:] == [100 * k * F, 100 * k * S]


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_is_computed_in_float32(training):
    modules = layers(torch.float32).train(training)
    members = torch.randn(n, k, F).bfloat16()
    expected = fused(members.float(), modules)
    found = fused(members, modules)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=1e-2, atol=1e-2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fused(members.float(), modules), expected)


@pytest.mark.parametrize("training", [True, False])
def test_one_group_of_one_member(training):
    """Where BatchNorm refuses, the variance is 0: what is left is the bias."""
    modules = layers().train(training)
    members = torch.randn(1, 1, F, dtype=torch.float64, requires_grad=True)
    found = fused(members, modules)
    if training:
        torch.testing.assert_close(found[0], modules[3](modules[2].bias.relu()), rtol=1e-9, atol=1e-9)
    else:
        torch.testing.assert_close(found, plain(members, modules), rtol=1e-12, atol=1e-12)
    assert all(gradient.isfinite().all() for gradient in gradients(found, members, modules))


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize(("size", "members"), [(1, 1), (3, 5), (40, 5)])
def test_float32_equals_float64(slope, size, members):
    """Compiled passes, where they are taken: any number of groups, gains below 0, equal members."""
    modules = layers(torch.float32)
    exact = layers_like(modules)
    x = torch.randn(size, members, F)
    x[:, -1] = x[:, 0]
    x.requires_grad_()
    wide = x.detach().double().requires_grad_()
    found, expected = fused(x, modules, slope), fused(wide, exact, slope)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    if size * members > 1:  # the variance of one row is 0, its gradient rounding
        for a, b in zip(gradients(found, x, modules), gradients(expected, wide, exact), strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-3 * max(1.0, float(b.abs().max())))


def test_threads_do_not_change_the_result():
    modules = layers(torch.float32)
    members, before = torch.randn(n, k, F, requires_grad=True), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            tokens = fused(members, modules)
            results.append([tokens, *gradients(tokens, members, modules)])
    finally:
        torch.set_num_threads(before)
    for alone, together in zip(*results, strict=True):
        torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)


def test_numbers_that_are_none_choose_members_that_are_there():
    modules = layers(torch.float32)
    members = torch.randn(n, k, F)
    members[0], members[1, 2], members[2, :, 0] = torch.nan, torch.inf, -torch.inf
    members.requires_grad_()
    found = fused(members, modules)
    assert found.shape == (n, D)
    assert all(each.shape for each in gradients(found, members, modules))
