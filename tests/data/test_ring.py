"""One ring in every format is one surface: the same size, and the same way up."""

from pathlib import Path

import laspy
import numpy as np
import pytest
import trimesh
from cad_files import step_solid
from gltf_files import Gltf
from test_dae import CORNERS, dae

from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.data.collection.schema import mapped, read_stream

RING = trimesh.creation.torus(2.0, 0.5, major_sections=12, minor_sections=8)  # around z
VERTICES = np.round(RING.vertices * 1024) / 1024  # which text and every kind of number hold exactly
FACES = np.asarray(RING.faces, dtype=np.uint16)
MESHES = ["3mf", "dae", "glb", "gltf", "obj", "off", "ply", "step", "stl", "text.ply", "text.stl"]
CLOUDS = ["asc", "csv", "las", "laz", "npy", "npz", "pcd", "pts", "txt", "xyz"]


def write_meshes(folder: Path) -> None:
    ring = trimesh.Trimesh(VERTICES, FACES, process=False)
    for ending in ("3mf", "obj", "off", "ply", "stl"):
        ring.export(folder / f"ring.{ending}")
    ring.export(folder / "ring.text.ply", encoding="ascii")
    ring.export(folder / "ring.text.stl", file_type="stl_ascii")
    file = Gltf()
    file.node(mesh=file.mesh(VERTICES.astype(np.float32), FACES))
    (folder / "ring.glb").write_bytes(file.glb())
    (folder / "ring.gltf").write_text(file.gltf("ring.bin"))
    (folder / "ring.bin").write_bytes(file.binary)
    (folder / "ring.step").write_text(step_solid(VERTICES.tolist(), FACES.tolist()))
    text = dae("Z_UP").replace(CORNERS, " ".join(map(str, VERTICES.reshape(-1))))
    text = text.replace('count="24"', f'count="{VERTICES.size}"').replace(
        'count="8"', f'count="{len(VERTICES)}"'
    )
    start, end = text.index("<vcount>"), text.index("</p>")
    corners = " ".join(map(str, FACES.reshape(-1)))
    sizes = "3 " * len(FACES)
    text = f"{text[:start]}<vcount>{sizes}</vcount><p>{corners}{text[end:]}"
    (folder / "ring.dae").write_text(text.replace('polylist count="6"', f'polylist count="{len(FACES)}"'))


def write_clouds(folder: Path) -> None:
    np.save(folder / "ring.npy", VERTICES)
    np.savez(folder / "ring.npz", points=VERTICES)
    for ending in ("asc", "txt", "xyz"):
        np.savetxt(folder / f"ring.{ending}", VERTICES)
    np.savetxt(folder / "ring.csv", VERTICES, delimiter=",", header="x,y,z", comments="")
    np.savetxt(folder / "ring.pts", VERTICES, header=str(len(VERTICES)), comments="")
    head = (
        f"VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {len(VERTICES)}\nHEIGHT 1\n"
        f"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(VERTICES)}\nDATA binary\n"
    )
    (folder / "ring.pcd").write_bytes(head.encode() + VERTICES.astype(np.float32).tobytes())
    las = laspy.create()
    las.header.scales = [1 / 1024] * 3
    las.x, las.y, las.z = VERTICES.T
    for ending in ("las", "laz"):
        las.write(str(folder / f"ring.{ending}"))


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rings")
    for name, write in (("meshes", write_meshes), ("clouds", write_clouds)):
        (folder / "in" / name).mkdir(parents=True)
        write(folder / "in" / name)
    options = {"points": 64, "views": 0, "classes": "none", "test_fraction": 0.0}
    prepare(str(folder / "in"), str(folder / "c"), up="z", **options)  # type: ignore[arg-type]
    return folder / "c"


@pytest.mark.slow
def test_a_ring_in_every_format_is_the_same_surface(rings: Path) -> None:
    found = Collection.open(rings)
    assert found.ids == [
        f"{kind}/ring.{ending}"
        for kind, endings in (("clouds", CLOUDS), ("meshes", MESHES))
        for ending in endings
    ]
    assert len({name.rpartition(".")[2] for name in found.ids}) >= 16
    assert (found.info.skipped, found.info.warnings) == ([], [])
    table = read_stream(mapped(rings / "data-00000-of-00001.arrow")).to_pydict()
    ring = trimesh.Trimesh(VERTICES, FACES, process=False)
    for i, name in enumerate(found.ids):
        lower, upper = np.array(table["lower"][i]), np.array(table["upper"][i])
        order = [0, 2, 1] if name.endswith(".dae") else [0, 1, 2]  # which its reader turns to y up
        np.testing.assert_allclose((upper - lower)[order], np.ptp(VERTICES, axis=0), rtol=1e-5, err_msg=name)
        assert np.ptp(found[i].points, axis=0).argmin() == 1, name  # it lies flat, y up
    digests = dict(zip(found.ids, table["content"], strict=True))
    turned, converted = digests.pop("meshes/ring.dae"), digests.pop("meshes/ring.step")
    assert len({*digests.values()}) == 1
    assert len({*digests.values(), turned, converted}) == 3
    for i, name in enumerate(found.ids[len(CLOUDS) :], len(CLOUDS)):
        assert table["area"][i] == pytest.approx(ring.area, rel=1e-5), name
        assert table["volume"][i] == pytest.approx(ring.volume, rel=1e-5), name
        assert (table["watertight"][i], table["triangles"][i]) == (True, len(FACES)), name
