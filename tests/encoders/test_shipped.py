"""The encoders that the package carries: small, found by name, and better than chance would have them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float32
from waiting import HANGS

import adacross
from adacross.data.procedural import CATEGORIES, make_mesh
from adacross.data.sampling import sample_surface, unit_sphere
from adacross.encoders.base import SHIPPED, shipped_names
from adacross.features.sources import find_encoders, untrained_like
from adacross.search.index import Whitening, unit_rows

UNSEEN = 10_000_000  # seeds of shapes that no collection's count reaches
EACH = 12  # shapes of a category


def test_all_of_them_are_small_and_have_a_card():
    assert shipped_names() == ["builtin-any", "builtin-base", "builtin-small"]
    for name, most in (("builtin-any", 6e6), ("builtin-base", 6e6), ("builtin-small", 1e6)):
        assert sum(path.stat().st_size for path in (SHIPPED / name).iterdir()) < most
        card = (SHIPPED / name / "README.md").read_text(encoding="utf-8")
        assert "license: apache-2.0" in card
        assert "untrained" in card


@pytest.mark.slow
def test_a_new_process_without_network_encodes_a_cloud(tmp_path: Path):
    code = (
        "import adacross, torch; encoder = adacross.load('builtin-small');"
        " print(tuple(encoder(torch.rand(2, 512, 3)).shape), encoder.inputs.points)"
    )
    (tmp_path / "builtin-small").mkdir()  # a folder of that name is another thing: ./builtin-small
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=HANGS,
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"},
    )
    assert done.stdout.strip() == "(2, 1024) 512"


def test_commands_know_its_name():
    (found,) = find_encoders("builtin-small")
    assert found.name == "builtin-small"
    with pytest.raises(adacross.UserError, match=r"carries \(builtin-any, builtin-base, builtin-small\)"):
        adacross.load("builtin-smal")


@pytest.fixture(scope="module")
def clouds() -> Float32[np.ndarray, "n N 3"]:
    """Some shapes of each built-in category that no training has seen."""
    rng = np.random.default_rng(0)
    meshes = (make_mesh(name, UNSEEN + seed) for name in CATEGORIES for seed in range(EACH))
    return np.stack([unit_sphere(sample_surface(mesh, 512, rng).points)[0] for mesh in meshes])


def nearest_of_its_class(encoder: adacross.Encoder, clouds: Float32[np.ndarray, "n N 3"]) -> float:
    """How often the most similar of all other shapes, as a search compares them, is of the same category."""
    rows = adacross.encode(encoder, clouds)
    whitened = unit_rows(Whitening.fit(unit_rows(rows))(unit_rows(rows)))
    similar = torch.from_numpy(whitened @ whitened.T).fill_diagonal_(-2)
    labels = torch.arange(len(clouds)) // EACH
    return float((labels[similar.argmax(1)] == labels).double().mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_names())
def test_its_neighbors_are_of_the_same_kind_more_often_than_an_untrained_encoders(
    clouds: Float32[np.ndarray, "n N 3"], name: str
):
    encoder = adacross.load(name)
    untrained = [nearest_of_its_class(untrained_like(encoder, seed), clouds) for seed in range(3)]
    assert nearest_of_its_class(encoder, clouds) > max(untrained) + 0.05
