"""Names and sizes of what CrossPoint, CrossNet, AdaCrossNet and Point-M2AE released, in terms of ours.

A product (convolution) and its BatchNorm have names of their own on both sides.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from adacross.encoders.base import Encoder
from adacross.encoders.dgcnn import DGCNN, DGCNNPartSeg, DGCNNSemSeg
from adacross.encoders.point_m2ae import PointM2AE
from adacross.encoders.pointnet import PointNet, PointNetPartSeg
from adacross.nn.heads import PartSegHead, PointNetPartSegHead

State = dict[str, Tensor]
SegmentationHead = PartSegHead | PointNetPartSegHead
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


class Released(NamedTuple):
    """Released network: its names in terms of ours, and makers of empty networks of its tensors' sizes."""

    encoder: Callable[[State, int], Encoder]  # of the size that the tensors tell, for k neighbors
    layers: dict[str, str]  # released name -> ours
    twice: Mapping[str, str] = {}  # a BatchNorm's second name -> its first
    head: Callable[[State, int], SegmentationHead] | None = None  # for an encoder of some width
    head_layers: Mapping[str, str] = {}  # released name -> ours, in the head
    head_twice: Mapping[str, str] = {}  # also in files without the head's products


def shape_of(state: State, name: str) -> tuple[int, ...]:
    """Shape of a tensor without a 2-D convolution's last axis; () where there is none."""
    return tuple(state[name].shape[:3]) if name in state else ()


def recognize(state: State) -> Released | None:
    """The network a state dict belongs to, by names and shapes; None for another."""
    if "conv1.0.weight" in state:
        if "transform_net.conv1.0.weight" in state:
            return _DGCNN_PARTSEG
        if shape_of(state, "conv6.0.weight")[1:] == (192, 1):
            return _DGCNN_SEMSEG
        return _DGCNN if shape_of(state, "conv5.0.weight")[1:] == (512, 1) else None
    if shape_of(state, "conv1.weight") == (64, 3, 1):
        if "fstn.conv1.weight" in state:
            return _POINTNET_PARTSEG
        return _POINTNET if shape_of(state, "conv5.weight")[1:] == (128, 1) else None
    return None


def _layers(theirs: str, ours: str) -> dict[str, str]:
    """Released products and norms in terms of our layers, word by word.

    A word of `theirs` is `conv` where product and norm are inside, and `conv+bn` where they are apart.
    """
    layers = {}
    for word, layer in zip(theirs.split(), ours.split(), strict=True):
        product, _, norm = word.partition("+")
        layers[product if norm else f"{word}.0"] = f"{layer}.linear"
        layers[norm or f"{word}.1"] = f"{layer}.norm"
    return layers


def _below(theirs: str, ours: str, layers: dict[str, str]) -> dict[str, str]:
    return {f"{theirs}.{name}": f"{ours}.{layer}" for name, layer in layers.items()}


def _twice(numbers: range, prefix: str = "") -> dict[str, str]:
    return {f"{prefix}bn{i}": f"{prefix}conv{i}.1" for i in numbers}


_EDGES = _layers(
    "conv1 conv2 conv3 conv4 conv5 conv6",
    "edges.0.first edges.0.second edges.1.first edges.1.second edges.2 last",
)
_EDGE_TRANSFORM = _layers(
    "conv1 conv2 conv3 linear1+bn3 linear2+bn4", "edges.first edges.second points dense.0 dense.1"
) | {"transform": "matrix"}
_TRANSFORM = _layers(
    "conv1+bn1 conv2+bn2 conv3+bn3 fc1+bn4 fc2+bn5", "layers.0 layers.1 last dense.0 dense.1"
) | {"fc3": "matrix"}
_DGCNN = Released(
    encoder=lambda state, k: DGCNN(k, width=len(state["conv5.0.weight"])),
    layers=_layers("conv1 conv2 conv3 conv4 conv5", "edges.0 edges.1 edges.2 edges.3 last"),
    twice=_twice(range(1, 6)),
)
_DGCNN_PARTSEG = Released(
    encoder=lambda state, k: DGCNNPartSeg(k, width=len(state["conv6.0.weight"])),
    layers=_EDGES | _below("transform_net", "transform", _EDGE_TRANSFORM),
    twice=_twice(range(1, 7)) | _twice(range(1, 3), "transform_net."),
    head=lambda state, width: PartSegHead(
        width, categories=state["conv7.0.weight"].shape[1], parts=len(state["conv11.weight"])
    ),
    head_layers=_layers("conv7 conv8 conv9 conv10", "label join layers.0 layers.1") | {"conv11": "last"},
    head_twice=_twice(range(7, 11)),
)
_DGCNN_SEMSEG = Released(
    encoder=lambda state, k: DGCNNSemSeg(k, width=len(state["conv6.0.weight"])),
    layers=_EDGES,
    twice=_twice(range(1, 7)),
    head_twice=_twice(range(7, 9)),
)
_POINTNET = Released(
    encoder=lambda state, _: PointNet(width=len(state["conv5.weight"])),
    layers=_layers(
        "conv1+bn1 conv2+bn2 conv3+bn3 conv4+bn4 conv5+bn5", "layers.0 layers.1 layers.2 layers.3 last"
    ),
)
_POINTNET_PARTSEG = Released(
    encoder=lambda state, _: PointNetPartSeg(width=len(state["conv5.weight"])),
    layers=_POINTNET.layers
    | _below("stn", "transform", _TRANSFORM)
    | _below("fstn", "feature_transform", _TRANSFORM),
    head=lambda state, width: PointNetPartSegHead(
        width, categories=state["convs1.weight"].shape[1] - 2 * width - 832, parts=len(state["convs4.weight"])
    ),
    head_layers=_layers("convs1+bns1 convs2+bns2 convs3+bns3", "join layers.0 layers.1") | {"convs4": "last"},
)


def block_name(released: str) -> str:
    """Translate a layer inside a stack of blocks: `blocks.0.attn.qkv.weight` -> `blocks.0.qkv.weight`."""
    for theirs, ours in _BLOCK.items():
        released = released.replace(theirs, ours)
    return released


def encoder_name(released: str) -> str:
    """Translate a name in the released program's `h_encoder`, without that prefix, to one of `PointM2AE`.

    A name of none of the known parts, which then fits nowhere, is returned as it is.
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
    """Return an encoder of the size that the tensors (without `h_encoder.`) tell, and of these options.

    A `KeyError` says which tensor is missing that tells a size.
    """
    dims = [len(state[f"encoder_norms.{level}.weight"]) for level in range(3)]
    pattern = re.compile(r"encoder_blocks\.(\d)\.blocks\.(\d+)\.")
    blocks = {match.groups() for name in state if (match := pattern.match(name))}
    depths = [sum(found == str(level) for found, _ in blocks) for level in range(3)]
    width = len(state["token_embed.0.first_conv.0.weight"])
    return PointM2AE(groups, neighbors, dims, width, depths, heads)
