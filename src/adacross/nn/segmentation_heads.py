"""Segmentation heads: from an encoder's features of points and cloud to a score per point and label."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from adacross.errors import UserError
from adacross.nn.batch_norm import check_batch
from adacross.nn.layers import PointLayer


class PartSegHead(nn.Module):
    """DGCNN's part segmentation head, which is told the object's category.

    The category (one-hot) to 64; beside the cloud's and the point's features to 256, 256, 128 and `parts`,
    each but the last with BatchNorm and LeakyReLU(0.2); dropout after the two layers of 256; no biases.

    Args:
        width: the encoder's `dim`.
        local: channels of the encoder's `point_features`.
        categories: 16 in ShapeNetPart.
        parts: of all categories together, 50 in ShapeNetPart.
        dropout: 0.5 in the papers.
    """

    def __init__(
        self, width: int = 1024, local: int = 192, categories: int = 16, parts: int = 50, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.categories = categories
        self.label = PointLayer(categories, 64, negative_slope=0.2)
        self.join = PointLayer(width + 64 + local, 256, negative_slope=0.2)
        self.layers = nn.ModuleList(
            [PointLayer(256, 256, negative_slope=0.2), PointLayer(256, 128, negative_slope=0.2)]
        )
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(128, parts, bias=False)

    def forward(
        self,
        point_features: Float[Tensor, "B N C"],
        feature: Float[Tensor, "B D"],
        category: Int64[Tensor, " B"],
    ) -> Float[Tensor, "B N parts"]:
        """Scores before softmax `(B, N, parts)`.

        Args:
            point_features: `(B, N, local)`, first of the encoder's `both_features`.
            feature: `(B, width)`, second of it.
            category: `(B,)`, 0 to `categories` - 1.

        Raises:
            UserError: a category out of range, or a single cloud while training.
        """
        check_batch(self, feature)
        label = self.label(_one_hot(category, self.categories, feature)[:, None])[:, 0]
        x = self.dropout(self.join.joined(torch.cat([feature, label], 1), point_features))
        x = self.dropout(self.layers[0](x))
        return self.last(self.layers[1](x))


class PointNetPartSegHead(nn.Module):
    """PointNet's part segmentation head, which is told the object's category.

    The category (one-hot) beside the cloud's and the point's features to 256, 256, 128 and `parts`, each but
    the last with BatchNorm and ReLU; the last has a bias. (The released program ends in a log-softmax.)

    Args:
        width: the encoder's `dim`.
        local: channels of the encoder's `point_features`; None for `width` + 832, as `PointNetPartSeg` has.
        categories: 16 in ShapeNetPart.
        parts: of all categories together, 50 in ShapeNetPart.
    """

    def __init__(
        self, width: int = 2048, local: int | None = None, categories: int = 16, parts: int = 50
    ) -> None:
        super().__init__()
        self.categories = categories
        self.join = PointLayer(width + categories + (width + 832 if local is None else local), 256)
        self.layers = nn.ModuleList([PointLayer(256, 256), PointLayer(256, 128)])
        self.last = nn.Linear(128, parts)

    def forward(
        self,
        point_features: Float[Tensor, "B N C"],
        feature: Float[Tensor, "B D"],
        category: Int64[Tensor, " B"],
    ) -> Float[Tensor, "B N parts"]:
        """Scores before softmax `(B, N, parts)`.

        Args:
            point_features: `(B, N, local)`, first of the encoder's `both_features`.
            feature: `(B, width)`, second of it.
            category: `(B,)`, 0 to `categories` - 1.

        Raises:
            UserError: a category out of range.
        """
        label = _one_hot(category, self.categories, feature)
        x = self.join.joined(torch.cat([feature, label], 1), point_features)
        for layer in self.layers:
            x = layer(x)
        return self.last(x)


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
        self.label = PointLayer(categories, 64, negative_slope=0.2)
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
        check_batch(self, feature)
        label = self.label(_one_hot(category, self.categories, feature)[:, None])[:, 0]
        levels = point_features.split(self.dims, dim=2)
        x = torch.cat([layer(level) for layer, level in zip(self.levels, levels, strict=True)], 2)
        x = self.dropout(self.join.joined(torch.cat([x.amax(1) + x.mean(1), label], 1), x))
        for layer in self.layers:
            x = layer(x)
        return self.last(x)


class SemSegHead(nn.Module):
    """DGCNN's semantic segmentation head.

    The cloud's and the point's features to 512, 256 and `classes`, each but the last with BatchNorm and
    LeakyReLU(0.2); dropout before the last; no biases.

    Args:
        width: the encoder's `dim`.
        local: channels of the encoder's `point_features`.
        classes: 13 in S3DIS.
        dropout: 0.5 in CrossNet.
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
        """Scores before softmax `(B, N, classes)`.

        Args:
            point_features: `(B, N, local)`, first of the encoder's `both_features`.
            feature: `(B, width)`, second of it.
        """
        return self.last(self.dropout(self.layer(self.join.joined(feature, point_features))))


def _one_hot(
    category: Int64[Tensor, " B"], categories: int, like: Float[Tensor, "B D"]
) -> Float[Tensor, "B K"]:
    """Rows of the identity, in the type of `like`.

    Raises:
        UserError: a category out of range.
    """
    lowest, highest = int(category.min()), int(category.max())
    if lowest < 0 or highest >= categories:
        raise UserError(
            f"categories run from {lowest} to {highest}; this head knows 0 to {categories - 1}. "
            "Make the head with as many categories as the data has."
        )
    return nn.functional.one_hot(category, categories).to(like.dtype)
