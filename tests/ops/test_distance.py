"""The Chamfer distance against its definition, closed forms and finite differences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adacross.errors import UserError
from adacross.ops.chamfer import chamfer
from adacross.ops.fused import blocks


def slow_chamfer(a, b):
    """The definition, one pair of points after the other."""
    totals = []
    for cloud, other in zip(a.tolist(), b.tolist(), strict=True):
        total = 0.0
        for queries, points in ((cloud, other), (other, cloud)):
            nearest = [
                min(sum((p - q) ** 2 for p, q in zip(x, y, strict=True)) for y in points) for x in queries
            ]
            total += sum(nearest) / len(nearest)
        totals.append(total)
    return torch.tensor(totals, dtype=torch.float64)


def lattice(side=4):
    axis = torch.arange(side, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis, axis)[None]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), B=st.integers(1, 3), n=st.integers(1, 40), m=st.integers(1, 40))
def test_equals_its_definition_and_is_symmetric(seed, B, n, m):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(B, n, 3, dtype=torch.float64, generator=generator)
    b = torch.randn(B, m, 3, dtype=torch.float64, generator=generator) + 0.5
    found = chamfer(a, b)
    assert found.shape == (B,)
    torch.testing.assert_close(found, slow_chamfer(a, b), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found, chamfer(b, a), rtol=1e-14, atol=0)


def test_a_shifted_lattice():
    """Every point of a cubic lattice moved by less than half a cell stays nearest to its origin."""
    points = lattice()
    shift = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    expected = 2 * shift.square().sum()
    torch.testing.assert_close(chamfer(points, points + shift), expected[None])


def test_each_direction_is_a_mean_over_its_own_points():
    """From one point to two: 1 to the nearer one; back, 1 and 9: (1) + (1 + 9) / 2."""
    a = torch.zeros(1, 1, 3)
    b = torch.tensor([[[1.0, 0, 0], [0, 3.0, 0]]])
    assert chamfer(a, b).item() == 6
    assert chamfer(b, a).item() == 6


def test_equal_clouds_are_at_exactly_0_whatever_their_order_and_place():
    torch.manual_seed(0)
    points = torch.randn(3, 500, 3) + 100
    assert torch.equal(chamfer(points, points[:, torch.randperm(500)]), torch.zeros(3))


def test_the_order_of_points_and_the_batch_do_not_matter():
    a, b = torch.randn(4, 60, 3, dtype=torch.float64), torch.randn(4, 33, 3, dtype=torch.float64)
    expected = chamfer(a, b)
    shuffled = chamfer(a[:, torch.randperm(60)], b[:, torch.randperm(33)])
    torch.testing.assert_close(shuffled, expected, rtol=1e-13, atol=0)
    alone = torch.cat([chamfer(a[i : i + 1], b[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(alone, expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(chamfer(3 * a, 3 * b), 9 * expected, rtol=1e-12, atol=0)


def test_gradients_agree_with_finite_differences():
    torch.manual_seed(0)
    a = torch.randn(2, 9, 3, dtype=torch.float64, requires_grad=True)
    b = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(chamfer, (a, b))


def test_gradients_in_closed_form_also_among_duplicates():
    """A moved lattice is pulled back by 2/n + 2/n of the shift; equal points are not pulled at all."""
    points = lattice()
    moved = (points + torch.tensor([0.1, 0.0, 0.0], dtype=torch.float64)).requires_grad_()
    (grad,) = torch.autograd.grad(chamfer(moved, points).sum(), moved)
    torch.testing.assert_close(grad, (moved - points) * 4 / 64)

    same = torch.zeros(1, 5, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(chamfer(same, torch.zeros(1, 3, 3)).sum(), same)
    assert torch.equal(grad, torch.zeros(1, 5, 3))
    # five at 0 against one at x = 1: each goes its own way by 2/5, one of them is also the other's nearest
    (grad,) = torch.autograd.grad(chamfer(same, torch.tensor([[[1.0, 0, 0]]])).sum(), same)
    torch.testing.assert_close(grad[0, :, 0].sort().values, -torch.tensor([2.4, 0.4, 0.4, 0.4, 0.4]))
    assert torch.equal(grad[:, :, 1:], torch.zeros(1, 5, 2))


def test_bfloat16_is_computed_in_float32():
    a, b = torch.randn(3, 40, 3).bfloat16(), torch.randn(3, 32, 3).bfloat16()
    found = chamfer(a, b)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), slow_chamfer(a, b), rtol=1e-5, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(chamfer(a.float(), b.float()), found)


def test_nothing_between_all_points_is_kept(monkeypatch):
    """Blocks of the search do not show in the result, and what backward keeps is of the clouds' size."""
    a, b = torch.randn(2, 300, 3, requires_grad=True), torch.randn(2, 400, 3, requires_grad=True)
    expected = chamfer(a, b)
    monkeypatch.setitem(blocks.CPU, "knn", 10_000)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        torch.testing.assert_close(chamfer(a, b), expected, rtol=1e-6, atol=0)
    assert max(sizes) <= 2 * 400 * 3


@pytest.mark.parametrize("n", [5, 37, 300])
def test_values_that_are_not_numbers_come_out_and_break_nothing(n):
    a, b = torch.randn(2, n, 3), torch.randn(2, n + 1, 3)
    a[0, 3, 1] = torch.nan
    found = chamfer(a.requires_grad_(), b)
    found.sum().backward()
    assert found.isnan().tolist() == [True, False]
    assert a.grad[1].isfinite().all()


@pytest.mark.parametrize("shapes", [((2, 0, 3), (2, 4, 3)), ((2, 4, 3), (2, 0, 3))])
def test_refuses_clouds_without_points(shapes):
    with pytest.raises(UserError, match="at least one point"):
        chamfer(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
