"""Pre-training methods, one file each."""

from typing import Any

from adacross.encoders import Encoder
from adacross.errors import UserError, check_options
from adacross.methods.adacrossnet import AdaCrossNet
from adacross.methods.base import Augmentation, Batch, Method, build_augmentation
from adacross.methods.cross_modal import CrossModal
from adacross.methods.crossnet import CrossNet
from adacross.methods.crosspoint import CrossPoint
from adacross.methods.image_tower import IMAGE_ENCODERS, ImageTower, ImageTowerConfig
from adacross.methods.joint_mae.model import JointMAE
from adacross.methods.point_m2ae import PointM2AEMethod
from adacross.plugins import find

METHODS: dict[str, type[Method]] = {
    "adacrossnet": AdaCrossNet,
    "crossnet": CrossNet,
    "crosspoint": CrossPoint,
    "joint-mae": JointMAE,
    "point-m2ae": PointM2AEMethod,
}
RESERVED = ("points", "image_size", "frozen")  # parameters of a method that a run sets otherwise


def method_class(name: str) -> type[Method]:
    """Return a built-in method, or the one that `package.module:Name` or an installed package names."""
    found = find("method", name, METHODS, Method)
    if not isinstance(found, type):
        raise UserError(f"method {name} is a function; name a class derived from adacross.methods.Method.")
    return found


def build_method(
    name: str,
    encoder: Encoder,
    images: ImageTowerConfig,
    points: int | None = None,
    augmentation: str | None = None,
    **options: Any,
) -> Method:
    """Build the method called `name` around a point encoder, with fresh networks beside it.

    `points` and `augmentation` (a name) are the method's own where None; `options` are its constructor's.
    """
    found = method_class(name)
    check_options(f"method {name}", found, options, hidden=RESERVED)
    method = found.build(encoder, images, **options)
    method.points, method.image_size = points, images.size
    if augmentation is not None:
        method.augment = build_augmentation(augmentation)
    return method


__all__ = [
    "IMAGE_ENCODERS",
    "METHODS",
    "RESERVED",
    "AdaCrossNet",
    "Augmentation",
    "Batch",
    "CrossModal",
    "CrossNet",
    "CrossPoint",
    "ImageTower",
    "ImageTowerConfig",
    "JointMAE",
    "Method",
    "PointM2AEMethod",
    "build_augmentation",
    "build_method",
    "method_class",
]
