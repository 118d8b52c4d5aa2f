"""An encoder with a segmentation head: what segmentation trains."""

from jaxtyping import Float, Int64
from torch import Tensor, nn

from adacross.encoders.base import Encoder, fill
from adacross.encoders.point_m2ae import PointM2AE
from adacross.encoders.pointnet_partseg import PointNetPartSeg
from adacross.errors import UserError
from adacross.nn.segmentation_heads import PartSegHead, PointM2AEPartSegHead, PointNetPartSegHead, SemSegHead


class Segmenter(nn.Module):
    """An encoder, then a segmentation head: clouds `(B, N, 3)` to scores `(B, N, labels)`.

    Args:
        encoder: of any kind in `ENCODERS`.
        head: takes the encoder's features of points and of the cloud, and the category if it is told one.
        told: whether it is.
    """

    def __init__(self, encoder: Encoder, head: nn.Module, told: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.told = told

    def forward(
        self, points: Float[Tensor, "B N 3"], category: Int64[Tensor, " B"]
    ) -> Float[Tensor, "B N labels"]:
        """Scores before softmax.

        Args:
            points: `(B, N, 3)`.
            category: `(B,)` of the objects; a head that is told none does not look at it.
        """
        features = self.encoder.both_features(points)
        return self.head(*features, category) if self.told else self.head(*features)


def part_segmenter(encoder: Encoder, categories: int, parts: int) -> Segmenter:
    """The encoder with the head its paper gives it; `PartSegHead` where there is none (`DGCNN`, `PointNet`).

    Point-M2AE's head is as wide in proportion to the encoder as the papers'.
    """
    match encoder:
        case PointNetPartSeg():
            head: nn.Module = PointNetPartSegHead(encoder.dim, encoder.point_dim, categories, parts)
        case PointM2AE():
            width = max(8, round(1024 * encoder.dim / 384))
            head = PointM2AEPartSegHead(encoder.dims, categories, parts, width)
        case _:
            head = PartSegHead(encoder.dim, encoder.point_dim, categories, parts)
    return Segmenter(encoder, head, told=True)


def scene_segmenter(encoder: Encoder, classes: int) -> Segmenter:
    """The encoder with DGCNN's semantic segmentation head, which is told no category."""
    return Segmenter(encoder, SemSegHead(encoder.dim, encoder.point_dim, classes), told=False)


def with_neighbors(encoder: Encoder, k: int) -> Encoder:
    """A copy of a DGCNN, of any kind, that looks at k neighbours: its weights do not depend on k.

    Raises:
        UserError: another kind of encoder, which has no k.
    """
    if "k" not in encoder.options:
        raise UserError(f"{type(encoder).__name__} has no neighbours k to change; leave neighbors out.")
    copied = type(encoder)(**(encoder.options | {"k": k}))
    fill(copied, encoder.state_dict(), f"the encoder with k {encoder.options['k']}")
    return copied.eval()
