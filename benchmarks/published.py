"""The published formulations of the point encoders and point operations, written plainly.

Every edge is built, convolutions have size 1 and see `(B, C, N)`. Networks take the weights of one of ours.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from adacross.encoders import DGCNN, DGCNNPartSeg, PointNet
from adacross.nn.layers import EdgeLayer, EdgePairLayer, PointLayer
from adacross.nn.transform_nets import EdgeTransform


def plain_knn(x: Tensor, k: int) -> Tensor:
    """All distances `(B, N, N)` at once, then the k smallest of every row; x is `(B, C, N)`."""
    norms = x.square().sum(1)
    return (norms[:, :, None] + norms[:, None] - 2 * x.transpose(1, 2) @ x).topk(k, largest=False).indices


def plain_farthest_point_sample(points: Tensor, count: int) -> Tensor:
    """The loop as everybody writes it: distances to the last point chosen, minimum, arg-max."""
    B, N, _ = points.shape
    chosen = torch.zeros(B, count, dtype=torch.long)
    distance = torch.full((B, N), 1e10)
    farthest, clouds = torch.zeros(B, dtype=torch.long), torch.arange(B)
    for i in range(count):
        chosen[:, i] = farthest
        last = points[clouds, farthest][:, None]
        new = ((points - last) ** 2).sum(-1)
        closer = new < distance
        distance[closer] = new[closer]
        farthest = distance.max(-1).indices
    return chosen


def plain_edges(x: Tensor, k: int) -> Tensor:
    """`[x_j - x_i ; x_i]` for every point and neighbor: `(B, C, N)` to `(B, 2 C, N, k)`."""
    B, C, N = x.shape
    rows = plain_knn(x, k) + torch.arange(B, device=x.device)[:, None, None] * N
    points = x.transpose(1, 2).reshape(B * N, C)
    neighbor = points[rows.view(-1)].view(B, N, k, C)
    center = points.view(B, N, 1, C).expand(-1, -1, k, -1)
    return torch.cat([neighbor - center, center], 3).permute(0, 3, 1, 2).contiguous()


class PlainConv(nn.Module):
    """A convolution of size 1, BatchNorm and (Leaky)ReLU on `(B, C, N)` or `(B, C, N, k)`.

    Args:
        layer: ours, whose `linear` and `norm` are copied.
        slope: of LeakyReLU below 0.
        dims: 1 or 2.
    """

    def __init__(self, layer: nn.Module, slope: float, dims: int) -> None:
        super().__init__()
        weight = layer.linear.weight
        self.conv = (nn.Conv1d, nn.Conv2d)[dims - 1](weight.shape[1], weight.shape[0], 1, bias=False)
        self.norm = (nn.BatchNorm1d, nn.BatchNorm2d)[dims - 1](weight.shape[0])
        self.slope = slope
        self.conv.weight.data = weight.data.reshape(self.conv.weight.shape).clone()
        self.norm.load_state_dict(layer.norm.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.norm(self.conv(x)), self.slope)


class PlainEdge(nn.Module):
    """An edge convolution of one or two layers: `(B, C, N)` to `(B, C', N)`."""

    def __init__(self, layer: EdgeLayer | EdgePairLayer, k: int) -> None:
        super().__init__()
        layers = [layer.first, layer.second] if isinstance(layer, EdgePairLayer) else [layer]
        self.k = k
        self.convs = nn.Sequential(*(PlainConv(one, 0.2, dims=2) for one in layers))

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(plain_edges(x, self.k)).max(3).values


class PlainDGCNN(nn.Module):
    """DGCNN for classification."""

    def __init__(self, ours: DGCNN) -> None:
        super().__init__()
        self.edges = nn.ModuleList(PlainEdge(layer, ours.k) for layer in ours.edges)
        self.last = PlainConv(ours.last, 0.2, dims=1)

    def forward(self, points: Tensor) -> Tensor:
        x, outputs = points.transpose(1, 2).contiguous(), []
        for layer in self.edges:
            x = layer(x)
            outputs.append(x)
        x = self.last(torch.cat(outputs, 1))
        return torch.cat([x.max(2).values, x.mean(2)], 1)


class PlainTransform(nn.Module):
    """DGCNN part segmentation's transform net."""

    def __init__(self, ours: EdgeTransform, k: int) -> None:
        super().__init__()
        self.edges = PlainEdge(ours.edges, k)
        self.points = PlainConv(ours.points, 0.2, dims=1)
        self.dense = nn.Sequential(*(PlainConv(layer, 0.2, dims=1) for layer in ours.dense))
        self.matrix = nn.Linear(256, 9)
        self.matrix.load_state_dict(ours.matrix.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.points(self.edges(x)).max(2, keepdim=True).values
        return self.matrix(self.dense(pooled)[:, :, 0]).view(-1, 3, 3)


class PlainDGCNNPartSeg(nn.Module):
    """DGCNN part segmentation up to the pooled feature: the trunk that is pre-trained."""

    def __init__(self, ours: DGCNNPartSeg) -> None:
        super().__init__()
        self.transform = PlainTransform(ours.transform, ours.k)
        self.edges = nn.ModuleList(PlainEdge(layer, ours.k) for layer in ours.edges)
        self.last = PlainConv(ours.last, 0.2, dims=1)

    def forward(self, points: Tensor) -> Tensor:
        x = points.transpose(1, 2).contiguous()
        x, outputs = (points @ self.transform(x)).transpose(1, 2).contiguous(), []
        for layer in self.edges:
            x = layer(x)
            outputs.append(x)
        return self.last(torch.cat(outputs, 1)).max(2).values


class PlainPointNet(nn.Module):
    """PointNet without transform nets."""

    def __init__(self, ours: PointNet) -> None:
        super().__init__()
        layers: list[PointLayer] = [*ours.layers, ours.last]
        self.layers = nn.Sequential(*(PlainConv(layer, 0.0, dims=1) for layer in layers))

    def forward(self, points: Tensor) -> Tensor:
        return self.layers(points.transpose(1, 2).contiguous()).max(2).values


PLAIN: dict[type, Callable[..., nn.Module]] = {
    DGCNN: PlainDGCNN,
    DGCNNPartSeg: PlainDGCNNPartSeg,
    PointNet: PlainPointNet,
}
