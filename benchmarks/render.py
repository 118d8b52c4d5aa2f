"""How many views a second does one core draw?

The published data sets were drawn with trimesh or Blender; the plain route here is trimesh's ray intersector
(embree, `pip install embreex`) with the ray grid rebuilt for every view and one ray a pixel. Ours takes 2 x 2
samples in every pixel. Both must see the same shape first. A cloud is drawn without a mesh at all: its
neighborhoods are measured first, once for all views.

    python benchmarks/render.py [--out render.json]
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import trimesh
from harness import Row, compare, must_agree, publish

from adacross.data.rendering.camera import Camera, orbit
from adacross.data.rendering.render import render_cloud, render_mesh
from adacross.data.shape import Mesh, PointCloud

DEVICE = "cpu, 1 thread"
VIEWS = 12
# by pixels, of a mesh of 20,000 faces and of a cloud of 1,024 points against the plain route of this mesh
GOALS = {224: {"mesh": 5.0, "cloud": 5.0}, 64: {"mesh": 4.0, "cloud": 5.0}}
Pictures = Callable[[], np.ndarray]


def plain_route(source: trimesh.Trimesh, cameras: list[Camera], size: int) -> np.ndarray:
    """One view after the other the obvious way: trimesh, a fresh ray grid, a headlight."""
    intersector = trimesh.ray.ray_pyembree.RayMeshIntersector(source)
    pictures = np.full((len(cameras), size, size, 3), 255, dtype=np.uint8)
    for picture, camera in zip(pictures, cameras, strict=True):
        rays = plain_rays(camera, size)
        face = intersector.intersects_first(np.tile(camera.position, (len(rays), 1)), rays)
        hit = face >= 0
        light = np.abs(np.einsum("rd,rd->r", source.face_normals[face[hit]], rays[hit]))
        picture.reshape(-1, 3)[hit] = (light[:, None] * 200).astype(np.uint8)
    return pictures


def plain_rays(camera: Camera, size: int) -> np.ndarray:
    """Unit directions `(size * size, 3)` through the pixel centers."""
    steps = ((np.arange(size) + 0.5) / size * 2 - 1) * camera.slope
    x, y = np.meshgrid(steps, -steps)
    rays = np.stack([x, y, np.full_like(x, -1)], axis=-1).reshape(-1, 3) @ camera.rotation
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def check_same(ours: np.ndarray, plain: np.ndarray) -> float:
    """Share of pixels where one shows the shape and the other shows none in or around that pixel."""
    seen = [(pictures < 255).any(-1) for pictures in (ours, plain)]
    around = [
        np.max([np.roll(mask, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
        for mask in seen
    ]
    wrong = (seen[0] & ~around[1]) | (seen[1] & ~around[0])
    return must_agree("the pictures", float(wrong.mean()), 0.001)


def chair() -> trimesh.Trimesh:
    """72 faces: a seat, a back, four legs."""
    boxes = [((0.9, 0.1, 0.9), (0, 0, 0)), ((0.9, 0.9, 0.1), (0, 0.5, -0.4))]
    boxes += [((0.1, 0.7, 0.1), (x, -0.4, z)) for x in (-0.4, 0.4) for z in (-0.4, 0.4)]
    parts = []
    for extents, place in boxes:
        part = trimesh.creation.box(extents=extents)
        part.apply_translation(place)
        parts.append(part)
    return trimesh.util.concatenate(parts)


def rows(name: str, source: trimesh.Trimesh, size: int, turns: int) -> list[Row]:
    """The mesh, and a cloud of it, against the plain route."""
    cameras = orbit(VIEWS)
    mesh = Mesh(np.asarray(source.vertices, dtype=np.float64), np.asarray(source.faces, dtype=np.int64))
    cloud = PointCloud(source.sample(1024, seed=0).astype(np.float32))
    routes: dict[str, Pictures] = {
        "plain": partial(plain_route, source, cameras, size),
        "mesh": partial(render_mesh, mesh, cameras, size),
        "cloud": partial(render_cloud, cloud, cameras, size),
    }
    wrong = check_same(routes["mesh"](), routes["plain"]())
    times = compare(routes, turns)
    goals = GOALS.get(size, {}) if name == "sphere" else {}
    what = {"mesh": f"a {name}, {len(mesh.faces):,} faces", "cloud": f"1,024 points of a {name}"}
    return [
        Row.of(
            f"{VIEWS} views of {what[route]}, {size} px",
            DEVICE,
            {"plain": times["plain"], "ours": times[route]},
            goals.get(route),
            wrong if route == "mesh" else None,
        )
        for route in ("mesh", "cloud")
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(arguments)
    if not trimesh.ray.has_embree:
        raise SystemExit(
            "The plain route casts rays with embree, which is not installed: pip install embreex"
        )
    turns, detail, sizes = (1, 1, (32,)) if options.quick else (options.turns, 5, (224, 64))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    shapes = {"sphere": trimesh.creation.icosphere(detail, radius=0.85), "chair": chair()}
    found = [
        row for name, shape in shapes.items() for size in sizes for row in rows(name, shape, size, turns)
    ]
    torch.set_num_threads(threads)
    rates = {row.what: VIEWS / row.ours.median for row in found}
    publish("Views on one core", found, options.out, views_per_second=rates)


if __name__ == "__main__":
    main()
