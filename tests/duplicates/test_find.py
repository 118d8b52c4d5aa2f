"""`adacross duplicates` on a small vault with known copies."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import adacross
from adacross.cli import main
from adacross.data.procedural import make_composite, make_mesh
from adacross.data.procedural.kit import rotation
from adacross.data.shape import Mesh
from adacross.duplicates.find import find_duplicates
from adacross.duplicates.groups import Copy, Duplicates
from adacross.errors import UserError

TURN = rotation("x", 0.7) @ rotation("y", 2.1)
COPIES: dict[str, Callable[[Mesh], Mesh]] = {
    "turned": lambda mesh: replace(mesh, vertices=mesh.vertices @ TURN.T + 7),
    "inches": lambda mesh: replace(mesh, vertices=mesh.vertices / 25.4),
    "mirrored": lambda mesh: replace(mesh, vertices=mesh.vertices * (-1, 1, 1) @ TURN.T),
    "stretched": lambda mesh: replace(mesh, vertices=mesh.vertices * (1, 1.05, 1)),
}
RELATION = {"turned": "identical", "inches": "rescaled", "mirrored": "mirrored", "stretched": "near"}


MOLD = 4  # a shape without symmetry


def write(path: Path, mesh: Mesh) -> None:
    corners = "".join(f"v {x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in mesh.vertices)
    path.write_text(corners + "".join(f"f {a} {b} {c}\n" for a, b, c in mesh.faces + 1))


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five teapots of one mold, two hammers of another kind, and a file that is no shape."""
    folder = tmp_path_factory.mktemp("vault")
    write(folder / "a.obj", make_composite(MOLD))
    for name, change in COPIES.items():
        write(folder / f"b-{name}.obj", change(make_composite(MOLD)))
    write(folder / "hammer 1.obj", make_mesh("hammer", 1))
    write(folder / "hammer 2.obj", make_mesh("hammer", 2))
    (folder / "broken.obj").write_text("v 0 0 0\n")
    return folder


@pytest.mark.slow
def test_every_copy_is_found_and_nothing_else(vault: Path) -> None:
    found = find_duplicates(vault)
    assert {copy.id: copy.relation for copy in found.copies} == {"a.obj": "reference"} | {
        f"b-{name}.obj": relation for name, relation in RELATION.items()
    }
    factors = {copy.id: copy.factor for copy in found.copies}
    assert np.isclose(factors["b-inches.obj"], 1 / 25.4)
    assert [copy.unit for copy in found.copies if copy.id == "b-inches.obj"] == ["inches and millimeters"]
    assert [name for name, _ in found.skipped] == ["broken.obj"]
    assert found.summary() == (
        "1 group of copies among 7 shapes: 1 identical, 1 rescaled, 1 mirrored, 1 near."
    )
    assert "b-inches.obj" in found._repr_html_()
    assert list(found.to_dataframe()["id"]) == [copy.id for copy in found.copies]


@pytest.mark.slow
def test_options_leave_out_what_they_say(vault: Path) -> None:
    relations = {copy.id: copy.relation for copy in find_duplicates(vault, size="off").copies}
    assert relations["b-inches.obj"] == "identical"
    assert "b-mirrored.obj" not in {
        copy.id for copy in find_duplicates(vault, mirrored=False, threshold=0.2).copies
    }
    assert "b-stretched.obj" not in {copy.id for copy in find_duplicates(vault, threshold=0.2).copies}


@pytest.mark.slow
def test_a_folder_against_another(vault: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    write(tmp_path / "new" / "part.obj", COPIES["turned"](make_mesh("hammer", 1)))
    write(tmp_path / "new" / "twin.obj", COPIES["turned"](make_mesh("hammer", 1)))
    found = find_duplicates(tmp_path / "new", against=vault)
    assert [(copy.id, copy.reference) for copy in found.copies] == [
        (name, "hammer 1.obj") for name in ("hammer 1.obj", "part.obj", "twin.obj")
    ]


@pytest.mark.slow
def test_files_of_one_name_in_both_folders_are_told_apart(vault: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    write(tmp_path / "new" / "hammer 1.obj", make_mesh("hammer", 1))
    found = find_duplicates(tmp_path / "new", against=vault, page=str(tmp_path / "copies.html"))
    reference = f"{vault.name}/hammer 1.obj"
    assert [(copy.id, copy.reference) for copy in found.copies] == [
        (reference, reference), ("hammer 1.obj", reference),
    ]  # fmt: skip
    assert (tmp_path / "copies.html").read_text(encoding="utf-8").count("<img") == 2


@pytest.mark.slow
def test_a_collection_is_read_in_its_source_or_by_its_points(vault: Path, tmp_path: Path) -> None:
    collection = adacross.prepare(str(vault), str(tmp_path / "parts"), views=0, points=256, up="y")
    assert all(collection.signatures())
    assert {copy.id for copy in find_duplicates(collection).copies} >= {
        "a.obj",
        "b-turned.obj",
        "b-inches.obj",
    }


@pytest.mark.slow
def test_the_command_writes_csv_and_a_page(
    vault: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["duplicates", str(vault), "--output", "copies.csv", "--page", "copies.html"])
    rows = list(csv.reader((tmp_path / "copies.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["group", "id", "relation", "factor", "distance_percent", "reference"]
    assert rows[3][:4] == ["1", "b-inches.obj", "rescaled", "0.0393701"]
    page = (tmp_path / "copies.html").read_text(encoding="utf-8")
    assert page.count("<img") == 5
    assert "inches and millimeters" in page
    assert "broken.obj" in page
    out, err = capsys.readouterr()
    assert "1 group of copies" in out
    assert "the copies are in copies.csv and copies.html" in err
    assert f"next: adacross prepare {vault} COLLECTION" in err


def test_mistakes_are_named(vault: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"threshold is 50\.0; expected percent"):
        find_duplicates(vault, threshold=50.0)
    with pytest.raises(UserError, match=r"copies.txt.*\.csv"):
        find_duplicates(vault, output=str(tmp_path / "copies.txt"))
    (tmp_path / "copies.csv").touch()
    with pytest.raises(UserError, match="exists"):
        find_duplicates(vault, output=str(tmp_path / "copies.csv"))


def test_a_spreadsheet_runs_no_id(tmp_path: Path):
    """Ids are names of files, which may begin as a formula does."""
    found = Duplicates([Copy(1, "=1+1.off", "near", 2.0, 0.12345, "@a.off")], 2, [])
    found.to_csv(tmp_path / "copies.csv")
    _, row = csv.reader((tmp_path / "copies.csv").read_text(encoding="utf-8").splitlines())
    assert row == ["1", "'=1+1.off", "near", "2", "0.1235", "'@a.off"]
