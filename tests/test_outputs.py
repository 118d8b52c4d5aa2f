"""What a command writes: under a name that fits, never over a file unless told; said before the work."""

import shutil
from pathlib import Path

import pytest

from adacross import export, load
from adacross.cli import main
from adacross.errors import UserError, check_ending

pytestmark = pytest.mark.slow


COMMANDS = {  # the encoder, the run and the data are not there: the output is looked at first
    "evaluate linear": ("evaluate linear none/run none/data --output {}", "json"),
    "evaluate few-shot": ("evaluate few-shot none/run none/data --output {}", "json"),
    "evaluate fine-tune": ("evaluate fine-tune none/run none/data --output {}", "json"),
    "evaluate part-seg": ("evaluate part-seg none/run none/data --output {}", "json"),
    "evaluate sem-seg": ("evaluate sem-seg none/run none/data --output {}", "json"),
    "evaluate retrieval": ("evaluate retrieval none/run none/data --output {}", "json"),
    "evaluate robustness": ("evaluate robustness none/run none/data --output {}", "json"),
    "evaluate images": ("evaluate images none/run none/data --output {}", "json"),
    "evaluate compare": ("evaluate compare none/a none/b none/data --output {}", "json"),
    "search": ("search none/run none/data --query x --output {}", "html"),
    "search, a picture": ("search none/run none/data --query x --output {}", "png"),
    "embed": ("embed none/run none/data {}", "parquet"),
    "suggest": ("suggest none.parquet none.csv {}", "csv"),
    "export": ("export none/run {}", "onnx"),
    "report": ("report none/run --output {}", "html"),
    "inspect": ("inspect none/data --sheet {}", "png"),
}


@pytest.mark.parametrize(("line", "ending"), COMMANDS.values(), ids=COMMANDS)
def test_a_file_that_is_there_is_kept(
    line: str,
    ending: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / f"mine.{ending}"
    mine.write_text("mine")
    assert main(line.format(mine.name).split()) == 2
    err = capsys.readouterr().err
    assert f"mine.{ending} exists. Choose another name, or replace it with --overwrite." in err
    assert mine.read_text() == "mine"
    assert main([*line.format(mine.name).split(), "--overwrite"]) == 2
    assert "exists" not in (err := capsys.readouterr().err)
    assert "none" in err  # what is not there
    folder = tmp_path / f"folder.{ending}"
    folder.mkdir()
    assert main([*line.format(folder.name).split(), "--overwrite"]) == 2
    assert f"folder.{ending} is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(("line", "ending"), COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("name", ["x.txt", "x", "x.pt", ".json.gz"])
def test_a_name_that_says_something_else_is_refused(
    line: str, ending: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(line.format(name).split()) == 2
    err = capsys.readouterr().err
    assert f".{ending}" in err
    assert err.startswith(f"adacross: {name} ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("beside", ["a.md", "a.csv", "a.tex"])
def test_files_beside_a_result_are_kept(
    beside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / beside).write_text("mine")
    assert main(["evaluate", "compare", "none/a", "none/b", "none/data", "--output", "a.json"]) == 2
    assert f"{beside} exists" in capsys.readouterr().err


def test_a_reports_own_page_is_replaced(toy_run: Path, tmp_path: Path):
    run, other = str(shutil.copytree(toy_run, tmp_path / "run")), str(tmp_path / "page.html")
    for _ in range(2):
        assert main(["report", run]) == 0
    assert main(["report", run, "--output", other]) == 0
    assert main(["report", run, "--output", other]) == 2
    assert main(["report", run, "--output", other, "--overwrite"]) == 0


def test_endings():
    assert check_ending("a/B.JSON", ".json", "x") == Path("a/B.JSON")
    with pytest.raises(UserError, match=r"^f\.csv ends in \.csv; embed writes Parquet: give f\.parquet\.$"):
        check_ending("f.csv", ".parquet", "embed writes Parquet")
    with pytest.raises(UserError, match=r"^f has no ending; two: give f\.png or f\.html\.$"):
        check_ending(Path("f"), (".png", ".html"), "two")


def test_python_overwrites_only_when_told(tmp_path: Path):
    with pytest.raises(UserError, match=r"\.pt ends in \.pt; export writes ONNX"):
        export(load("builtin-small"), tmp_path / "x.pt")
    (tmp_path / "x.onnx").write_text("kept")
    with pytest.raises(UserError, match=r"x\.onnx exists"):
        export(load("builtin-small"), tmp_path / "x.onnx")
    assert (tmp_path / "x.onnx").read_text() == "kept"
