"""Transformer blocks over sets of tokens, as Point-BERT's family and Point-M2AE use them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from adacross.distributed.batch import sample_for_batch
from adacross.errors import UserError

MOST_BLOCKS = 100  # of a stack


class Block(nn.Module):
    """Attention and a two-layer network, each after a LayerNorm and beside a shortcut.

        x = x + position;    x = x + attention(norm(x));    x = x + network(norm(x))

    The position is added again by every block, as in Point-M2AE's released program; products of attention
    have no bias for query, key and value.

    Args:
        dim: channels C, a multiple of `heads`.
        heads: of the attention.
        drop_path: probability that a shape skips a branch while training (Huang et al. 2016,
            arXiv 1603.09382).
    """

    def __init__(self, dim: int, heads: int, drop_path: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise UserError(f"{dim} channels cannot be shared by {heads} heads; give a multiple of them.")
        self.heads = heads
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.project = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.enter, self.leave = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(
        self,
        x: Float[Tensor, "B L C"],
        position: Float[Tensor, "B L C"],
        sees: Bool[Tensor, "B #L L"] | None = None,
    ) -> Float[Tensor, "B L C"]:
        """`(B, L, C)` tokens and their positions to `(B, L, C)`.

        `sees`, `(B, L, L)` or `(B, 1, L)`: which tokens (columns) each token (row) may look at; None: all.
        """
        x = x + position
        x = x + self._dropped(self._attention(self.norm1(x), sees))
        return x + self._dropped(self.leave(nn.functional.gelu(self.enter(self.norm2(x)))))

    def _attention(self, x: Tensor, sees: Tensor | None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mask = None if sees is None else sees[:, None]
        return self.project(scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2))

    def _dropped(self, branch: Tensor) -> Tensor:
        """Drop the branch of some shapes, and scale the others to keep the mean."""
        if not self.training or self.drop_path == 0:
            return branch
        kept = sample_for_batch(torch.rand, (len(branch), 1, 1), device=branch.device) >= self.drop_path
        return branch * (kept / (1 - self.drop_path)).to(branch.dtype)


def learnt_token(dim: int) -> nn.Parameter:
    """Return a learned row `(1, dim)`, drawn from N(0, 0.02^2)."""
    return nn.Parameter(torch.empty(1, dim).normal_(std=0.02))


class PositionEmbedding(nn.Sequential):
    """Coordinates `(..., 3)` to `(..., C)`: Linear, GELU, Linear."""

    def __init__(self, dim: int) -> None:
        super().__init__(nn.Linear(3, dim), nn.GELU(), nn.Linear(dim, dim))


def check_depth(depth: int) -> None:
    """Refuse a stack that takes minutes to make; a damaged description may ask for a billion blocks."""
    if not 0 <= depth <= MOST_BLOCKS:
        raise UserError(f"a stack of {depth:,} blocks; expected 0 to {MOST_BLOCKS}.")


class TransformerEncoder(nn.Module):
    """`depth` blocks one after the other, all with the same positions and mask, each with its `drop_path`."""

    def __init__(self, depth: int, dim: int, heads: int, drop_path: list[float] | None = None) -> None:
        super().__init__()
        check_depth(depth)
        rates = [0.0] * depth if drop_path is None else drop_path
        self.blocks = nn.ModuleList(Block(dim, heads, rate) for rate in rates)

    def forward(
        self,
        x: Float[Tensor, "B L C"],
        position: Float[Tensor, "B L C"],
        sees: Bool[Tensor, "B #L L"] | None = None,
    ) -> Float[Tensor, "B L C"]:
        """See `Block.forward`."""
        for block in self.blocks:
            x = block(x, position, sees)
        return x
