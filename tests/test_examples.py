"""The examples as a user runs them, on toy data."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trimesh
from PIL import Image
from waiting import HANGS

from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.data.procedural import CATEGORIES, make_mesh
from adacross.evaluation import evaluate

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object) -> str:
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    """Thirty mesh files and one that is none."""
    folder = tmp_path / "meshes"
    folder.mkdir()
    for number in range(30):
        mesh = make_mesh(CATEGORIES[number], number)
        trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(folder / f"{number:02d}.stl")
    (folder / "torn.stl").write_bytes(b"solid torn")
    return folder


def test_pretrain_on_meshes(meshes: Path, tmp_path: Path):
    said = run("pretrain_on_meshes.py", meshes, tmp_path / "work", 1)
    assert "30 shapes; left out: ['torn.stl']" in said
    assert "features (30, 1024) of 30 shapes" in said
    assert (tmp_path / "work" / "run" / "report.html").is_file()


def test_linear_probe(toy_collection: Collection, toy_run: Path, tmp_path: Path):
    """The figures are those of the library: the first edition's example scaled C otherwise, and was wrong."""
    own = shutil.copytree(toy_run, tmp_path / "run")
    said = run("linear_probe.py", own, toy_collection.folder)
    result = evaluate("linear", own, toy_collection.folder)
    assert result.to_markdown() in said
    assert len(re.findall(r": \d+ % right", said)) == 3


def test_custom_weighting(tmp_path: Path):
    prepare("builtin", str(tmp_path / "shapes"), count=60, points=256, views=1, size=32, workers=1)
    run("custom_weighting.py", tmp_path / "shapes", tmp_path / "run", 1)
    records = map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    weights = [record["weights"] for record in records if "weights" in record]
    assert weights
    for weight in weights:
        assert sum(weight.values()) == pytest.approx(2, rel=1e-4)
        assert weight["intra"] != weight["cross"]


def test_search(toy_collection: Collection, toy_run: Path, tmp_path: Path):
    own = shutil.copytree(toy_run, tmp_path / "run")  # the index is kept in the run
    Image.fromarray(toy_collection.view(3, 0)).save(tmp_path / "photo.png")
    by_shape = run("search.py", toy_collection.folder, own)
    assert "compared as shapes" in by_shape
    assert len(by_shape.splitlines()) == 6
    assert "compared as images" in run("search.py", toy_collection.folder, own, tmp_path / "photo.png")
