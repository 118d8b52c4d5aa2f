"""Everything that decides a pre-training run, checked before anything expensive starts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from inspect import signature
from math import inf
from pathlib import Path
from typing import Any, Literal

import yaml

from adacross.data.formats import BUILTIN
from adacross.encoders import ENCODERS, encoder_class
from adacross.encoders.inputs import MOST_POINTS
from adacross.errors import UserError, check_options, one_of
from adacross.io.files import read_yaml, write_whole
from adacross.io.remote import absolute, is_address, local_target
from adacross.losses.weighting import weighting_class
from adacross.methods import (
    IMAGE_ENCODERS,
    METHODS,
    RESERVED,
    ImageTowerConfig,
    build_augmentation,
    method_class,
)
from adacross.options import check_values, plain
from adacross.recipes import recipe_path

Optimizer = Literal["adam", "adamw", "sgd", "sgd-released"]
Schedule = Literal["cosine", "epoch", "released", "constant"]
Selection = Literal["last", "released"]
Track = Literal["tensorboard", "wandb", "mlflow"]

NOT_COMPARED = {  # may differ between a run and its resumption
    *("run", "resume", "overwrite", "device", "collection", "image_cache"),
    *("keep_checkpoints", "callbacks", "track"),
}
_LEAST = {
    **dict.fromkeys(("epochs", "batch_size", "checkpoint_every"), 1),
    **dict.fromkeys(("accumulate", "keep_checkpoints"), 1),
    **dict.fromkeys(("image_size", "points"), 32),
    **dict.fromkeys(("monitor_every", "seed", "warmup", "weight_decay", "image_cache", "fresh"), 0),
}
_MOST = {"image_size": 1024, "points": MOST_POINTS}  # a file may ask for any
BUILTIN_COLLECTION = "collections/builtin"  # what "builtin" stands for
_RENAMED = {"picture_size": "image_size", "picture_cache": "image_cache"}  # since version 0.1


@dataclass(frozen=True)
class PretrainConfig:
    """Options of a pre-training run; a recipe is a YAML file of these.

    Args:
        collection: a prepared folder (see `adacross prepare`), the URL of one (s3://bucket/collection), or
            the word "builtin": built-in shapes, prepared in collections/builtin unless they are there
            (a folder of that name is "./builtin").
        run: folder of the run; `runs/<collection>-<method>-<encoder>-seed<seed>` by default.
        method: adacrossnet, crossnet, crosspoint, joint-mae, point-m2ae, or `package.module:Name` of another
            package, as for every name below.
        method_args: options of the method, such as temperature=0.1 or, for crossnet, variant=joint and
            negatives=released.
        encoder: point encoder: dgcnn, pointnet, point-m2ae, or a segmentation trunk (dgcnn-partseg,
            dgcnn-semseg, pointnet-partseg); auto is point-m2ae for joint-mae and point-m2ae, which need it,
            and dgcnn for the others.
        encoder_args: options of the encoder, such as k=15 for dgcnn.
        init: saved encoder to start from (a folder, a run, builtin-base or another that ships, hf://owner/name)
            instead of random weights; of the same kind and options.
        image_encoder: image encoder: resnet18, resnet50 (the papers'), or a module with `dim`, such as a
            pre-trained one.
        image_encoder_args: options of the image encoder, such as width=16 for a ResNet whose first stage has
            16 channels (64 in the papers; fewer for small machines).
        image_frozen: keep the image encoder's weights fixed, as for a pre-trained one.
        image_size: side of the images given to the image encoder, in pixels (224 in the papers).
        points: points drawn at random for each augmented cloud; all stored points by default.
        augmentation: augmentation of point clouds: crosspoint (all contrastive methods'), point-m2ae
            (Joint-MAE's, too), or mild (ours: turned, scaled and shifted, without dropout); the method's own
            by default.
        orientation: orientation that clouds are learned in: up (turned about the upright axis, as published)
            or any, for parts that lie in no fixed way: clouds are turned by any rotation, and features are
            averaged over a cloud's principal frames, so that they do not depend on it (masked methods turn
            alone).
        fresh: train on this many new built-in shapes an epoch, drawn while training and never stored, in
            place of the collection's; the collection then serves only the monitor. 0: on the collection's.
        epochs: number of passes over the training set.
        batch_size: shapes in a batch, of all processes together.
        accumulate: batches whose gradients are averaged for one optimizer step. A contrastive loss compares
            the shapes of one batch only, so this is not the same as a larger batch_size.
        clip_norm: largest Euclidean norm of all gradients together; larger ones are scaled down to it.
        optimizer: adam (the contrastive papers'), adamw (Point-M2AE's), sgd, or sgd-released (CrossNet's and
            AdaCrossNet's --use_sgd, which trains only the point network).
        learning_rate: peak learning rate.
        weight_decay: coefficient of weight decay (CrossNet's 1e-5).
        schedule: learning-rate schedule: cosine (over the whole run), epoch (CrossPoint's), released
            (CrossNet's and AdaCrossNet's programs, swinging), or constant.
        warmup: epochs of linear warmup, for cosine and constant.
        weighting: rule that weights the loss terms: fixed, adacrossnet, convergence, dwa, uncertainty,
            gradnorm or softadapt; the method's own by default.
        weighting_args: options of the weighting, such as alpha=5 for adacrossnet.
        selection: weights that are kept: last, the last step's; or released, the epoch's whose linear SVM is
            best on the TEST split, as in the released programs (to check their numbers).
        validation_fraction: fraction of the training shapes held out for the monitor.
        monitor_every: evaluate the monitor every N epochs; 0 for never.
        checkpoint_every: save a checkpoint every N epochs.
        keep_checkpoints: newest checkpoints to keep; by default 2 while training and the last one after it.
        callbacks: callbacks, each a package.module:Name, called while training (see adacross.Callback).
        track: send losses and metrics to tensorboard, wandb or mlflow.
        sync_batchnorm: synchronize BatchNorm statistics across processes.
        image_cache: gigabytes of disk for decoded images while training; 0 to decode them every time.
        precision: float32, or bf16 for products and convolutions of numbers rounded to bfloat16, where the
            device is fast at it. The search for neighbors and the losses stay in float32.
        device: auto (cuda if there is a GPU, else cpu), cpu or cuda.
        seed: random seed of weights, order, views and augmentation.
        resume: no; auto (continue from the newest checkpoint that can be read, or start if there is none); or
            a checkpoint, whose successors are then deleted.
        overwrite: delete the files of a run that is there and start afresh.
    """

    collection: str
    run: str | None = None
    method: str = "adacrossnet"
    method_args: dict[str, Any] = field(default_factory=dict)
    encoder: str = "auto"
    encoder_args: dict[str, Any] = field(default_factory=dict)
    init: str | None = None
    image_encoder: str = "resnet50"
    image_encoder_args: dict[str, Any] = field(default_factory=dict)
    image_frozen: bool = False
    image_size: int = 224
    points: int | None = None
    augmentation: str | None = None
    orientation: Literal["up", "any"] = "up"
    fresh: int = 0
    epochs: int = 100
    batch_size: int = 32
    accumulate: int = 1
    clip_norm: float | None = None
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
    keep_checkpoints: int | None = None
    callbacks: list[str] = field(default_factory=list)
    track: Track | None = None
    sync_batchnorm: bool = True
    image_cache: float = 4.0
    precision: Literal["float32", "bf16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    resume: str = "no"
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_values("pre-training", PretrainConfig, vars(self))
        for name, value in vars(self).items():  # as config.yaml will hold them, so that they compare as equal
            object.__setattr__(self, name, plain(value))
        if self.collection == BUILTIN:
            object.__setattr__(self, "collection", BUILTIN_COLLECTION)
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
        self._check_ranges()

    def _check_ranges(self) -> None:
        for name, least in _LEAST.items():
            value, most = getattr(self, name), _MOST.get(name, inf)
            if value is not None and not (least <= value < inf and value <= most):
                limit = f" and at most {most:,}" if name in _MOST else ""
                raise UserError(f"{name} is {value}; expected a number of at least {least}{limit}.")
        if self.seed >= 2**63:
            raise UserError(f"seed is {self.seed}; expected at most 2^63 - 1.")
        if self.batch_size < 2:
            raise UserError("batch_size is 1; a contrastive loss needs at least 2 shapes to tell apart.")
        fraction = self.validation_fraction
        if not 0 <= fraction < 1:
            raise UserError(f"validation_fraction is {fraction}; expected 0 or more, below 1.")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise UserError(f"{name} is {value}; expected a positive number.")
        warmup, schedule = self.warmup, self.schedule
        if warmup and schedule in ("epoch", "released"):
            raise UserError(f"warmup is {warmup}, but schedule {schedule!r} has none; choose cosine.")
        if warmup > self.epochs:
            raise UserError(f"warmup is {warmup}, longer than the {self.epochs} epochs of the run.")

    @property
    def weighting_name(self) -> str:
        """`weighting`, or the method's own."""
        return self.weighting or method_class(self.method).weighting

    @property
    def images(self) -> ImageTowerConfig:
        """Options of the image tower."""
        return ImageTowerConfig(
            self.image_encoder, self.image_encoder_args, self.image_frozen, self.image_size
        )

    @property
    def uses_plugins(self) -> bool:
        """True if networks of other packages take part."""
        builtin = {*METHODS, *ENCODERS, *IMAGE_ENCODERS}
        return not {self.method, self.encoder, self.image_encoder} <= builtin

    def without_effect(self) -> list[str]:
        """Return the options that were changed although the method does not use them."""
        method = method_class(self.method)
        if method.uses_images:
            return []
        unused = ["image_encoder", "image_encoder_args", "image_frozen", "image_size", "image_cache"]
        if "image_size" in signature(method).parameters:
            unused.remove("image_size")
        default = type(self)(self.collection)
        return [name for name in unused if getattr(self, name) != getattr(default, name)]

    @property
    def run_folder(self) -> Path:
        """`run`, or its default."""
        method, encoder = (name.rpartition(":")[2] for name in (self.method, self.encoder))
        name = f"{Path(self.collection).resolve().name}-{method}-{encoder}-seed{self.seed}"
        return local_target(self.run) if self.run else Path("runs") / name

    @classmethod
    def recipe(cls, name: str | Path | None, collection: str, **changes: Any) -> "PretrainConfig":
        """Return the options of a recipe, given by name or path, with some of them changed.

        Without a name the changes are to the defaults.

        Raises:
            UserError: there is no such recipe or option, or the recipe holds an address: one that is read in
                a file is not opened.

        Example:
            >>> PretrainConfig.recipe("adacrossnet_pointnet_laptop", "shapes", epochs=12).epochs
            12
        """
        for option in changes:
            one_of("option of pre-training", option, [each.name for each in fields(cls)])
        if name is None:
            return cls(collection, **changes)
        path = recipe_path(str(name))
        values = _read_options(path)
        for option, value in values.items():
            if option not in ("collection", *changes) and isinstance(value, str) and is_address(value):
                raise UserError(
                    f"{path}: {option} is {value}; an address that is read in a file is not opened. Give "
                    f"{option} yourself, if you know and trust it."
                )
        return _of_file(path, values | {"collection": collection} | changes)

    def save(self, run: Path) -> None:
        """Write `config.yaml` into the run."""
        values = asdict(self) | {"collection": absolute(self.collection), "run": str(run)}
        write_whole(run / "config.yaml", yaml.safe_dump(values, sort_keys=False))

    @classmethod
    def load(cls, run: Path) -> "PretrainConfig":
        """Read a run's `config.yaml`; one that is missing, not YAML, or of unknown options is refused."""
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
        """Refuse to resume a run that began with other options; `compared()` of it may lack newer ones."""
        mine = self.compared()
        if different := [name for name in mine if name in earlier and mine[name] != earlier[name]]:
            listed = ", ".join(f"{name} was {earlier[name]!r}, is {mine[name]!r}" for name in different)
            raise UserError(
                f"cannot resume with other options ({listed}). Give the same ones, or another --run."
            )


def current_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options under their present names; files of version 0.1 have the old ones."""
    values = {_RENAMED.get(name, name): value for name, value in options.items()}
    if "image_depth" in values:
        values["image_encoder"] = f"resnet{values.pop('image_depth')}"
    if "image_width" in values:
        width = values.pop("image_width")
        values["image_encoder_args"] = {} if width == 64 else {"width": width}
    return values


def _read_options(path: Path) -> dict[str, Any]:
    """Return the options in a YAML file, checked to be known ones and of their types."""
    values = read_yaml(path, "options of pre-training")
    known = {option.name for option in fields(PretrainConfig)}
    if not isinstance(values, dict):
        raise UserError(f"{path} holds {repr(values)[:200]}; expected options of pre-training, one a line.")
    values = current_names(values)
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
