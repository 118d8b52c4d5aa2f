"""The built-in shapes as a source: any number of them, from nothing."""

import numpy as np

from adacross.data.procedural import CATEGORIES, make_mesh, scan
from adacross.data.source import Axis, Item, Loaded, Source
from adacross.errors import one_of

VARIANTS = ("clean", "scanned")


def find(count: int, variant: str | None, seed: int, up: Axis | None) -> Source:
    """List `count` shapes, spread evenly over the categories.

    Args:
        count: how many; the first categories get one more where it does not divide.
        variant: "clean" samples the whole surface, "scanned" looks at it from one side (`builtin.scan`);
            None means "clean".
        seed: another seed gives other shapes.
        up: the axis to declare as up; None means y, which is the truth.

    Raises:
        UserError: another variant.
    """
    variant = one_of("variant of the built-in shapes", variant or VARIANTS[0], VARIANTS)
    items = []
    for label, category in enumerate(CATEGORIES):
        for number in range(count // len(CATEGORIES) + (label < count % len(CATEGORIES))):
            own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            items.append(
                Item(f"{category}/{number:05d}", category, own_seed, label, None, up or "y", variant)
            )
    # Which parts an object has depends on its seed, so the list of names needs a look at each.
    parts = sorted({name for item in items for name in _part_names(item)})
    return Source("builtin", "builtin", items, list(CATEGORIES), parts, variant=variant)


def load(item: Item, points: int, rng: np.random.Generator) -> Loaded:
    """Make one mesh and, for the scanned variant, scan it."""
    mesh = make_mesh(item.path, item.row)
    cloud = scan(mesh, points, rng) if item.stamp == "scanned" else None
    return Loaded(mesh, cloud, tuple(f"{item.path}/{name}" for name in mesh.part_names))


def _part_names(item: Item) -> list[str]:
    return [f"{item.path}/{name}" for name in make_mesh(item.path, item.row).part_names]
