"""Masked reconstruction shapes: how they are drawn, what the page says of them."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_sections import Reader, said

from adacross.encoders import ENCODERS
from adacross.evaluation.reconstruction import CompletedMap, CompletedShape
from adacross.methods import METHODS, CrossModal, JointMAE, PointM2AEMethod
from adacross.report import RunData, drawing, names, render
from adacross.report.gather import read_run
from adacross.report.inputs import Completion, Completions
from adacross.report.overview import overview
from adacross.report.reconstruction import reconstruction
from adacross.report.retrieval_examples import retrieval_examples

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def masked(masked_run: Path) -> RunData:
    return read_run(masked_run)


def shape() -> CompletedShape:
    """A sphere of which the lower half is hidden, and predicted a little too low."""
    points = np.random.default_rng(0).normal(size=(600, 3))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    upper = points[:, 1] > 0
    completed = np.concatenate([points[upper], points[~upper] - np.float32([0, 0.05, 0])])
    predicted = np.arange(600) >= upper.sum()
    return CompletedShape(points, upper, completed, predicted, np.array([True, False]), None)


def orange(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0].astype(int) > picture[..., 2].astype(int) + 60


def test_the_three_clouds_are_drawn_by_one_camera() -> None:
    whole, shown, completed = drawing.draw_clouds(shape())
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
    light = np.median(completed[orange(completed)], axis=0) / drawing.PREDICTED
    assert np.ptp(light) < 0.05  # the legend's hue,
    assert 0.8 < light.mean() < 1.15  # and its lightness but for the haze of the distance


def test_hidden_patches_look_like_no_depth() -> None:
    ramp = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    visible = np.zeros((32, 32), dtype=bool)
    visible[:16] = True
    given, shown, completed, redrawn = drawing.draw_maps(CompletedMap(0, ramp, visible, ramp, ramp[::-1]))
    assert given.shape == (320, 320, 3)
    np.testing.assert_array_equal(shown[:160], given[:160])
    np.testing.assert_array_equal(completed, given)
    np.testing.assert_array_equal(redrawn[:10], given[-10:])
    ground, stripe = (np.array(color) for color in drawing.HIDDEN)
    striped = (shown[160:] == stripe).all(2)
    assert (striped | (shown[160:] == ground).all(2)).all()
    assert striped.mean() == pytest.approx(drawing.STRIPE / drawing.PERIOD, abs=0.02)
    depths = drawing.depth_colors(ramp).reshape(-1, 3).astype(int)
    for color in (ground, stripe):
        assert np.linalg.norm(depths - color, axis=1).min() > 80
    assert tuple(depths[0]) == drawing.NOTHING
    assert (np.diff(depths @ [0.299, 0.587, 0.114]) > -1).all()  # the nearer, the lighter


def test_a_finished_run_is_completed(masked: RunData, masked_run: Path) -> None:
    found = masked.completions
    assert found
    assert "completions" not in masked.absent
    assert (found.split, found.seed, found.groups, found.patches) == ("test", 0, (4, 6), (12, 16))
    assert len({one.class_name for one in found.shapes}) == 6
    assert [one.id for one in found.shapes] == [cloud.card.id for cloud in masked.clouds]
    for one in found.shapes:
        assert len(one.maps) == 4
        assert 0 < one.visible <= 1
        assert {Image.open(io.BytesIO(webp)).size for webp in one.clouds + one.maps} == {(160, 160)}
        assert len(set(one.maps)) == 4
        assert (one.clouds[0] == one.clouds[1]) == (one.visible == 1)
    assert min(one.visible for one in found.shapes) < 1
    other = read_run(masked_run, seed=1).completions
    assert other
    assert other != found
    assert read_run(masked_run).completions == found


def test_a_row_for_each_shape_with_words_for_every_picture(masked: RunData) -> None:
    section = reconstruction(masked)
    assert section
    assert masked.completions
    reader = Reader(section.body)
    assert [name for name, _ in reader.elements].count("img") == 42
    alts = [str(attributes["alt"]) for name, attributes in reader.elements if name == "img"]
    first = masked.completions.shapes[0]
    assert alts[0] == f"cloud of {first.class_name}"
    assert len({alt for alt in alts if alt.startswith("depth map of")}) == 6
    text = reader.text
    assert "6 shapes of the test split, none of which it was trained on" in text
    assert "(seed 0)" in text
    assert "4 of 6 groups of points (67 %) and 12 of 16 patches of the depth map (75 %)" in text
    shares = [one.visible for one in masked.completions.shapes]
    assert f"{100 * min(shares):.0f} % to {100 * max(shares):.0f} % of the points stay visible" in text
    for words in ("given", "predicted", "hidden", "nothing there", "far to near", "redrawn"):
        assert words in text


def test_without_depth_maps_the_page_speaks_of_none(masked: RunData) -> None:
    assert masked.completions
    shapes = tuple(replace(one, maps=(), view=None, class_name=None) for one in masked.completions.shapes)
    plain = Completions(shapes, "all", 3, (12, 16))
    section = reconstruction(
        replace(masked, config=masked.config | {"method": "point-m2ae"}, completions=plain)
    )
    assert section
    reader = Reader(section.body)
    assert [name for name, _ in reader.elements].count("img") == 18
    assert "depth" not in reader.text
    assert "far to near" not in reader.text
    assert "trained on most of them" in reader.text
    assert "12 of 16 groups of points (75 %)." in reader.text


def test_a_hostile_name_stays_text(masked: RunData) -> None:
    evil = "</figure><img src=x onerror=alert(1)>"
    one = Completion(evil, evil, (b"", b"", b""), 0.5, (b"",) * 4, 1)
    section = reconstruction(replace(masked, completions=Completions((one,), "test", 0, (1, 2), (1, 4))))
    assert section
    assert "<img src=x" not in section.body
    assert not [found for found in Reader(section.body).elements if "onerror" in found[1]]


def test_a_method_that_hides_nothing_has_no_such_section(full_run: RunData) -> None:
    assert reconstruction(full_run) is None
    assert "Masked reconstruction" not in render(full_run)


def test_what_is_missing_is_named_with_what_to_do(masked_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(masked_run, run)
    (run / "method.safetensors").unlink()
    section = reconstruction(read_run(run))
    assert section
    assert "not finished" in said(section.body)
    assert "--resume auto" in said(section.body)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("collection: ", "collection: /nowhere"))
    section = reconstruction(read_run(run))
    assert section
    assert "collection cannot be read" in said(section.body)


def test_without_a_shared_space_only_shapes_search_shapes(masked: RunData) -> None:
    drawn = said(retrieval_examples(masked).body)
    assert "no joint space of images and clouds" in drawn
    assert "Image → shape" not in drawn
    page = render(masked)
    assert "evaluate retrieval" in page
    assert "evaluate linear" in page
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
