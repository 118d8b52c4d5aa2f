"""`adacross search ... --query` as it is typed."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adacross.cli import main
from adacross.data.collection.collection import Collection


def typed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_query_prints_a_table_and_writes_a_page(
    capsys: pytest.CaptureFixture[str], toy_collection: Collection, own_run: Path, tmp_path: Path
) -> None:
    Image.fromarray(toy_collection.view(8, 0)).save(tmp_path / "photo & <b>.png")
    page = tmp_path / "out" / "found.html"
    words = ["search", own_run, toy_collection.folder, "--device", "cpu", "--top", "4", "--output", page]
    code, out, err = typed(capsys, *words, "--query", tmp_path / "photo & <b>.png")
    assert code == 0, err
    rows = re.findall(r"│ +(\d+) │ (\S+) +│ (\S+) +│ +(-?\d\.\d{3}) │", out)
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4]
    assert all(row[1] in toy_collection.ids and row[2] in toy_collection.info.classes for row in rows)
    assert sorted((float(row[3]) for row in rows), reverse=True) == [float(row[3]) for row in rows]
    text = page.read_text()
    assert text.count('src="data:image/png;base64,') == 5
    assert all(row[1] in text for row in rows)
    assert "photo &amp; &lt;b&gt;.png" in text
    assert "<b>" not in text
    assert "http" not in text


def test_a_sheet_is_a_picture_of_the_query_and_what_was_found(
    capsys: pytest.CaptureFixture[str], toy_collection: Collection, own_run: Path, tmp_path: Path
) -> None:
    words = ["search", own_run, toy_collection.folder, "--device", "cpu", "--top", "7"]
    code, out, err = typed(
        capsys, *words, "--query", toy_collection.ids[0], "--output", tmp_path / "found.png"
    )
    assert code == 0, err
    assert toy_collection.ids[0] in out
    sheet = np.asarray(Image.open(tmp_path / "found.png").convert("RGB"))
    assert sheet.shape[1] > sheet.shape[0] > 400  # two rows
    assert sheet.std() > 10


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--query", "nothing.stl"], "nothing.stl does not exist"),
        (["--output", "found.html"], "--output needs a query"),
        (["--query", "x.stl", "--output", "found.pdf"], "expected a file that ends in .png or .html"),
        (["--query", "x.stl", "--up", "w"], "up"),
        (["--query", "x.stl", "--orientation", "sideways"], "orientation"),
        (["--query", "x.stl", "--classes", "nonsense"], "x.stl does not exist"),
        (["--points", "0", "--query", "x.stl"], "points is 0"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str],
    toy_collection: Collection,
    own_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = typed(capsys, "search", own_run, toy_collection.folder, "--device", "cpu", *more)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_picture_needs_an_image_tower(
    capsys: pytest.CaptureFixture[str], toy_collection: Collection, own_run: Path, tmp_path: Path
) -> None:
    Image.fromarray(toy_collection.view(0, 0)).save(tmp_path / "photo.png")
    encoder = own_run / "encoder"
    code, _, err = typed(
        capsys, "search", encoder, toy_collection.folder, "--device", "cpu", "--query", tmp_path / "photo.png"
    )
    assert code == 2
    assert "Give the run of crosspoint, crossnet or adacrossnet" in err
