"""How much faster are DGCNN and PointNet here than the published formulation, on this machine?

Both run in one process, taking turns, with the same weights; values and gradients are first checked to be
equal. MiB is what autograd keeps for the backward pass.

    python benchmarks/edge.py --clouds 16 --points 1024 --out edge.json
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from adacross.encoders import DGCNN, PointNet
from adacross.encoders.layers import EdgeLayer, PointLayer
from adacross.files import write_json
from adacross.ops.neighbors import knn


def plain_knn(x: Tensor, k: int) -> Tensor:
    """All distances `(B, N, N)` at once, then the k smallest of every row; x is `(B, C, N)`."""
    norms = x.square().sum(1)
    return (norms[:, :, None] + norms[:, None] - 2 * x.transpose(1, 2) @ x).topk(k, largest=False).indices


class PlainEdge(nn.Module):
    """The edge convolution with every edge built: `(B, C, N)` to `(B, C', N)`."""

    def __init__(self, layer: EdgeLayer, k: int) -> None:
        super().__init__()
        weight = layer.linear.weight
        self.k = k
        self.conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False)
        self.norm = nn.BatchNorm2d(weight.shape[0])
        self.conv.weight.data = weight.data[:, :, None, None].clone()
        self.norm.load_state_dict(layer.norm.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        B, C, N = x.shape
        rows = plain_knn(x, self.k) + torch.arange(B, device=x.device)[:, None, None] * N
        points = x.transpose(1, 2).reshape(B * N, C)
        neighbor = points[rows.view(-1)].view(B, N, self.k, C)
        center = points.view(B, N, 1, C).expand(-1, -1, self.k, -1)
        edges = torch.cat([neighbor - center, center], 3).permute(0, 3, 1, 2).contiguous()
        return nn.functional.leaky_relu(self.norm(self.conv(edges)), 0.2).max(3).values


class PlainPoint(nn.Module):
    """A 1-D convolution of size 1, BatchNorm and (Leaky)ReLU on `(B, C, N)`."""

    def __init__(self, layer: PointLayer) -> None:
        super().__init__()
        weight = layer.linear.weight
        self.conv = nn.Conv1d(weight.shape[1], weight.shape[0], 1, bias=False)
        self.norm = nn.BatchNorm1d(weight.shape[0])
        self.slope = layer.slope
        self.conv.weight.data = weight.data[:, :, None].clone()
        self.norm.load_state_dict(layer.norm.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.norm(self.conv(x)), self.slope)


class PlainDGCNN(nn.Module):
    """DGCNN as published, with the weights of ours."""

    def __init__(self, ours: DGCNN) -> None:
        super().__init__()
        self.edges = nn.ModuleList(PlainEdge(layer, ours.k) for layer in ours.edges)
        self.last = PlainPoint(ours.last)

    def forward(self, points: Tensor) -> Tensor:
        x, outputs = points.transpose(1, 2).contiguous(), []
        for layer in self.edges:
            x = layer(x)
            outputs.append(x)
        x = self.last(torch.cat(outputs, 1))
        return torch.cat([x.max(2).values, x.mean(2)], 1)


class PlainPointNet(nn.Module):
    """PointNet as published, with the weights of ours."""

    def __init__(self, ours: PointNet) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(PlainPoint(layer) for layer in ours.layers), PlainPoint(ours.last))

    def forward(self, points: Tensor) -> Tensor:
        return self.layers(points.transpose(1, 2).contiguous()).max(2).values


def check_equal(ours: nn.Module, plain: nn.Module) -> float:
    """Largest relative difference of features and point gradients, in float64 while training."""
    points = torch.randn(2, 160, 3, dtype=torch.float64)
    results = []
    for network in (ours.double().train(), plain.double().train()):
        x = points.clone().requires_grad_()
        feature = network(x)
        results.append((feature.detach(), torch.autograd.grad(feature.square().sum(), x)[0]))
        network.float()
    error = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*results, strict=True))
    if error > 1e-9:
        raise SystemExit(f"the two formulations differ by {error:.1e}; their times mean nothing.")
    return error


def kept(function: Callable[[], Tensor]) -> float:
    """MiB that autograd keeps between forward and backward, each tensor once."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = function()  # noqa: F841  holds the graph, so that no storage is freed and used again
    return sum(storages.values()) / 2**20


def compare(jobs: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each job, taking turns so that a busy machine hurts all alike."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:  # the first warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clouds", type=int, default=4)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device(args.device)

    dgcnn, pointnet = DGCNN(args.k), PointNet()
    networks = {"DGCNN": (PlainDGCNN(dgcnn), dgcnn), "PointNet": (PlainPointNet(pointnet), pointnet)}
    points = torch.randn(args.clouds, args.points, 3, device=device)
    wide = torch.randn(args.clouds, args.points, 64, device=device)
    figures: dict[str, dict[str, float]] = {}
    for name, (plain, ours) in networks.items():
        difference = check_equal(ours, plain)
        pair = {"plain": plain.to(device), "ours": ours.to(device)}
        steps = {
            key: lambda network=network: network(points).square().mean().backward()
            for key, network in pair.items()
        }
        figures[f"{name}, training step"] = {
            **compare(steps, args.repeats, device),
            **{
                f"{key} kept MiB": kept(lambda network=network: network(points))
                for key, network in pair.items()
            },
            "difference": difference,
        }
        plain.eval()
        ours.eval()
        with torch.no_grad():
            passes = {key: lambda network=network: network(points) for key, network in pair.items()}
            figures[f"{name}, evaluation"] = compare(passes, args.repeats, device)
    searches = {"plain": lambda: plain_knn(wide.mT, args.k), "ours": lambda: knn(wide, args.k)}
    figures["neighbours, 64 channels"] = compare(searches, args.repeats, device)

    print(
        f"{args.clouds} x {args.points} points, k {args.k}, "
        f"{args.device}, {args.threads} threads, torch {torch.__version__}"
    )
    print(f"{'':28}{'plain s':>10}{'ours s':>10}{'ratio':>8}{'plain MiB':>12}{'ours MiB':>10}")
    for name, row in figures.items():
        row["ratio"] = row["plain"] / row["ours"]
        memory = (
            f"{row['plain kept MiB']:12.0f}{row['ours kept MiB']:10.0f}" if "ours kept MiB" in row else ""
        )
        print(f"{name:28}{row['plain']:10.3f}{row['ours']:10.3f}{row['ratio']:8.1f}{memory}")
    if args.out:
        settings = {key: value for key, value in vars(args).items() if key != "out"}
        machine = {"platform": platform.platform(), "torch": torch.__version__}
        write_json(args.out, {"settings": settings, "machine": machine, "figures": figures})


if __name__ == "__main__":
    main()
