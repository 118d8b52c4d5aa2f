"""The layers that point encoders are made of: point by point, and over edges."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from adacross.nn.batch_norm import BatchNorm1d, running
from adacross.ops.fused.edge import edge_convolution
from adacross.ops.fused.edge_pair import edge_pair_convolution
from adacross.ops.fused.group_pool import pooled_groups
from adacross.ops.fused.layer import NormalizedLayer
from adacross.ops.fused.max_and_mean import max_and_mean_layer
from adacross.ops.fused.pool import pooled_layer


class _NormalizedLinear(nn.Module):
    """Weights of a product and its BatchNorm. Abstract."""

    def __init__(self, inputs: int, outputs: int, slope: float, bias: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self.norm = BatchNorm1d(outputs)
        self.slope = slope

    def fused(self, weight: Tensor | None = None) -> NormalizedLayer:
        """What the fused layers of `adacross.ops` take; counts the batch as BatchNorm does.

        Args:
            weight: of the product, if it is not the layer's own.
        """
        norm = self.norm
        mean, var, momentum = running(norm)
        if weight is None:
            weight = self.linear.weight
        return NormalizedLayer(
            weight, norm.weight, norm.bias, mean, var, norm.training, momentum, norm.eps, self.slope
        )


class PointLayer(_NormalizedLinear):
    """Matrix product, BatchNorm over all points and (Leaky)ReLU, point by point.

    The papers' `conv1d` of size 1, on rows `(B * N, C)` instead of `(B, C, N)`: faster on a CPU.

    Args:
        inputs: channels in.
        outputs: channels out.
        slope: of LeakyReLU below 0; 0 for ReLU, 1 for no activation.
        bias: whether the product has one, which the BatchNorm after it takes away again.
    """

    def __init__(self, inputs: int, outputs: int, slope: float = 0.0, bias: bool = False) -> None:
        super().__init__(inputs, outputs, slope, bias)

    def forward(self, x: Float[Tensor, "B N Cin"]) -> Float[Tensor, "B N C"]:
        """`(B, N, Cin)` to `(B, N, C)`."""
        return self._finish(self.linear(x))

    def pooled(self, x: Float[Tensor, "B N Cin"]) -> Float[Tensor, "B C"]:
        """The maximum over points of `forward`, without making it: see `adacross.ops.fused.pool`."""
        weight = self.linear.weight
        if self.linear.bias is not None:  # one more channel, always 1
            weight = torch.cat([weight, self.linear.bias[:, None]], 1)
            x = torch.cat([x, torch.ones_like(x[:, :, :1])], 2)
        return pooled_layer(x, self.fused(weight))

    def max_and_mean(self, x: Float[Tensor, "B N Cin"]) -> Float[Tensor, "B twice_C"]:
        """Maximum and mean over points of `forward` side by side: see `adacross.ops.fused.max_and_mean`."""
        return max_and_mean_layer(x, self.fused())

    def pooled_groups(self, members: Float[Tensor, "n k L"], last: nn.Linear) -> Float[Tensor, "n D"]:
        """`forward` of a group's maximum beside its members (2 L = Cin), then the maximum over the group of
        `last`, without what is between: see `adacross.ops.fused.group_pool`.
        """
        return pooled_groups(members, self.fused(), self.linear.bias, last.weight, last.bias)

    def joined(
        self, cloud: Float[Tensor, "B Ccloud"], x: Float[Tensor, "B N Cpoint"]
    ) -> Float[Tensor, "B N C"]:
        """`forward` of a cloud's features beside each of its points' (Ccloud + Cpoint = Cin).

        The cloud's part of the product is made once, not once a point.
        """
        to_cloud, to_point = self.linear.weight.split([cloud.shape[1], x.shape[2]], 1)
        once = nn.functional.linear(cloud, to_cloud, self.linear.bias)
        return self._finish(nn.functional.linear(x, to_point) + once[:, None])

    def _finish(self, product: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        """BatchNorm and activation."""
        normal = self.norm(product.flatten(0, 1))
        if self.slope == 0:
            active = nn.functional.relu(normal, inplace=True)
        else:
            active = nn.functional.leaky_relu(normal, self.slope, inplace=True)
        return active.unflatten(0, product.shape[:2])


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
        return edge_convolution(x, neighbors, self.fused())


class EdgePairLayer(nn.Module):
    """Two layers on the edges, each with BatchNorm and LeakyReLU(0.2), and the maximum over neighbours.

    Args:
        inputs: channels of a point; an edge `[x_j - x_i ; x_i]` has twice as many.
        hidden: channels between the two.
        outputs: channels out.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = _NormalizedLinear(2 * inputs, hidden, slope=0.2)
        self.second = _NormalizedLinear(hidden, outputs, slope=0.2)

    def forward(
        self, x: Float[Tensor, "B N Cin"], neighbors: Int64[Tensor, "B N k"]
    ) -> Float[Tensor, "B N C"]:
        """`(B, N, Cin)` and `(B, N, k)` neighbours to `(B, N, C)`."""
        return edge_pair_convolution(x, neighbors, self.first.fused(), self.second.fused())
