"""COLLADA files, written here; and one that trimesh writes."""

import sys
from pathlib import Path

import pytest
import trimesh
from PIL import Image

from adacross.data.formats.dae import read_dae
from adacross.data.formats.files import read_file
from adacross.data.sampling import face_areas
from adacross.data.shape import BrokenShapeError, Mesh

CORNERS = " ".join(f"{x} {y} {z}" for z in (0, 6) for y in (0, 4) for x in (0, 2))
SIDES = "0 2 3 1 4 5 7 6 0 1 5 4 2 6 7 3 0 4 6 2 1 3 7 5"


def dae(up: str = "Y_UP", place: str = "", unit: str = '<unit name="meter" meter="1"/>') -> str:
    """A red box (0, 0, 0) to (2, 4, 6) of six squares."""
    return f"""<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset>{unit}<up_axis>{up}</up_axis></asset>
<library_effects><effect id="e"><profile_COMMON><technique sid="common"><lambert><diffuse>
<color>1 0.5 0 1</color></diffuse></lambert></technique></profile_COMMON></effect></library_effects>
<library_materials><material id="m"><instance_effect url="#e"/></material></library_materials>
<library_geometries><geometry id="g" name="crate"><mesh>
<source id="s"><float_array id="a" count="24">{CORNERS}</float_array><technique_common>
<accessor source="#a" count="8" stride="3"><param name="X" type="float"/><param name="Y" type="float"/>
<param name="Z" type="float"/></accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#s"/></vertices>
<polylist count="6" material="red"><input semantic="VERTEX" source="#v" offset="0"/>
<vcount>4 4 4 4 4 4</vcount><p>{SIDES}</p></polylist></mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="w"><node>{place}<instance_geometry url="#g"><bind_material>
<technique_common><instance_material symbol="red" target="#m"/></technique_common></bind_material>
</instance_geometry></node></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#w"/></scene></COLLADA>"""


def read(folder: Path, text: str) -> Mesh:
    (folder / "a.dae").write_text(text)
    found = read_file(folder / "a.dae")
    assert isinstance(found, Mesh)
    return found


def bounds(mesh: Mesh) -> list[list[float]]:
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    return [corners.min(0).round(5).tolist(), corners.max(0).round(5).tolist()]


def test_a_box_of_squares(tmp_path: Path) -> None:
    mesh = read(tmp_path, dae())
    assert face_areas(mesh).sum() == pytest.approx(88)
    assert bounds(mesh) == [[0, 0, 0], [2, 4, 6]]
    assert (mesh.part_names, mesh.unit) == (("crate",), "m")
    assert mesh.face_colors is not None
    assert mesh.face_colors.tolist() == [[255, 128, 0]] * 12


def test_where_nodes_put_it(tmp_path: Path) -> None:
    mesh = read(tmp_path, dae(place="<translate>10 0 0</translate><scale>1 2 1</scale>"))
    assert bounds(mesh) == [[10, 0, 0], [12, 8, 6]]


@pytest.mark.parametrize(
    ("up", "expected"),
    [("Y_UP", [[0, 0, 0], [2, 4, 6]]), ("Z_UP", [[0, 0, -4], [2, 6, 0]]), ("X_UP", [[-4, 0, 0], [0, 2, 6]])],
)
def test_it_is_turned_to_y_up(tmp_path: Path, up: str, expected: list[list[float]]) -> None:
    assert bounds(read(tmp_path, dae(up))) == expected


def test_the_unit_that_it_names(tmp_path: Path) -> None:
    assert read(tmp_path, dae(unit='<unit name="inch" meter="0.0254"/>')).unit == "in"


def test_what_trimesh_writes(tmp_path: Path) -> None:
    text = trimesh.exchange.dae.export_collada(trimesh.creation.box((2, 4, 6)))
    assert face_areas(read(tmp_path, text.decode())).sum() == pytest.approx(88)


def test_lines_are_passed_over_and_said(tmp_path: Path) -> None:
    lines = '<lines count="1"><input semantic="VERTEX" source="#v" offset="0"/><p>0 1</p></lines></mesh>'
    assert read(tmp_path, dae().replace("</mesh>", lines)).warnings == ("lines are passed over",)


def textured(name: str, semantic: str = "TEXCOORD", numbers: str = "0.25 0.25") -> str:
    """The box with a texture, whose middle all corners show."""
    image = f'<library_images><image id="i"><init_from>{name}</init_from></image></library_images>'
    sampler = """<newparam sid="f"><surface type="2D"><init_from>i</init_from></surface></newparam>
<newparam sid="t"><sampler2D><source>f</source></sampler2D></newparam><technique"""
    text = dae().replace("<library_effects>", image + "<library_effects>").replace("<technique", sampler, 1)
    count, names = len(numbers.split()), "STPQ" if semantic == "TEXCOORD" else "RGBA"
    params = "".join(f'<param name="{names[i]}" type="float"/>' for i in range(count))
    source = f"""<source id="u"><float_array id="b" count="{count}">{numbers}</float_array><technique_common>
<accessor source="#b" count="1" stride="{count}">{params}</accessor></technique_common></source><vertices"""
    text = text.replace("<vertices", source, 1).replace(
        'offset="0"/>\n<vcount>',
        f'offset="0"/><input semantic="{semantic}" source="#u" offset="1" set="0"/>\n<vcount>',
    )
    text = text.replace(SIDES, " 0 ".join(SIDES.split()) + " 0")
    if semantic == "COLOR":
        return text
    return text.replace("<color>1 0.5 0 1</color>", '<texture texture="t" texcoord="uv"/>')


@pytest.mark.parametrize("name", ["skin.png", "C:\\work\\my%20skin.png", "file:///tmp/skin.png"])
def test_textures_color_the_faces(tmp_path: Path, name: str) -> None:
    image = Image.new("RGB", (4, 4), (9, 9, 9))
    image.paste((10, 200, 30), (0, 2, 2, 4))
    image.save(tmp_path / name.replace("%20", " ").replace("\\", "/").rpartition("/")[2])
    mesh = read(tmp_path, textured(name))
    assert mesh.warnings == ()
    assert mesh.face_colors is not None
    assert mesh.face_colors.tolist() == [[10, 200, 30]] * 12


def test_a_texture_that_cannot_be_used_costs_the_color(tmp_path: Path) -> None:
    mesh = read(tmp_path, textured("skin.png"))
    assert (mesh.face_colors, mesh.warnings) == (None, ("its texture skin.png is not beside it",))
    (tmp_path / "skin.png").write_text("no picture")
    mesh = read(tmp_path, textured("skin.png"))
    assert mesh.face_colors is None
    assert "its texture skin.png cannot be used" in mesh.warnings[0]


def test_colors_of_vertices_go_before_the_materials(tmp_path: Path) -> None:
    mesh = read(tmp_path, textured("skin.png", "COLOR", "0 0 1 1"))
    assert mesh.face_colors is not None
    assert mesh.face_colors.tolist() == [[0, 0, 255]] * 12


@pytest.mark.parametrize("kind", ["polylist", "polygons"])
def test_concave_polygons_keep_their_area(tmp_path: Path, kind: str) -> None:
    # an L of 3 x 3 without 2 x 1 in the middle of its right side: C-shaped, area 7
    ring = [(0, 0), (3, 0), (3, 1), (1, 1), (1, 2), (3, 2), (3, 3), (0, 3)]
    corners = " ".join(f"{x} {y} 0" for x, y in ring)
    text = dae().replace(CORNERS, corners)
    start, end = text.index("<polylist"), text.index("</polylist>") + len("</polylist>")
    count = "<vcount>8</vcount>" if kind == "polylist" else ""
    body = f'<input semantic="VERTEX" source="#v" offset="0"/>{count}<p>{" ".join(map(str, range(8)))}</p>'
    mesh = read(tmp_path, text[:start] + f'<{kind} count="1">{body}</{kind}>' + text[end:])
    assert face_areas(mesh).sum() == pytest.approx(7)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "not a readable DAE file"),
        (dae()[:900], "not a readable DAE file"),
        (dae().replace("<COLLADA", '<!DOCTYPE a [<!ENTITY b "c">]><COLLADA'), "declares a document type"),
        (dae().replace("5</p>", "9</p>"), "not a readable DAE file|vertex 9"),
        (dae().replace('url="#g"', 'url="#h"'), "neither a face nor a point"),
    ],
)
def test_what_is_refused_says_why(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BrokenShapeError, match=reason):
        read(tmp_path, text)


def test_without_pycollada_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "collada", None)
    with pytest.raises(BrokenShapeError, match=r"read by pycollada, which is not installed\. .*\[cad\]"):
        read_dae(tmp_path / "a.dae")
