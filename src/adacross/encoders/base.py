"""The base class of point encoders: clouds to features, saved to and loaded from a folder or the hub."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from adacross.encoders.inputs import MIN_POINTS, InputSpec, check_shape
from adacross.errors import UserError, one_line
from adacross.io.files import READER_ERRORS, read_json, whole_file, whole_folder
from adacross.io.hub import SCHEME, check_hub_id, download, is_hub_id, upload
from adacross.io.weights import read_tensors
from adacross.plugins import is_plugin

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
SHIPPED = Path(__file__).parent / "shipped"  # encoders that the package carries, a folder each
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}  # weights may be any of them
PointsAndCloud = tuple[Float[Tensor, "B N C"], Float[Tensor, "B D"]]  # features of both
E = TypeVar("E", bound="Encoder")  # Self, which the tests' type checker does not know in methods
N = TypeVar("N", bound=nn.Module)


class Encoder(nn.Module, ABC):
    """A network from clouds `(B, N, 3)` to features `(B, D)`. Abstract.

    A subclass sets `dim` and defines `forward`, nothing else. It is used by name, `package.module:Name`,
    wherever an encoder is named, and saved and loaded as the built-in ones are: the arguments of its
    constructor, which must be JSON values, are recorded.

    Attributes:
        kind: the name that is saved: a built-in one, or `package.module:Name`.
        dim: D.
        point_dim: C of `point_features`, for encoders that have them.
        options: the constructor's arguments, defaults included.
        inputs: how the clouds were that it was trained with.

    Example:
        >>> class Tiny(Encoder):
        ...     def __init__(self, width: int = 64) -> None:
        ...         super().__init__()
        ...         self.dim = width
        ...         self.layer = nn.Linear(3, width)
        ...
        ...     def forward(self, points: Tensor) -> Tensor:
        ...         return self.layer(points).amax(1)
        >>> encoder = Tiny(32)
        >>> encoder.options, encoder(torch.rand(2, 100, 3)).shape
        ({'width': 32}, torch.Size([2, 32]))
    """

    kind: ClassVar[str]
    dim: int
    point_dim: int
    options: dict[str, Any]
    inputs: InputSpec

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" not in vars(cls):
            cls.kind = f"{cls.__module__}:{cls.__qualname__}"
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]

    def __init__(self) -> None:
        super().__init__()
        self.options = getattr(self, "options", {})
        self.inputs = InputSpec()

    @abstractmethod
    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B D"]:
        """Features `(B, dim)` of clouds `(B, N, 3)`, N at least 32, whatever the order of the points.

        Raises:
            UserError: the points have another shape or type, or are too few.
        """

    def point_features(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N C"]:
        """Features of each point, `(B, N, point_dim)`. Optional; segmentation needs them.

        Raises:
            UserError: as `forward`, or the encoder has none.
        """
        raise UserError(f"encoder {self.kind} has no features of points (`point_features`); choose another.")

    def both_features(self, points: Float[Tensor, "B N 3"]) -> PointsAndCloud:
        """`point_features` and `forward`, the input of a segmentation head; override to share their work.

        Raises:
            UserError: as `point_features`.
        """
        return self.point_features(points), self(points)

    @property
    def has_point_features(self) -> bool:
        """True if the class defines `point_features`."""
        return type(self).point_features is not Encoder.point_features

    def encode(self, shapes: Any, **options: Any) -> Float32[np.ndarray, "n D"]:
        """Encode files, arrays, meshes, point clouds or a collection: `adacross.encode(self, shapes)`.

        Example:
            >>> import adacross
            >>> adacross.load("builtin-small").encode(torch.rand(500, 3)).shape
            (1, 1024)
        """
        from adacross.encoders.encode import encode

        return encode(self, shapes, **options)

    def check(self, points: Tensor) -> Tensor:
        """Return `points` if this encoder can read them: a tensor `(B, N, 3)` of its type, N at least 32."""
        if not isinstance(points, Tensor):
            raise UserError(
                f"points are of type {type(points).__name__}; expected a tensor. Arrays: adacross.encode."
            )
        check_shape(shape := tuple(points.shape))
        if shape[1] < MIN_POINTS:
            raise UserError(
                f"points have shape {shape}; expected at least 1 cloud of at least {MIN_POINTS} points. "
                "Sample more points per shape."
            )
        dtype = next((weight.dtype for weight in self.parameters()), torch.float32)
        if points.dtype != dtype:
            name = str(dtype).removeprefix("torch.")
            raise UserError(
                f"points are {str(points.dtype).removeprefix('torch.')}, the encoder is {name}; "
                f"use points.to(torch.{name})."
            )
        return points

    def save_pretrained(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Write `config.json` and `model.safetensors` to `folder`, whole or not at all.

        Args:
            folder: a new or empty folder, or that of a saved encoder.
            overwrite: replace a saved encoder's files, or add them to a folder of other files, which stay.

        Raises:
            UserError: the folder cannot be written, or holds something that may not be replaced.
        """
        folder = Path(folder)
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            with whole_folder(folder) as temporary:
                self._write(temporary / CONFIG_FILE, temporary / WEIGHTS_FILE)
            return
        ours = _is_saved_encoder(folder)
        taken = folder.is_file() or any((folder / name).exists() for name in (CONFIG_FILE, WEIGHTS_FILE))
        if not ours and (taken or not overwrite):
            raise UserError(f"{folder} exists and is not a saved encoder. Choose a new or empty folder.")
        if ours and not overwrite:
            raise UserError(f"{folder} holds a saved encoder. Choose another folder, or pass overwrite=True.")
        with whole_file(folder / CONFIG_FILE) as config, whole_file(folder / WEIGHTS_FILE) as weights:
            self._write(config, weights)

    def _write(self, config: Path, weights: Path) -> None:
        from safetensors.torch import save_file

        about = {"encoder": self.kind, "options": self.options, "inputs": self.inputs.stored()}
        try:
            text = json.dumps(about, indent=2)
        except TypeError as error:
            raise UserError(
                f"the options of encoder {self.kind} cannot be saved ({one_line(error)}); expected numbers, "
                "texts, booleans, lists and dictionaries of them."
            ) from None
        config.write_text(text + "\n", encoding="utf-8")
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, weights, metadata={"format": "pt"})

    @classmethod
    def from_pretrained(cls: type[E], folder_or_hub_id: Path | str) -> E:
        """Load an encoder of this class, as `adacross.load` does."""
        folder = find_pretrained(folder_or_hub_id)
        kind, _, _ = read_config(folder)
        if kind != cls.kind:
            raise UserError(
                f"{folder_or_hub_id} holds a {kind!r} encoder, not {cls.kind!r}; use adacross.load."
            )
        return restored(cls, folder)

    def push_to_hub(self, hub_id: str, *, private: bool = False, card: str | None = None) -> None:
        """Upload to `owner/name` on the Hugging Face hub, with the login that `hf auth login` stored.

        Args:
            hub_id: made if it is not there.
            private: make the repository private.
            card: text of its README.md. `adacross.share` writes one from a run.

        Raises:
            UserError: a wrong name, no login, no permission, or no network.
        """
        check_hub_id(hub_id)
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "encoder"
            self.save_pretrained(folder)
            if card is not None:
                (folder / "README.md").write_text(card, encoding="utf-8")
            upload(folder, hub_id, "model", private=private)


def shipped_names() -> list[str]:
    """Names of the encoders that the package carries."""
    return sorted(config.parent.name for config in SHIPPED.glob(f"*/{CONFIG_FILE}"))


def find_pretrained(folder_or_hub_id: Path | str) -> Path:
    """Return a saved encoder's folder: itself, a run's, a shipped one's, or the copy of a hub repository.

    A shipped encoder's name means that encoder, whatever lies here; `./builtin-small` is a folder. Only names
    such as `hf://owner/name` are asked of the hub: `runs/parts` typed in the wrong folder must not load an
    encoder that a stranger has put there under that name.
    """
    if str(folder_or_hub_id) in (names := shipped_names()):
        return SHIPPED / folder_or_hub_id
    if str(folder_or_hub_id).startswith(SCHEME):
        return download(str(folder_or_hub_id), "model", [CONFIG_FILE, WEIGHTS_FILE])
    path = Path(folder_or_hub_id)
    if path.is_dir():
        run = (path / "config.yaml").is_file() and not (path / CONFIG_FILE).is_file()
        return path / "encoder" if run else path
    if path.exists():
        raise UserError(f"{path} is a file; expected the folder that holds {CONFIG_FILE} and {WEIGHTS_FILE}.")
    hint = f" For the encoder of that name on the Hugging Face hub write {SCHEME}{path}."
    raise UserError(
        f"{path} does not exist here. Expected a saved encoder's folder, {SCHEME}owner/name on the hub, or "
        f"one that adacross carries ({', '.join(names)}).{hint if is_hub_id(str(folder_or_hub_id)) else ''}"
    )


def restored(make: Callable[..., E], folder: Path) -> E:
    """Return the encoder saved in a folder, made by its class (or a function), in evaluation mode."""
    kind, options, inputs = read_config(folder)
    tensors, source = read_tensors(folder / WEIGHTS_FILE), f"{folder} ({CONFIG_FILE} and {WEIGHTS_FILE})"
    name = getattr(make, "__name__", kind)
    trusted = is_plugin(kind) or is_plugin(str(options.get("encoder")))  # a frame-averaged one
    encoder = filled(lambda: make(**options), tensors, source, name, trusted=trusted)
    encoder.inputs = inputs
    return encoder


def _recording(constructor: Callable[..., None]) -> Callable[..., None]:
    """Let a constructor keep its arguments in `options`; a base class's constructor adds nothing."""
    parameters = signature(constructor)

    @wraps(constructor)
    def construct(self: Encoder, *args: Any, **options: Any) -> None:
        if "options" not in vars(self):
            bound = parameters.bind(self, *args, **options)
            bound.apply_defaults()
            _, *given = bound.arguments.items()
            kept: dict[str, Any] = {}
            for name, value in given:
                free = parameters.parameters[name].kind is Parameter.VAR_KEYWORD
                kept |= value if free else {name: value}
            vars(self)["options"] = {  # JSON has no tuples
                name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()
            }
        constructor(self, *args, **options)

    return construct


def _is_saved_encoder(folder: Path) -> bool:
    """Return whether a `config.json` is an encoder's; other libraries write files of that name, too."""
    try:
        config = read_json(folder / CONFIG_FILE, "a saved encoder's description")
    except UserError:
        return False
    return isinstance(config, dict) and isinstance(config.get("encoder"), str) and "options" in config


def read_config(folder: Path) -> tuple[str, dict[str, Any], InputSpec]:
    """Return kind, constructor arguments and expected clouds from a saved encoder's `config.json`."""
    config = read_json(folder / CONFIG_FILE, "a saved encoder's description")
    if not isinstance(config, dict) or not isinstance(config.get("encoder"), str):
        raise UserError(
            f"{folder / CONFIG_FILE} names no encoder; expected a file that save_pretrained wrote."
        )
    options = config.get("options", {})
    if not isinstance(options, dict):
        raise UserError(f"{folder / CONFIG_FILE} has options {options!r}; expected a JSON object.")
    return config["encoder"], options, InputSpec.read(config.get("inputs", {}), str(folder / CONFIG_FILE))


def filled(
    make: Callable[[], N],
    tensors: dict[str, Tensor],
    source: str,
    what: str = "a network",
    *,
    trusted: bool = False,
) -> N:
    """Return the network that `make` makes with these tensors, in evaluation mode; messages call it `what`.

    It is made without memory first, and again only if the tensors fit: a damaged file may describe a network
    of any size. Networks of other packages may need memory to be made, and are `trusted`. `source` is the
    files that name both.
    """
    if not trusted:
        with torch.device("meta"):
            _check_fit(_made(make, source, what), tensors, source)
    module = _made(make, source, what)
    load_strict(module, tensors, source)
    return module.eval()


def _made(make: Callable[[], N], source: str, what: str) -> N:
    try:
        return make()
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    except READER_ERRORS as error:
        raise UserError(f"{source} does not fit {what}: {one_line(error, 200)}.") from None


def load_strict(module: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Copy `tensors` into `module`; refuse, by name, what is missing, left over, of another shape or NaN."""
    _check_fit(module, tensors, source)
    with torch.no_grad():
        module.load_state_dict(tensors)


def _check_fit(module: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own if name not in tensors]
    problems += [f"{name} is unknown" for name in tensors if name not in own]
    for name, given in tensors.items():
        mine = own.get(name, given)
        if given.shape != mine.shape:
            problems.append(f"{name} is {tuple(given.shape)}, expected {tuple(mine.shape)}")
        if (given.dtype in _FLOATS) != (mine.dtype in _FLOATS):
            problems.append(f"{name} is {str(given.dtype).removeprefix('torch.')}")
        if given.dtype in _FLOATS and not torch.isfinite(given).all():
            problems.append(f"{name} has numbers that are NaN or infinite")
    if problems:
        more = f" and {len(problems) - 6} more" if len(problems) > 6 else ""
        raise UserError(f"{source} does not fit {type(module).__name__}: {'; '.join(problems[:6])}{more}.")
