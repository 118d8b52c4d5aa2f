"""The built-in shapes as a source: any number of them, from nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from adacross.data.formats.base import DatasetIndex, Format, RawSample, SampleRef
from adacross.data.procedural import CATEGORIES, make_composite, make_mesh, scan
from adacross.data.shape import Mesh
from adacross.errors import one_of

VARIANTS = ("clean", "scanned", "composite")


class Builtin(Format):
    """Procedural shapes: of all categories, sampled all over or scanned from one side, or nameless ones."""

    layout = "shapes from nothing, by the word 'builtin' in a folder's place"

    def __init__(self, variant: str = VARIANTS[0], count: int = 2000, seed: int = 0) -> None:
        self.variant = one_of("variant of the built-in shapes", variant, VARIANTS)
        self.count, self.seed = count, seed

    def recognise(self, folder: Path) -> bool:
        """Return False: the shapes lie in no folder."""
        return False

    def find(self, folder: Path) -> DatasetIndex:
        categories = ["composite"] if self.variant == "composite" else list(CATEGORIES)
        items = []
        for label, category in enumerate(categories):
            for number in range(self.count // len(categories) + (label < self.count % len(categories))):
                seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
                extra = {"category": category, "seed": seed, "variant": self.variant}
                known = -1 if self.variant == "composite" else label
                items.append(SampleRef(f"{category}/{number:05d}", label=known, extra=extra))
        # Which parts an object has depends on its seed, so the list of names needs a look at each.
        parts = sorted({name for item in items for name in self.load(item).part_names})
        named = [] if self.variant == "composite" else categories
        return DatasetIndex(items, named, parts, variant=self.variant)

    def load(self, item: SampleRef) -> Mesh:
        """Make one mesh; its parts are called `<category>/<part>`."""
        category = item.extra["category"]
        seed = item.extra["seed"]
        mesh = make_composite(seed) if category == "composite" else make_mesh(category, seed)
        return replace(mesh, part_names=tuple(f"{category}/{name}" for name in mesh.part_names))

    def sample(self, item: SampleRef, points: int, rng: np.random.Generator) -> RawSample:
        """Make one mesh and, for the scanned variant, scan it."""
        mesh = self.load(item)
        cloud = scan(mesh, points, rng) if item.extra["variant"] == "scanned" else None
        return RawSample(mesh, cloud and replace(cloud, part_names=mesh.part_names))
