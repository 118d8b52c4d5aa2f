"""Heads on an encoder's features: projections, thrown away after pre-training, and segmentation of points."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from adacross.errors import UserError
from adacross.nn.batch_norm import BatchNorm1d, check_batch
from adacross.nn.layers import PointLayer


class _Projection(nn.Sequential):
    """Linear, BatchNorm, ReLU, Linear. Abstract."""

    def __init__(self, inputs: int, hidden: int, outputs: int, bias: bool) -> None:
        super().__init__(
            nn.Linear(inputs, hidden, bias=bias),
            BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, outputs, bias=bias),
        )

    def forward(self, features: Float[Tensor, "B D"]) -> Float[Tensor, "B E"]:
        """`(B, inputs)` to `(B, outputs)`, not normalized."""
        check_batch(self, features)
        return super().forward(features)


class PointProjection(_Projection):
    """The point encoder's projection, with biases; 1,024 and 256 wide in the papers."""

    def __init__(self, inputs: int, hidden: int = 1024, outputs: int = 256) -> None:
        super().__init__(inputs, hidden, outputs, bias=True)


class ImageProjection(_Projection):
    """The image encoder's projection, without biases; 512 and 256 wide in the papers."""

    def __init__(self, inputs: int, hidden: int = 512, outputs: int = 256) -> None:
        super().__init__(inputs, hidden, outputs, bias=False)


class _PartSegHead(nn.Module):
    """Scores of parts from features of a cloud and its points, and the object's category. Abstract.

    The category (one-hot, through `label` if a subclass makes one) beside the cloud's and the point's
    features goes through `join`, `layers` and `last`; dropout follows as many layers as `dropped`. `width`
    and `local` are channels of the encoder's `forward` and `point_features`; there are 16 `categories` of
    objects and 50 `parts` of all of them in ShapeNetPart.
    """

    def __init__(self, categories: int, dropout: float = 0.0, dropped: int = 0) -> None:
        super().__init__()
        self.categories = categories
        self.dropout, self.dropped = nn.Dropout(dropout), dropped
        self.label: nn.Module | None = None

    def _add_layers(
        self, inputs: int, widths: Sequence[int], parts: int, negative_slope: float = 0.0, bias: bool = True
    ) -> None:
        self.join = PointLayer(inputs, widths[0], negative_slope)
        self.layers = nn.ModuleList(PointLayer(*sides, negative_slope) for sides in pairwise(widths))
        self.last = nn.Linear(widths[-1], parts, bias=bias)

    def forward(
        self,
        point_features: Float[Tensor, "B N C"],
        feature: Float[Tensor, "B D"],
        category: Int64[Tensor, " B"],
    ) -> Float[Tensor, "B N parts"]:
        """Return scores before softmax `(B, N, parts)` from the encoder's `both_features` and categories.

        A category out of range is refused, and a single cloud while training a `label` layer.
        """
        lowest, highest = int(category.min()), int(category.max())
        if lowest < 0 or highest >= self.categories:
            raise UserError(
                f"categories run from {lowest} to {highest}; this head knows 0 to {self.categories - 1}. "
                "Make the head with as many categories as the data has."
            )
        label = nn.functional.one_hot(category, self.categories).to(feature.dtype)
        if self.label is not None:
            check_batch(self, feature)
            label = self.label(label[:, None])[:, 0]
        cloud, x = self._inputs(point_features, feature)
        x = self.join.joined(torch.cat([cloud, label], 1), x)
        for place, layer in enumerate(self.layers):
            x = layer(self.dropout(x) if place < self.dropped else x)
        return self.last(x)

    def _inputs(
        self, point_features: Float[Tensor, "B N C"], feature: Float[Tensor, "B D"]
    ) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B N F"]]:
        """Return the features of cloud and points that are joined."""
        return feature, point_features


class PartSegHead(_PartSegHead):
    """DGCNN's part segmentation head.

    The category to 64; beside the features to 256, 256, 128 and `parts`, each but the last with BatchNorm and
    LeakyReLU(0.2); dropout (0.5 in the papers) after the two layers of 256; no biases.
    """

    def __init__(
        self, width: int = 1024, local: int = 192, categories: int = 16, parts: int = 50, dropout: float = 0.5
    ) -> None:
        super().__init__(categories, dropout, dropped=2)
        self.label = PointLayer(categories, 64, negative_slope=0.2)
        self._add_layers(width + 64 + local, (256, 256, 128), parts, negative_slope=0.2, bias=False)


class PointNetPartSegHead(_PartSegHead):
    """PointNet's part segmentation head; `local` is `width` + 832 by default, as `PointNetPartSeg` has.

    The one-hot category beside the features to 256, 256, 128 and `parts`, each but the last with BatchNorm
    and ReLU; the last has a bias. (The released program ends in a log-softmax.)
    """

    def __init__(
        self, width: int = 2048, local: int | None = None, categories: int = 16, parts: int = 50
    ) -> None:
        super().__init__(categories)
        local = width + 832 if local is None else local
        self._add_layers(width + categories + local, (256, 256, 128), parts)


class PointM2AEPartSegHead(_PartSegHead):
    """Point-M2AE's part segmentation head, which makes the cloud's feature itself, of the points.

    Each level's features (`dims`), carried to the points, to `width` (three times 1024 in the papers); beside
    them maximum + mean over points of the same (3072) and the category to 64: 6208 channels to 1024, 512,
    256 and `parts`. Widths are the released program's. That maximum and mean are added (only so are they
    6208), that one layer leads from a level to `width`, LeakyReLU(0.2) on the category, ReLU elsewhere and
    dropout of 0.5 after the first layer are ours, for want of a source.
    """

    def __init__(
        self,
        dims: Sequence[int] = (96, 192, 384),
        categories: int = 16,
        parts: int = 50,
        width: int = 1024,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(categories, dropout, dropped=1)
        self.dims = list(dims)
        self.levels = nn.ModuleList(PointLayer(dim, width) for dim in dims)
        self.label = PointLayer(categories, 64, negative_slope=0.2)
        self._add_layers(2 * len(self.dims) * width + 64, (width, width // 2, width // 4), parts)

    def _inputs(
        self, point_features: Float[Tensor, "B N C"], feature: Float[Tensor, "B D"]
    ) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B N F"]]:
        levels = point_features.split(self.dims, dim=2)
        x = torch.cat([layer(level) for layer, level in zip(self.levels, levels, strict=True)], 2)
        return x.amax(1) + x.mean(1), x


class SemSegHead(nn.Module):
    """DGCNN's semantic segmentation head; 13 `classes` in S3DIS.

    The cloud's (`width`) and the point's (`local`) features to 512, 256 and `classes`, each but the last with
    BatchNorm and LeakyReLU(0.2); dropout (0.5 in CrossNet) before the last; no biases.
    """

    def __init__(self, width: int = 1024, local: int = 192, classes: int = 13, dropout: float = 0.5) -> None:
        super().__init__()
        self.join = PointLayer(width + local, 512, negative_slope=0.2)
        self.layer = PointLayer(512, 256, negative_slope=0.2)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(256, classes, bias=False)

    def forward(
        self, point_features: Float[Tensor, "B N C"], feature: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B N classes"]:
        """Scores before softmax `(B, N, classes)` from both of the encoder's `both_features`."""
        return self.last(self.dropout(self.layer(self.join.joined(feature, point_features))))
