"""What is traced for an export against what runs: the plain formulation beside the fused one."""

import pytest
import torch
from toy import TOY_M2AE

from adacross.encoders import ENCODERS
from adacross.ops.neighbors import farthest_point_sample, knn


@pytest.fixture
def compiling(monkeypatch):
    """Switch to the formulation that compilers see."""
    return lambda: monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


@pytest.mark.parametrize("kind", ENCODERS)
def test_encoders(kind, compiling):
    torch.manual_seed(0)
    options = {"k": 6} if "dgcnn" in kind else {}
    if kind == "point-m2ae":
        options = TOY_M2AE | {"radii": [0.32, 0.64, 1.28]}
    encoder = ENCODERS[kind](**options).eval()
    points = torch.randn(2, 300, 3)
    with torch.no_grad():
        fused = encoder.both_features(points)
        compiling()
        plain = encoder.both_features(points)
    for a, b in zip(plain, fused, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_neighbors(compiling):
    points, queries = torch.randn(2, 500, 5, dtype=torch.float64), torch.randn(2, 9, 5, dtype=torch.float64)
    points[:, 40:60] = points[:, :1]
    found = knn(points, 7), knn(points, 7, queries)
    compiling()
    plain = knn(points, 7), knn(points, 7, queries)
    own = torch.arange(500)[None, :, None]
    assert (plain[0] == own).any(2).all(), "a point is one of its own neighbors"
    for a, b, asking in zip(plain, found, (points, queries), strict=True):
        exact = torch.cdist(asking, points)
        torch.testing.assert_close(exact.gather(2, a).sort(2).values, exact.gather(2, b).sort(2).values)


def test_farthest_points_as_an_operation(compiling):
    points = torch.randn(3, 60, 3)
    points[1, 4:] = points[1, :1]  # few distinct points
    points[2, 30:] = points[2, :30]  # every distance twice
    expected = farthest_point_sample(points, 20)
    compiling()
    assert torch.equal(farthest_point_sample(points, 20), expected)


def test_farthest_points_pass_torchs_checks_of_operations():
    operation = torch.ops.adacross.farthest_points.default
    torch.library.opcheck(
        operation, (torch.randn(2, 20, 3), 5), test_utils=("test_schema", "test_faketensor")
    )
