"""How much faster are the neighbor search and farthest-point sampling?

Against `torch.cdist` + `topk` and the plain loop over points; the same neighbors (up to points equally far
to rounding) and the same points in the same order are found.

    python benchmarks/neighbors.py [--device cuda] [--out neighbors.json]
"""

import argparse
from pathlib import Path

import torch
from harness import Limits, Row, compare, device_name, must_agree, publish
from published import plain_farthest_point_sample
from torch import Tensor

from adacross.ops.neighbors import farthest_point_sample, gather, knn

K = 20
GOALS = {3: 5, 64: 4}  # by channels


def cdist_knn(points: Tensor) -> Tensor:
    """The k nearest of every point, by all distances at once."""
    return torch.cdist(points, points).topk(K, largest=False).indices


def check_same(points: Tensor) -> float:
    """Largest relative difference of the sorted distances to the neighbors that both ways find."""

    def distances(neighbors: Tensor) -> Tensor:
        exact = points.double()
        return (gather(exact, neighbors) - exact[:, :, None]).square().sum(3).sort(2).values

    ours, plain = distances(knn(points, K)), distances(cdist_knn(points))
    return must_agree("neighbors", float((ours - plain).abs().max() / plain.max()), 1e-5)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    device, limits = options.device, Limits.measured(options.device)
    clouds = 2 if options.quick else 16
    torch.manual_seed(0)
    rows = []
    for points in (64,) if options.quick else (1024, 2048):
        for channels in (3, 64):
            x = torch.randn(clouds, points, channels, device=device)
            found = check_same(x)
            times = compare(
                {"plain": lambda x=x: cdist_knn(x), "ours": lambda x=x: knn(x, K)}, options.turns, device
            )
            what = f"{K} nearest of {clouds} x {points:,} points, {channels} channels"
            floor = limits.seconds(2 * clouds * points**2 * channels)
            rows.append(
                Row.of(
                    what,
                    device_name(device),
                    times,
                    GOALS[channels],
                    found,
                    None,
                    floor,
                    "distances' arithmetic",
                )
            )
    points, count = (64, 16) if options.quick else (2048, 512)
    x = torch.randn(clouds, points, 3, device=device)
    if not torch.equal(farthest_point_sample(x, count).cpu(), plain_farthest_point_sample(x, count).cpu()):
        raise SystemExit("farthest-point sampling: the two ways choose other points.")
    jobs = {
        "plain": lambda: plain_farthest_point_sample(x, count),
        "ours": lambda: farthest_point_sample(x, count),
    }
    times = compare(jobs, options.turns, device)
    floor = limits.seconds(
        8 * clouds * points * count, 20 * clouds * points * count if device != "cpu" else 0
    )
    what = f"farthest points, {clouds} x {points:,} to {count}"
    rows.append(
        Row.of(what, device_name(device), times, 15, 0.0, None, floor, "8 operations a point and choice")
    )
    publish("Neighbors and farthest points against cdist + topk and the plain loop", rows, options.out)


if __name__ == "__main__":
    main()
