"""Bodies of one file as shapes of their own: products of an assembly, objects of a plate."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from cad_files import step_assembly, step_box
from gltf_files import BOX, BOX_FACES, Gltf

from adacross.data import isolated
from adacross.data.collection.prepare import prepare
from adacross.data.collection.schema import mapped, read_stream
from adacross.data.formats import index_source
from adacross.data.formats.base import RawSample
from adacross.data.formats.files import bodies_in, read_item, read_shape
from adacross.data.formats.measures import measure
from adacross.data.formats.scene import body_names, body_of
from adacross.data.isolated import serve_bodies, split_apart
from adacross.data.shape import BrokenShapeError, Mesh

PARTS = {"plate": ((10, 10, 1), [(0, 0, 0)]), "bolt": ((1, 1, 5), [(1, 1, 1), (8, 8, 1)])}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker processes."""

    def each(function: str, requests: list[dict[str, Any]], *_: object) -> Any:
        yield from ((number, serve_bodies(request)) for number, request in enumerate(requests))

    monkeypatch.setattr(isolated, "each", each)


def plate(path: Path) -> None:
    scene = trimesh.Scene()
    for number, size in enumerate((1, 2, 3)):
        where = trimesh.transformations.translation_matrix([9 * number, 0, 0])
        scene.add_geometry(trimesh.creation.box([size] * 3), geom_name=f"cube {size}", transform=where)
    scene.export(path)


def test_each_place_of_a_product_is_a_body(tmp_path: Path) -> None:
    (tmp_path / "a.step").write_text(step_assembly(PARTS))
    mesh = read_shape(tmp_path / "a.step")
    assert isinstance(mesh, Mesh)
    assert (mesh.part_names, body_names(mesh)) == (("plate", "bolt"), ["plate", "bolt", "bolt 2"])
    lows = [body_of(mesh, number).vertices.min(0) for number in range(3)]
    np.testing.assert_allclose(lows, [(0, 0, 0), (1, 1, 1), (8, 8, 1)], atol=1e-5)
    for number, volume in enumerate((100, 5, 5)):
        body = body_of(mesh, number)
        assert (body.unit, len(body.vertices) <= 24) == ("mm", True)
        assert measure(RawSample(body)).volume == pytest.approx(volume, rel=1e-5)


@pytest.mark.parametrize("name", ["a.3mf", "a.glb", "a.gltf"])
def test_objects_of_a_plate_are_bodies(tmp_path: Path, name: str) -> None:
    plate(tmp_path / name)
    mesh = read_shape(tmp_path / name)
    assert isinstance(mesh, Mesh)
    sizes = [np.ptp(body_of(mesh, number).vertices, axis=0).round(4).tolist() for number in range(3)]
    assert sizes == [[1] * 3, [2] * 3, [3] * 3]
    assert len(bodies_in(tmp_path / name)) == 3


def test_colors_stay_and_names_are_told_apart(tmp_path: Path) -> None:
    file = Gltf(materials=[{"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}])
    red = file.mesh(BOX, BOX_FACES, material=0)
    gray = file.mesh(BOX, BOX_FACES)
    for mesh, name in ((red, "nut"), (gray, "nut"), (gray, "nut 2"), (red, "nut")):
        file.node(mesh=mesh, name=name)
    (tmp_path / "a.glb").write_bytes(file.glb())
    mesh = read_shape(tmp_path / "a.glb")
    assert isinstance(mesh, Mesh)
    assert body_names(mesh) == ["nut", "nut 2", "nut 2 2", "nut 3"]
    colors = [body_of(mesh, number).face_colors for number in range(4)]
    assert [None if color is None else color[0].tolist() for color in colors] == [
        [255, 0, 0], [200, 200, 200], [200, 200, 200], [255, 0, 0],
    ]  # fmt: skip
    with pytest.raises(BrokenShapeError, match="no body 4"):
        body_of(mesh, 4)


def test_files_of_several_bodies_become_several_items(tmp_path: Path, here: None) -> None:
    (tmp_path / "a.step").write_text(step_assembly(PARTS))
    (tmp_path / "b.step").write_text(step_box())
    (tmp_path / "c.step").write_text("ISO-10303-21; torn")
    trimesh.creation.box().export(tmp_path / "d.stl")
    plate(tmp_path / "a.3mf")
    index = split_apart(index_source(str(tmp_path)))
    assert [item.id for item in index.items] == [
        "a.3mf#cube 1", "a.3mf#cube 2", "a.3mf#cube 3", "a.step#plate", "a.step#bolt", "a.step#bolt 2",
        "b.step", "c.step", "d.stl",
    ]  # fmt: skip
    assert {item.group for item in index.items[:6]} == {"a"}
    sizes = [np.ptp(read_item(item).vertices, axis=0).max().round(4) for item in index.items[3:6]]
    assert sizes == [10, 5, 5]


@pytest.mark.slow
def test_bodies_become_shapes_of_a_collection(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.step").write_text(step_assembly(PARTS))
    (tmp_path / "in/b.step").write_text(step_box())
    made = prepare(str(tmp_path / "in"), str(tmp_path / "c"), points=16, views=0, split_bodies=True)
    assert made.ids == ["a.step#plate", "a.step#bolt", "a.step#bolt 2", "b.step"]
    table = read_stream(mapped(tmp_path / "c" / "data-00000-of-00001.arrow")).to_pydict()
    assert table["path"] == ["a.step"] * 3 + ["b.step"]
    np.testing.assert_allclose(table["volume"], [100, 5, 5, 48], rtol=1e-5)
    assert (
        len({split for split, path in zip(table["split"], table["path"], strict=True) if path[0] == "a"}) == 1
    )
    (tmp_path / "in/d.step").write_text(step_box((1, 1, 1)))
    again = prepare(
        str(tmp_path / "in"), str(tmp_path / "c"), points=16, views=0, split_bodies=True, update=True
    )
    assert again.ids == [*made.ids, "d.step"]
