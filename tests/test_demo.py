"""The demo at toy size, and the pages whose lines are run."""

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import trimesh
import yaml
from toy import TOY

from adacross import demo as demo_module
from adacross.cli import main
from adacross.demo import demo
from adacross.errors import UserError
from adacross.report.names import TASKS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PINNED = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()


@pytest.fixture
def toy_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every recipe's name leads to a recipe of toy size."""
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(TOY | {"epochs": 1}))
    monkeypatch.setattr("adacross.training.config.recipe_path", lambda name: path)
    monkeypatch.setattr("adacross.recipes.recipe_path", lambda name: path)
    return path


@pytest.mark.usefixtures("toy_recipe")
def test_demo_does_the_whole_job_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name, value in {"SHAPES": 264, "VIEWS": 1, "PICTURE": 32, "POINTS": 64}.items():
        monkeypatch.setattr(demo_module, name, value)
    folder = str(tmp_path / "demo")
    assert main(["demo", "--folder", folder]) == 0
    out = capsys.readouterr().out
    for word in ("pre-trained", "untrained", "gain", "recall@1", "report.html"):
        assert word in out
    report = tmp_path / "demo" / "run-seed0" / "report.html"
    assert f"report: {report}\n" in out
    made = (tmp_path / "demo" / "shapes" / "collection.json").stat().st_mtime_ns
    again = demo(folder, seeds=2)
    assert (tmp_path / "demo" / "shapes" / "collection.json").stat().st_mtime_ns == made
    assert again.linear.encoders == ["run-seed0", "run-seed1"]
    with pytest.raises(UserError, match="encoder was 'pointnet', is 'dgcnn'"):
        demo(folder, encoder="dgcnn")


@pytest.mark.usefixtures("toy_recipe")
def test_the_full_demo_measures_everything_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    toy = {"SHAPES": 44 * 14, "VIEWS": 4, "PICTURE": 32, "POINTS": 64, "SMALL": 64, "EPOCHS": 1}
    for name, value in toy.items():
        monkeypatch.setattr(demo_module, name, value)
    folder = str(tmp_path / "demo")
    assert main(["demo", "--folder", folder, "--full"]) == 0
    out = capsys.readouterr().out
    for word in ("from scratch", "mCE", "5-way", "mIoU", "difference from"):
        assert word in out, word
    run = tmp_path / "demo" / "run-seed0"
    report = (run / "report.html").read_text(encoding="utf-8")
    for task in (
        "linear",
        "few-shot",
        "fine-tune",
        "part-seg",
        "sem-seg",
        "retrieval",
        "robustness",
        "images",
    ):
        assert TASKS[task] in report, task
    made = {path: path.stat().st_mtime_ns for path in (run / "evaluation").glob("*/*.json")}
    assert len(made) == 10
    again = demo(folder, full=True)
    assert len(again.further) == 8
    measured = {path.stem for path, stamp in made.items() if path.stat().st_mtime_ns != stamp}
    assert measured <= {"compare-linear"}


def parts(folder: Path, count: int) -> None:
    """A folder of real meshes, as a user has them."""
    for number in range(count):
        mesh = trimesh.creation.box(extents=(1, 1 + number % 3, 1 + number % 5))
        (folder / f"kind{number % 2}").mkdir(parents=True, exist_ok=True)
        mesh.export(
            folder / f"kind{number % 2}" / f"part{number}.{('off', 'obj', 'ply', 'stl', 'glb')[number % 5]}"
        )


def run_page(text: str) -> int:
    """Run the Python and the commands of a page from top to bottom; return the number of blocks and lines.

    Nothing is installed: of `make` the target is looked up, of `pip` the files and the version of torch.
    """
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```|^    (\S[^\n]*)$", text, re.MULTILINE | re.DOTALL)
    for program, line in blocks:
        word, *rest = shlex.split(line, comments=True) or [""]
        if ">>>" in program:
            example = doctest.DocTestParser().get_doctest(program, names, "page", None, 0)
            assert doctest.DocTestRunner().run(example, clear_globs=False).failed == 0
            names = example.globs
        elif program:
            exec(program, names)  # noqa: S102  the page is ours
        elif word == "adacross":
            assert main(rest) == 0, line
        elif word == "make":
            assert f"\n{rest[0]}:" in (ROOT / "Makefile").read_text(encoding="utf-8"), line
        else:
            assert word == "pip", line
            given = [each for each in rest if each not in ("install", "--constraint")]
            assert all((ROOT / each).exists() or each in PINNED for each in given), line
    return len(blocks)


@pytest.mark.parametrize(("page", "least"), [("README.md", 9), ("docs/notebook.md", 4)])
def test_a_page_runs_from_top_to_bottom_in_a_fresh_folder(
    page: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_recipe: Path
):
    """As written, but for recipes and the demo's shapes, which are of toy size."""
    for name, value in {"SHAPES": 264, "VIEWS": 1, "PICTURE": 32, "POINTS": 64}.items():
        monkeypatch.setattr(demo_module, name, value)
    monkeypatch.chdir(tmp_path)
    parts(tmp_path / "parts", 40)
    assert run_page((ROOT / page).read_text(encoding="utf-8")) >= least


def test_the_readme_fits():
    lines = README.splitlines()
    assert len(lines) <= 120
    for paragraph in README.split("\n\n"):
        commands = {*re.findall(r"`adacross (\w[\w-]*)|`make ([\w-]+)", paragraph)}
        assert len(commands) <= 3, paragraph
