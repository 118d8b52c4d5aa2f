"""A run's networks: built from its options, saved with it, loaded again."""

from pathlib import Path

import torch
from safetensors.torch import save

from adacross.data.transforms import rotate_any
from adacross.encoders import Encoder, FrameAveraged, build_encoder, load
from adacross.encoders.base import filled, read_config
from adacross.errors import UserError
from adacross.features.sources import NamedEncoder
from adacross.io.files import whole_file
from adacross.io.weights import read_tensors
from adacross.methods import CrossModal, Method, build_method, method_class
from adacross.methods.point_m2ae import MaskedPointMethod
from adacross.options import plain
from adacross.training.config import PretrainConfig

# Side of images in pixels from which weights channels last are faster on a CPU, too. A step of AdaCrossNet
# with two ResNet-18 is a tenth faster with them at 224 pixels, a tenth to a fifth slower at 32, 64 and 112.
_LARGE = 160


def new_method(config: PretrainConfig) -> Method:
    """Build the method of a configuration with freshly drawn weights, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        encoder = _new_encoder(config)
        method = build_method(
            config.method, encoder, config.images, config.points, config.augmentation, **config.method_args
        )
    if config.orientation == "any":
        augment = method.augment
        method.augment = lambda points, generator: augment(rotate_any(points, generator), generator)
    return method


def _new_encoder(config: PretrainConfig) -> Encoder:
    """Build the encoder; masked methods compute inside of it, and learn rotated clouds as they are."""
    if config.orientation == "up" or issubclass(method_class(config.method), MaskedPointMethod):
        return build_encoder(config.encoder, **config.encoder_args)
    return FrameAveraged(config.encoder, config.encoder_args)


def on_device(method: Method, device: torch.device) -> Method:
    """Move a new method to a device, its weights in the order of memory that it trains fastest with."""
    method = method.to(device)
    if device.type == "cpu" and method.image_size < _LARGE:
        return method
    return method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stub


def warm_start(encoder: Encoder, source: str) -> None:
    """Copy the weights of a saved encoder (`adacross.load`) of the same kind and options.

    One of upright clouds may begin a run of any orientation.
    """
    given = load(source)
    if isinstance(encoder, FrameAveraged) and not isinstance(given, FrameAveraged):
        given = FrameAveraged.around(given)
    described = [f"{type(each).__name__} with {plain(each.options)}" for each in (given, encoder)]
    if described[0] != described[1]:
        raise UserError(
            f"init {source} is a {described[0]}, but the run trains a {described[1]}. Give the same encoder "
            "and encoder_args, or another init."
        )
    encoder.load_state_dict(given.state_dict())


def save_method(method: Method, run: Path) -> None:
    """Write `encoder/` and `method.safetensors`."""
    method.encoder.save_pretrained(run / "encoder", overwrite=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in method.state_dict().items()}
    with whole_file(run / "method.safetensors") as temporary:
        temporary.write_bytes(save(state))


def load_method(run: Path) -> tuple[Method, PretrainConfig]:
    """Return the method of a finished run, in evaluation mode, and its configuration."""
    config = PretrainConfig.load(run)
    path = run / "method.safetensors"
    if not path.exists():
        raise UserError(f"run {run} is not finished; continue it with --resume auto.")
    what = f"the method {config.method}"
    tensors, plugins = read_tensors(path), config.uses_plugins
    method = filled(lambda: new_method(config), tensors, str(path), what, trusted=plugins)
    _, _, method.encoder.inputs = read_config(run / "encoder")  # method.safetensors has only weights
    return method, config


def load_towers(entry: NamedEncoder) -> Encoder | CrossModal:
    """Return a run's method if it has an image tower, else the encoder."""
    if entry.run and issubclass(method_class(PretrainConfig.load(entry.run).method), CrossModal):
        method, _ = load_method(entry.run)
        if isinstance(method, CrossModal):
            return method
    return entry.encoder
