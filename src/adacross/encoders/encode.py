"""Features of files, arrays, meshes, point clouds and collections."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from adacross.console import console
from adacross.data.collection.collection import Collection
from adacross.data.collection.sample import load_shape
from adacross.data.sampling import sample_surface, to_y_up, unit_sphere
from adacross.data.shape import Axis, BrokenShapeError, Mesh, PointCloud
from adacross.encoders import frozen
from adacross.encoders.inputs import MIN_POINTS, InputSpec
from adacross.errors import UserError, one_of

Shapes = str | Path | np.ndarray | Tensor | Mesh | PointCloud | Collection | Sequence[Any]

_OUTSIDE = 1.01  # largest norm of a cloud in the unit sphere, with room for rounding
_SMALL = 0.5  # largest norm below which a cloud does not fill it, even if only some points are left
_OFF_CENTER = 0.1  # of the centroid, beside what is left by chance of a shape whose points were drawn
_READ = 1024  # shapes of a collection read at a time


def encode(
    encoder: nn.Module,
    shapes: Shapes,
    *,
    up: Axis | None = None,
    batch_size: int = 32,
    device: str | torch.device = "cpu",
) -> Float32[np.ndarray, "n D"]:
    """Encode shapes with a frozen encoder in evaluation mode.

    An encoder is trained on clouds whose centroid is the origin and whose farthest point is at distance 1,
    with y up. Shapes in another frame, such as millimeters, are centered and scaled, with one message.
    Meshes, files and larger point clouds are sampled at as many points as the encoder was trained with (1,024
    if it does not say); arrays keep all of theirs.

    Args:
        encoder: maps `(B, N, 3)` to `(B, D)`; moved to `device`.
        shapes: a list of files, arrays or tensors `(N, 3)` of any integer or floating type, meshes and point
            clouds, whose numbers of points may differ; or one of them; an array or tensor `(n, N, 3)`; or a
            collection.
        up: the axis that points up; by default y, and of files what their type says.
        batch_size: clouds at a time; does not change the result.
        device: where to compute: cpu, cuda, or auto.

    Returns:
        `(n, D)` float32.

    Raises:
        UserError: a file that cannot be read, another shape or type, fewer than 32 points, a coordinate that
            is NaN, infinite or beyond float32's squares, features that are not finite, a batch size below 1,
            or no such device.

    Example:
        >>> import adacross, numpy
        >>> encoder = adacross.load("builtin-small")
        >>> adacross.encode(encoder, numpy.random.default_rng(0).random((2, 500, 3))).shape
        (2, 1024)
    """
    one_of("up axis", up or "y", ("x", "y", "z"))
    if not isinstance(encoder, nn.Module):
        raise UserError(f"encoder is {encoder!r}; expected a network. Load it with adacross.load.")
    inputs = getattr(encoder, "inputs", InputSpec())
    features = partial(frozen.encode, encoder, batch_size=batch_size, device=device)
    if isinstance(shapes, Collection):
        rows = shapes.indices("all")
        blocks = (shapes.points(rows[i : i + _READ])[:, : inputs.points] for i in range(0, len(rows), _READ))
        return np.concatenate([features(block) for block in blocks])
    clouds = list(_framed(_clouds(shapes, inputs.points or 1024, up)))
    found: dict[int, np.ndarray] = {}
    for count in dict.fromkeys(map(len, clouds)):  # clouds of one size go together
        places = [place for place, cloud in enumerate(clouds) if len(cloud) == count]
        names = [f"{place} of {len(clouds)}" for place in places]
        rows = features(np.stack([clouds[place] for place in places]), names=names)
        found |= zip(places, rows, strict=True)
    return np.stack([found[place] for place in range(len(clouds))])


def _clouds(shapes: Any, points: int, up: Axis | None) -> list[Float[np.ndarray, "_ 3"]]:
    """Return a float64 array for each shape, y up, in its own frame; those of files in the unit sphere."""
    if isinstance(shapes, (str, Path, Mesh, PointCloud)):
        shapes = [shapes]
    elif isinstance(shapes, (np.ndarray, Tensor)):
        shapes = list(frozen.as_clouds(shapes[None] if shapes.ndim == 2 else shapes))
    if not shapes:
        raise UserError("there are no shapes to encode; give at least 1.")
    clouds = []
    for place, shape in enumerate(shapes):
        name = f"cloud {place} of {len(shapes)} (from 0)"
        cloud = _cloud(shape, name, points, up)
        if len(cloud) < MIN_POINTS:
            raise UserError(f"{name} has {len(cloud)} points; expected at least {MIN_POINTS} points.")
        if not (np.abs(cloud) <= frozen.LARGEST).all():  # NaN is not
            raise UserError(
                f"{name} has a coordinate that is NaN, infinite or beyond {frozen.LARGEST:g}. Leave it out."
            )
        clouds.append(cloud)
    return clouds


def _cloud(shape: Any, name: str, points: int, up: Axis | None) -> Float[np.ndarray, "_ 3"]:
    rng = np.random.default_rng(0)
    try:
        match shape:
            case str() | Path():
                return load_shape(shape, points=points, up=up).points.astype(np.float64)
            case Mesh():
                cloud = sample_surface(shape, points, rng).points
            case PointCloud():
                drawn = rng.permutation(len(shape.points))[:points]
                cloud = shape.points[drawn] if len(shape.points) > points else shape.points
            case _:
                cloud = frozen.as_double(frozen.as_clouds([shape])[0])
    except BrokenShapeError as error:
        raise UserError(f"{name} is not a shape: {error}.") from None
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    return to_y_up(cloud.astype(np.float64), up or "y")


def _framed(clouds: Sequence[Float[np.ndarray, "_ 3"]]) -> Iterator[Float[np.ndarray, "_ 3"]]:
    """Center and scale the clouds that are not in the frame of training, and say how many there were."""
    moved = []
    for place, cloud in enumerate(clouds):
        radius = float(np.linalg.norm(cloud, axis=1).max())
        away = float(np.linalg.norm(cloud.mean(0)))
        chance = 4 / len(cloud) ** 0.5  # a centroid of N points drawn from a shape lies within 1 / sqrt(N)
        if _SMALL <= radius <= _OUTSIDE and away <= _OFF_CENTER + chance:
            yield cloud
            continue
        try:
            framed, *_ = unit_sphere(cloud)
        except BrokenShapeError as error:
            raise UserError(f"cloud {place} of {len(clouds)} (from 0): {error}. Leave it out.") from None
        moved.append(f"cloud {place}: farthest point at distance {radius:.4g}, centroid at {away:.4g}")
        yield framed.astype(np.float64)
    if moved:
        console.print(
            f"{len(moved)} of {len(clouds)} shapes were centered and scaled into the unit sphere, the frame "
            f"that the encoder was trained in ({moved[0]}).",
            style="yellow",
        )
