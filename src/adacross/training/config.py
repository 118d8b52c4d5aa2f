"""Everything that decides a pre-training run, checked before anything expensive starts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from inspect import signature
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from adacross.encoders.inputs import MOST_POINTS
from adacross.errors import UserError, check_options
from adacross.io.files import read_yaml, whole_file
from adacross.io.remote import absolute, local_target
from adacross.options import check_values, plain
from adacross.recipes import recipe_path
from adacross.training.optimizer import Optimizer
from adacross.training.schedule import Schedule
from adacross.training.selection import Selection

if TYPE_CHECKING:
    from adacross.methods import ImageTowerConfig

NOT_COMPARED = {
    "run",
    "resume",
    "overwrite",
    "device",
    "collection",
    "picture_cache",
}  # may differ between a run and its resumption
_LEAST = {
    **dict.fromkeys(("epochs", "batch_size", "checkpoint_every"), 1),
    **dict.fromkeys(("picture_size", "points"), 32),
    **dict.fromkeys(("monitor_every", "seed", "warmup", "weight_decay", "picture_cache"), 0),
}
_MOST = {"picture_size": 1024, "points": MOST_POINTS}  # a file may ask for any


@dataclass(frozen=True)
class PretrainConfig:
    """Options of a pre-training run; a recipe is a YAML file of these.

    Args:
        collection: a prepared folder (see `adacross prepare`), or the URL of one (s3://bucket/collection).
        run: folder of the run; by default `runs/<collection>-<method>-<encoder>-seed<seed>`.
        method: adacrossnet, crossnet, crosspoint, joint-mae, point-m2ae, or one of your own by
            `package.module:Name`, as for each name below.
        method_args: the method's own options, such as `{"temperature": 0.1}` or, for crossnet,
            `{"variant": "joint"}` and `{"negatives": "released"}`.
        encoder: the point encoder: dgcnn, pointnet, point-m2ae, or one of the segmentation trunks
            (dgcnn-partseg, dgcnn-semseg, pointnet-partseg); auto is point-m2ae for joint-mae and point-m2ae,
            which need it, and dgcnn for the others.
        encoder_args: the encoder's own options, such as `{"k": 15}` for dgcnn.
        image_encoder: the image encoders beside it: resnet18, resnet50 (the papers'), or a module of
            your own with `dim`, fresh or pre-trained.
        image_encoder_args: the image encoder's own options, such as `{"width": 16}` for a ResNet whose first
            stage has 16 channels (64 in the papers; fewer for small machines).
        image_frozen: whether the image encoders' weights stay as they are, as for pre-trained ones.
        picture_size: side of the pictures given to the image encoders, in pixels (224 in the papers).
        points: points drawn at random for each augmented cloud; all stored points if not given.
        augmentation: of point clouds: crosspoint (of all contrastive methods) or point-m2ae (of Joint-MAE,
            too); the method's own if not given.
        epochs: how often every shape is seen.
        batch_size: shapes a step, of all processes together.
        optimizer: adam (the contrastive papers'), adamw (Point-M2AE's), sgd, or sgd-released (CrossNet's and
            AdaCrossNet's --use_sgd, which trains the point network alone).
        learning_rate: the largest rate.
        weight_decay: coefficient (CrossNet's 1e-5).
        schedule: cosine (over the whole run), epoch (CrossPoint's), released (CrossNet's and AdaCrossNet's
            programs, swinging), or constant.
        warmup: epochs of linear rise at the start, for cosine and constant.
        weighting: how loss terms are weighted (fixed, adacrossnet, convergence, dwa, uncertainty, gradnorm);
            the method's own if not given.
        weighting_args: the weighting's own options, such as `{"alpha": 5}` for adacrossnet.
        selection: which networks are the result: last, the last step's; or released, the epoch's whose
            linear SVM is best on the TEST split, as the released programs have it (to check their numbers).
        validation_fraction: part of the training shapes kept out of training for the monitor.
        monitor_every: epochs between two looks of the monitor; 0 for none.
        checkpoint_every: epochs between two checkpoints; the newest two are kept.
        sync_batchnorm: whether BatchNorm of several processes normalises by the whole batch, as that of one
            does, or in each by its part.
        picture_cache: gigabytes of disk for decoded pictures while training; 0 to decode them every time.
        precision: float32, or bf16 for bfloat16 in the products and convolutions of image towers, projections
            and transformer blocks, where the device is fast at it. Fused layers stay in float32: all of
            DGCNN's, the last of PointNet, half of Point-M2AE's group embeddings.
        device: auto, cpu or cuda.
        seed: of weights, order, pictures and augmentation.
        resume: no; auto (continue from the newest checkpoint that can be read, or start if there is none); or
            a checkpoint, whose successors are then deleted.
        overwrite: delete what the run folder holds and start afresh.
    """

    collection: str
    run: str | None = None
    method: str = "adacrossnet"
    method_args: dict[str, Any] = field(default_factory=dict)
    encoder: str = "auto"
    encoder_args: dict[str, Any] = field(default_factory=dict)
    image_encoder: str = "resnet50"
    image_encoder_args: dict[str, Any] = field(default_factory=dict)
    image_frozen: bool = False
    picture_size: int = 224
    points: int | None = None
    augmentation: str | None = None
    epochs: int = 100
    batch_size: int = 32
    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    schedule: Schedule = "cosine"
    warmup: float = 0.0
    weighting: str | None = None
    weighting_args: dict[str, Any] = field(default_factory=dict)
    selection: Selection = "last"
    validation_fraction: float = 0.1
    monitor_every: int = 1
    checkpoint_every: int = 1
    sync_batchnorm: bool = True
    picture_cache: float = 4.0
    precision: Literal["float32", "bf16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    resume: str = "no"
    overwrite: bool = False

    def __post_init__(self) -> None:
        from adacross.encoders import encoder_class
        from adacross.losses.weighting import weighting_class
        from adacross.methods import RESERVED, build_augmentation, method_class

        check_values("pre-training", PretrainConfig, vars(self))
        for name, value in vars(self).items():  # as config.yaml will hold them, so that they compare as equal
            object.__setattr__(self, name, plain(value))
        method = method_class(self.method)
        if self.encoder == "auto":  # what is saved and compared is the encoder's name
            object.__setattr__(self, "encoder", method.default_encoder)
        weighting = weighting_class(self.weighting_name)
        for owner, function, options, hidden in (
            (f"encoder {self.encoder}", encoder_class(self.encoder), self.encoder_args, ()),
            (f"method {self.method}", method, self.method_args, RESERVED),
            (f"weighting {self.weighting_name}", weighting, self.weighting_args, ()),
        ):
            check_options(owner, function, options, hidden)
            check_values(owner, function, options)
        self.images.check()
        if self.augmentation is not None:
            build_augmentation(self.augmentation)
        weighting(**self.weighting_args)  # for its ranges: a run would find them out after it has cleared one
        for name, least in _LEAST.items():
            value, most = getattr(self, name), _MOST.get(name, inf)
            if value is not None and not (least <= value < inf and value <= most):
                limit = f" and at most {most:,}" if name in _MOST else ""
                raise UserError(f"{name} is {value}; expected a number of at least {least}{limit}.")
        if self.seed >= 2**63:
            raise UserError(f"seed is {self.seed}; expected at most 2^63 - 1.")
        if self.batch_size < 2:
            raise UserError("batch_size is 1; a contrastive loss needs at least 2 shapes to tell apart.")
        if not 0 <= self.validation_fraction < 1:
            raise UserError(
                f"validation_fraction is {self.validation_fraction}; expected 0 or more, below 1."
            )
        if not 0 < self.learning_rate < inf:
            raise UserError(f"learning_rate is {self.learning_rate}; expected a positive number.")
        if self.warmup and self.schedule in ("epoch", "released"):
            raise UserError(
                f"warmup is {self.warmup}, but schedule {self.schedule!r} has none; choose cosine."
            )
        if self.warmup > self.epochs:
            raise UserError(f"warmup is {self.warmup}, longer than the {self.epochs} epochs of the run.")

    @property
    def weighting_name(self) -> str:
        """`weighting`, or the method's own."""
        from adacross.methods import method_class

        return self.weighting or method_class(self.method).weighting

    @property
    def images(self) -> "ImageTowerConfig":
        """Options of the image tower."""
        from adacross.methods import ImageTowerConfig

        return ImageTowerConfig(
            self.image_encoder, self.image_encoder_args, self.image_frozen, self.picture_size
        )

    @property
    def uses_plugins(self) -> bool:
        """Whether networks of other packages take part."""
        from adacross.encoders import ENCODERS
        from adacross.methods import IMAGE_ENCODERS, METHODS

        return not (
            self.method in METHODS and self.encoder in ENCODERS and self.image_encoder in IMAGE_ENCODERS
        )

    def without_effect(self) -> list[str]:
        """Return the options that were changed although the method does not use them."""
        from adacross.methods import method_class

        method = method_class(self.method)
        if method.uses_images:
            return []
        unused = {"image_encoder", "image_encoder_args", "image_frozen", "picture_cache"}
        if "picture_size" not in signature(method).parameters:
            unused.add("picture_size")
        default = type(self)(self.collection)
        return [
            each.name
            for each in fields(self)
            if each.name in unused and getattr(self, each.name) != getattr(default, each.name)
        ]

    @property
    def run_folder(self) -> Path:
        """`run`, or its default."""
        method, encoder = (name.rpartition(":")[2] for name in (self.method, self.encoder))
        name = f"{Path(self.collection).resolve().name}-{method}-{encoder}-seed{self.seed}"
        return local_target(self.run) if self.run else Path("runs") / name

    @classmethod
    def recipe(cls, name: str, collection: str, **changes: Any) -> "PretrainConfig":
        """The options of a recipe, given by name or path, with some of them changed.

        Raises:
            UserError: there is no such recipe, or it has options this version does not know.
        """
        path = recipe_path(name)
        return _of_file(path, _read_options(path) | {"collection": collection} | changes)

    def save(self, run: Path) -> None:
        """Write `config.yaml` into the run."""
        values = asdict(self) | {"collection": absolute(self.collection), "run": str(run)}
        with whole_file(run / "config.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")

    @classmethod
    def load(cls, run: Path) -> "PretrainConfig":
        """Read a run's `config.yaml`.

        Raises:
            UserError: the file is missing, not YAML, or has options this version does not know.
        """
        path = Path(run) / "config.yaml"
        if not path.is_file():
            raise UserError(f"{run} is not a run (no config.yaml); make one with adacross pretrain.")
        values = _read_options(path)
        if "collection" not in values:
            raise UserError(f"{path} names no collection; expected the file that adacross pretrain wrote.")
        return _of_file(path, values)

    def compared(self) -> dict[str, Any]:
        """Return the options that a resumed run must share with its beginning, as JSON values."""
        return {name: value for name, value in asdict(self).items() if name not in NOT_COMPARED}

    def must_match(self, earlier: Mapping[str, Any]) -> None:
        """Refuse to resume a run under other options.

        Args:
            earlier: `compared()` of the run's beginning; options that it lacks are newer than the run.

        Raises:
            UserError: names the options that differ.
        """
        mine = self.compared()
        different = [name for name in mine if name in earlier and mine[name] != earlier[name]]
        if different:
            listed = ", ".join(f"{name} was {earlier[name]!r}, is {mine[name]!r}" for name in different)
            raise UserError(
                f"cannot resume with other options ({listed}). Give the same ones, or another --run."
            )


def checked_recipe(given: str) -> Path:
    """The file of a recipe given by name or path, once its options have been read and checked.

    Raises:
        UserError: no such recipe, not YAML, or options that do not exist or are of other types.
    """
    path = recipe_path(given)
    _read_options(path)
    return path


def _read_options(path: Path) -> dict[str, Any]:
    """The options in a YAML file, checked to be known ones and of their types."""
    values = read_yaml(path, "options of pre-training")
    known = {option.name for option in fields(PretrainConfig)}
    if not isinstance(values, dict):
        raise UserError(f"{path} holds {repr(values)[:200]}; expected options of pre-training, one a line.")
    if "image_depth" in values:  # of adacross 0.1
        values["image_encoder"] = f"resnet{values.pop('image_depth')}"
    if "image_width" in values:
        width = values.pop("image_width")
        values["image_encoder_args"] = {} if width == 64 else {"width": width}
    if strange := sorted(set(map(str, values)) - known):
        listed = ", ".join(repr(name[:100]) for name in strange[:5])
        raise UserError(f"{path} has options that this version does not know ({listed}). Remove them.")
    try:
        check_values("pre-training", PretrainConfig, values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return values


def _of_file(path: Path, values: dict[str, Any]) -> PretrainConfig:
    try:
        return PretrainConfig(**values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
