"""One file of points in, one `PointCloud` out, or the reason why not."""

from collections.abc import Callable
from pathlib import Path

from adacross.data.formats.arrays import read_npy, read_npz
from adacross.data.formats.las import read_las
from adacross.data.formats.pcd import read_pcd
from adacross.data.formats.text_clouds import ENDINGS, looks_like_points, read_text_cloud
from adacross.data.shape import Axis, PointCloud

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
