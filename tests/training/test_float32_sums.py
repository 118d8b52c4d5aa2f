"""Long sums under bfloat16, whose numbers have three digits: made in float32, against float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adacross.losses.nt_xent import nt_xent
from adacross.losses.weighting import WEIGHTINGS
from adacross.nn.batch_norm import BatchNorm1d, BatchNorm2d
from adacross.nn.layers import EdgeLayer, PointLayer
from adacross.ops.chamfer import chamfer

FLOAT32 = 1e-5  # what float32 sums keep here; bfloat16's are off by 1e-3 to 1e-1


def rounded(*shape: int, offset: float = 0.0) -> Tensor:
    """Numbers that bfloat16 holds exactly."""
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(0)) + offset).bfloat16()


def under_autocast(function: Callable[..., Tensor], *given: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return function(*given)


@pytest.mark.parametrize(
    ("function", "shape"),
    [(lambda a, b: nt_xent(a, b, 0.1), (512, 64)), (lambda a, b: chamfer(a, b).sum(), (4, 600, 3))],
    ids=["nt_xent", "chamfer"],
)
def test_losses_and_their_gradients(function: Callable[..., Tensor], shape: tuple[int, ...]):
    both = rounded(2, *shape)
    half = both.clone().requires_grad_()
    wide = both.double().requires_grad_()
    found, expected = under_autocast(function, *half), function(*wide)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=FLOAT32, atol=0)
    found.backward()
    expected.backward()
    error = (half.grad.double() - wide.grad).norm() / wide.grad.norm()
    assert error < 2e-3  # the gradient is handed over in bfloat16: rounded once, 2^-9


@pytest.mark.parametrize(
    ("norm", "shape"), [(BatchNorm1d, (20_000, 8)), (BatchNorm2d, (16, 8, 40, 40))], ids=["rows", "pictures"]
)
def test_batch_norms_statistics_far_from_zero(norm: type[nn.Module], shape: tuple[int, ...]):
    x = rounded(*shape, offset=30.0)
    layer, wide = norm(8), norm(8).double()
    found = under_autocast(layer, x)
    expected = wide(x.double())
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(
            layer.get_buffer(name).double(), wide.get_buffer(name), rtol=FLOAT32, atol=0
        )
    assert layer.running_mean.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=2**-8)


@pytest.mark.parametrize("layer", ["pooled", "max_and_mean", "edges"])
def test_factorised_layers_statistics_far_from_zero(layer: str):
    x = rounded(4, 500, 16, offset=10.0)
    neighbors = torch.randint(500, (4, 500, 8), generator=torch.Generator().manual_seed(0))
    found = EdgeLayer(16, 12) if layer == "edges" else PointLayer(16, 12)
    found.linear.weight.data.copy_(rounded(*found.linear.weight.shape))
    wide = type(found)(16, 12).double()
    wide.load_state_dict(found.state_dict())

    def run(network: nn.Module, values: Tensor) -> Tensor:
        return network(values, neighbors) if layer == "edges" else getattr(network, layer)(values)

    under_autocast(lambda values: run(found, values), x)
    run(wide, x.double())
    for name in ("running_mean", "running_var"):
        ours, expected = found.norm.get_buffer(name).double(), wide.norm.get_buffer(name)
        assert (ours - expected).norm() <= FLOAT32 * expected.norm()


@pytest.mark.slow
@pytest.mark.parametrize("name", WEIGHTINGS)
def test_weightings_remember_in_float64(name: str):
    """After 20,000 equal losses of 0.1, of which float32 has no more than seven digits."""
    weighting = WEIGHTINGS[name]()
    norms = {"a": 0.1, "b": 0.1} if weighting.needs_gradient_norms else None
    for _ in range(20_000):
        weights = weighting.update({"a": 0.1, "b": 0.1}, norms)
    assert weights["a"] == weights["b"]
    expected = {"adacrossnet": 0.5, "uncertainty": 1 / (2 * 0.1)}.get(name, 1.0)
    assert weights["a"] == pytest.approx(expected, rel=1e-12 if name != "uncertainty" else 1e-6)
