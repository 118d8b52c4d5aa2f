"""Masked reconstruction shapes: how they are drawn, what the page says of them."""

import base64
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import Reader, said
from PIL import Image

from adacross.encoders import ENCODERS
from adacross.methods import METHODS, CrossModal, JointMAE, PointM2AEMethod
from adacross.report import completions as made
from adacross.report import names
from adacross.report.completions import CompletedMap, CompletedShape, completions
from adacross.report.page import Section
from adacross.report.run import RunData, read_run
from adacross.report.sections import overview
from adacross.report.shapes import PREDICTED

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def masked(masked_run: Path) -> RunData:
    return read_run(masked_run)


@pytest.fixture(scope="module")
def section(masked: RunData) -> Section:
    found = completions(masked)
    assert found
    return found


def shape() -> CompletedShape:
    """A sphere of which the lower half is hidden, and predicted a little too low."""
    points = np.random.default_rng(0).normal(size=(600, 3))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    upper = points[:, 1] > 0
    completed = np.concatenate([points[upper], points[~upper] - np.array([0, 0.05, 0], np.float32)])
    predicted = np.arange(600) >= upper.sum()
    return CompletedShape(points, upper, completed, predicted, np.array([True, False]), None)


def orange(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0].astype(int) > picture[..., 2].astype(int) + 60


def test_the_three_clouds_are_drawn_by_one_camera() -> None:
    whole, shown, completed = made.draw_clouds(shape())
    inked = [(picture < 250).any(2) for picture in (whole, shown, completed)]
    assert (inked[1] & ~inked[0]).sum() < 20
    assert inked[1].sum() < 0.8 * inked[0].sum()
    assert not orange(whole).any()
    assert not orange(shown).any()
    rows = np.nonzero(orange(completed))[0]
    assert len(rows) > 0.2 * inked[0].sum()
    assert rows.mean() > np.nonzero(inked[1])[0].mean()
    for edge in (completed[0], completed[-1], completed[:, 0], completed[:, -1]):
        assert (edge == 255).all()  # nothing is cut off
    light = np.median(completed[orange(completed)], axis=0) / PREDICTED
    assert np.ptp(light) < 0.05  # the legend's hue,
    assert 0.8 < light.mean() < 1.15  # and its lightness but for the haze of the distance


def test_hidden_patches_look_like_no_depth() -> None:
    ramp = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    visible = np.zeros((32, 32), dtype=bool)
    visible[:16] = True
    given, shown, completed, redrawn = made.draw_maps(CompletedMap(0, ramp, visible, ramp, ramp[::-1]))
    assert given.shape == (320, 320, 3)
    np.testing.assert_array_equal(shown[:160], given[:160])
    np.testing.assert_array_equal(completed, given)
    np.testing.assert_array_equal(redrawn[:10], given[-10:])
    ground, stripe = (np.array(color) for color in made.HIDDEN)
    striped = (shown[160:] == stripe).all(2)
    assert (striped | (shown[160:] == ground).all(2)).all()
    assert striped.mean() == pytest.approx(made.STRIPE / made.PERIOD, abs=0.02)
    depths = made.depth_colors(ramp).reshape(-1, 3).astype(int)
    for color in (ground, stripe):
        assert np.linalg.norm(depths - color, axis=1).min() > 80
    assert tuple(depths[0]) == made.NOTHING
    assert (np.diff(depths @ [0.299, 0.587, 0.114]) > -1).all()  # the nearer, the lighter


def test_a_row_for_each_shape_with_words_for_every_picture(masked: RunData, section: Section) -> None:
    reader = Reader(section.body)
    images = reader.all("img")
    assert len(images) == 42
    first = base64.b64decode(str(images[0]["src"]).partition(",")[2])
    assert Image.open(io.BytesIO(first)).size == (160, 160)
    assert len({str(one["src"]) for one in images}) > 35
    alts = [str(one["alt"]) for one in images]
    assert alts[0].startswith("cloud of ")
    assert len({alt for alt in alts if alt.startswith("depth map of")}) == 6
    text = reader.text
    for words in (
        "6 shapes of the test split, none of which it was trained on",
        "(seed 0)",
        "4 of 6 groups of points (67 %) and 12 of 16 patches of the depth map (75 %)",
        "of the points stay visible",
        "far to near",
        "redrawn",
    ):
        assert words in text
    other = completions(replace(masked, seed=1))
    assert other
    assert other.body != section.body
    again = completions(masked)
    assert again
    assert again.body == section.body


def test_a_method_that_hides_nothing_has_no_such_section(bare_run: RunData) -> None:
    assert completions(bare_run) is None


def test_what_is_missing_is_named_with_what_to_do(masked_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(masked_run, run)
    (run / "method.safetensors").unlink()
    section = completions(read_run(run))
    assert section
    assert "not finished" in said(section.body)
    assert "--resume auto" in said(section.body)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("collection: ", "collection: /nowhere"))
    section = completions(read_run(run))
    assert section
    assert "collection cannot be read" in said(section.body)


def test_the_overview_says_what_is_masked(masked: RunData) -> None:
    text = said(overview(masked).body)
    assert "The point encoder Point-M2AE was pre-trained with Joint-MAE on the" in text
    assert "masked point clouds and their depth maps, no labels" in text
    assert "images, no labels" not in text


def test_every_method_and_encoder_has_a_name_and_the_masking_ones_are_known() -> None:
    assert set(names.METHODS) == set(METHODS)
    assert set(names.ENCODERS) == set(ENCODERS)
    for name, method in METHODS.items():
        assert (name in names.MASKED) == issubclass(method, JointMAE | PointM2AEMethod)
        assert (name in names.MASKED) != issubclass(method, CrossModal)
