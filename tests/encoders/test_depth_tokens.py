"""The embedding of depth maps, which works on visible patches alone, against convolutions over whole maps."""

import pytest
import torch
from torch import nn

from adacross.methods.joint_mae.depth_tokens import DepthEmbedding

SIDE = 4  # patches along a map


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def whole_maps(embedding, maps, visible):
    """Every position is worked on; masked ones are 0 where positions mix."""
    grid, x = visible.view(-1, 1, SIDE, SIDE).to(maps.dtype), maps
    for shrink, blocks in zip(embedding.shrink, embedding.blocks, strict=True):
        x = nn.functional.conv2d(x, shrink.weight, shrink.bias, shrink.stride)
        seen = nn.functional.interpolate(grid, size=x.shape[2:])
        for block in blocks:
            entered = block.enter(block.norm1(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
            x = x + block.leave(block.mix(entered * seen).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            x = x + block.network(block.norm2(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
    return x.flatten(2).transpose(1, 2)


def masks():
    """One patch, some, neighbors and all."""
    visible = torch.rand(4, SIDE * SIDE) < 0.4
    visible[0] = torch.arange(16) == 5
    visible[1] = torch.arange(16) < 6
    visible[2] = True
    return visible


@pytest.mark.parametrize("depths", [(0, 0), (2, 1)])
def test_tokens_and_gradients_are_those_of_whole_maps(depths):
    embedding = DepthEmbedding((8, 12, 20), depths).double()
    maps, visible = torch.rand(4, 1, 64, 64, dtype=torch.float64, requires_grad=True), masks()
    found, expected = embedding(maps, visible), whole_maps(embedding, maps, visible)
    assert found.shape == (4, 16, 20)
    torch.testing.assert_close(found[visible], expected[visible], rtol=1e-10, atol=1e-12)
    assert not found[~visible].any()
    weight = torch.randn_like(found[visible])
    ours, theirs = (
        torch.autograd.grad((tokens[visible] * weight).sum(), [maps, *embedding.parameters()])
        for tokens in (found, expected)
    )
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_a_map_does_not_depend_on_the_others_of_its_batch():
    embedding = DepthEmbedding((8, 12, 20), (1, 1)).double()
    maps, visible = torch.rand(4, 1, 64, 64, dtype=torch.float64), masks()
    together = embedding(maps, visible)
    for i in range(4):
        alone = embedding(maps[i : i + 1], visible[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-10, atol=1e-12)


def test_mixed_precision():
    embedding = DepthEmbedding((8, 12, 20), (1, 1))
    maps, visible = torch.rand(4, 1, 64, 64), masks()
    expected = embedding(maps, visible)
    with torch.autocast("cpu", torch.bfloat16):
        found = embedding(maps, visible)
    found.float().square().sum().backward()
    assert (found.float() - expected).norm() < 0.05 * expected.norm()
    assert all(parameter.grad.isfinite().all() for parameter in embedding.parameters())
