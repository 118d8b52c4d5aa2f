"""The two layers that point encoders are made of: point by point, and over edges."""

from typing import Any

from jaxtyping import Float, Int64
from torch import Tensor, nn

from adacross.ops.edge import edge_convolution
from adacross.ops.pool import pooled_layer


class _NormalizedLinear(nn.Module):
    """Weights of a product without bias and its BatchNorm. Abstract."""

    def __init__(self, inputs: int, outputs: int, slope: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)
        self.slope = slope

    def _norm_state(self) -> dict[str, Any]:
        """BatchNorm's part of the fused layers' arguments; counts the batch as BatchNorm does."""
        norm = self.norm
        if self.training and norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        return {
            "gain": norm.weight,
            "bias": norm.bias,
            "running_mean": norm.running_mean,
            "running_var": norm.running_var,
            "training": self.training,
            "momentum": norm.momentum,
            "eps": norm.eps,
            "slope": self.slope,
        }


class PointLayer(_NormalizedLinear):
    """Matrix product, BatchNorm over all points and (Leaky)ReLU, point by point.

    The papers' `conv1d` of size 1, on rows `(B * N, C)` instead of `(B, C, N)`: faster on a CPU.

    Args:
        inputs: channels in.
        outputs: channels out.
        slope: of LeakyReLU below 0; 0 for ReLU.
    """

    def __init__(self, inputs: int, outputs: int, slope: float = 0.0) -> None:
        super().__init__(inputs, outputs, slope)

    def forward(self, x: Float[Tensor, "B N Cin"]) -> Float[Tensor, "B N C"]:
        """`(B, N, Cin)` to `(B, N, C)`."""
        normal = self.norm(self.linear(x).flatten(0, 1))
        if self.slope == 0:
            active = nn.functional.relu(normal, inplace=True)
        else:
            active = nn.functional.leaky_relu(normal, self.slope, inplace=True)
        return active.unflatten(0, x.shape[:2])

    def pooled(self, x: Float[Tensor, "B N Cin"]) -> Float[Tensor, "B C"]:
        """The maximum over points of `forward`, without making it: see `adacross.ops.pool`."""
        return pooled_layer(x, self.linear.weight, **self._norm_state())


class EdgeLayer(_NormalizedLinear):
    """DGCNN's edge convolution with BatchNorm, LeakyReLU(0.2) and maximum over neighbours.

    Args:
        inputs: channels of a point; an edge `[x_j - x_i ; x_i]` has twice as many.
        outputs: channels out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(2 * inputs, outputs, slope=0.2)

    def forward(
        self, x: Float[Tensor, "B N Cin"], neighbors: Int64[Tensor, "B N k"]
    ) -> Float[Tensor, "B N C"]:
        """`(B, N, Cin)` and `(B, N, k)` neighbours to `(B, N, C)`."""
        return edge_convolution(x, neighbors, self.linear.weight, **self._norm_state())
