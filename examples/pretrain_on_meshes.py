"""From a folder of meshes to an encoder and a page about it, as the shell's three commands would.

    python examples/pretrain_on_meshes.py parts/ work/ [epochs]

The folder holds OFF, OBJ, PLY, STL or GLB files in any layout; work/ gets a collection and a run. Called
again, it goes on where it was interrupted.
"""

import sys
from pathlib import Path

import adacross


def main(meshes: str, work: Path, epochs: int = 16) -> None:
    collection = work / "collection"
    if not collection.exists():
        made = adacross.prepare(meshes, str(collection), points=1024, views=6, size=64)
        print(f"{made.count} shapes; left out: {[skipped['name'] for skipped in made.skipped]}")
    run = adacross.pretrain(
        collection,
        "adacrossnet_pointnet_laptop",
        run=str(work / "run"),
        epochs=epochs,
        batch_size=16,  # small, for small collections
        resume="auto",
    )
    print("look at", run.report())

    shapes = adacross.Collection.open(collection)
    features = run.encoder.encode(shapes)
    print(f"features {features.shape} of {len(shapes)} shapes")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
