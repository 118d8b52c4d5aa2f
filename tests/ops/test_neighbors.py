"""knn, farthest points and gather against slow obvious references."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adacross.errors import UserError
from adacross.ops.fused import blocks
from adacross.ops.neighbors import farthest_point_sample, gather, knn


def squared_distances(points, queries=None):
    queries = points if queries is None else queries
    return (queries[:, :, None] - points[:, None]).square().sum(3)


def sorted_distances(distances, indices):
    return distances.gather(2, indices).sort(2).values


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    B=st.integers(1, 3),
    N=st.integers(1, 300),
    C=st.integers(1, 8),
    k=st.integers(1, 40),
)
def test_knn_finds_the_smallest_distances(seed, B, N, C, k):
    k = min(k, N)
    points = torch.randn(B, N, C, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = knn(points, k)
    distances = squared_distances(points)
    expected = distances.topk(k, 2, largest=False).values
    torch.testing.assert_close(sorted_distances(distances, found), expected, rtol=1e-12, atol=1e-12)
    assert all(len(set(row.tolist())) == k for row in found.flatten(0, 1)), "an index twice"


@pytest.mark.parametrize("C", [1, 3, 4, 7, 64])
@pytest.mark.parametrize(("N", "k"), [(1, 1), (15, 15), (40, 7), (513, 20), (1030, 1), (1030, 300)], ids=str)
def test_knn_of_float32_in_every_size(C: int, N: int, k: int):
    """Sizes beside those of panels, lanes and tournaments; the reference is float64."""
    torch.manual_seed(N + C)
    points, queries = torch.randn(1, N, C), torch.randn(1, 6, C)
    for asking, found in ((points, knn(points, k)), (queries, knn(points, k, queries))):
        exact = squared_distances(points.double(), asking.double())
        assert all(len(set(row.tolist())) == k for row in found.flatten(0, 1)), "an index twice"
        torch.testing.assert_close(
            sorted_distances(exact, found), exact.topk(k, 2, largest=False).values, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("C", [3, 5])
def test_a_point_that_is_not_a_number_is_nobodys_neighbor_in_other_clouds(C: int):
    points = torch.randn(2, 600, C)
    points[0, 5] = torch.nan
    assert torch.equal(knn(points, 8)[1].sort(1).values, knn(points[1:], 8)[0].sort(1).values)


def test_knn_searches_in_blocks_as_it_does_at_once(monkeypatch):
    points = torch.randn(5, 257, 6, dtype=torch.float64)
    queries = torch.randn(5, 91, 6, dtype=torch.float64)
    expected = knn(points, 9).sort(2).values, knn(points, 9, queries).sort(2).values
    for size in (1, 8 * 257 * 10, 8 * 264 * 300 * 2):
        monkeypatch.setitem(blocks.CPU, "knn", size)
        assert torch.equal(knn(points, 9).sort(2).values, expected[0])
        assert torch.equal(knn(points, 9, queries).sort(2).values, expected[1])


def test_knn_of_other_queries():
    points, queries = torch.randn(2, 400, 3, dtype=torch.float64), torch.randn(2, 7, 3, dtype=torch.float64)
    distances = squared_distances(points, queries)
    found = knn(points, 5, queries)
    assert found.shape == (2, 7, 5)
    torch.testing.assert_close(
        sorted_distances(distances, found), distances.topk(5, 2, largest=False).values, rtol=1e-12, atol=1e-12
    )


def test_knn_keeps_its_digits_far_from_the_origin():
    points = torch.rand(2, 500, 3) + 1000
    exact = squared_distances(points.double())
    found = sorted_distances(exact, knn(points, 8))
    torch.testing.assert_close(found, exact.topk(8, 2, largest=False).values, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_knn_of_narrow_types(dtype):
    points = torch.randn(2, 700, 16).to(dtype)
    exact = squared_distances(points.double())
    found = sorted_distances(exact, knn(points, 20))
    torch.testing.assert_close(found, exact.topk(20, 2, largest=False).values, rtol=1e-5, atol=1e-5)


def test_a_point_is_its_own_neighbor_even_among_duplicates():
    points = torch.randn(2, 200, 3)
    points[:, 50:] = points[:, :1]
    found = knn(points, 4)
    own = torch.arange(200)[None, :, None]
    assert (found == own).any(2).all()
    assert torch.equal(found, knn(points, 4)), "ties must fall the same way each time"
    exact = squared_distances(points.double())
    torch.testing.assert_close(
        sorted_distances(exact, found), exact.topk(4, 2, largest=False).values, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("k", [0, 11])
def test_knn_refuses_more_neighbors_than_points(k):
    with pytest.raises(UserError, match=rf"k is {k}.*10 points"):
        knn(torch.zeros(1, 10, 3), k)


def farthest_slowly(points, count):
    chosen = [0]
    while len(chosen) < count:
        distance = (points[:, None] - points[chosen][None]).square().sum(2).min(1).values
        chosen.append(int(distance.argmax()))
    return torch.tensor(chosen)


def test_farthest_points_are_those_of_the_definition():
    points = torch.randn(3, 60, 3, dtype=torch.float64)
    found = farthest_point_sample(points, 20)
    assert torch.equal(found, torch.stack([farthest_slowly(cloud, 20) for cloud in points]))
    assert all(len(set(row)) == 20 for row in found.tolist())


def test_farthest_points_of_few_distinct_points_repeat_the_first():
    points = torch.zeros(1, 10, 3)
    points[0, 7] = 1
    assert farthest_point_sample(points, 4).tolist() == [[0, 7, 0, 0]]
    with pytest.raises(UserError, match="cannot choose 11 points from clouds of 10"):
        farthest_point_sample(points, 11)


def test_gather_picks_rows_and_passes_gradients():
    features = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    indices = torch.randint(5, (2, 4, 6))
    picked = gather(features, indices)
    assert picked.shape == (2, 4, 6, 3)
    assert torch.equal(picked[1, 2, 3], features[1, indices[1, 2, 3]])
    (grad,) = torch.autograd.grad(picked.sum(), features)
    counts = torch.stack([torch.bincount(rows.flatten(), minlength=5) for rows in indices])
    assert torch.equal(grad, counts[:, :, None].expand(-1, -1, 3).double())
