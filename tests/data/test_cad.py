"""STEP and IGES files of boxes and squares, written here entity by entity."""

import sys
from pathlib import Path

import numpy as np
import pytest
from cad_files import iges_square, step_assembly, step_box

from adacross.data.formats import index_source
from adacross.data.formats.cad import iges_unit, read_cad, step_unit
from adacross.data.formats.files import read_file
from adacross.data.sampling import face_areas
from adacross.data.shape import BrokenShapeError, Mesh


def read(folder: Path, text: str | bytes, name: str = "a.step") -> Mesh:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = read_file(path)
    assert isinstance(found, Mesh)
    return found


def bounds(mesh: Mesh) -> list[list[float]]:
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    return [corners.min(0).round(5).tolist(), corners.max(0).round(5).tolist()]


@pytest.mark.parametrize("unit", ["mm", "m", "in"])
@pytest.mark.parametrize("name", ["a.step", "a.STP"])
def test_a_box_in_its_own_unit(tmp_path: Path, unit: str, name: str) -> None:
    mesh = read(tmp_path, step_box(unit=unit), name)
    assert bounds(mesh) == [[0, 0, 0], [2, 4, 6]]
    assert face_areas(mesh).sum() == pytest.approx(88, rel=1e-5)
    assert (mesh.unit, mesh.part_names, mesh.face_colors) == (unit, ("block",), None)


def test_parts_of_an_assembly(tmp_path: Path) -> None:
    text = step_assembly({"plate": ((10, 10, 1), [(0, 0, 0)]), "bolt": ((1, 1, 3), [(1, 1, 1), (8, 8, 1)])})
    mesh = read(tmp_path, text)
    assert mesh.part_names == ("plate", "bolt")
    assert mesh.face_parts is not None
    assert np.bincount(mesh.face_parts).tolist() == [12, 24]
    assert bounds(mesh) == [[0, 0, 0], [10, 10, 4]]


def test_a_color_is_srgb(tmp_path: Path) -> None:
    mesh = read(tmp_path, step_box(color=(1, 0.5, 0)))
    assert mesh.face_colors is not None
    assert np.unique(mesh.face_colors, axis=0).tolist() == [[255, 128, 0]]


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    text = step_box().replace("\n", "\r\n")
    assert bounds(read(tmp_path, b"\xef\xbb\xbf\r\n" + text.encode())) == [[0, 0, 0], [2, 4, 6]]


@pytest.mark.parametrize(("flag", "unit"), [(1, "in"), (2, "mm"), (6, "m")])
def test_iges(tmp_path: Path, flag: int, unit: str) -> None:
    mesh = read(tmp_path, iges_square(3, flag), "a.igs")
    assert bounds(mesh) == [[0, 0, 0], [3, 3, 0]]
    assert mesh.unit == unit


def test_units() -> None:
    inch = step_box(unit="in")
    assert step_unit(inch.replace("'INCH'", "'foot'")) == "ft"
    assert step_unit(inch.replace("'INCH'", "'CUBIT'")) == "mm"
    assert step_unit(step_box().replace(".MILLI.", ".CENTI.")) == "cm"
    assert step_unit("") == iges_unit("") == "mm"
    start = "".ljust(72) + "S      1\n"
    parameters = "1H,,1H;,3Ha,b,,,,,,,,,,1.,10,2HCM"
    assert iges_unit(start + parameters.ljust(72) + "G      1\n") == "cm"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the file is empty"),
        ("probe begin {}", "neither a STEP file .* nor an IGES file"),
        (step_box()[:3000], "not a readable STEP file .truncated: END-ISO-10303-21 is missing"),
        (step_box().replace("VECTOR('',#26,1.", "VECTOR('',#26,1" + "0" * 400), "more than 100 digits"),
        (step_box().replace("PLANE(", "CARTESIAN_POINT("), "neither a face nor a point"),
        ("".ljust(72) + "S      1\n", "not a readable IGES file|neither a face nor a point"),
    ],
)
def test_what_is_no_solid(
    tmp_path: Path, content: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BrokenShapeError, match=reason):
        read(tmp_path, content)
    assert capfd.readouterr() == ("", "")


def test_an_assembly_that_doubles_at_every_level(tmp_path: Path) -> None:
    usages = "".join(
        f"#{1000 + 2 * level + again}="
        f"NEXT_ASSEMBLY_USAGE_OCCURRENCE('','it''s','',#{level},#{level + 1},$);\n"
        for level in range(1, 31)
        for again in (0, 1)
    )
    bomb = step_box().replace("ENDSEC;\nEND-ISO", f"{usages}ENDSEC;\nEND-ISO")
    with pytest.raises(BrokenShapeError, match="places 1,073,741,824 parts, more than the 100,000"):
        read(tmp_path, bomb)
    circle = "#1000=NEXT_ASSEMBLY_USAGE_OCCURRENCE('','',$,#7,#7,$);\n"
    with pytest.raises(BrokenShapeError, match="an assembly in it holds itself"):
        read(tmp_path, step_box().replace("ENDSEC;\nEND-ISO", f"{circle}ENDSEC;\nEND-ISO"))


def test_without_cascadio_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cascadio", None)
    (tmp_path / "a.step").write_text(step_box())
    with pytest.raises(BrokenShapeError, match=r"read by cascadio, which is not installed\. .*\[cad\]"):
        read_cad(tmp_path / "a.step")


def test_z_is_up(tmp_path: Path) -> None:
    for name in ("a.step", "b.STP", "c.iges", "d.igs", "e.3mf"):
        (tmp_path / name).write_text(step_box())
    assert {item.up for item in index_source(str(tmp_path)).items} == {"z"}
