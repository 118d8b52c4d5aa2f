import io
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from rich.console import Console, Group, RenderableType

from adacross.data.collection import contact_sheet
from adacross.data.collection import inspect as inspect_module
from adacross.data.collection.build import Plan, WorkFolder
from adacross.data.collection.collection import Collection
from adacross.data.collection.contact_sheet import CAPTION, CELL, CLOUDS, ROWS, choose, write_contact_sheet
from adacross.data.collection.description import LISTED, notes
from adacross.data.collection.inspect import inspect
from adacross.errors import UserError

OFF = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


def text_of(table: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above


@pytest.mark.slow
def test_collection(toy_collection: Collection, tmp_path: Path) -> None:
    found = inspect(str(toy_collection.folder), str(tmp_path / "sheet.png"))
    assert (found.kind, found.sheet) == ("collection", tmp_path / "sheet.png")
    text = text_of(found.table())
    info = toy_collection.info
    for expected in (
        f"{info.count} (train",
        f"{info.points} a shape",
        "32 x 32",
        "builtin",
        "sheet.png",
        "kB",
    ):
        assert expected in text
    for name in info.classes:
        assert name in text
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape[1] == 2 * (CAPTION + (min(info.views, 4) + CLOUDS) * CELL)
    shapes = len(choose(toy_collection))
    for place in range(shapes):
        block, row = divmod(place, -(-shapes // 2))
        half = pixels.shape[1] // 2
        cells = pixels[row * CELL : (row + 1) * CELL, block * half : (block + 1) * half]
        assert (cells[:, :CAPTION] < 128).any()  # a caption
        for cell in range(info.views + CLOUDS):  # something in every picture, and paper around it
            picture = cells[:, CAPTION + cell * CELL : CAPTION + (cell + 1) * CELL]
            assert (picture < 200).any()
            assert (picture[0] == 255).all()


def test_a_sheet_of_too_many_classes_shows_some_from_all_over_the_alphabet(
    toy_collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_sheet, "ROWS", 5)
    monkeypatch.setattr(contact_sheet, "FEW", 3)
    shown = toy_collection.labels[choose(toy_collection)]
    last = len(toy_collection.info.classes) - 1
    assert shown.tolist() == [0, last // 4, last // 2, 3 * last // 4, last]


def test_sheet_goes_beside_the_collection_unless_told(
    toy_collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect_module, "write_contact_sheet", lambda collection, path: path.touch())
    sheet = inspect(str(toy_collection.folder)).sheet
    assert sheet == toy_collection.folder.resolve().with_name(
        f"{toy_collection.folder.name}-contact-sheet.png"
    )
    assert sheet.is_file()
    assert not list(toy_collection.folder.glob("*.png"))


def test_every_class_is_on_the_sheet(toy_collection: Collection) -> None:
    chosen = choose(toy_collection)
    assert len(chosen) <= ROWS
    assert set(toy_collection.labels[chosen]) == set(toy_collection.labels)
    assert len(set(chosen.tolist())) == len(chosen)


@pytest.mark.slow
def test_sheet_that_cannot_be_written(toy_collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        write_contact_sheet(toy_collection, tmp_path / "file" / "sheet.png")


def test_unfinished_collection(tmp_path: Path) -> None:
    work, _ = WorkFolder.open(tmp_path / "c", Plan({"views": 3, "seed": 5}, 200, "digest"))
    note = {"skipped": [{"name": "bad.off", "reason": "it is [bad]"}]}
    (work.folder / "progress" / "shard-00002.json").write_text(json.dumps(note))
    for path in (tmp_path / "c", tmp_path / "c.partial"):
        found = inspect(str(path))
        assert found.kind == "unfinished collection"
        text = text_of(found.table())
        for expected in (
            "1 of 4 parts of 200 shapes",
            "views 3, seed 5",
            "same prepare command",
            "it is [bad]",
        ):
            assert expected in text


def test_folder_of_meshes_says_what_is_broken(tmp_path: Path) -> None:
    for name, content in (("cup/a.off", OFF), ("cup/b.off", OFF[:20]), ("mug/c.OFF", OFF), ("d.obj", "")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    found = inspect(str(tmp_path))
    text = text_of(found.table())
    assert found.kind == "files"
    for expected in (
        "(no class) 4",
        ".obj 1, .off 3",
        "2 of 4 files",
        "cup/b.off",
        "truncated",
        "the file is empty",
        f"adacross prepare {tmp_path}",
    ):
        assert expected in text


def test_folder_of_hdf5_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "ply_data_test0.h5", "w") as file:
        file["data"], file["label"] = np.zeros((3, 9, 3), np.float32), np.array([0, 1, 1])
    found = inspect(str(tmp_path))
    assert found.kind == "modelnet40"
    text = text_of(found.table())
    assert "00 1, 01 2" in text
    assert "9 a shape" in text
    assert "test 3" in text


def test_run_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("method: adacrossnet\nepochs: 7\n")
    (tmp_path / "encoder").mkdir()
    found = inspect(str(tmp_path))
    assert found.kind == "run"
    text = text_of(found.table())
    assert "adacrossnet" in text
    assert f"adacross report {tmp_path}" in text
    assert str(tmp_path / "encoder") in text
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(UserError, match="is not valid YAML"):
        inspect(str(tmp_path))


def test_folders_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist.*collection\.json.*config\.yaml"):
        inspect(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"holds no shapes.*collection\.json"):
        inspect(str(tmp_path))


def test_summary_lists_reasons_and_shortens_long_lists(toy_collection: Collection) -> None:
    entries = [{"name": f"[{i}].off", "reason": "[red]"} for i in range(LISTED + 3)]
    text = text_of(Group(*notes([], entries)))
    assert "[0].off" in text
    assert "[red]" in text
    assert "and 3 more" in text
    assert "skipped" in text_of(toy_collection.info.table())
