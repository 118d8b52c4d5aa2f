"""Transformer blocks, against attention written out."""

import math

import pytest
import torch

from adacross.errors import UserError
from adacross.nn.transformer import Block, TransformerEncoder


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def slow_attention(block, x, sees):
    """Head by head, row by row."""
    B, L, C = x.shape
    width = C // block.heads
    q, k, v = (part.view(B, L, block.heads, width) for part in block.qkv(x).chunk(3, 2))
    out = torch.zeros(B, L, block.heads, width, dtype=x.dtype)
    for b in range(B):
        for h in range(block.heads):
            for i in range(L):
                allowed = [j for j in range(L) if sees is None or sees[b, min(i, sees.shape[1] - 1), j]]
                scores = torch.stack([q[b, i, h] @ k[b, j, h] / math.sqrt(width) for j in allowed])
                weights = scores.softmax(0)
                out[b, i, h] = sum(w * v[b, j, h] for w, j in zip(weights, allowed, strict=True))
    return block.project(out.flatten(2))


@pytest.mark.parametrize("mask", ["none", "keys", "pairs"])
def test_a_block_is_its_equation(mask):
    block = Block(12, heads=3).double().eval()
    x, position = torch.randn(2, 2, 5, 12, dtype=torch.float64)
    sees = {
        "none": None,
        "keys": torch.tensor([[[True, True, False, True, False]], [[True] * 5]]),
        "pairs": (torch.rand(2, 5, 5) < 0.5) | torch.eye(5, dtype=torch.bool),
    }[mask]
    y = x + position
    y = y + slow_attention(block, block.norm1(y), sees)
    y = y + block.leave(torch.nn.functional.gelu(block.enter(block.norm2(y))))
    torch.testing.assert_close(block(x, position, sees), y, rtol=1e-10, atol=1e-12)


def test_every_block_of_a_stack_adds_the_position_again():
    stack = TransformerEncoder(2, 8, heads=2).double().eval()
    x, position = torch.randn(2, 1, 4, 8, dtype=torch.float64)
    first, second = stack.blocks
    torch.testing.assert_close(stack(x, position), second(first(x, position), position))


def test_dropped_paths_skip_whole_shapes_and_keep_the_mean():
    block = Block(4, heads=1, drop_path=0.25).train()
    ones = torch.ones(4000, 2, 4)
    kept = block._dropped(ones)
    values = kept[:, 0, 0]
    assert values.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (kept == values[:, None, None]).all(), "a shape keeps or loses the whole branch"
    assert values.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(block.eval()._dropped(ones), ones)


def test_channels_that_heads_cannot_share_are_refused():
    with pytest.raises(UserError, match="10 channels cannot be shared by 3 heads"):
        Block(10, heads=3)
