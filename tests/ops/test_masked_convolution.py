"""The convolution of visible positions against torch's, of maps that are 0 where nothing is visible."""

import pytest
import torch
from torch import Tensor

from adacross.methods.joint_mae.depth_tokens import MaskedConvBlock

SHAPE = (3, 7, 9)  # maps, rows, columns


def block(dtype: torch.dtype) -> MaskedConvBlock:
    torch.manual_seed(0)
    return MaskedConvBlock(20).to(dtype)


def mixed(layer: MaskedConvBlock, places: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """The mixed rows, and the gradients of rows, weight and bias."""
    x = torch.randn(len(places), 20, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
    y = layer._mixed(x, places, SHAPE)
    weight = torch.linspace(-1, 2, y.numel(), dtype=dtype).view_as(y)
    return [y, *torch.autograd.grad((y * weight).sum(), [x, *layer.mix.parameters()])]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0], ids=["one", "a quarter", "all"])
def test_float32_equals_float64(share: float):
    visible = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2)) < share
    visible[0, 0, 0] = True
    places = visible.flatten().nonzero()[:, 0]
    found = mixed(block(torch.float32), places, torch.float32)
    expected = mixed(block(torch.float64), places, torch.float64)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)


def test_columns_do_not_run_over_into_the_next_row_or_map():
    layer = block(torch.float32)
    places = torch.tensor([SHAPE[2] - 1, SHAPE[2], SHAPE[1] * SHAPE[2] - 1, SHAPE[1] * SHAPE[2]])
    x = torch.randn(4, 20)
    alone = torch.cat([layer._mixed(x[i : i + 1], places[i : i + 1], SHAPE) for i in range(4)])
    torch.testing.assert_close(layer._mixed(x, places, SHAPE), alone)
