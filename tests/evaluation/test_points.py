"""Points of a cloud: as many as are asked for, and no others."""

import pytest

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.evaluation import evaluate


@pytest.mark.parametrize("points", [0, 10_000])
@pytest.mark.parametrize("task", ["linear", "retrieval", "robustness"])
def test_points_that_are_not_stored_are_refused(toy_collection: Collection, task: str, points: int):
    """A figure of fewer points than were asked for would be another protocol's."""
    with pytest.raises(UserError, match=f"points is {points}; expected 1 to "):
        evaluate(task, "builtin-small", toy_collection, points=points)
