"""NT-Xent against its definition, term by term. Released values are checked in test_golden.py."""

import math

import pytest
import torch

from adacross.errors import UserError
from adacross.losses.nt_xent import nt_xent


def by_definition(a, b, temperature, objects=None):
    rows = [row / row.norm() for row in torch.cat([a, b])]
    M, total = len(a), torch.zeros((), dtype=a.dtype)
    shown = None if objects is None else objects.tolist() * 2
    for p, row in enumerate(rows):
        partner = (p + M) % (2 * M)
        others = [
            q for q in range(2 * M) if q == partner or (q != p and (shown is None or shown[q] != shown[p]))
        ]
        exponents = {q: torch.exp(row @ rows[q] / temperature) for q in others}
        total = total - torch.log(exponents[partner] / sum(exponents.values()))
    return total / (2 * M)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize(
    "objects", [None, torch.arange(6), torch.arange(3).repeat(2), torch.tensor([0, 0, 0, 1, 1, 2])]
)
def test_equals_its_definition(temperature, objects):
    torch.manual_seed(0)
    a, b = (torch.randn(6, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    found, expected = nt_xent(a, b, temperature, objects=objects), by_definition(a, b, temperature, objects)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for one, two in zip(
        torch.autograd.grad(found, (a, b)), torch.autograd.grad(expected, (a, b)), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("M", [2, 32])
def test_features_that_say_nothing(M):
    same = torch.ones(M, 8, dtype=torch.float64)
    assert math.isclose(nt_xent(same, same, 0.1).item(), math.log(2 * M - 1), rel_tol=1e-12)


def test_perfect_features_give_the_least_loss():
    a = torch.eye(8, dtype=torch.float64)
    expected = math.log(1 + 14 * math.exp(-1 / 0.1))  # 14 orthogonal negatives
    assert math.isclose(nt_xent(a, a, 0.1).item(), expected, rel_tol=1e-9)


def test_lengths_do_not_matter_and_the_sets_are_alike():
    a, b = torch.randn(2, 7, 9, dtype=torch.float64)
    expected = nt_xent(a, b, 0.2)
    torch.testing.assert_close(nt_xent(3 * a, 0.5 * b, 0.2), expected)
    torch.testing.assert_close(nt_xent(b, a, 0.2), expected)


def test_half_precision_is_computed_in_float32():
    a, b = torch.randn(2, 16, 64).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = nt_xent(a, b, 0.1)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, nt_xent(a.float(), b.float(), 0.1))


def test_refusals():
    a = torch.randn(4, 3)
    with pytest.raises(UserError, match="M at least 2"):
        nt_xent(a[:1], a[:1], 0.1)
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="temperature is"):
            nt_xent(a, a, temperature)
