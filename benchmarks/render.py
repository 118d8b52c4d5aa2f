"""How many views a second on one core? Ours beside the plain route, in one run.

    python benchmarks/render.py [--out render.json] [--seconds 2]

The plain route is trimesh's ray intersector with the ray grid rebuilt for every view and one ray a pixel;
ours also smooths: 2 x 2 rays through edge pixels at 224 pixels, through every pixel at 64. Every figure is
the best of several rounds of 12 views, per second of processor time.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import trimesh

from adacross.data.camera import Camera, orbit
from adacross.data.render import render_cloud, render_mesh
from adacross.data.shape import Cloud, Mesh


def plain_route(source: trimesh.Trimesh, cameras: list[Camera], size: int) -> np.ndarray:
    """One view after the other the obvious way: trimesh, a fresh ray grid, a headlight."""
    intersector = trimesh.ray.ray_pyembree.RayMeshIntersector(source)
    pictures = np.full((len(cameras), size, size, 3), 255, dtype=np.uint8)
    for picture, camera in zip(pictures, cameras, strict=True):
        steps = ((np.arange(size) + 0.5) / size * 2 - 1) * camera.slope
        x, y = np.meshgrid(steps, -steps)
        rays = np.stack([x, y, np.full_like(x, -1)], axis=-1).reshape(-1, 3) @ camera.rotation
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        face = intersector.intersects_first(np.tile(camera.position, (len(rays), 1)), rays)
        hit = face >= 0
        light = np.abs(np.einsum("rd,rd->r", source.face_normals[face[hit]], rays[hit]))
        picture.reshape(-1, 3)[hit] = (light[:, None] * 200).astype(np.uint8)
    return pictures


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


def rates(routes: dict[str, Callable[[], np.ndarray]], seconds: float) -> dict[str, float]:
    """Views a second of each route, best round; they take turns, so that a busy machine slows all alike."""
    best = {name: 0.0 for name, draw in routes.items() if len(draw())}
    end = time.perf_counter() + seconds * len(routes)
    while time.perf_counter() < end:
        for name, draw in routes.items():
            start = time.process_time()
            best[name] = max(best[name], len(draw()) / (time.process_time() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="Views rendered a second on one core.")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--seconds", type=float, default=2.0, help="time spent on each figure")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cameras = orbit(12)
    results = []
    for name, source in (("sphere", trimesh.creation.icosphere(5, radius=0.85)), ("chair", chair())):
        mesh = Mesh(np.asarray(source.vertices, dtype=np.float64), np.asarray(source.faces, dtype=np.int64))
        cloud = Cloud(source.sample(1024, seed=0).astype(np.float32))
        for size in (224, 64):
            found = rates(
                {
                    "plain trimesh": partial(plain_route, source, cameras, size),
                    "embree": partial(render_mesh, mesh, cameras, size, "embree"),
                    "zbuffer": partial(render_mesh, mesh, cameras, size, "zbuffer"),
                    "cloud of 1,024": partial(render_cloud, cloud, cameras, size),
                },
                options.seconds,
            )
            for route, value in found.items():
                row = {"shape": name, "faces": len(mesh.faces), "size": size, "route": route}
                results.append({**row, "views_per_second": value, "ratio": value / found["plain trimesh"]})
    print(f"{'shape':8}{'faces':>8}{'size':>6}  {'route':16}{'views/s':>9}{'x plain':>9}")
    for row in results:
        print(f"{row['shape']:8}{row['faces']:>8,}{row['size']:>6}  {row['route']:16}"
              f"{row['views_per_second']:>9.1f}{row['ratio']:>9.2f}")  # fmt: skip
    if options.out:
        versions = {library.__name__: library.__version__ for library in (np, torch, trimesh)}
        environment = {"platform": platform.platform(), "python": platform.python_version(), **versions}
        text = json.dumps({"environment": environment, "results": results}, indent=2)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
