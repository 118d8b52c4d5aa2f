"""An encoder with a segmentation head: what segmentation trains."""

from jaxtyping import Float, Int64
from torch import Tensor, nn

from adacross.encoders.base import Encoder, load_strict
from adacross.encoders.point_m2ae import PointM2AE
from adacross.encoders.pointnet import PointNetPartSeg
from adacross.errors import UserError
from adacross.nn.heads import PartSegHead, PointM2AEPartSegHead, PointNetPartSegHead, SemSegHead


class Segmenter(nn.Module):
    """An encoder, then a segmentation head: clouds `(B, N, 3)` to scores `(B, N, labels)`.

    Args:
        encoder: of any kind in `ENCODERS`.
        head: takes the encoder's features of points and of the cloud.
        uses_category: whether the head also takes the category of the object.
    """

    def __init__(self, encoder: Encoder, head: nn.Module, uses_category: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.uses_category = uses_category

    def forward(
        self, points: Float[Tensor, "B N 3"], category: Int64[Tensor, " B"]
    ) -> Float[Tensor, "B N labels"]:
        """Scores before softmax.

        Args:
            points: `(B, N, 3)`.
            category: `(B,)` of the objects; ignored by a head without categories.
        """
        features = self.encoder.both_features(points)
        return self.head(*features, category) if self.uses_category else self.head(*features)


def part_segmenter(encoder: Encoder, categories: int, parts: int) -> Segmenter:
    """Return the encoder with its paper's head; `PartSegHead` where there is none (`DGCNN`, `PointNet`).

    Point-M2AE's head is as wide in proportion to the encoder as the papers'.

    Raises:
        UserError: the encoder has no features of points.
    """
    _check_point_features(encoder)
    match encoder:
        case PointNetPartSeg():
            head: nn.Module = PointNetPartSegHead(encoder.dim, encoder.point_dim, categories, parts)
        case PointM2AE():
            width = max(8, round(1024 * encoder.dim / 384))
            head = PointM2AEPartSegHead(encoder.dims, categories, parts, width)
        case _:
            head = PartSegHead(encoder.dim, encoder.point_dim, categories, parts)
    return Segmenter(encoder, head, uses_category=True)


def scene_segmenter(encoder: Encoder, classes: int) -> Segmenter:
    """Return the encoder with DGCNN's semantic segmentation head, which ignores the category.

    Raises:
        UserError: the encoder has no features of points.
    """
    _check_point_features(encoder)
    return Segmenter(encoder, SemSegHead(encoder.dim, encoder.point_dim, classes), uses_category=False)


def _check_point_features(encoder: Encoder) -> None:
    if not encoder.has_point_features:
        raise UserError(
            f"encoder {encoder.kind} has no features of points (`point_features`), which segmentation needs. "
            "Choose another encoder."
        )


def with_neighbors(encoder: Encoder, k: int) -> Encoder:
    """A copy of a DGCNN, of any kind, that looks at k neighbours: its weights do not depend on k.

    Raises:
        UserError: another kind of encoder, which has no k.
    """
    if "k" not in encoder.options:
        raise UserError(f"{type(encoder).__name__} has no neighbours k to change; leave neighbors out.")
    copied = type(encoder)(**(encoder.options | {"k": k}))
    load_strict(copied, encoder.state_dict(), f"the encoder with k {encoder.options['k']}")
    return copied.eval()
