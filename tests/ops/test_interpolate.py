"""Features carried from few points to many."""

import pytest
import torch

from adacross.ops.neighbors import interpolate


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_target_on_a_source_takes_its_features(dtype: torch.dtype):
    """Also in half precision, where the smallest distance that is added to all of them would be 0."""
    torch.manual_seed(0)
    points, features = torch.rand(2, 33, 3, dtype=dtype), torch.rand(2, 33, 4, dtype=dtype)
    made = interpolate(points, points, features)
    assert made.dtype == dtype
    torch.testing.assert_close(made, features, atol=2e-2, rtol=0)
