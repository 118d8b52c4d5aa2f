"""Built-in shapes: parametric meshes of everyday things, any number, any seed, nothing to download.

Every category is a function from a generator to named solids. Neighbours overlap on purpose (stool, chair,
bench; mug, jug, vase; bolt, nut, flange), proportions and colours are drawn alike for all, and so a category
shows in its parts and not in its extents. The families are our choice.
"""

import zlib
from collections.abc import Callable

import numpy as np

from adacross.data.procedural import craft, cutlery, furniture, machine, seating, tableware, tools, vehicles
from adacross.data.procedural.parts import Parts, mesh_of
from adacross.data.procedural.scan import scan
from adacross.data.shape import Mesh
from adacross.errors import UserError, one_of

MAKERS: dict[str, Callable[[np.random.Generator], Parts]] = {
    "airplane": craft.airplane,
    "armchair": seating.armchair,
    "axe": tools.axe,
    "bed": furniture.bed,
    "bench": seating.bench,
    "boat": craft.boat,
    "bolt": machine.bolt,
    "bottle": tableware.bottle,
    "bowl": tableware.bowl,
    "bus": vehicles.bus,
    "cabinet": furniture.cabinet,
    "car": vehicles.car,
    "chair": seating.chair,
    "cup": tableware.cup,
    "desk": furniture.desk,
    "elbow": machine.elbow,
    "flange": machine.flange,
    "fork": cutlery.fork,
    "gear": machine.gear,
    "glass": tableware.glass,
    "hammer": tools.hammer,
    "jar": tableware.jar,
    "jug": tableware.jug,
    "knife": cutlery.knife,
    "lamp": furniture.lamp,
    "mallet": tools.mallet,
    "mug": tableware.mug,
    "nightstand": furniture.nightstand,
    "nut": machine.nut,
    "pan": tableware.pan,
    "pulley": machine.pulley,
    "saw": tools.saw,
    "screwdriver": tools.screwdriver,
    "shelf": furniture.shelf,
    "sofa": seating.sofa,
    "spoon": cutlery.spoon,
    "spring": machine.spring,
    "stool": seating.stool,
    "table": furniture.table,
    "teapot": tableware.teapot,
    "truck": vehicles.truck,
    "vase": tableware.vase,
    "washer": machine.washer,
    "wrench": tools.wrench,
}
CATEGORIES: tuple[str, ...] = tuple(MAKERS)


def make_mesh(category: str, seed: int) -> Mesh:
    """Make one object: y up, random yaw, any unit, parts and colours per face.

    Args:
        category: one of `CATEGORIES`.
        seed: 0 or more; the same category and seed always give the same mesh.

    Raises:
        UserError: no such category, or a negative seed.
    """
    maker = MAKERS[one_of("built-in category", category, CATEGORIES)]
    if seed < 0:
        raise UserError(f"a seed must be 0 or more, got {seed}. Choose another.")
    rng = np.random.default_rng((zlib.crc32(category.encode()), seed))
    return mesh_of(maker(rng), rng)


__all__ = ["CATEGORIES", "MAKERS", "make_mesh", "scan"]
