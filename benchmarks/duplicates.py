"""Copies that `adacross duplicates` finds in a vault with known ones.

    python benchmarks/duplicates.py [MESHES] [--parts N] [--vault FOLDER] [--out FILE] [--quick]

The vault holds every mesh below the folder MESHES (by default built-in shapes) and one changed copy of each:
turned, moved, in inches, in millimeters, mirrored, meshed four times as fine, stretched by 5 % along an axis,
or coarsened to about a third of its triangles by merging vertices. `--parts` is the number of files of a
built-in vault; 10,000 measure the time. `--vault` keeps the files. Recall is the share of changed copies that
are in the group of their original; precision the share of copies whose reference was made of the same mesh.
Copies of another mesh are listed with their distances: without a look at them they are not known to be wrong.

The constants of `adacross.duplicates` were chosen on the built-in vault; a folder of real meshes tests them.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from harness import machine
from rich.console import Console
from rich.table import Table
from trimesh.remesh import subdivide

from adacross import find_duplicates, read_shape
from adacross.data.procedural import CATEGORIES, make_mesh
from adacross.data.shape import BrokenShapeError, Mesh
from adacross.errors import UserError
from adacross.io.files import write_json

PARTS = 440  # files, of five shapes a category and a copy of each
CELLS = np.geomspace(512, 16, 36).round()  # along the longest side, from fine to coarse


def finer(mesh: Mesh) -> Mesh:
    """Cut each triangle into four."""
    return Mesh(*subdivide(mesh.vertices, mesh.faces))


def coarser(mesh: Mesh) -> Mesh:
    """Merge the vertices in each cell of a grid, the finest that leaves a third of the triangles."""
    low, size = mesh.vertices.min(0), np.ptp(mesh.vertices, axis=0).max()
    found = mesh
    for cells in CELLS:
        places = np.floor((mesh.vertices - low) / size * cells).astype(int)
        _, owner, count = np.unique(places, axis=0, return_inverse=True, return_counts=True)
        vertices = np.zeros((len(count), 3))
        np.add.at(vertices, owner, mesh.vertices)
        faces = owner[mesh.faces]
        a, b, c = faces.T
        faces = np.unique(np.sort(faces[(a != b) & (b != c) & (c != a)], axis=1), axis=0)
        if not len(faces):
            break
        found = Mesh(vertices / count[:, None], faces)
        if len(faces) <= len(mesh.faces) // 3:
            break
    return found


KINDS: dict[str, Callable[[Mesh, np.ndarray, np.random.Generator], Mesh]] = {
    "turned": lambda mesh, turn, rng: replace(mesh, vertices=mesh.vertices @ turn),
    "moved": lambda mesh, turn, rng: replace(mesh, vertices=mesh.vertices + 3 * np.ptp(mesh.vertices)),
    "inches": lambda mesh, turn, rng: replace(mesh, vertices=mesh.vertices / 25.4 @ turn),
    "millimeters": lambda mesh, turn, rng: replace(mesh, vertices=mesh.vertices * 1000),
    "mirrored": lambda mesh, turn, rng: replace(mesh, vertices=mesh.vertices * (-1, 1, 1) @ turn),
    "finer": lambda mesh, turn, rng: finer(replace(mesh, vertices=mesh.vertices @ turn)),
    "stretched": lambda mesh, turn, rng: replace(
        mesh, vertices=mesh.vertices * rng.permutation([1, 1, 1.05])
    ),
    "coarser": lambda mesh, turn, rng: coarser(mesh),
}


def changed(mesh: Mesh, kind: str, rng: np.random.Generator) -> Mesh:
    """Return a copy of a mesh, changed in one of the ways of `KINDS`."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return KINDS[kind](mesh, turn * np.linalg.det(turn), rng)


def originals(folder: Path | None, count: int) -> Iterator[Mesh]:
    """Yield the meshes below a folder, or `count` built-in ones; without colors and parts."""
    if folder is None:
        for number in range(count):
            mesh = make_mesh(CATEGORIES[number % len(CATEGORIES)], number // len(CATEGORIES))
            yield Mesh(mesh.vertices, mesh.faces)
        return
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        try:
            shape = read_shape(path)
        except (UserError, BrokenShapeError):
            continue
        if isinstance(shape, Mesh):
            yield Mesh(shape.vertices, shape.faces)


def write(path: Path, mesh: Mesh) -> None:
    """Write an OBJ file."""
    with path.open("w", encoding="ascii") as file:
        np.savetxt(file, mesh.vertices, "v %.9g %.9g %.9g")
        np.savetxt(file, mesh.faces + 1, "f %d %d %d")


def busy_seconds() -> float:
    """Return the seconds that processors have worked for this process and for those it has waited for."""
    times = os.times()
    return sum(times[:4])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("meshes", type=Path, nargs="?")
    parser.add_argument("--parts", type=int, default=PARTS)
    parser.add_argument("--vault", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    count = 16 if given.quick else given.parts // 2
    rng = np.random.default_rng(0)
    kinds: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.vault or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for number, mesh in enumerate(originals(given.meshes, count)):
            kind = list(KINDS)[number % len(KINDS)]
            write(folder / f"{number:05d}.obj", mesh)
            write(folder / f"{number:05d}-{kind}.obj", changed(mesh, kind, rng))
            kinds[f"{number:05d}"] = kind
        start, busy = time.perf_counter(), busy_seconds()
        found = find_duplicates(folder)
        seconds, busy = time.perf_counter() - start, busy_seconds() - busy
    links = [copy for copy in found.copies if copy.relation != "reference"]
    wrong = [copy for copy in links if copy.id[:5] != copy.reference[:5]]
    group = {copy.id.removesuffix(".obj"): copy.group for copy in found.copies}
    right = [name for name, kind in kinds.items() if group.get(name, -1) == group.get(f"{name}-{kind}")]
    made, kept = Counter(kinds.values()), Counter(kinds[name] for name in right)
    title = f"{found.shapes:,} shapes in {seconds:.0f} s, {busy:.0f} s of processors"
    table = Table("copy", "made", "found", title=title)
    for kind in KINDS:
        table.add_row(kind, str(made[kind]), str(kept[kind]))
    console = Console()
    console.print(table)
    console.print(found.summary())
    precision, recall = 1 - len(wrong) / max(len(links), 1), len(right) / len(kinds)
    console.print(f"precision {precision:.3f}, recall {recall:.3f}; copies of another mesh:")
    for copy in wrong[:20]:
        console.print(f"  {copy.id} and {copy.reference}: {copy.relation}, {copy.evidence()}")
    if given.out:
        figures = {kind: [made[kind], kept[kind]] for kind in KINDS}
        about = {"shapes": found.shapes, "seconds": seconds, "processor_seconds": busy, "copies": figures}
        about |= {"precision": precision, "recall": recall, "machine": machine()}
        write_json(given.out, about)


if __name__ == "__main__":
    main()
