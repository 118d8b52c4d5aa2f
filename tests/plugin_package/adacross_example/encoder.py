"""A point encoder: `forward` and `dim`, nothing else."""

from torch import Tensor, nn

from adacross import Encoder


class MaxNet(Encoder):
    """A layer at each point, then the maximum over the points."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.dim = width
        self.layers = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, points: Tensor) -> Tensor:
        return self.layers(points).amax(1)
