"""How many training samples a second does one core deliver?

A sample is two augmented clouds of 2,048 points, an RGB and a gray picture of 224 px. The published
formulation reads a PLY file and a PNG file a sample and transforms samples one by one; ours reads an Arrow
collection and transforms batches. Both draw shapes at random; stored points and pixels are first checked to
be the same. Three rows of ours: pictures decoded every time, pictures that were decoded before (from the
second time a picture is seen), and without pictures' transforms. Then how the rate of reading depends on the
number of shapes.

    python benchmarks/samples.py [--out samples.json]

The floor is the traffic of what is delivered: its bytes written once and read once. What forbids 20 times on
a core is said beside it: random numbers, arithmetic on pixels and this traffic take more than that.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import trimesh
from harness import Limits, Row, compare, publish
from PIL import Image
from published_samples import plain_batch, plain_cloud

from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import DecodedViews
from adacross.data.collection.prepare import prepare
from adacross.data.transforms import augment_points, augment_views
from adacross.training.loader import BatchLoader

DEVICE = "cpu, 1 thread"
FLOOR = (
    "bytes delivered, twice. 20 times would leave 150 to 165 us a sample; measured alone, torch's generator "
    "takes 63 (16,384 numbers in a stream that recorded runs fix), blending 50,176 pixels 90, copying the "
    "stored image 35, clouds 36"
)


def as_files(collection: Collection, folder: Path) -> None:
    """The collection as the released programs have theirs: a binary PLY and PNGs a shape."""
    for i in range(len(collection)):
        trimesh.PointCloud(collection.points(np.array([i]))[0]).export(folder / f"{i}.ply")
        for view in range(collection.info.views):
            Image.fromarray(collection.view(i, view)).save(folder / f"{i}-{view}.png")


def read_points(path: Path) -> np.ndarray:
    """The points of a PLY file."""
    return np.asarray(trimesh.load(path).vertices, dtype=np.float32)


class Plain:
    """Files, read and transformed sample by sample."""

    def __init__(self, folder: Path, shapes: int, views: int, size: int) -> None:
        self.folder, self.shapes, self.views, self.size = folder, shapes, views, size
        self.rng = np.random.default_rng(0)

    def __call__(self, batch: int) -> None:
        drawn = self.rng.choice(self.shapes, batch, replace=False)
        points = [read_points(self.folder / f"{i}.ply") for i in drawn]
        numbers = self.rng.integers(self.views, size=batch)
        pictures = [Image.open(self.folder / f"{i}-{v}.png") for i, v in zip(drawn, numbers, strict=True)]
        plain_batch(points, pictures, self.size, self.rng)

    def clouds(self, batch: int) -> None:
        """The clouds alone."""
        for i in self.rng.choice(self.shapes, batch, replace=False):
            points = read_points(self.folder / f"{i}.ply")
            plain_cloud(points, self.rng), plain_cloud(points, self.rng)


class Ours:
    """A collection, read and transformed by the batch."""

    def __init__(self, collection: Collection, batch: int, size: int, cache: int, folder: Path) -> None:
        self.pictures = DecodedViews(collection, folder, cache)
        self.loader = BatchLoader(collection, np.arange(len(collection)), batch, 0, self.pictures)
        self.generator, self.size, self.step = torch.Generator().manual_seed(0), size, 0

    def __call__(self) -> None:
        raw = self.loader.load(self.step)
        self.step += 1
        for _ in range(2):
            augment_points(raw.points, self.generator)
        augment_views(raw.views, self.size, self.generator)

    def clouds(self) -> None:
        """The clouds alone."""
        points = torch.from_numpy(self.loader.collection.points(self.loader.members(self.step)))
        self.step += 1
        for _ in range(2):
            augment_points(points, self.generator)

    def see_all(self) -> None:
        """Decode every picture once."""
        info = self.loader.collection.info
        for i in range(len(self.loader.collection)):
            self.pictures.views(np.full(info.views, i), np.arange(info.views))


def check_same(collection: Collection, folder: Path) -> None:
    """The files hold what the collection holds."""
    for i in range(0, len(collection), 7):
        if not np.array_equal(read_points(folder / f"{i}.ply"), collection.points(np.array([i]))[0]):
            raise SystemExit(f"{i}.ply holds other points than the collection.")
        if not np.array_equal(np.asarray(Image.open(folder / f"{i}-0.png")), collection.view(i, 0)):
            raise SystemExit(f"{i}-0.png holds another picture than the collection.")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    shapes, points, size, batch = (6, 64, 32, 3) if options.quick else (96, 2048, 224, 32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    limits = Limits.measured()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare("builtin", str(folder / "collection"), count=shapes, points=points, views=4, size=size)
        collection = Collection.open(folder / "collection")
        as_files(collection, folder)
        check_same(collection, folder)
        plain = Plain(folder, shapes, collection.info.views, size)
        fresh, seen = (Ours(collection, batch, size, cache, folder) for cache in (0, 10**9))
        seen.see_all()
        fresh()  # compiles the kernels
        jobs = {
            "plain": lambda: plain(batch),
            "decoded every time": fresh,
            "decoded before": seen,
            "plain clouds": lambda: plain.clouds(batch),
            "clouds alone": fresh.clouds,
        }
        times = compare(jobs, options.turns)
    torch.set_num_threads(threads)
    per_sample = {
        name: replace(time, median=time.median / batch, low=time.low / batch, high=time.high / batch)
        for name, time in times.items()
    }
    picture_bytes, cloud_bytes = 4 * 4 * size * size, 2 * 4 * 3 * points
    rows = []
    for ours, plain_name, goal, delivered in (
        ("decoded before", "plain", 12, picture_bytes + cloud_bytes),
        ("decoded every time", "plain", None, picture_bytes + cloud_bytes),
        ("clouds alone", "plain clouds", None, cloud_bytes),
    ):
        pair = {"plain": per_sample[plain_name], "ours": per_sample[ours]}
        floor = limits.seconds(traffic=2 * delivered)
        rows.append(Row.of(f"a sample, {ours}", DEVICE, pair, goal, 0.0, None, floor, FLOOR))
    rates = {row.what: 1 / row.ours.median for row in rows}
    publish("Seconds a sample on one core", rows, options.out, samples_per_second=rates)


if __name__ == "__main__":
    main()
