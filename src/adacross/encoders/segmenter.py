"""An encoder with a segmentation head: what segmentation trains."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from adacross.encoders.base import Encoder, fill
from adacross.encoders.dgcnn import DGCNN
from adacross.encoders.dgcnn_segmentation import DGCNNPartSeg, DGCNNSemSeg
from adacross.encoders.layers import PointLayer
from adacross.encoders.point_m2ae import PointM2AE
from adacross.encoders.pointnet import PointNet
from adacross.encoders.pointnet_partseg import PointNetPartSeg
from adacross.encoders.segmentation_heads import (
    PartSegHead,
    PointNetPartSegHead,
    SemSegHead,
    one_hot_category,
)
from adacross.errors import UserError
from adacross.ops.interpolate import interpolate
from adacross.ops.pool import max_and_mean


class PointM2AEPartSegHead(nn.Module):
    """Point-M2AE's part segmentation head, which is told the object's category.

    Each level's features, carried to the points, to `width` (three times 1024 in the papers); beside them
    maximum + mean over points of the same (3072) and the category (one-hot) to 64: 6208 channels to 1024,
    512, 256 and `parts`. Widths are the released program's. That maximum and mean are added (only so are they
    6208), that one layer leads from a level to `width`, LeakyReLU(0.2) on the category, ReLU elsewhere and
    dropout of 0.5 after the first layer are ours, for want of a source.

    Args:
        dims: channels of the encoder's levels, which stand side by side in its `point_features`.
        categories: 16 in ShapeNetPart.
        parts: of all categories together, 50 in ShapeNetPart.
        width: 1024 in the papers; the layers behind it have `width`, a half and a quarter of it.
        dropout: after the first of them.
    """

    def __init__(
        self,
        dims: Sequence[int] = (96, 192, 384),
        categories: int = 16,
        parts: int = 50,
        width: int = 1024,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.categories = categories
        self.dims = list(dims)
        self.levels = nn.ModuleList(PointLayer(dim, width) for dim in dims)
        self.label = PointLayer(categories, 64, slope=0.2)
        self.join = PointLayer(2 * len(self.dims) * width + 64, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList([PointLayer(width, width // 2), PointLayer(width // 2, width // 4)])
        self.last = nn.Linear(width // 4, parts)

    def forward(
        self,
        point_features: Float[Tensor, "B N C"],
        feature: Float[Tensor, "B D"],
        category: Int64[Tensor, " B"],
    ) -> Float[Tensor, "B N parts"]:
        """Scores before softmax `(B, N, parts)`.

        Args:
            point_features: `(B, N, sum of dims)`.
            feature: not looked at; the head makes its own, of the points.
            category: `(B,)`, 0 to `categories` - 1.

        Raises:
            UserError: a category out of range, or a single cloud while training.
        """
        if self.training and len(feature) < 2:
            raise UserError(
                "a part segmentation head cannot train on a batch of 1 cloud; give at least 2 "
                "(BatchNorm needs them), or call eval()."
            )
        label = self.label(one_hot_category(category, self.categories, feature)[:, None])[:, 0]
        levels = point_features.split(self.dims, dim=2)
        x = torch.cat([layer(level) for layer, level in zip(self.levels, levels, strict=True)], 2)
        x = self.dropout(self.join.joined(torch.cat([x.amax(1) + x.mean(1), label], 1), x))
        for layer in self.layers:
            x = layer(x)
        return self.last(x)


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
        features = both_features(self.encoder, points)
        return self.head(*features, category) if self.told else self.head(*features)


def both_features(
    encoder: Encoder, points: Float[Tensor, "B N 3"]
) -> tuple[Float[Tensor, "B N C"], Float[Tensor, "B D"]]:
    """An encoder's `point_features` and `forward` in one pass."""
    match encoder:
        case DGCNNPartSeg() | DGCNNSemSeg() | PointNetPartSeg():
            return encoder.both_features(points)
        case DGCNN():
            local = encoder.point_features(points)
            return local, max_and_mean(encoder.last(local))
        case PointNet():
            local = encoder.point_features(points)
            return local, encoder.last.pooled(local[:, :, -encoder.last.linear.in_features :].contiguous())
        case PointM2AE():
            levels = encoder.group(points)
            tokens = encoder.features(levels)
            carried = [interpolate(points, level.centers, x) for level, x in zip(levels, tokens, strict=True)]
            return torch.cat(carried, 2), tokens[-1].mean(1) + tokens[-1].amax(1)
    return encoder.point_features(points), encoder(points)


def point_channels(encoder: Encoder) -> int:
    """Channels of an encoder's `point_features`.

    Raises:
        UserError: an encoder of another kind.
    """
    match encoder:
        case DGCNNPartSeg() | DGCNNSemSeg():
            return encoder.last.linear.in_features
        case PointNetPartSeg():
            return encoder.dim + 832
        case DGCNN():
            return encoder.last.linear.in_features
        case PointNet():
            return sum(layer.linear.out_features for layer in encoder.layers if isinstance(layer, PointLayer))
        case PointM2AE():
            return sum(encoder.dims)
    raise UserError(f"{type(encoder).__name__} has no segmentation head; expected one of the encoders here.")


def part_segmenter(encoder: Encoder, categories: int, parts: int) -> Segmenter:
    """The encoder with the head its paper gives it; `PartSegHead` where there is none (`DGCNN`, `PointNet`).

    Point-M2AE's head is as wide in proportion to the encoder as the papers'.
    """
    match encoder:
        case PointNetPartSeg():
            head: nn.Module = PointNetPartSegHead(encoder.dim, point_channels(encoder), categories, parts)
        case PointM2AE():
            width = max(8, round(1024 * encoder.dim / 384))
            head = PointM2AEPartSegHead(encoder.dims, categories, parts, width)
        case _:
            head = PartSegHead(encoder.dim, point_channels(encoder), categories, parts)
    return Segmenter(encoder, head, told=True)


def scene_segmenter(encoder: Encoder, classes: int) -> Segmenter:
    """The encoder with DGCNN's semantic segmentation head, which is told no category."""
    return Segmenter(encoder, SemSegHead(encoder.dim, point_channels(encoder), classes), told=False)


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
