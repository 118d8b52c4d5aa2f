"""The vault with known copies, at toy size."""

import json
from pathlib import Path

import duplicates
import numpy as np
import pytest

from adacross.data.procedural import make_mesh
from adacross.data.shape import Mesh


def test_copies_are_what_they_are_called() -> None:
    mesh = make_mesh("cup", 0)
    mesh = Mesh(mesh.vertices, mesh.faces)
    rng = np.random.default_rng(0)
    made = {kind: duplicates.changed(mesh, kind, rng) for kind in duplicates.KINDS}
    assert len(made["finer"].faces) == 4 * len(mesh.faces)
    assert len(made["coarser"].faces) < len(mesh.faces) / 2
    sizes = np.sort(np.ptp(made["stretched"].vertices, axis=0) / np.ptp(mesh.vertices, axis=0))
    assert np.allclose(sizes, (1, 1, 1.05))
    edges = [
        np.linalg.norm(np.diff(each.vertices[each.faces], axis=1), axis=2) for each in (made["turned"], mesh)
    ]
    assert np.allclose(*edges)


@pytest.mark.slow
def test_it_counts_what_is_found(tmp_path: Path) -> None:
    duplicates.main(["--quick", "--out", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["shapes"] == 32
    exact = ("turned", "moved", "inches", "millimeters", "mirrored", "finer")
    assert all(found["copies"][kind] == [2, 2] for kind in exact)
    assert found["precision"] == 1
