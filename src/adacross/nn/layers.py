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
from adacross.ops.neighbors import gather


class NormalizedLinear(nn.Module):
    """Matrix product, BatchNorm and LeakyReLU on the last axis (slope 0: ReLU, 1: no activation).

    A `bias` of the product is taken away again by BatchNorm. If `fused`, the layer and the pooling after it
    are one function of `adacross.ops.fused`.
    """

    def __init__(self, inputs: int, outputs: int, negative_slope: float = 0.0, bias: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self.norm = BatchNorm1d(outputs)
        self.negative_slope = negative_slope
        self.fused = True

    def forward(self, x: Float[Tensor, "*rows Cin"]) -> Float[Tensor, "*rows C"]:
        """`(..., Cin)` to `(..., C)`."""
        return self._finish(self.linear(x))

    def _finish(self, product: Float[Tensor, "*rows C"]) -> Float[Tensor, "*rows C"]:
        """BatchNorm and activation."""
        normal = self.norm(product.flatten(0, -2))
        if self.negative_slope == 0:
            return nn.functional.relu(normal, inplace=True).view_as(product)
        return nn.functional.leaky_relu(normal, self.negative_slope, inplace=True).view_as(product)

    def _layer(self, weight: Tensor | None = None) -> NormalizedLayer:
        """The layer as `adacross.ops.fused` takes it; counts the batch as BatchNorm does."""
        norm = self.norm
        mean, var, momentum = running(norm)
        weight = self.linear.weight if weight is None else weight
        return NormalizedLayer(
            weight, norm.weight, norm.bias, mean, var, norm.training, momentum, norm.eps, self.negative_slope
        )


def set_fused(network: nn.Module, fused: bool) -> None:
    """Compute a network's layers and the pooling after them as one function each, or as their plain parts.

    The parts (False) give the same numbers to rounding, and call each module, so that hooks, parametrizations
    and quantization see it. One function is several times faster and takes less memory.
    """
    for module in network.modules():
        if isinstance(module, NormalizedLinear):
            module.fused = fused


class PointLayer(NormalizedLinear):
    """Matrix product, BatchNorm over all points and (Leaky)ReLU, point by point.

    The papers' `conv1d` of size 1, on rows `(B * N, C)` instead of `(B, C, N)`: faster on a CPU.
    """

    def pooled(self, x: Float[Tensor, "B N Cin"]) -> Float[Tensor, "B C"]:
        """The maximum over points of `forward`, without making it: see `adacross.ops.fused.pool`."""
        if not self.fused:
            return self(x).amax(1)
        weight = self.linear.weight
        if self.linear.bias is not None:  # one more channel, always 1
            weight = torch.cat([weight, self.linear.bias[:, None]], 1)
            x = torch.cat([x, torch.ones_like(x[:, :, :1])], 2)
        return pooled_layer(x, self._layer(weight))

    def max_and_mean(self, x: Float[Tensor, "B N Cin"]) -> Float[Tensor, "B twice_C"]:
        """Maximum and mean over points of `forward` side by side: see `adacross.ops.fused.max_and_mean`."""
        if not self.fused:
            y = self(x)
            return torch.cat([y.amax(1), y.mean(1)], 1)
        return max_and_mean_layer(x, self._layer())

    def pooled_groups(
        self, members: Float[Tensor, "n k F"], local: nn.Linear, last: nn.Linear
    ) -> Float[Tensor, "n D"]:
        """`forward` of a group's maximum of `local` beside `local` of its members (2 L = Cin), then the
        maximum over the group of `last`, without what is between: see `adacross.ops.fused.group_pool`.
        """
        if not self.fused:
            x = local(members)
            group = x.amax(1, keepdim=True).expand_as(x)
            return last(self(torch.cat([group, x], 2))).amax(1)
        return pooled_groups(
            members, local.weight, local.bias, self._layer(), self.linear.bias, last.weight, last.bias
        )

    def joined(
        self, cloud: Float[Tensor, "B Ccloud"], x: Float[Tensor, "B N Cpoint"]
    ) -> Float[Tensor, "B N C"]:
        """`forward` of a cloud's features beside each of its points' (Ccloud + Cpoint = Cin).

        The cloud's part of the product is made once, not once a point.
        """
        if not self.fused:
            return self(torch.cat([cloud[:, None].expand(-1, x.shape[1], -1), x], 2))
        to_cloud, to_point = self.linear.weight.split([cloud.shape[1], x.shape[2]], 1)
        once = nn.functional.linear(cloud, to_cloud, self.linear.bias)
        return self._finish(nn.functional.linear(x, to_point) + once[:, None])


class EdgeLayer(NormalizedLinear):
    """DGCNN's edge convolution with BatchNorm, LeakyReLU(0.2) and maximum over neighbors.

    A point has `inputs` channels, its edges `[x_j - x_i ; x_i]` twice as many.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(2 * inputs, outputs, negative_slope=0.2)

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "B N Cin"], neighbors: Int64[Tensor, "B N k"]
    ) -> Float[Tensor, "B N C"]:
        """`(B, N, Cin)` and `(B, N, k)` neighbors to `(B, N, C)`."""
        if not self.fused:
            return super().forward(edges(x, neighbors)).amax(2)
        return edge_convolution(x, neighbors, self._layer())


class EdgePairLayer(nn.Module):
    """Two layers on the edges, each with BatchNorm and LeakyReLU(0.2), and the maximum over neighbors.

    A point has `inputs` channels, its edges `[x_j - x_i ; x_i]` twice as many.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = NormalizedLinear(2 * inputs, hidden, negative_slope=0.2)
        self.second = NormalizedLinear(hidden, outputs, negative_slope=0.2)

    def forward(
        self, x: Float[Tensor, "B N Cin"], neighbors: Int64[Tensor, "B N k"]
    ) -> Float[Tensor, "B N C"]:
        """`(B, N, Cin)` and `(B, N, k)` neighbors to `(B, N, C)`."""
        if not self.first.fused:
            return self.second(self.first(edges(x, neighbors))).amax(2)
        return edge_pair_convolution(x, neighbors, self.first._layer(), self.second._layer())


def edges(x: Float[Tensor, "B N C"], neighbors: Int64[Tensor, "B N k"]) -> Float[Tensor, "B N k twice_C"]:
    """DGCNN's edges `[x_j - x_i ; x_i]`, `(B, N, k, 2 C)`."""
    center = x[:, :, None].expand(-1, -1, neighbors.shape[2], -1)
    return torch.cat([gather(x, neighbors) - center, center], 3)
