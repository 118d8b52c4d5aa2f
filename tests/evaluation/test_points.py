"""Points per cloud: as many as are asked for, and no others."""

from collections.abc import Callable
from typing import Any

import pytest

import adacross
from adacross.data.collection.collection import Collection
from adacross.errors import UserError


@pytest.mark.parametrize("points", [0, 10_000])
@pytest.mark.parametrize(
    "evaluate",
    [
        adacross.evaluate_linear,
        adacross.evaluate_few_shot,
        adacross.evaluate_fine_tune,
        adacross.evaluate_part_seg,
        adacross.evaluate_retrieval,
        adacross.evaluate_robustness,
        adacross.evaluate_sem_seg,
        lambda encoder, data, points: adacross.evaluate_compare([encoder], data, points=points),
    ],
)
def test_points_that_are_not_stored_are_refused(
    toy_collection: Collection, evaluate: Callable[..., Any], points: int
):
    """A figure of fewer points than were asked for would be another protocol's."""
    with pytest.raises(UserError, match=f"points is {points}; expected 1 to "):
        evaluate("builtin-small", str(toy_collection.folder), points=points)
