"""Queries of the benchmark of turned parts."""

import numpy as np
from search_orientation import turns


def test_a_cloud_is_turned_and_never_mirrored():
    points = np.random.default_rng(0).normal(size=(256, 3)).astype(np.float32)
    found = turns(points, 3)
    assert len(found) == 4
    for cloud in found.values():
        matrix, rest, *_ = np.linalg.lstsq(points, cloud, rcond=None)
        assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(matrix) > 0.99
        assert rest.max() < 1e-8
    assert np.array_equal(found["as in the collection"], points)
    upright = found["90° about up"]
    assert np.array_equal(upright[:, 1], points[:, 1])
    assert not np.allclose(upright[:, 0], points[:, 0])
