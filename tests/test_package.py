"""What is handed out: the wheel and the source archive, built and looked into."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from waiting import HANGS

import adacross

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "adacross"


def build(source: Path, kind: str, folder: Path) -> Path:
    """Build a `wheel` or an `sdist` of a source folder."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build(ROOT, "wheel", tmp_path_factory.mktemp("wheel")))


def names(archive: zipfile.ZipFile) -> set[str]:
    return set(archive.namelist())


def test_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile):
    ours = {path.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}
    wanted = {name for name in ours if "__pycache__" not in name}
    wanted |= {f"adacross/recipes/{path.name}" for path in (ROOT / "recipes").glob("*.yaml")}
    held = {name for name in names(wheel) if not name.startswith("adacross-")}
    assert held == wanted


@pytest.mark.parametrize(
    "name", ["py.typed", "recipes/demo.yaml", "report/report.js", "report/style.css", "cli.py"]
)
def test_wheel_holds_what_is_no_program(wheel: zipfile.ZipFile, name: str):
    assert f"adacross/{name}" in names(wheel)


def test_wheel_is_small_and_pure(wheel: zipfile.ZipFile):
    assert wheel.filename
    assert wheel.filename.endswith("-py3-none-any.whl")
    assert Path(wheel.filename).stat().st_size < 5e6


def test_wheel_says_what_it_is(wheel: zipfile.ZipFile):
    (about,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = message_from_bytes(wheel.read(about))
    assert metadata["Version"] == adacross.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    text = str(metadata.get_payload())
    assert text.startswith("# adacross")
    assert not re.search(r"\]\(docs/|=\"docs/", text)  # not on an index
    assert (ROOT / "CITATION.cff").read_text(encoding="utf-8").count(f"version: {adacross.__version__}") == 1
    assert {"docs", "ray", "s3", "test", "dev"} <= set(metadata.get_all("Provides-Extra", []))


def test_source_archive_builds_the_same_wheel(wheel: zipfile.ZipFile, tmp_path: Path):
    (tmp_path / "sdist").mkdir()
    with tarfile.open(build(ROOT, "sdist", tmp_path / "sdist")) as archive:
        held = {name.split("/", 1)[1] for name in archive.getnames()}
        archive.extractall(tmp_path / "source", filter="data")
    assert {"tests/conftest.py", "examples/search.py", "mkdocs.yml", "constraints.txt"} <= held
    assert not {name for name in held if "/." in name or name.startswith((".venv", "site/"))}
    (source,) = (tmp_path / "source").iterdir()
    shutil.rmtree(source / "tests")  # they are no part of it
    (tmp_path / "again").mkdir()
    assert names(zipfile.ZipFile(build(source, "wheel", tmp_path / "again"))) == names(wheel)


def test_nobody_is_told_to_install_a_name_that_anybody_could_register():
    """`pip install adacross` asks the index for a package that is not ours: everything says `'.[app]'`."""
    asks = re.compile(
        r"(pipx?|uv|uvx)\b[^\n|;&`]*?\s['\"]?adacross(\[|['\"`](?!s\b)|\s*$|==|[<>~]=)", re.MULTILINE
    )
    places = [ROOT / "src", ROOT / "docs", ROOT / "examples", ROOT / "benchmarks", *ROOT.glob("*.md")]
    files = [path for place in places for path in ([place] if place.is_file() else place.rglob("*"))]
    kept = [
        path for path in [*files, ROOT / "Makefile"] if path.suffix in (".md", ".py", ".ipynb", ".html", "")
    ]
    found = [path for path in kept if path.is_file() and asks.search(path.read_text(encoding="utf-8"))]
    assert len(kept) > 200
    assert found == []
    for told in ("pip install 'adacross[app]'", "pip install adacross", "pipx run adacross\n"):
        assert asks.search(told)
    for told in ("pip install '.[app]'", "pip install .", "pip wheel . and adacross demo"):
        assert not asks.search(told)


def test_a_run_names_versions_of_required_packages_only():
    """Others, such as those of the tests, may not be installed."""
    text = (PACKAGE / "training" / "environment.py").read_text(encoding="utf-8")
    (named,) = re.findall(r"version\(name\) for name in \((.*)\)", text)
    required = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert set(re.findall(r'"(.*?)"', named)) <= {re.split(r"[><=\[;]", line)[0] for line in required}
