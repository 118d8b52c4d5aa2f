"""One file of points in, one `PointCloud` out, or the reason why not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from adacross.data.formats.arrays import read_npy, read_npz
from adacross.data.formats.las import read_las
from adacross.data.formats.pcd import read_pcd
from adacross.data.formats.text_clouds import ENDINGS, looks_like_points, read_text_cloud
from adacross.data.shape import Axis, BrokenShapeError, PointCloud

# The axis that points up in scans of landscapes, by their format's rule; y in other clouds.
UP: dict[str, Axis] = {".las": "z", ".laz": "z"}
READERS: dict[str, Callable[[Path], PointCloud]] = {
    ".npy": read_npy, ".npz": read_npz, ".pcd": read_pcd, ".las": read_las, ".laz": read_las,
    **dict.fromkeys(ENDINGS, read_text_cloud),
}  # fmt: skip


def looks_like_a_cloud(path: Path) -> bool:
    """Return whether a file ends as clouds do and, where notes and tables do, too, begins with points."""
    suffix = path.suffix.lower()
    return suffix in READERS and (suffix not in ENDINGS or looks_like_points(path))


def finite(cloud: PointCloud) -> PointCloud:
    """Return a cloud without points that are not finite, and with a warning that says how many there were.

    Numbers beyond float32, which centers are stored in, count as infinite. Raises BrokenShapeError if no
    point is finite.
    """
    whole = (np.abs(cloud.points) <= np.finfo(np.float32).max).all(axis=1)  # NaN is not
    if whole.all():
        return cloud
    if not whole.any():
        raise BrokenShapeError("no point is finite: each has a NaN or infinite coordinate")
    said = f"{np.sum(~whole):,} of {len(whole):,} points have a NaN or infinite coordinate and are left out"
    kept = cloud[np.flatnonzero(whole)]
    return replace(kept, warnings=(*kept.warnings, said))
