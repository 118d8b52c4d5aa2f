"""Weights that CrossPoint, CrossNet, AdaCrossNet and Point-M2AE released, read into our encoders."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from adacross.console import console
from adacross.encoders.base import Encoder, N, filled
from adacross.encoders.released import names
from adacross.encoders.released.names import Released, SegmentationHead, State, recognize, shape_of
from adacross.errors import UserError
from adacross.io.weights import load_plain
from adacross.nn.heads import ImageProjection, PointProjection
from adacross.nn.resnet import ResNet

_PROJECTION = "inv_head."
_COUNTER = "num_batches_tracked"
_RESNET_MARK = "layer1.0.conv1.weight"
_ENCODER = "released encoder"  # in messages


def load_official(
    path: Path | str,
    k: int = 20,
    *,
    groups: tuple[int, ...] = (512, 256, 64),
    neighbors: tuple[int, ...] = (16, 8, 8),
    heads: int = 6,
) -> tuple[Encoder | ResNet, PointProjection | ImageProjection | None]:
    """Load a released encoder and its projection head (None if the file has none), in evaluation mode.

    DGCNN for classification, part and semantic segmentation, PointNet for classification and part
    segmentation, Point-M2AE; an image encoder as by `load_official_image`. The file's names and shapes decide
    which it is; every tensor must find its place (of Point-M2AE, those of its encoder). Files of several GPUs
    (`module.` before every name) and state dicts inside a checkpoint (under `base_model`, as the Point-BERT
    family has it) are read too. Nothing in the file is executed.

    A segmentation head that the file also has is checked and left to `load_official_segmentation`. One line
    on standard error says what was found and what was left out; what does not fit is refused by name.

    Args:
        path: a `.pth` file with a state dict.
        k: DGCNN's neighbors, which no file tells: 20 for CrossNet and AdaCrossNet, 15 for CrossPoint.
        groups: Point-M2AE's tokens of each level, which no file tells, either.
        neighbors: members of each of them.
        heads: of its attention.
    """
    state = _read_state(Path(path))
    if any(name.endswith(_RESNET_MARK) for name in state):
        return load_official_image(path)
    if names.MARK in state:
        own = _below(state, names.ENCODER)
        tensors = {names.encoder_name(name): _flat(tensor) for name, tensor in own.items()}
        encoder = _filled(
            lambda: names.empty_encoder(own, groups, neighbors, heads), tensors, str(path), _ENCODER
        )
        others = len(state) - len(own)
        _tell(path, encoder, f"{others} tensors of its decoder left out" if others else "")
        return encoder, None
    released, projection, head = _load(state, str(path), k)
    parts = [("a projection head", projection), ("a segmentation head, left out", head)]
    _tell(path, released, *(f"with {what}" for what, found in parts if found is not None))
    return released, projection


def load_official_segmentation(path: Path | str, k: int = 20) -> tuple[Encoder, SegmentationHead]:
    """Return a released encoder and its part segmentation head, in evaluation mode.

    Arguments and errors are as of `load_official`; CrossPoint fine-tunes with k = 40. A file without a
    segmentation head is refused.
    """
    encoder, _, head = _load(_read_state(Path(path)), str(path), k)
    if head is None:
        raise UserError(
            f"{path} is a released {encoder.kind!r} encoder without a segmentation head; use load_official."
        )
    _tell(path, encoder, "with a segmentation head")
    return encoder, head


def load_official_image(path: Path | str) -> tuple[ResNet, ImageProjection | None]:
    """Load a released ResNet-18 or 50 (RGB or gray) and its projection head, as `load_official`.

    torchvision's names tell depth and channels; whatever stands before them is left out, and so is `fc`.
    The tensors outside the network are a projection head: four layers, of which 0 and 3 are products.
    """
    state, source = _read_state(Path(path)), str(path)
    marks = [name for name in state if name.endswith(_RESNET_MARK)]
    if len(marks) != 1:
        raise UserError(
            f"{source} is not an image encoder with torchvision's names; expected one {_RESNET_MARK}, "
            f"found {len(marks)} among {', '.join(sorted(state)[:4])}."
        )
    prefix = marks[0].removesuffix(_RESNET_MARK)
    heads = {name.removesuffix("0.weight") for name in state if name.endswith(".0.weight")}
    heads = {name for name in heads if _projection_sizes(state, name)}
    heads = {name for name in heads if not prefix or not name.startswith(prefix)}
    head = heads.pop() if len(heads) == 1 else None
    body = {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if not name.startswith((f"{prefix}fc.", *([head] if head else [])))
    }
    first = shape_of(state, f"{prefix}conv1.weight")
    channels = first[1] if len(first) > 1 else 3
    depth: Literal[18, 50] = 50 if f"{prefix}layer1.0.conv3.weight" in state else 18
    encoder = _filled(lambda: ResNet(depth, channels), body, source)
    _tell(path, encoder, "" if head is None else "with a projection head")
    return encoder, None if head is None else _projection(ImageProjection, encoder.dim, state, head, source)


def _tell(path: Path | str, network: Encoder | ResNet, *notes: str) -> None:
    """Say what was found in a file, and what of it was left out."""
    what = f"released ResNet-{network.depth}" if isinstance(network, ResNet) else f"released {network.kind}"
    listed = ", ".join([what, f"{network.dim} features", *filter(None, notes)])
    console.print(f"{path}: {listed}", soft_wrap=True)


def _load(
    state: State, source: str, k: int
) -> tuple[Encoder, PointProjection | None, SegmentationHead | None]:
    """Return a released DGCNN or PointNet, its projection head and its segmentation head, or None."""
    released = recognize(state)
    if released is None:
        raise UserError(
            f"{source} is not a released DGCNN, PointNet, Point-M2AE or ResNet; "
            f"it has {len(state)} tensors, among them {', '.join(sorted(state)[:4])}."
        )
    sizes = dict(state)
    encoder = _empty(lambda: released.encoder(sizes, k), source, _ENCODER)
    kind = type(encoder).__name__
    projection = {name: state.pop(name) for name in list(state) if name.startswith(_PROJECTION)}
    state = _without_repeated(state, released.twice, kind, source)
    head = _segmentation_head(state, released, encoder.dim, kind, source)
    tensors = {_rename(name, released.layers): _flat(tensor) for name, tensor in state.items()}
    encoder = _filled(lambda: released.encoder(sizes, k), tensors, source, _ENCODER)
    if not projection:
        return encoder, None, head
    return encoder, _projection(PointProjection, encoder.dim, projection, _PROJECTION, source), head


def _segmentation_head(
    state: State, released: Released, width: int, kind: str, source: str
) -> SegmentationHead | None:
    """Take the segmentation head's tensors out of `state`; None if its products are not there.

    Pre-training saves the BatchNorms of a head it does not have: they say nothing and are left out.
    """
    own = [name for name in state if name.rpartition(".")[0] in {*released.head_layers, *released.head_twice}]
    tensors = {name: state.pop(name) for name in own}
    make = released.head
    if make is None or all(name.rpartition(".")[0] in released.head_twice for name in own):
        return None
    tensors = _without_repeated(tensors, released.head_twice, kind, source)
    renamed = {_rename(name, released.head_layers): _flat(tensor) for name, tensor in tensors.items()}
    return _filled(lambda: make(tensors, width), renamed, source, "segmentation head")


def _read_state(path: Path) -> dict[str, Tensor]:
    """Names and tensors of a `.pth` file, without `module.` before the names."""
    try:
        state = load_plain(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; expected a released .pth file.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} holds no plain tensors ({error}); expected a released state dict.") from None
    if isinstance(state, dict) and isinstance(state.get("base_model"), dict):
        state = state["base_model"]
    plain = isinstance(state, dict) and all(isinstance(tensor, Tensor) for tensor in state.values())
    if not (plain and state):
        raise UserError(f"{path} holds no plain tensors by name; expected a released state dict.")
    if hollow := [name for name, tensor in state.items() if not tensor.nbytes]:
        raise UserError(f"{path} is truncated in {hollow[0]}; expected a released state dict.")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def _without_repeated(state: State, twice: Mapping[str, str], kind: str, source: str) -> State:
    """Return BatchNorms listed twice, as bn1 and inside conv1, once; they must be the same twice."""
    once = {}
    for name, tensor in state.items():
        layer, _, part = name.rpartition(".")
        twin = f"{twice[layer]}.{part}" if layer in twice else None
        if twin is None:
            once[name] = tensor
        elif twin not in state or not torch.equal(tensor, state[twin]):
            raise UserError(f"{source} does not fit {kind}: {name} and {twin} should be the same BatchNorm.")
    return once


def _projection_sizes(state: State, prefix: str) -> tuple[int, int] | None:
    """Return the outputs of both products of the projection head below `prefix`, if it is one."""
    first, last = (shape_of(state, f"{prefix}{layer}.weight") for layer in (0, 3))
    return (first[0], last[0]) if len(first) == len(last) == 2 else None


def _projection(kind: Callable[..., N], inputs: int, state: State, prefix: str, source: str) -> N:
    """Return the projection head below `prefix`."""
    tensors, sizes = _below(state, prefix), _projection_sizes(state, prefix)
    if sizes is None:
        raise UserError(f"{source} has a projection head of another form: {', '.join(sorted(tensors))}.")
    return _filled(lambda: kind(inputs, *sizes), tensors, f"{source} ({prefix.rstrip('.')})")


def _below(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _rename(name: str, layers: Mapping[str, str]) -> str:
    layer, _, tensor = name.rpartition(".")
    return f"{layers.get(layer, layer)}.{tensor}"


def _flat(tensor: Tensor) -> Tensor:
    """A convolution of size 1 is a matrix."""
    return tensor.flatten(1).squeeze(-1) if tensor.ndim > 2 else tensor


def _empty(make: Callable[[], N], source: str, what: str) -> N:
    """A network of the size that a file tells, which may be any: it takes no memory."""
    try:
        with torch.device("meta"):
            return make()
    except KeyError as error:
        raise UserError(f"{source} has an incomplete {what}: {error.args[0]} is missing.") from None
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{source} has a {what} whose tensor sizes fit no network ({error}).") from None


def _filled(make: Callable[[], N], tensors: State, source: str, what: str = "network") -> N:
    """A network with these tensors, and with BatchNorm's counters where the file has none."""
    names = _empty(make, source, what).state_dict()
    counters = {name: torch.tensor(0) for name in names if name.endswith(_COUNTER)}
    return filled(make, {**counters, **tensors}, source)
