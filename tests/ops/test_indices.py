"""No function of ops returns an index out of range, whatever numbers it is given."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from adacross.encoders import DGCNN, PointM2AE, PointNet
from adacross.nn.layers import EdgeLayer, EdgePairLayer, PointLayer
from adacross.nn.point_tokens import build_groups, visible_levels
from adacross.ops.chamfer import chamfer
from adacross.ops.neighbors import farthest_point_sample, gather, interpolate, knn
from adacross.ops.projection import depth_map, fit_projection

EVIL = [1e20, -1e20, 3e38, math.inf, -math.inf, math.nan, 0.0]


def spoiled(seed: int, B: int, N: int, C: int, evil: float, share: float) -> Tensor:
    """Random numbers, a share of which is another, and a last cloud of that one alone."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(B, N, C, generator=generator)
    points[torch.rand(B, N, C, generator=generator) < share] = evil
    points[-1] = evil
    return points


CASES = {
    "seed": st.integers(0, 2**31),
    "N": st.integers(33, 1100),
    "evil": st.sampled_from(EVIL),
    "share": st.sampled_from([0.0, 0.02, 0.9]),
}


@settings(max_examples=60, deadline=None)
@given(C=st.integers(1, 6), k=st.integers(1, 25), **CASES)
def test_neighbors_and_farthest_points(seed: int, N: int, C: int, k: int, evil: float, share: float):
    points = spoiled(seed, 2, N, C, evil, share)
    queries = spoiled(seed + 1, 2, 9, C, evil, share)
    for indices in (knn(points, k), knn(points, k, queries), farthest_point_sample(points, k)):
        assert int(indices.min()) >= 0
        assert int(indices.max()) < N
        gather(points, indices)


@settings(max_examples=20, deadline=None)
@given(**CASES)
def test_groups_distances_interpolation_and_maps(seed: int, N: int, evil: float, share: float):
    points = spoiled(seed, 2, N, 3, evil, share)
    levels = build_groups(points, (16, 8, 4), (20, 4, 4))
    for level, below in zip(levels, (N, 16, 8), strict=True):
        assert int(level.neighbors.min()) >= 0
        assert int(level.neighbors.max()) < below
    visible_levels(levels, torch.ones(2, 4, dtype=torch.bool))
    chamfer(points, points[:, :7])
    interpolate(points[:, :5], points, points)
    projection = fit_projection(points, torch.tensor([0, 1]), 32)
    cells = projection.cells(points)
    assert int(cells.min()) >= 0
    assert int(cells.max()) < 32
    depth_map(points, projection)
    depth_map(points, projection, splat="soft")


@pytest.mark.slow
@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize(
    "network",
    [
        DGCNN(k=20, width=16),
        PointNet(width=16),
        PointM2AE(groups=[24, 12, 6], neighbors=[8, 4, 4], dims=[6, 6, 6]),
    ],
    ids=lambda network: network.kind,
)
def test_encoders_give_no_index_error(network: nn.Module, evil: float):
    for training in (False, True):
        network.train(training)(spoiled(0, 2, 1000, 3, evil, 0.1))


@pytest.mark.parametrize("evil", EVIL)
def test_fused_layers_send_gradients_somewhere(evil: float):
    x = spoiled(0, 3, 40, 4, evil, 0.1).requires_grad_()
    neighbors = knn(x, 5)
    for layer, run in (
        (EdgeLayer(4, 6), lambda layer: layer(x, neighbors)),
        (EdgePairLayer(4, 5, 6), lambda layer: layer(x, neighbors)),
        (PointLayer(4, 6), lambda layer: layer.pooled(x)),
        (PointLayer(4, 6, negative_slope=0.2), lambda layer: layer.max_and_mean(x)),
        (PointLayer(8, 6, bias=True), lambda layer: layer.pooled_groups(x, nn.Linear(4, 4), nn.Linear(6, 3))),
    ):
        run(layer.train()).sum().backward()


def test_a_dgcnn_whose_first_layer_explodes_says_so_instead_of_failing_to_index():
    network = DGCNN(k=20, width=16).train()
    network.edges[0].norm.weight.data.fill_(1e20)
    assert not network(torch.randn(2, 1000, 3)).isfinite().all()
