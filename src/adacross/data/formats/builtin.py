"""The built-in shapes as a source: any number of them, from nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from adacross.data.formats.base import DatasetIndex, Format, RawSample, SampleRef
from adacross.data.procedural import CATEGORIES, make_mesh, scan
from adacross.data.shape import Mesh
from adacross.errors import one_of

VARIANTS = ("clean", "scanned")


class Builtin(Format):
    """Procedural shapes, spread evenly over the categories, sampled all over or scanned from one side."""

    layout = "shapes from nothing, by the word 'builtin' in a folder's place"

    def __init__(self, variant: str = VARIANTS[0], count: int = 2000, seed: int = 0) -> None:
        self.variant = one_of("variant of the built-in shapes", variant, VARIANTS)
        self.count, self.seed = count, seed

    def recognise(self, folder: Path) -> bool:
        """Return False: the shapes lie in no folder."""
        return False

    def find(self, folder: Path) -> DatasetIndex:
        items = []
        for label, category in enumerate(CATEGORIES):
            for number in range(self.count // len(CATEGORIES) + (label < self.count % len(CATEGORIES))):
                seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
                extra = {"category": category, "seed": seed, "variant": self.variant}
                items.append(SampleRef(f"{category}/{number:05d}", label=label, extra=extra))
        # Which parts an object has depends on its seed, so the list of names needs a look at each.
        parts = sorted({name for item in items for name in self.load(item).part_names})
        return DatasetIndex(items, list(CATEGORIES), parts, variant=self.variant)

    def load(self, item: SampleRef) -> Mesh:
        """Make one mesh; its parts are called `<category>/<part>`."""
        category = item.extra["category"]
        mesh = make_mesh(category, item.extra["seed"])
        return replace(mesh, part_names=tuple(f"{category}/{name}" for name in mesh.part_names))

    def sample(self, item: SampleRef, points: int, rng: np.random.Generator) -> RawSample:
        """Make one mesh and, for the scanned variant, scan it."""
        mesh = self.load(item)
        cloud = scan(mesh, points, rng) if item.extra["variant"] == "scanned" else None
        return RawSample(mesh, cloud and replace(cloud, part_names=mesh.part_names))
