"""Built-in shapes: meshes of everyday things and nameless ones, any number, any seed, nothing to download.

Every category is a function from a generator to named solids. Neighbors overlap on purpose (stool, chair,
bench; mug, jug, vase; bolt, nut, flange), proportions and colors are drawn alike for all, and so a category
shows in its parts and not in its extents. The families are our choice.
"""

import zlib
from collections.abc import Callable

import numpy as np

from adacross.data.procedural import furniture, machine, tableware, tools, vehicles
from adacross.data.procedural.composites import make_composite
from adacross.data.procedural.curves import Rng
from adacross.data.procedural.parts import Parts, mesh_of
from adacross.data.procedural.scan import scan
from adacross.data.shape import Mesh
from adacross.errors import UserError, one_of

_MAKERS: tuple[Callable[[Rng], Parts], ...] = (
    vehicles.airplane, furniture.armchair, tools.axe, furniture.bed, furniture.bench, vehicles.boat,
    machine.bolt, tableware.bottle, tableware.bowl, vehicles.bus, furniture.cabinet, vehicles.car,
    furniture.chair, tableware.cup, furniture.desk, machine.elbow, machine.flange, tools.fork, machine.gear,
    tableware.glass, tools.hammer, tableware.jar, tableware.jug, tools.knife, furniture.lamp, tools.mallet,
    tableware.mug, furniture.nightstand, machine.nut, tableware.pan, machine.pulley, tools.saw,
    tools.screwdriver, furniture.shelf, furniture.sofa, tools.spoon, machine.spring, furniture.stool,
    furniture.table, tableware.teapot, vehicles.truck, tableware.vase, machine.washer, tools.wrench,
)  # fmt: skip
MAKERS = {maker.__name__: maker for maker in _MAKERS}
CATEGORIES: tuple[str, ...] = tuple(MAKERS)


def make_mesh(category: str, seed: int) -> Mesh:
    """Make one object of a category: y up, random yaw, any unit, parts and colors per face.

    The same category and seed (0 or more) always give the same mesh.
    """
    maker = MAKERS[one_of("built-in category", category, CATEGORIES)]
    if seed < 0:
        raise UserError(f"a seed must be 0 or more, got {seed}. Choose another.")
    rng = np.random.default_rng((zlib.crc32(category.encode()), seed))
    return mesh_of(maker(rng), rng)


__all__ = ["CATEGORIES", "MAKERS", "make_composite", "make_mesh", "scan"]
