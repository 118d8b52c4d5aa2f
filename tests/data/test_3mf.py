"""3MF files, each an archive that is written here."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from adacross.data.formats import threemf
from adacross.data.formats.files import read_file
from adacross.data.sampling import face_areas
from adacross.data.shape import BrokenShapeError, Mesh

CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
MATERIALS = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"
PRODUCTION = "http://schemas.microsoft.com/3dmanufacturing/production/2015/06"
RELATIONS = '<Relationships><Relationship Id="r" Type="x/3dmodel" Target="/{}"/></Relationships>'
TRIANGLE = (
    '<mesh><vertices><vertex x="0" y="0" z="0"/><vertex x="2" y="0" z="0"/><vertex x="0" y="2" z="0"/>'
    '</vertices><triangles><triangle v1="0" v2="1" v3="2"{}/></triangles></mesh>'
)
MOVED = "1 0 0 0 1 0 0 0 1 10 20 30"


def model(resources: str, build: str, unit: str = 'unit="millimeter"') -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<model {unit} xmlns="{CORE}" xmlns:m="{MATERIALS}" '
        f'xmlns:p="{PRODUCTION}"><resources>{resources}</resources><build>{build}</build></model>'
    )


def read(folder: Path, **files: str | bytes) -> Mesh:
    """Read an archive of files, in whose names "__" stands for "/" and "_" for "."."""
    with zipfile.ZipFile(folder / "a.3mf", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_", ".", 1), content)
    found = read_file(folder / "a.3mf")
    assert isinstance(found, Mesh)
    return found


def one(folder: Path, resources: str, build: str, unit: str = 'unit="millimeter"') -> Mesh:
    return read(folder, **{"3D__3dmodel_model": model(resources, build, unit)})


def named(key: str, name: str = "", more: str = "", paint: str = "") -> str:
    label = f' name="{name}"' if name else ""
    return f'<object id="{key}"{label}{more}>{TRIANGLE.format(paint)}</object>'


def test_a_plate_of_several_objects(tmp_path: Path) -> None:
    build = f'<item objectid="1"/><item objectid="2" transform="{MOVED}"/>'
    mesh = one(tmp_path, named("1", "cup") + named("2", "lid"), build)
    assert mesh.part_names == ("cup", "lid")
    assert mesh.face_parts is not None
    assert mesh.face_parts.tolist() == [0, 1]
    assert mesh.vertices[mesh.faces[1]].tolist() == [[10, 20, 30], [12, 20, 30], [10, 22, 30]]
    assert (mesh.face_colors, mesh.warnings, mesh.unit) == (None, (), "mm")


def test_what_is_not_built_is_left_out(tmp_path: Path) -> None:
    assert one(tmp_path, named("1", "cup") + named("2", "lid"), '<item objectid="2"/>').part_names == ("lid",)


def test_what_trimesh_writes_comes_back(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box((2, 4, 6)), geom_name="box", node_name="box")
    where = trimesh.transformations.rotation_matrix(0.5, [1, 2, 3], [4, 5, 6])
    scene.add_geometry(trimesh.creation.icosphere(1), geom_name="ball", node_name="ball", transform=where)
    (tmp_path / "a.3mf").write_bytes(scene.export(file_type="3mf"))
    mesh = read_file(tmp_path / "a.3mf")
    assert isinstance(mesh, Mesh)
    assert face_areas(mesh).sum() == pytest.approx(scene.area, rel=1e-5)
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    np.testing.assert_allclose([corners.min(0), corners.max(0)], scene.bounds, atol=1e-4)


def test_components_in_components(tmp_path: Path) -> None:
    inner = f'<object id="2"><components><component objectid="1" transform="{MOVED}"/></components></object>'
    both = '<component objectid="2"/><component objectid="1"/>'
    outer = f'<object id="3" name="pair"><components>{both}</components></object>'
    turned = "0 1 0 -1 0 0 0 0 1 0 0 0"  # x becomes y
    mesh = one(tmp_path, named("1") + inner + outer, f'<item objectid="3" transform="{turned}"/>')
    assert mesh.part_names == ("pair",)
    assert mesh.vertices[mesh.faces[0]].tolist() == [[-20, 10, 30], [-20, 12, 30], [-22, 10, 30]]
    assert mesh.vertices[mesh.faces[1]].tolist() == [[0, 0, 0], [0, 2, 0], [-2, 0, 0]]


def test_objects_of_other_models(tmp_path: Path) -> None:
    """As slicers write a plate: every object in a file of its own."""
    component = '<component objectid="7" p:path="/3D/Objects/cup.model"/>'
    first = model(
        f'<object id="1" name="cup"><components>{component}</components></object>', '<item objectid="1"/>'
    )
    other = model(named("7"), '<item objectid="7"/>')
    files = {"_rels__.rels": RELATIONS.format("odd/start.model"), "odd__start_model": first}
    with zipfile.ZipFile(tmp_path / "a.3mf", "w") as archive:
        archive.writestr("_rels/.rels", files["_rels__.rels"])
        archive.writestr("odd/start.model", first)
        archive.writestr("3D/Objects/cup.model", other)
    mesh = read_file(tmp_path / "a.3mf")
    assert isinstance(mesh, Mesh)
    assert (len(mesh.faces), mesh.part_names) == (1, ("cup",))


def test_colors_of_objects_and_triangles(tmp_path: Path) -> None:
    paints = (
        '<basematerials id="5"><base name="a" displaycolor="#FF0000"/>'
        '<base name="b" displaycolor="#00FF0080"/></basematerials>'
        '<m:colorgroup id="6"><m:color color="#0000FFFF"/></m:colorgroup>'
    )
    resources = (
        paints + named("1", more=' pid="5" pindex="1"') + named("2", paint=' pid="6" p1="0"') + named("3")
    )
    mesh = one(tmp_path, resources, "".join(f'<item objectid="{key}"/>' for key in "123"))
    assert mesh.face_colors is not None
    assert mesh.face_colors.tolist() == [[0, 255, 0], [0, 0, 255], [200, 200, 200]]
    odd = '<basematerials id="5"><base name="a" displaycolor="red"/></basematerials>'
    assert (
        one(tmp_path, odd + named("1", more=' pid="5" pindex="0"'), '<item objectid="1"/>').face_colors
        is None
    )


@pytest.mark.parametrize(("unit", "known"), [('unit="inch"', "in"), ("", "mm"), ('unit="parsec"', "")])
def test_units(tmp_path: Path, unit: str, known: str) -> None:
    assert one(tmp_path, named("1"), '<item objectid="1"/>', unit).unit == known


def test_supports_are_left_out_and_said(tmp_path: Path) -> None:
    mesh = one(
        tmp_path, named("1") + named("2", more=' type="support"'), '<item objectid="1"/><item objectid="2"/>'
    )
    assert len(mesh.faces) == 1
    assert mesh.warnings == ("1 objects that only support others in print are passed over",)


@pytest.mark.parametrize(
    ("resources", "build", "reason"),
    [
        (named("1"), "", "neither a face nor a point"),
        (named("1"), '<item objectid="2"/>', r"there is no object 2 in 3D/3dmodel\.model"),
        (named("1"), '<item objectid="1" p:path="/gone.model"/>', r"there is no gone\.model in it"),
        (named("1").replace('v3="2"', 'v3="3"'), '<item objectid="1"/>', "vertex 3, but there are only 3"),
        (named("1").replace('x="2"', 'x="nan"'), '<item objectid="1"/>', "NaN or infinite"),
        (named("1").replace('x="2"', 'x="two"'), '<item objectid="1"/>', "not a readable 3MF file"),
        (named("1"), '<item objectid="1" transform="1 2 3"/>', "not a readable 3MF file"),
        (named("1"), '<item objectid="1"', "not a readable 3MF file"),
    ],
)
def test_what_is_refused_says_why(tmp_path: Path, resources: str, build: str, reason: str) -> None:
    with pytest.raises(BrokenShapeError, match=reason):
        one(tmp_path, resources, build)


def test_files_that_are_no_archive_or_hold_no_model(tmp_path: Path) -> None:
    (tmp_path / "a.3mf").write_bytes(b"hello")
    with pytest.raises(BrokenShapeError, match=r"not a readable 3MF file .File is not a zip file"):
        read_file(tmp_path / "a.3mf")
    with pytest.raises(BrokenShapeError, match="a ZIP archive without a model in it"):
        read(tmp_path, readme_txt="hello")


def doubling(levels: int) -> str:
    pairs = [
        f'<object id="{level}"><components>'
        f'<component objectid="{level - 1}"/><component objectid="{level - 1}"/></components></object>'
        for level in range(2, levels + 2)
    ]
    return named("1") + "".join(pairs)


def test_components_that_double_at_every_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adacross.data.formats.scene.MOST_PLACED", 600_000)
    assert len(one(tmp_path, doubling(8), '<item objectid="9"/>').faces) == 256
    with pytest.raises(BrokenShapeError, match="more than the 600,000 that a file of"):
        one(tmp_path, doubling(40), '<item objectid="41"/>')
    with pytest.raises(BrokenShapeError, match="more than the 600,000 that a file of"):
        one(tmp_path, doubling(8).replace('objectid="1"', 'objectid="9"'), '<item objectid="9"/>')


def test_what_unpacks_to_very_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threemf, "_MOST_UNPACKED", 10_000)
    with pytest.raises(BrokenShapeError, match="its models unpack to more than"):
        one(tmp_path, named("1") + " " * 1_000_000, '<item objectid="1"/>')


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    text = model(named("1"), '<item objectid="1"/>').replace(
        "\n", '\n<!DOCTYPE model [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;&a;">]>\n', 1
    )
    with pytest.raises(BrokenShapeError, match="declares entities"):
        read(tmp_path, **{"3D__3dmodel_model": text})


def test_an_encrypted_archive_is_named(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("3D/3dmodel.model", model(named("1"), '<item objectid="1"/>'))
    content = bytearray(sink.getvalue())
    content[6] |= 1  # the flag in the file's own header
    content[content.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.3mf").write_bytes(content)
    with pytest.raises(BrokenShapeError, match=r"not a readable 3MF file .*encrypted"):
        read_file(tmp_path / "a.3mf")
