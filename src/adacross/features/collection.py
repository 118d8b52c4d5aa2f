"""An encoder's features of a whole collection."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float32, Int64

from adacross.console import console, progress_bar
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.features.sources import usual_device

BLOCK = 256  # shapes between two steps of the bar, and at a time in `once`
USUAL_POINTS = 1024  # points a cloud for encoders that do not say with how many they were trained

Rows = Float32[np.ndarray, "k D"]
Compute = Callable[[], Rows]


def features_of(
    encoder: Encoder,
    collection: Collection,
    indices: Int64[np.ndarray, " k"] | None = None,
    *,
    points: int | None = None,
    batch_size: int = 32,
    device: str | None = None,
    once: Callable[[int, Compute], Rows] = lambda start, compute: compute(),
) -> Rows:
    """Features of a collection's shapes by a frozen encoder, with a progress bar.

    Args:
        encoder: in any state; its own is left as it was.
        collection: whose shapes.
        indices: which of them; all if not given.
        points: points a cloud, the first ones stored; as the encoder was trained if not given.
        batch_size: clouds at a time; does not change the result.
        device: where to compute; a GPU if there is one.
        once: the features of the block that starts at a row: what `compute` returns, or was kept of it.

    Returns:
        `(k, D)` float32.

    Raises:
        UserError: more points than are stored.
    """
    rows = np.arange(len(collection)) if indices is None else np.asarray(indices)
    count = points_for(encoder, points, collection.info.points)
    say_differences(encoder, count)

    def block(here: Int64[np.ndarray, " b"]) -> Rows:
        clouds = collection.points(here)[:, :count]
        return encode(encoder, clouds, batch_size=batch_size, device=usual_device(device))

    found = np.empty((len(rows), encoder.dim), dtype=np.float32)
    with progress_bar("shapes") as progress:
        bar = progress.add_task("encoding", total=len(rows), note="")
        for start in range(0, len(rows), BLOCK):
            here = rows[start : start + BLOCK]
            found[start : start + len(here)] = once(start, partial(block, here))
            progress.update(bar, completed=start + len(here))
    return found


def points_for(encoder: Encoder, asked: int | None, stored: int | None) -> int:
    """How many points of a cloud to encode.

    Args:
        encoder: whose `inputs` tell how it was trained.
        asked: what the user asked for, if anything.
        stored: how many there are; None where any number can be sampled.

    Raises:
        UserError: more were asked for than there are.
    """
    if asked is not None and stored is not None and asked > stored:
        raise UserError(f"points is {asked}; the data has {stored} a shape. Give --points {stored} or less.")
    wanted = asked or encoder.inputs.points or USUAL_POINTS
    return wanted if stored is None else min(wanted, stored)


def say_differences(encoder: Encoder, points: int) -> None:
    """Say on the console where clouds of so many points are not what the encoder was trained with."""
    for difference in encoder.inputs.differences(points=points):
        console.print(difference)
