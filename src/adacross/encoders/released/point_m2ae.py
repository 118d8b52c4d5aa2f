"""Weights that Point-M2AE released: how its program names what our encoder holds."""

import re

from torch import Tensor

from adacross.encoders.point_m2ae import PointM2AE

State = dict[str, Tensor]
ENCODER = "h_encoder."
MARK = f"{ENCODER}token_embed.0.first_conv.0.weight"

_EMBEDDING = {
    "first_conv.0": "first.linear",
    "first_conv.1": "first.norm",
    "first_conv.3": "local",
    "second_conv.0": "second.linear",
    "second_conv.1": "second.norm",
    "second_conv.3": "last",
}
_BLOCK = {"attn.qkv": "qkv", "attn.proj": "project", "mlp.fc1": "enter", "mlp.fc2": "leave"}


def block_name(released: str) -> str:
    """A layer inside a stack of blocks: `blocks.0.attn.qkv.weight` -> `blocks.0.qkv.weight`."""
    for theirs, ours in _BLOCK.items():
        released = released.replace(theirs, ours)
    return released


def encoder_name(released: str) -> str:
    """A name in the released program's `h_encoder`, without that prefix -> in `PointM2AE`.

    Returns:
        The name, or the released one if it is of none of the known parts, which then fits nowhere.
    """
    part, _, rest = released.partition(".")
    level, _, layer = rest.partition(".")
    match part:
        case "token_embed":
            place, _, tensor = layer.rpartition(".")
            return f"embeddings.{level}.{_EMBEDDING.get(place, place)}.{tensor}"
        case "encoder_pos_embeds":
            return f"positions.{rest}"
        case "encoder_blocks":
            return f"stacks.{level}.{block_name(layer)}"
        case "encoder_norms":
            return f"norms.{rest}"
    return released


def empty_encoder(state: State, groups: tuple[int, ...], neighbors: tuple[int, ...], heads: int) -> PointM2AE:
    """An encoder of the size that the tensors tell, and of the options that they do not.

    Args:
        state: names and tensors as released, without `h_encoder.`.
        groups: tokens of each level.
        neighbors: members of each token.
        heads: of every attention.

    Raises:
        KeyError: a tensor that tells a size is missing.
    """
    dims = [len(state[f"encoder_norms.{level}.weight"]) for level in range(3)]
    pattern = re.compile(r"encoder_blocks\.(\d)\.blocks\.(\d+)\.")
    blocks = {match.groups() for name in state if (match := pattern.match(name))}
    depths = [sum(found == str(level) for found, _ in blocks) for level in range(3)]
    width = len(state["token_embed.0.first_conv.0.weight"])
    return PointM2AE(groups, neighbors, dims, width, depths, heads)
