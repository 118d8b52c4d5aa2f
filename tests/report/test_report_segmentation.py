"""What the page says about segmentation."""

import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from adacross.evaluation.results import Figure, save
from adacross.evaluation.segmentation.parts import PartLabels, PartScores, PartSegResult
from adacross.evaluation.segmentation.scenes import Fold, SceneScores, SemSegResult
from adacross.evaluation.segmentation.training import Example
from adacross.report.segmentation import part_segmentation, semantic_segmentation
from adacross.report.segmented_clouds import segmented_clouds
from adacross.report.tasks import read_results

from adacross.report import RunData, render

EVIL = '<img src=x onerror="alert(1)">'


def scores(instance: float, categories: list[float | None]) -> PartScores:
    each = [Figure.of([value - 0.01, value, value + 0.01]) for value in (instance, instance - 0.1, 0.9)]
    return PartScores(each[0], each[1], each[2], categories)


def example(category: str = "chair", count: int = 40) -> Example:
    rng = np.random.default_rng(0)
    points = np.round(600 * rng.normal(size=(count, 3)).clip(-1, 1)).astype(int)
    truth = [0, 1] * (count // 2 - 1) + [-1, -1]
    wrong = [0, 0] * (count // 2 - 1) + [2, 2]  # half of the points right; 2 is another category's
    return Example("chair/0001", category, points.tolist(), truth, [*truth[:-2], 0, 0], wrong)


@pytest.fixture
def parts() -> PartSegResult:
    gain = Figure.of([0.02, -0.01, 0.05])
    rows = [
        PartLabels(
            fraction, count, scores(0.6, [0.5, None, 0.7]), scores(0.58, [0.45, None, 0.71]), gain,
            scores(0.65, [0.5, None, 0.7]), scores(0.64, [0.5, None, 0.7]), gain,
        )
        for fraction, count in ((0.1, 16), (1.0, 160))
    ]  # fmt: skip
    return PartSegResult(
        task="part-seg", data="shapes", encoders=["demo"], points=512, train=160, test=40,
        categories=["chair", "lamp", "table"], tested=[30, 0, 10],
        parts=["chair/leg", "chair/seat", "table/top"], protocol="adam 0.001", spread="mean ± deviation of 3",
        seeds=[0, 1, 2], labels=rows, examples=[example()],
    )  # fmt: skip


@pytest.fixture
def scenes() -> SemSegResult:
    def fold(name: str, tested: int) -> Fold:
        one = SceneScores(Figure.of([0.4, 0.5]), Figure.of([0.8, 0.8]), [0.9, None, 0.1])
        other = SceneScores(Figure.of([0.3, 0.6]), Figure.of([0.7, 0.8]), [0.8, None, None])
        return Fold(name, 100, tested, one, other, Figure.of([0.1, -0.1]))

    return SemSegResult(
        task="sem-seg", data="rooms", encoders=["demo"], points=1024, stored=4096,
        coordinates="the source's coordinates", classes=["floor", "beam", "sofa"], protocol="adam 0.001",
        spread="mean ± deviation of 2", seeds=[0, 1], folds=[fold("area 5", 20), fold("area 6", 30)],
        together=fold("area 5 and area 6", 50), examples=[example(category="")],
    )  # fmt: skip


def said(markup: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", markup)))


def test_parts_are_told_with_both_starts_and_conventions(full_run: RunData, parts: PartSegResult):
    section = part_segmentation(full_run, parts)
    text = said(section.body)
    assert "10 % (16), pre-trained 60.0 ± 1.0 50.0 ± 1.0 90.0 ± 1.0 65.0 ± 1.0" in text
    assert "10 % (16), from scratch 58.0 ± 1.0" in text
    assert "by +2.0 ± 3.0 points; better in 2 of 3 seeds." in text
    assert "160 training shapes, 40 test shapes, 3 parts of 3 categories" in text
    assert "chair 30 50.0 % 45.0 % +5.0" in text
    assert "table 10 70.0 % 71.0 % −1.0" in text
    assert "lamp" not in text  # none was tested
    traces = section.figures["part-seg-plot"]["data"]
    assert [trace["y"] for trace in traces] == [[0.6, 0.6], [0.58, 0.58]]


def test_one_fraction_needs_no_curve(full_run: RunData, parts: PartSegResult):
    section = part_segmentation(full_run, replace(parts, labels=parts.labels[:1]))
    assert section.figures == {}
    assert "part-seg-plot" not in section.body


def test_pictures_say_what_they_show(parts: PartSegResult):
    body = "".join(segmented_clouds(parts.examples, parts.parts, "10 % of the labels"))
    text = said(body)
    assert body.count("<img") == 5
    assert "pre-trained, 100 %" in text
    assert "from scratch, 50 %" in text
    assert all(word in text for word in ("leg", "seat", "another category's", "unknown"))
    assert "table/top" not in text
    assert all(alt for alt in re.findall(r'alt="([^"]*)"', body))
    assert segmented_clouds([], parts.parts, "") == []


def test_wrong_points_look_wrong(parts: PartSegResult):
    """The picture of errors of a perfect prediction is another than that of a bad one."""
    body = "".join(segmented_clouds(parts.examples, parts.parts, ""))
    truth, perfect, bad, no_errors, errors = re.findall(r'src="([^"]*)"', body)
    assert truth != bad
    assert perfect != bad
    assert no_errors != errors


def test_scenes_are_told_by_area_and_together(full_run: RunData, scenes: SemSegResult):
    text = said(semantic_segmentation(full_run, scenes).body)
    assert "area 5, pre-trained 45.0 ± 7.1 80.0 ± 0.0 20" in text
    assert "area 5 and area 6, from scratch" in text
    assert "1024 of 4096 points a block, the source's coordinates" in text
    assert "better in 1 of 2 seeds" in text
    assert "floor 90.0 % 80.0 % +10.0" in text
    assert "sofa 10.0 % – –" in text
    assert "beam –" not in text
    alone = said(semantic_segmentation(full_run, replace(scenes, folds=scenes.folds[:1])).body)
    assert "area 5 and area 6, from scratch" not in alone


def test_names_stay_text(full_run: RunData, parts: PartSegResult, scenes: SemSegResult):
    shown = replace(example(), id=EVIL, category=EVIL)
    evil = replace(
        parts,
        data=EVIL,
        categories=[EVIL] * 3,
        parts=[EVIL] * 3,
        protocol=EVIL,
        spread=EVIL,
        examples=[shown],
    )
    rooms = replace(scenes, data=EVIL, classes=[EVIL] * 3, coordinates=EVIL, examples=[shown])
    for section in (part_segmentation(full_run, evil), semantic_segmentation(full_run, rooms)):
        assert "onerror=&quot;" in section.body
        assert "<img src=x" not in section.body


def test_the_page_has_both(full_run: RunData, parts: PartSegResult, scenes: SemSegResult, tmp_path: Path):
    for result in (parts, scenes):
        save(result, None, tmp_path, result.task)
    results = read_results(tmp_path)
    assert results == {"part-seg": parts, "sem-seg": scenes}
    page = render(replace(full_run, results=results))
    assert 'id="part-seg"' in page
    assert 'id="sem-seg"' in page
