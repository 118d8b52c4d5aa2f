"""Names of files and classes come from outside: on the terminal they are text, whatever is in them."""

import io
import os
import shutil
import time
from pathlib import Path

import pytest
from rich.console import Console

from adacross.cli import main
from adacross.console import Table, console, plain, progress_bar, results, words
from adacross.data.collection.collection import Collection
from adacross.data.collection.contact_sheet import fitted
from adacross.errors import listed, one_line, shortened

OFF = "OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n1 1 0\n3 0 1 2\n3 1 2 3\n"
HOSTILE = ["bolt [old]", "bolt [new]", "x [", "[link=evil]y", ":smile:", "[bold red]z[", "@click", "*_`~"]
MARKED = [
    "[v2]",
    "[/]",
    "[/old]",
    "[link=http://evil]here[/link]",
    ":smile:",
    "[bold]",
    "\\[",
    "[@click=f()]",
]
OBEYED = "\x1b]0;title\x07 \x1b[31m \x9b \x7f \r \u202eabc\u202c \u2066 \u2028 \udcff"


def typed(capsys: pytest.CaptureFixture[str], *given: object) -> tuple[int, str]:
    """The exit code, and all that was printed, line ends left out: a table folds long cells."""
    code = main([str(word) for word in given])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shapes of two classes, sound ones and broken ones, with names that rich or a terminal would obey."""
    root = tmp_path_factory.mktemp("shapes [v2]")
    names = [*HOSTILE, "esc\x1b]0;title\x07", "rtl\u202eabc", os.fsdecode(b"bytes\xff")]
    for class_name in ("a [old]", "[bold]b"):
        (root / class_name).mkdir()
        for name in names:
            (root / class_name / f"{name}.off").write_text(OFF)
            (root / class_name / f"{name} broken.off").write_text("OFF\n")
    (root / "c [").mkdir()
    (root / "c [" / "].off").write_text(OFF)  # c [/].off
    return root


@pytest.fixture(scope="module")
def collection(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("collections") / "parts [v2]"
    sizes = ["--points", "64", "--views", "1", "--size", "16", "--workers", "1"]
    assert main(["prepare", str(folder), str(place), *sizes]) == 0
    return place


def shows(text: str, names: list[str]) -> None:
    assert not [letter for letter in text if letter != "\n" and plain(letter) != letter]
    for name in names:
        assert name in text


BROKEN = [f"{name} broken.off" for name in HOSTILE]
WHOLE = [f"{name}.off" for name in HOSTILE]
SPELLED = ["esc\\x1b]0;title\\x07", "rtl\\u202eabc", "bytes\\udcff"]


@pytest.mark.slow
def test_prepare_and_inspect(
    folder: Path, collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    sizes = ["--points", "64", "--views", "1", "--size", "16", "--workers", "1"]
    code, text = typed(capsys, "prepare", folder, tmp_path / "again [x]", *sizes)
    assert code == 0
    shows(text, [*BROKEN, *SPELLED, "again [x]"])
    code, text = typed(capsys, "inspect", folder)
    assert code == 0
    shows(text, [*BROKEN, *SPELLED, "a [old] 22", "[bold]b 22"])
    code, text = typed(capsys, "inspect", collection, "--sheet", tmp_path / "sheet [x].png")
    assert code == 0
    shows(text, [*BROKEN, *SPELLED, "a [old]", "[bold]b", "parts [v2]", "sheet [x].png"])


@pytest.mark.slow
def test_search_embed_suggest(
    folder: Path, collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code, text = typed(
        capsys,
        "search",
        "builtin-small",
        collection,
        "--query",
        "c [/].off",
        "--top",
        "30",
        "--device",
        "cpu",
    )
    assert code == 0
    shows(text, [*WHOLE, *SPELLED, "a [old]", "nearest to c [/].off"])
    features = tmp_path / "f [x].parquet"
    more = ["--points", "64", "--workers", "1", "--device", "cpu"]
    code, text = typed(capsys, "embed", "builtin-small", folder, features, *more)
    assert code == 0
    shows(text, [*BROKEN, *SPELLED, "f [x].parquet"])
    labels = tmp_path / "labels.csv"
    labels.write_text('id,class\na [old]/bolt [old].off,[/]\n[bold]b/bolt [new].off,"[b] \x1b[2J"\n')
    code, text = typed(capsys, "suggest", features, labels, tmp_path / "out [x].csv")
    assert code == 0
    shows(text, ["[/]", "[b] \\x1b[2J", "out [x].csv", ".off"])


def test_an_evaluations_table(toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = tmp_path / "toy [xx]"
    shutil.copytree(toy_collection.folder, place)
    more = ["--C", "0.1", "--seeds", "1", "--device", "cpu"]
    code, text = typed(capsys, "evaluate", "linear", "builtin-small", place, *more)
    assert code == 0
    shows(text, ["toy [xx]"])


@pytest.mark.parametrize("name", [*MARKED, OBEYED])
def test_an_error(name: str, capsys: pytest.CaptureFixture[str]):
    code, text = typed(capsys, "evaluate", name)
    assert code == 2
    shows(text, [plain(repr(name))])


@pytest.mark.parametrize("name", [*MARKED, OBEYED])
def test_every_way_to_print(name: str, capsys: pytest.CaptureFixture[str]):
    table = Table(name, title=name, caption=name)
    table.add_column(name)
    table.add_row(name, name)
    table.add_row(words(name, style="bold"), None)
    console.print(name, style="yellow", soft_wrap=True)
    console.print(table, f"{name}!", soft_wrap=True)
    results.print(name, table)
    printed = capsys.readouterr()
    for text in printed:
        shows(text, [plain(name)])
    other = Console(file=io.StringIO(), width=400)  # as a notebook has one
    other.print(table)
    shows(other.file.getvalue(), [plain(name)])  # type: ignore[attr-defined]  # it is the StringIO above


@pytest.mark.parametrize("name", [*MARKED, OBEYED])
def test_progress(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(console, "_width", 400)
    console.print(console.status(name).renderable)
    shows(capsys.readouterr().err, [plain(name)])
    with progress_bar("shapes") as progress:
        progress.add_task(name, total=2, note=name, completed=1)
        console.print(progress.get_renderable())
    text = capsys.readouterr().err
    shows(text, [plain(name)])
    assert text.count(plain(name)) == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_is_for_a_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(console, "_force_terminal", terminal)
    monkeypatch.setattr(console, "is_interactive", terminal)
    with progress_bar("shapes") as progress:
        bar = progress.add_task("encoding", total=2, note="")
        progress.advance(bar, 2)
        console.print("said meanwhile")
    text = capsys.readouterr().err
    if terminal:
        assert "encoding" in text
        assert "2/2" in text
        assert "said meanwhile\n" in text
    else:
        assert text == "said meanwhile\n"


def test_what_is_no_instruction_stays():
    kept = "Größe – 部品 \u200d\u05d0 [x] :smile: a\tb\nc é e\u0301"
    assert plain(kept) == kept


def test_long_names_are_shortened():
    name = "begin" + "m" * 10_000 + "end"
    assert len(shortened(name)) == 80
    assert shortened(name).startswith("beginm")
    assert shortened(name).endswith("mend")
    assert shortened("short") == "short"
    assert listed([name] * 1000, most=3).count("begin") == 3
    assert listed([name] * 1000).endswith("(1,000 in all)")
    start = time.process_time()
    for end in (False, True):
        assert len(fitted("W" * 1_000_000, 13, 120, end=end)) < 60
    assert time.process_time() - start < 20  # cut letter by letter this takes an hour
    assert fitted("abc", 13, 120) == "abc"
    assert fitted("abcdefgh" * 9, 13, 120).startswith("abcdefgh")
    assert fitted("abcdefgh" * 9, 13, 120, end=True).endswith("abcdefgh")


def test_an_error_is_one_line_even_if_it_says_nothing():
    assert one_line(ValueError()) == one_line(ValueError("\n")) == "ValueError"
    assert one_line(ValueError("\ntwo\nlines.\n")) == "two lines"
    assert len(one_line(ValueError("x" * 1000), 50)) == 50
