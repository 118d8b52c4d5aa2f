"""Pre-training methods, one file each."""

from typing import Any

from adacross.encoders import Encoder
from adacross.errors import check_options, one_of
from adacross.methods.adacrossnet import AdaCrossNet
from adacross.methods.base import Images, Method
from adacross.methods.cross_modal import Batch, CrossModal
from adacross.methods.crossnet import CrossNet
from adacross.methods.crosspoint import CrossPoint
from adacross.methods.joint_mae.model import JointMAE
from adacross.methods.point_m2ae import PointM2AEMethod

METHODS: dict[str, type[Method]] = {
    "adacrossnet": AdaCrossNet,
    "crossnet": CrossNet,
    "crosspoint": CrossPoint,
    "joint-mae": JointMAE,
    "point-m2ae": PointM2AEMethod,
}
SET_ELSEWHERE = ("points", "picture_size")  # parameters of a method that are options of their own


def build_method(
    name: str, encoder: Encoder, images: Images, points: int | None = None, **options: Any
) -> Method:
    """The method called `name` around a point encoder, with fresh networks beside it.

    Args:
        name: one of `METHODS`.
        encoder: the point encoder to train.
        images: how pictures are looked at.
        points: points drawn at random for each cloud; None: all there are.
        options: the method's own, such as `temperature`.

    Raises:
        UserError: an unknown name, or options that the method does not have.
    """
    method = METHODS[one_of("method", name, METHODS)]
    check_options(f"method {name}", method, options, hidden=SET_ELSEWHERE)
    return method.build(encoder, images, points, **options)


__all__ = [
    "METHODS",
    "SET_ELSEWHERE",
    "AdaCrossNet",
    "Batch",
    "CrossModal",
    "CrossNet",
    "CrossPoint",
    "Images",
    "JointMAE",
    "Method",
    "PointM2AEMethod",
    "build_method",
]
