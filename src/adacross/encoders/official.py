"""Weights that CrossPoint, CrossNet and AdaCrossNet released, read into our encoders."""

import warnings
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251  the name of an error; nothing is unpickled here
from typing import Any

import torch
from torch import Tensor, nn

from adacross.encoders.base import Encoder, fill
from adacross.encoders.dgcnn import DGCNN
from adacross.encoders.heads import PointProjection
from adacross.encoders.pointnet import PointNet
from adacross.errors import UserError

# Released layer -> ours. A layer's convolution and its BatchNorm have names of their own on both sides.
_DGCNN = {
    **{f"conv{i}.0": f"edges.{i - 1}.linear" for i in range(1, 5)},
    **{f"conv{i}.1": f"edges.{i - 1}.norm" for i in range(1, 5)},
    "conv5.0": "last.linear",
    "conv5.1": "last.norm",
}
_POINTNET = {
    **{f"conv{i}": f"layers.{i - 1}.linear" for i in range(1, 5)},
    **{f"bn{i}": f"layers.{i - 1}.norm" for i in range(1, 5)},
    "conv5": "last.linear",
    "bn5": "last.norm",
}
_HEAD = "inv_head."
_COUNTER = "num_batches_tracked"


def load_official(path: Path | str, k: int = 20) -> tuple[Encoder, PointProjection | None]:
    """A released DGCNN or PointNet classification encoder and its projection head, in evaluation mode.

    The file's names and shapes decide which it is; every tensor must find its place. Files of several GPUs
    (`module.` before every name) are read too. Nothing in the file is executed.

    Args:
        path: a `.pth` file with a state dict.
        k: DGCNN's neighbours, which no file tells: 20 for CrossNet and AdaCrossNet, 15 for CrossPoint.

    Returns:
        The encoder, and the head that was trained on it (None if the file has none).

    Raises:
        UserError: no such file, no state dict of plain tensors, another network, or tensors that do not fit.
    """
    state = _read_state(Path(path))
    source = str(path)
    if "conv1.0.weight" in state and _shape(state, "conv5.0.weight")[1:] == (512, 1):
        # BatchNorms are listed twice: as bn1 and inside conv1.
        repeated = {
            name: name.replace(".", ".1.", 1).replace("bn", "conv", 1) for name in state if name[:2] == "bn"
        }
        _check_repeated(state, repeated, source)
        encoder: Encoder = DGCNN(k, width=len(state["conv5.0.weight"]))
        layers = _DGCNN
        state = {name: tensor for name, tensor in state.items() if name not in repeated}
    elif _shape(state, "conv1.weight") == (64, 3, 1) and _shape(state, "conv5.weight")[1:] == (128, 1):
        encoder, layers = PointNet(width=len(state["conv5.weight"])), _POINTNET
    else:
        raise UserError(
            f"{source} is no released DGCNN or PointNet classification encoder; "
            f"it has {len(state)} tensors, among them {', '.join(sorted(state)[:4])}."
        )
    head = {name.removeprefix(_HEAD): tensor for name, tensor in state.items() if name.startswith(_HEAD)}
    body = {
        _rename(name, layers): _flat(tensor) for name, tensor in state.items() if not name.startswith(_HEAD)
    }
    _fill(encoder, body, source)
    return encoder.eval(), _projection(head, encoder.dim, source)


def _read_state(path: Path) -> dict[str, Tensor]:
    """Names and tensors of a `.pth` file, without `module.` before the names."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old file formats warn; what matters is raised
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; expected a released .pth file.") from None
    except (UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{path} holds no plain tensors ({reason}); expected a released state dict."
        ) from None
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(tensor, Tensor) for tensor in state.values())
    ):
        raise UserError(f"{path} holds no plain tensors by name; expected a released state dict.")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def _shape(state: dict[str, Tensor], name: str) -> tuple[int, ...]:
    """Shape of a tensor without a 2-D convolution's last axis; () where there is none."""
    return tuple(state[name].shape[:3]) if name in state else ()


def _check_repeated(state: dict[str, Tensor], repeated: dict[str, str], source: str) -> None:
    """What is listed twice must be the same twice."""
    for name, twin in repeated.items():
        if twin not in state or not torch.equal(state[name], state[twin]):
            raise UserError(f"{source} does not fit DGCNN: {name} and {twin} should be the same BatchNorm.")


def _rename(name: str, layers: dict[str, str]) -> str:
    layer, _, tensor = name.rpartition(".")
    return f"{layers.get(layer, layer)}.{tensor}"


def _flat(tensor: Tensor) -> Tensor:
    """A convolution of size 1 is a matrix."""
    return tensor.flatten(1).squeeze(-1) if tensor.ndim > 2 else tensor


def _fill(module: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Fill, with BatchNorm's counters where the file has none."""
    counters = {name: tensor for name, tensor in module.state_dict().items() if name.endswith(_COUNTER)}
    fill(module, {**counters, **tensors}, source)


def _projection(tensors: dict[str, Tensor], inputs: int, source: str) -> PointProjection | None:
    if not tensors:
        return None
    first, last = _shape(tensors, "0.weight"), _shape(tensors, "3.weight")
    if len(first) != 2 or len(last) != 2:
        raise UserError(f"{source} has a projection head of another form: {', '.join(sorted(tensors))}.")
    head = PointProjection(inputs, hidden=first[0], outputs=last[0])
    _fill(head, tensors, f"{source} ({_HEAD.rstrip('.')})")
    return head.eval()
