"""Projection heads: from an encoder's features to the space where views are compared. Thrown away after."""

from jaxtyping import Float
from torch import Tensor, nn

from adacross.nn.batch_norm import BatchNorm1d, check_batch


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
        """`(B, inputs)` to `(B, outputs)`, not normalised.

        Raises:
            UserError: a single row while training, which BatchNorm cannot normalise.
        """
        check_batch(self, features)
        return super().forward(features)


class PointProjection(_Projection):
    """The point encoder's head: Linear with bias, BatchNorm, ReLU, Linear with bias.

    Args:
        inputs: the encoder's `dim` (2,048 DGCNN, 1,024 PointNet).
        hidden: 1,024 in the papers for both.
        outputs: 256 in the papers.
    """

    def __init__(self, inputs: int, hidden: int = 1024, outputs: int = 256) -> None:
        super().__init__(inputs, hidden, outputs, bias=True)


class ImageProjection(_Projection):
    """The image encoder's head: Linear, BatchNorm, ReLU, Linear, both without bias.

    Args:
        inputs: the encoder's `dim` (2,048 ResNet-50, 512 ResNet-18).
        hidden: 512 in the papers.
        outputs: 256 in the papers.
    """

    def __init__(self, inputs: int, hidden: int = 512, outputs: int = 256) -> None:
        super().__init__(inputs, hidden, outputs, bias=False)
