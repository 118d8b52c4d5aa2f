"""Does memory stay flat while training from a collection ten times larger than the memory used?

A collection of random clouds and pictures is written (more than ten times what training takes), then PointNet
is pre-trained with CrossPoint on it, in the loader's random order. Counted are the process's own pages
(`RssAnon`); pages of the collection's files that happen to be in memory (`RssFile`) belong to the system's
cache, which takes them back when it needs them. Linux only.

    python benchmarks/memory.py [--gigabytes 6.5] [--steps 250] [--out memory.json]
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from harness import machine, resident_mib
from rich.console import Console

from adacross.console import progress_bar
from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import DecodedViews
from adacross.data.collection.description import VERSION, CollectionInfo
from adacross.data.collection.schema import to_batch
from adacross.data.shape import Shape
from adacross.encoders import PointNet, ResNet
from adacross.io.files import write_json
from adacross.methods import CrossPoint
from adacross.training.loader import BatchLoader
from adacross.training.optim import make_optimizer

POINTS, SIZE, SHARD = 8192, 64, 512


def write_collection(folder: Path, shards: int, rows: int, info: CollectionInfo) -> int:
    """One shard of random shapes and copies of its file; returns the bytes written."""
    folder.mkdir()
    info.write(folder)
    rng = np.random.default_rng(0)
    view = rng.integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
    batches = []
    for i in range(rows):
        points = rng.standard_normal((info.points, 3), dtype=np.float32) / 4
        batches.append(to_batch(Shape(f"{i}", points, "train", None, None, view), np.zeros(3), 1.0))
    whole = pa.Table.from_batches(batches).combine_chunks()  # one batch, as prepare writes: it is mapped
    paths = [folder / f"data-{shard:05d}-of-{shards:05d}.arrow" for shard in range(shards)]
    with pa.ipc.new_stream(str(paths[0]), whole.schema) as writer:
        writer.write_table(whole)
    with progress_bar("shards") as progress:
        task = progress.add_task("writing", total=shards, completed=1, note="")
        for path in paths[1:]:
            shutil.copyfile(paths[0], path)
            progress.advance(task)
    return sum(path.stat().st_size for path in folder.iterdir())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=6.5)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    points, batch = (64, 4) if options.quick else (POINTS, 32)
    steps = 12 if options.quick else options.steps
    rows = 20 if options.quick else SHARD
    shards = 3 if options.quick else round(options.gigabytes * 1e9 / (SHARD * (12 * points + 13_000)))
    shapes = shards * rows
    info = CollectionInfo(
        VERSION, "random", "random", "clouds", "y", shapes, points, 1, SIZE, [], [], {"train": shapes}
    )
    anonymous, mapped = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_collection(folder / "collection", shards, rows, info)
        collection = Collection.open(folder / "collection")
        pictures = DecodedViews(collection, folder, 10**9)
        loader = BatchLoader(collection, np.arange(shapes), batch, 0, pictures)
        torch.manual_seed(0)
        method = CrossPoint(PointNet(), ResNet(18, width=8), points=min(256, points), image_size=SIZE).train()
        optimizer = make_optimizer("adam", method, 1e-3, 0.0)
        with progress_bar("steps") as progress:
            task = progress.add_task("training", total=steps, note="")
            for step, raw in enumerate(loader.batches(0, steps)):
                loss = sum(method.losses(method.batch(raw, torch.Generator().manual_seed(step))).values())
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                anonymous.append(resident_mib("RssAnon"))
                mapped.append(resident_mib("RssFile"))
                progress.advance(task)
    rest = anonymous[steps // 4 :]  # what is before warms up
    middle = len(rest) // 2
    growth = max(rest[middle:]) - max(rest[:middle])
    times = size / 2**20 / max(anonymous)
    words = (
        f"{steps} steps of {batch} shapes drawn from a collection of {size / 1e9:.1f} GB: the process's own "
        f"pages (RssAnon) reach {max(anonymous):,.0f} MiB, so the collection is {times:.0f} times larger. "
        f"The last steps' maximum is {growth:+.1f} MiB above that of the steps before. Pages "
        "of its files in memory, which the system takes back when it needs them: up to "
        f"{max(mapped):,.0f} MiB."
    )
    Console(width=110).print(words)
    if options.out:
        figures = {"anonymous_mib": anonymous, "mapped_mib": mapped, "growth_mib": growth, "bytes": size}
        write_json(options.out, {"title": "Memory", "machine": machine(), "words": words, **figures})
    if growth > 32:
        raise SystemExit("memory grows.")


if __name__ == "__main__":
    main()
