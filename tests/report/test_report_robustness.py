"""What the page says about corruptions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from adacross.evaluation.results import save
from adacross.evaluation.robustness.corruptions import FAMILIES, KINDS
from adacross.evaluation.robustness.damage import Recognised
from adacross.evaluation.robustness.errors import summarise
from adacross.evaluation.robustness.measure import Example, RobustnessResult
from adacross.report.html import Section
from adacross.report.robustness import NAMES, robustness
from adacross.report.tasks import read_results
from made_up import make_cloud
from test_sections import EVIL, Reader, said

from adacross.report import RunData, render

FEWER = [128, 64]


def make_result(**changes: object) -> RobustnessResult:
    """Two repetitions in which every corruption costs 5 points a severity, and the untrained lose 20 more."""
    measured = []
    for seed in range(2):
        right = {
            kind: [[0.9 - 0.01 * k - 0.05 * s - 0.2 * n + 0.02 * seed for s in range(1, 6)] for n in range(2)]
            for k, kind in enumerate(KINDS)
        }
        right |= {"clean": [[0.9 + 0.02 * seed], [0.7 + 0.02 * seed]], "rotated": [[0.25, 0.5], [0.2, 0.4]]}
        measured.append(Recognised(right | {"fewer": [[0.8, 0.6], [0.5, 0.3]]}, [0.1, 1.0]))
    points, _ = make_cloud(3, np.random.default_rng(0))
    example = Example(7, "chair/0007", "chair", points[:256].round(4).tolist())
    made = RobustnessResult(
        task="robustness", data="shapes", encoders=["a", "b"], points=256, train=480, test=100, available=120,
        classifier="linear SVM (SVC) on clean training clouds, C by 5-fold cross-validation",
        spread="mean ± standard deviation of 2: corruptions", seeds=[0, 1],
        pretrained=summarise(measured, 0, 1, FEWER), untrained=summarise(measured, 1, 1, FEWER),
        example=example,
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture(scope="module")
def result() -> RobustnessResult:
    return make_result()


@pytest.fixture(scope="module")
def section(full_run: RunData, result: RobustnessResult) -> Section:
    return robustness(full_run, result)


def test_the_figures_are_on_the_page(section: Section):
    text = said(section.body)
    # 1 - (0.9 - 0.07 - 0.15 + 0.01) = 0.31 on average; the untrained lose 0.2 more, clean and corrupted
    for words in (
        "100 test shapes of “shapes”, drawn by class from 120, corrupted in 15 ways",
        "wrong for 31.0 % of the shapes on average, with the untrained one for 51.0 %",
        "cost 22.0 points of the pre-trained encoder's clean accuracy, 22.0 points of the untrained one's",
        "inverse RBF distortion (62.0 %), RBF distortion (63.0 %), free-form distortion (64.0 %)",
        "mCE, plain 31.0 ± 1.4 % 51.0 ± 1.4 %",
        "mCE, normalized 60.",
        "accuracy drop 22.0 ± 0.0 % 22.0 ± 0.0 %",
        "random rotation 25.0 ± 0.0 % 20.0 ± 0.0 %",
        "64 points of 256 60.0 ± 0.0 % 30.0 ± 0.0 %",
        "cross-validation (C 0.1 · 0.1, of the untrained 1 · 1), 480 training shapes",
        "occlusion 91.0 % 86.0 % 81.0 % 76.0 % 71.0 % 66.0 % 76.0 ± 1.4 % +20.0",
        "cannot be compared with published ones",
        "chair/0007, a test shape drawn at random",
    ):
        assert words in text


def test_every_corruption_has_a_picture_and_a_curve(section: Section):
    assert set(NAMES) == set(KINDS)
    assert list(section.figures) == [f"robust-{kind}" for kind in KINDS]
    page = Reader(section.body)
    pictures = [attributes for tag, attributes in page.elements if tag == "img"]
    assert [one["alt"] for one in pictures] == [f"chair, {name}" for name in ("clean", *NAMES.values())]
    assert len({one["src"] for one in pictures}) == 16
    boxes = {attributes.get("id"): attributes for tag, attributes in page.elements if tag == "div"}
    spoken = boxes["robust-lidar"]["aria-label"]
    assert spoken is not None
    assert "Accuracy under lidar, clean and severities 1 to 5: pre-trained 91.0" in spoken
    assert [a["aria-label"] for _, a in page.elements if a.get("role") == "group"] == list(FAMILIES)


def test_curves_differ_by_more_than_their_colour(section: Section):
    ours, untrained = section.figures["robust-shear"]["data"]
    assert ours["x"] == [0, 1, 2, 3, 4, 5]
    assert ours["y"] == pytest.approx([0.91, 0.75, 0.7, 0.65, 0.6, 0.55])
    assert ours["error_y"]["array"] == pytest.approx([0.0141] * 6)
    assert ours["marker"]["symbol"] != untrained["marker"]["symbol"]
    assert ours["line"]["dash"] != untrained["line"]["dash"]


def test_what_cannot_be_normalised_is_a_dash(full_run: RunData, result: RobustnessResult):
    bare = replace(result, pretrained=replace(result.pretrained, mce_normalised=None, fewer={}), test=120)
    text = said(robustness(full_run, bare).body)
    assert "mCE, normalized – 100.0" in text
    assert "120 test shapes of “shapes” corrupted" in text
    assert "points of 256" not in text


def test_names_cannot_become_markup(full_run: RunData, result: RobustnessResult):
    example = replace(result.example, id=EVIL, class_name=EVIL)
    body = robustness(full_run, replace(result, data=EVIL, example=example)).body
    assert "onerror" not in {name for _, attributes in Reader(body).elements for name in attributes}
    assert EVIL not in body


def test_it_is_read_from_a_run_s_folder_into_its_page(
    full_run: RunData, result: RobustnessResult, tmp_path: Path
):
    save(result, None, tmp_path, "robustness")
    found = read_results(tmp_path)
    assert found == {"robustness": result}
    page = render(replace(full_run, results=found))
    assert 'id="robustness"' in page
    assert "robust-distortion_rbf_inv" in page
