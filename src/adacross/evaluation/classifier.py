"""An encoder with a classification head: what fine-tuning trains."""

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from adacross.encoders.base import Encoder
from adacross.nn.batch_norm import check_batch


class ClassificationHead(nn.Sequential):
    """Layers with BatchNorm, (Leaky)ReLU and dropout, then one score a class.

    Args:
        inputs: the encoder's `dim`.
        classes: number of them.
        hidden: 512, 256 in CrossNet's and AdaCrossNet's programs (and DGCNN's); 256, 256 in Point-M2AE's.
        negative_slope: of LeakyReLU; 0.2 in DGCNN's head (recalled), 0 (ReLU) in Point-M2AE's.
        dropout: 0.5 in all of them.
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        hidden: Sequence[int] = (512, 256),
        negative_slope: float = 0.2,
        dropout: float = 0.5,
    ) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise((inputs, *hidden)):
            layers += [
                nn.Linear(before, after),
                nn.BatchNorm1d(after),
                nn.LeakyReLU(negative_slope),
                nn.Dropout(dropout),
            ]
        super().__init__(*layers, nn.Linear((inputs, *hidden)[-1], classes))

    def forward(self, features: Float[Tensor, "B D"]) -> Float[Tensor, "B classes"]:
        """Scores before softmax `(B, classes)`.

        Raises:
            UserError: a single row while training, which BatchNorm cannot normalise.
        """
        check_batch(self, features)
        return super().forward(features)


class Classifier(nn.Module):
    """An encoder, then a `ClassificationHead`: clouds `(B, N, 3)` to scores `(B, classes)`."""

    def __init__(self, encoder: Encoder, head: ClassificationHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B classes"]:
        """Scores before softmax."""
        return self.head(self.encoder(points))
