"""How much faster, and in how much less memory, do DGCNN and PointNet train and encode?

Against the published formulation (every edge built, convolutions of size 1), with the same weights on the
same clouds; values and gradients are first checked to be equal in float64.

    python benchmarks/dgcnn.py [--device cuda] [--out dgcnn.json]

The floor is the arithmetic that is left when products are made over points: the products of all layers
(forward, and twice that backward) and the distances of the neighbor searches, over the machine's measured
rate.
"""

import argparse
from pathlib import Path

import torch
from harness import Limits, Row, compare, device_name, difference, must_agree, publish
from published import PLAIN
from torch import Tensor, nn

from adacross.encoders import DGCNN, DGCNNPartSeg, PointNet
from adacross.nn.layers import EdgeLayer, EdgePairLayer, PointLayer

K = 20
# Goals against the published formulation: faster while training, less memory, faster in evaluation.
GOALS: dict[tuple[type, int], tuple[float | None, float | None, float | None]] = {
    (DGCNN, 1024): (18, 5, 16),
    (DGCNN, 2048): (18, 5, 16),
    (DGCNNPartSeg, 1024): (10, 3, None),
    (DGCNNPartSeg, 2048): (10, 3, None),
}


def check_equal(ours: nn.Module, plain: nn.Module) -> float:
    """Largest relative difference of features and point gradients, in float64 while training."""
    points = torch.randn(3, 160, 3, dtype=torch.float64, device=next(ours.parameters()).device)
    results = []
    for network in (ours.double().train(), plain.double().train()):
        x = points.clone().requires_grad_()
        feature = network(x)
        results.append((feature.detach(), torch.autograd.grad(feature.square().sum(), x)[0]))
        network.float()
    found = max(difference(a, b) for a, b in zip(*results, strict=True))
    return must_agree(type(ours).__name__, found, 1e-9)


def operations(network: nn.Module, clouds: int, points: int) -> tuple[float, float]:
    """Floating-point operations of the layers' products (forward) and of the neighbor searches."""
    layers, searches = 0.0, 0.0
    for layer in network.modules():
        if isinstance(layer, PointLayer):
            rows = clouds if layer.linear.in_features in (1024, 512) and layer is not network.last else None
            layers += 2 * (rows or clouds * points) * layer.linear.weight.numel()
        elif isinstance(layer, EdgeLayer | EdgePairLayer):
            first = layer.first if isinstance(layer, EdgePairLayer) else layer
            layers += 2 * clouds * points * first.linear.weight.numel()
            searches += 2 * clouds * points**2 * first.linear.in_features / 2
            if isinstance(layer, EdgePairLayer):
                layers += 2 * clouds * points * K * layer.second.linear.weight.numel()
    return layers, searches


def step(network: nn.Module, points: Tensor) -> None:
    """Forward and backward."""
    for parameter in network.parameters():
        parameter.grad = None
    network(points).square().mean().backward()


def rows(kind: type, clouds: int, points: int, turns: int, device: str, limits: Limits) -> list[Row]:
    """A training step and an evaluation of one network at one size."""
    torch.manual_seed(0)
    ours = (kind(K) if kind is not PointNet else kind()).to(device)
    plain = PLAIN[kind](ours).to(device)
    found = check_equal(ours, plain)
    x = torch.randn(clouds, points, 3, device=device)
    train, memory, encode = GOALS.get((kind, points), (None, None, None))
    what = f"{kind.__name__}, {clouds} x {points:,} points" + (f", k {K}" if kind is not PointNet else "")
    layers, searches = operations(ours, clouds, points)

    pair = {"plain": plain.train(), "ours": ours.train()}
    steps = compare({name: lambda n=n: step(n, x) for name, n in pair.items()}, turns, device)
    with torch.inference_mode():
        plain.eval(), ours.eval()
        passes = compare({name: lambda n=n: n(x) for name, n in pair.items()}, turns, device)
    return [
        Row.of(f"{what}: training step", device_name(device), steps, train, found, memory,
               limits.seconds(3 * layers + searches), "3 x layers' products over points + distances"),
        Row.of(f"{what}: evaluation", device_name(device), passes, encode, found, None,
               limits.seconds(layers + searches), "layers' products over points + distances"),
    ]  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clouds", type=int, default=16)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    clouds, sizes = (3, (64,)) if options.quick else (options.clouds, (1024, 2048))
    limits = Limits.measured(options.device)
    found = []
    for size in sizes:
        for kind in (DGCNN, DGCNNPartSeg, PointNet):
            turns = options.turns if kind is not PointNet else 3 * options.turns
            found += rows(kind, clouds, size, turns, options.device, limits)
    publish("Point encoders against the published formulation", found, options.out)


if __name__ == "__main__":
    main()
