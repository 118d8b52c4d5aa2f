"""Accuracy per minute at toy size: the curves, going on, and the published formulation."""

import json
from pathlib import Path

import accuracy_per_minute
import numpy as np
import page
import pytest
import torch
from accuracy_per_minute import PUBLISHED, QUICK, RECIPES, PlainCrossPoint, curve, reached, summary

from adacross.data.collection.collection import Collection
from adacross.methods import METHODS
from adacross.training.config import PretrainConfig


def look(minutes: float, accuracy: float) -> dict[str, float]:
    return {"minutes": minutes, "accuracy": accuracy, "step": 0}


def test_a_curve_is_the_mean_over_seeds_while_all_of_them_train():
    runs = {0: [look(0, 0.1), look(2, 0.5)], 1: [look(0, 0.3), look(4, 0.7)]}
    x, y, spread = curve(runs)
    assert (x[0], x[-1]) == (0, 2)
    assert set(x[1:-1]) == {0.25, 0.5, 1, 1.5}
    np.testing.assert_allclose(y[[0, 3, -1]], [0.2, 0.35, 0.5])
    np.testing.assert_allclose(spread[[0, -1]], [0.02**0.5, 0.0], atol=1e-12)
    assert curve({0: runs[0]})[2].tolist() == [0.0] * 6


def test_an_accuracy_is_reached_between_two_looks_or_never():
    x, y = np.array([0.0, 1, 2, 4]), np.array([0.1, 0.3, 0.2, 0.6])
    assert reached(x, y, 0.05) == 0
    assert reached(x, y, 0.2) == pytest.approx(0.5)
    assert reached(x, y, 0.4) == pytest.approx(3)
    assert reached(x, y, 0.7) is None


def test_the_table_says_how_much_sooner():
    published = {"x": [0, 30.0, 60.0], "y": [0.1, 0.4, 0.5], "spread": [0, 0, 0.01], "seeds": 3}
    quick = {"x": [0, 10.0], "y": [0.2, 0.7], "spread": [0, 0.02], "seeds": 3}
    rows = summary({PUBLISHED: published, "CrossNet": quick}, 60).splitlines()
    assert "minutes to 50.0 %" in rows[0]
    assert rows[2].split(" | ")[1:6] == ["3", "60.0", "10.0 %", "50.0 ± 1.0 %", "60.0"]
    assert rows[3].split(" | ")[4:] == ["70.0 ± 2.0 %", "6.0", "10x |"]


def test_each_method_has_a_laptop_recipe():
    methods = {PretrainConfig.recipe(recipe, "x").method for recipe in RECIPES.values()}
    assert methods == {"crosspoint", "crossnet", "adacrossnet", "joint-mae"} < set(METHODS)


def test_the_published_encoder_is_probed_with_its_own_weights():
    torch.manual_seed(0)
    network = PlainCrossPoint(QUICK).train()
    points = torch.randn(4, 40, 3)
    network(points, points + 0.1, torch.randn(4, 3, 64, 64)).backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    network.eval()
    torch.testing.assert_close(
        network.as_ours().eval()(points), network.encoder(points), rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
def test_all_of_it_at_toy_size(toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, out = tmp_path / "runs", tmp_path / "accuracy.json"
    command = ["--quick", "--folder", str(folder), "--out", str(out), "--svg", str(tmp_path / "curves.svg")]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(accuracy_per_minute, "published", stop)  # the last run
        with pytest.raises(SystemExit, match="the same command goes on"):
            accuracy_per_minute.main(command)
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}
    assert len(kept) == len(RECIPES)
    with pytest.raises(SystemExit, match=f"no finished run of {PUBLISHED}"):
        accuracy_per_minute.main([*command, "--finished"])
    accuracy_per_minute.main(command)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    found = json.loads(out.read_text())
    assert set(found["curves"]) == {PUBLISHED, *RECIPES}
    for each in found["curves"].values():
        assert each["x"] == sorted(each["x"])
        assert all(0 <= value <= 1 for value in each["y"])
    assert page.extra(found).startswith("| ")
    svg = (tmp_path / "curves.svg").read_text()
    assert all(f">{name}<" in svg for name in found["curves"])
    for run in (PUBLISHED, "Joint-MAE"):
        looks = json.loads((folder / f"{accuracy_per_minute.slug(run)}-0.json").read_text())["looks"]
        assert (looks[0]["step"], looks[0]["minutes"]) == (0, pytest.approx(0, abs=1e-3))
        assert looks[-1]["step"] > 0
    (folder / f"{accuracy_per_minute.slug('CrossNet')}-0.json").unlink()
    accuracy_per_minute.main([*command, "--finished"])
    assert json.loads(out.read_text())["curves"] == {
        name: each for name, each in found["curves"].items() if name != "CrossNet"
    }
    with pytest.raises(SystemExit, match="Give another --folder"):
        accuracy_per_minute.main([*command, "--collection", str(toy_collection.folder)])
