"""Sections of results, whatever the protocol."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import EVIL, Reader, episode, made, said, segmented, share

from adacross.data.collection.collection import Collection
from adacross.evaluation.compare import Comparison, compare, compare_results
from adacross.evaluation.efficiency import Efficiency, efficiency
from adacross.evaluation.result import CHANCE, PRETRAINED, SCRATCH, UNTRAINED, Data, Result, Score, save
from adacross.evaluation.retrieval import retrieval
from adacross.evaluation.robustness import robustness
from adacross.features.statistics import Difference
from adacross.report import render
from adacross.report.names import TASKS, result_name
from adacross.report.page import Section
from adacross.report.pictures import Confusion
from adacross.report.results import chart, result_sections, table_sections, verdict
from adacross.report.run import RunData, read_results, read_run
from adacross.report.sections import overview


def drawn(run: RunData, *results: Result) -> list[Section]:
    return result_sections(replace(run, results=results, weights="weights"))


def test_every_figure_stands_with_its_interval(bare_run: RunData) -> None:
    (section,) = drawn(bare_run, made())
    text = said(section.body)
    for words in (
        "Pre-training gains 10.0 points (95 % interval",
        "70.0 % 60.4 to 78.1",
        "60.0 % ± 2.0",
        "50.0 % 40.4 to 59.6",
        "10.0 %",
        "+10.0 points",
        "“shapes”: 480 training and 100 test shapes.",
        "Measured 2026-01-31 10:20 with adacross 0.2.0.",
    ):
        assert words in text
    assert re.search(r" 10.0 % \+10.0 points", text)  # a single number has no spread
    reader = Reader(section.body)
    assert len(reader.all("circle")) == 4
    assert len([one for one in reader.all("line") if one["class"] == "bar-line"]) == 3


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (
            Difference(0.098, 0.06, 0.135, 0.001, "t"),
            "Pre-training gains 9.8 points (95 % interval 6.0 to 13.5).",
        ),
        (
            Difference(-0.05, -0.08, -0.02, 0.001, "t"),
            "Pre-training loses 5.0 points (95 % interval 2.0 to 8.0).",
        ),
        (
            Difference(0.01, -0.02, 0.04, 0.4, "t"),
            "No difference from the untrained encoder can be told from chance: +1.0 points "
            "(95 % interval −2.0 to 4.0).",
        ),
        (
            Difference(0.01, None, None, None, "no test: a single unit"),
            "+1.0 points against the untrained encoder; no test: a single unit.",
        ),
    ],
)
def test_there_is_one_verdict(gain: Difference, words: str) -> None:
    assert verdict(gain, UNTRAINED).replace("\u00a0", " ") == words
    assert verdict(gain, UNTRAINED, "labels 10 %").startswith("labels 10 %: ")
    assert "untrained" not in verdict(gain, SCRATCH)


def settings(name: str, values: list[str]) -> list[Score]:
    return [
        replace(Score.of(network, "accuracy", share(right + 5 * place)), setting={name: value})
        for place, value in enumerate(values)
        for network, right in ((PRETRAINED, 60), (SCRATCH, 40))
    ]


def test_a_setting_that_is_a_number_makes_lines(bare_run: RunData) -> None:
    result = made("fine-tune", settings("labels", ["1 %", "10 %", "100 %"]))
    dots, (lines,) = chart(result)
    assert dots is None
    assert lines["x_ticks"][0][1] == "1 %"
    assert [line["name"] for line in lines["lines"]] == [PRETRAINED, SCRATCH]
    text = said(drawn(bare_run, result)[0].body)
    assert "labels 1 %: Pre-training gains 20.0 points" in text
    assert chart(made("few-shot", settings("setting", ["5-way 10-shot", "10-way 10-shot"])))[1] == []


def test_severities_are_small_multiples_that_begin_at_the_clean_figure(bare_run: RunData) -> None:
    clean = [
        Score.of(network, "accuracy", share(right), corruption="clean")
        for network, right in ((PRETRAINED, 90), (UNTRAINED, 80))
    ]
    rest = [
        replace(
            Score.of(network, "accuracy", share(80 - 5 * severity), corruption=kind, severity=str(severity)),
            detail=True,
        )
        for kind in ("cutout", "shear")
        for severity in range(1, 6)
        for network in (PRETRAINED, UNTRAINED)
    ]
    result = made("robustness", [*clean, *rest])
    _, charts = chart(result)
    assert [one["title"] for one in charts] == ["cutout", "shear"]
    assert [text for _, text in charts[0]["x_ticks"]] == ["clean", "1", "2", "3", "4", "5"]
    assert [len(one["lines"]) for one in charts] == [2, 2]
    (section,) = drawn(bare_run, result)
    assert "Pre-training gains 10.0 points" in said(section.body)
    assert len(Reader(section.body).all("tr")) == 2  # the table leaves out severities
    many = made("robustness", [replace(one, detail=False) for one in result.scores])
    assert "Pre-training gains in 1 of 11 settings and loses in 0" in said(drawn(bare_run, many)[0].body)
    assert len(re.findall("<svg", section.body)) == 2


def test_all_results_have_sections_under_their_own_names(bare_run: RunData, tmp_path: Path) -> None:
    names = ["linear", "linear-C-0.1", "linear-as-crosspoint", "linear-of-2-runs"]
    for data in ("shapes", "scans"):
        for name in names:
            result = made(name=name, data=Data(data, f"digest of {data}", 1, 100, ["mug", "vase", "bowl"]))
            (tmp_path / "evaluation" / data).mkdir(parents=True, exist_ok=True)
            save(result, tmp_path / "evaluation" / data / f"{name}.json")
    (tmp_path / "evaluation" / "linear.json").write_text('{"task": "linear", "data": "old"}')
    pieces = tmp_path / "evaluation" / "shapes" / "few-shot.pieces"
    pieces.mkdir()
    (pieces / "one.json").write_text("{}")
    results, tables, unreadable = read_results(tmp_path)
    assert tables == []
    assert len(results) == 8
    assert [*unreadable] == ["evaluation/linear.json"]
    run = replace(bare_run, results=tuple(results), unreadable=unreadable, weights="weights")
    titles = [section.title for section in result_sections(run)]
    assert len(set(titles)) == 8
    assert "Linear probe, as CrossPoint, on scans" in titles
    text = said(render(run))
    assert "1 file of results cannot be read: evaluation/linear.json" in text
    assert "written by adacross 0.1" in text
    assert text.count("Pre-training gains 10.0 points") == 9  # eight sections and the overview
    assert result_name("pkg:own", "pkg-own") == "pkg:own, pkg own"


def test_a_result_of_other_weights_is_shown_with_a_warning(bare_run: RunData) -> None:
    own, other = drawn(bare_run, made(), made(weights=["others", "more"]))
    assert "Measure again" in said(other.body)
    assert "Measure again" not in said(own.body)
    run = replace(bare_run, results=(made(weights=["others"]),), weights="weights")
    assert "other weights" in said(overview(run).body)
    assert "tile-value" not in overview(run).body  # no headline of other weights
    assert "evaluate linear" in said(overview(run).body)


def test_values_that_contradict_each_other_are_named(bare_run: RunData) -> None:
    scores = made().scores
    broken = made(scores=[replace(scores[0], predictions=[[9] * 100]), *scores[1:]], truth=[0] * 100)
    assert "pictures cannot be drawn (IndexError" in said(drawn(bare_run, broken)[0].body)
    empty = made(scores=[Score.of(UNTRAINED, "accuracy", share(3))])
    assert said(drawn(bare_run, empty)[0].body)  # a result without a pre-trained encoder is shown
    with pytest.raises(ValueError, match="no score"):
        replace(empty, scores=[])


def test_the_confusions_come_from_the_predictions(bare_run: RunData) -> None:
    names, truth = ["mug", "vase", "lid", "bowl"], [0] * 10 + [1] * 10 + [3] * 5
    guess = [0] * 7 + [1] * 3 + [1] * 10 + [0] + [3] * 4
    matrix = Confusion.of(names, truth, guess)
    assert matrix.names == ["mug", "vase", "bowl"]  # a lid never occurs
    np.testing.assert_array_equal(matrix.counts, [[7, 3, 0], [0, 10, 0], [1, 0, 4]])
    sentence = matrix.worst().replace("\u00a0", " ")
    assert sentence == "Error rate: 16.0 %. Most frequent: mug as vase (3 of 10); bowl as mug (1 of 5)."
    assert "No test shape" in Confusion.of(names, truth, truth).worst()
    score = Score.of(PRETRAINED, "accuracy", np.equal(truth, guess), predictions=[guess])
    (section,) = drawn(bare_run, made(scores=[score], truth=truth, data=Data("s", "d", 1, 25, names)))
    cells = [one for one in Reader(section.body).all("td") if "--share" in str(one.get("style"))]
    assert [one["title"] for one in cells][1] == "mug → vase: 3 of 10"
    assert [one["style"] for one in cells] == [f"--share:{share}" for share in (0.7, 0.3, 1.0, 0.2, 0.8)]
    assert "mug 7 3 70 %" in said(section.body)


def test_retrieval_draws_its_examples_if_the_collection_is_the_same(full_run: RunData) -> None:
    assert full_run.collection
    first, second = (int(index) for index in full_run.collection.indices("test")[:2])
    details = {
        "examples": [{"query": first, "view": 0, "results": [second, first]}],
        "shape_examples": [{"query": second, "view": 0, "results": [first], "views": [0]}],
    }
    here = Data("toy", full_run.collection.digest(), 0, 100)
    (section,) = drawn(full_run, made("retrieval", data=here, details=details))
    text = said(section.body)
    assert "Image → shape" in text
    assert "Shape → image" in text
    assert section.body.count("★ ") == 3  # two legends and a result
    assert section.body.count('class="card object"') == 1
    (other,) = drawn(full_run, made("retrieval", details=details))
    assert "of another collection" in said(other.body)
    details["examples"][0]["results"] = [100_000]
    (wrong,) = drawn(full_run, made("retrieval", data=here, details=details))
    assert "cannot be drawn (IndexError: shape 100000 of" in said(wrong.body)
    (plain,) = drawn(full_run, made("retrieval", data=here))
    assert "→" not in said(plain.body)


def test_segmented_shapes_are_drawn_with_their_errors(bare_run: RunData) -> None:
    details = {"examples": [segmented()], "parts": ["mug/body", "mug/handle"]}
    (section,) = drawn(bare_run, made("part-seg", details=details))
    reader = Reader(section.body)
    alts = [str(one["alt"]) for one in reader.all("img")]
    assert [alt.replace("\u00a0", " ") for alt in alts] == [
        "mug: truth", "mug: pre-trained, 100 %", "mug: from scratch, 50 %", "mug: pre-trained, wrong",
        "mug: from scratch, wrong",
    ]  # fmt: skip
    assert "handle" in reader.text
    pictures = [str(one["src"]) for one in reader.all("img")]
    assert pictures[0] == pictures[1]
    assert len(set(pictures)) == 4


def test_an_episode_is_drawn_a_column_a_class(bare_run: RunData) -> None:
    (section,) = drawn(bare_run, made("images", details={"example": episode("apple", "pear")}))
    reader = Reader(section.body)
    alts = [one["alt"] for one in reader.all("img")]
    assert alts == ["learned from: apple", "learned from: pear", "apple, right", "pear, taken for apple"]
    assert "--ways:2" in section.body
    broken = {"example": episode("apple", "pear") | {"support": [["no image"]] * 2}}
    assert "cannot be drawn" in said(drawn(bare_run, made("images", details=broken))[0].body)


def test_a_shape_is_drawn_under_each_corruption(bare_run: RunData) -> None:
    points = np.random.default_rng(0).normal(size=(128, 3)) / 4
    example = {"index": 3, "id": "mug/3", "class": "mug", "points": points.tolist()}
    (section,) = drawn(bare_run, made("robustness", details={"example": example}))
    alts = [str(one["alt"]) for one in Reader(section.body).all("img")]
    assert alts[:2] == ["mug, clean", "mug, occlusion"]
    assert len(set(alts)) == 16


def test_hostile_names_stay_text(bare_run: RunData) -> None:
    truth = [0, 1, 0, 1]
    scores = [
        replace(Score.of(EVIL, EVIL, [1, 0, 1, 0]), setting={EVIL: EVIL}),
        Score.of(PRETRAINED, EVIL, [1, 0, 1, 0], predictions=[[0, 1, 1, 0]], units=EVIL, a=EVIL),
        Score.of(UNTRAINED, EVIL, [1, 0, 1, 0], a=EVIL),
        Score.of(CHANCE, EVIL, [0.5], a=EVIL),
    ]
    data = Data(EVIL, EVIL, 1, 4, [EVIL, EVIL * 900], {EVIL: EVIL})
    changes: dict[str, Any] = dict.fromkeys(("name", "version", "date", "protocol"), EVIL)
    changes |= {"encoders": [EVIL], "notes": [EVIL], "data": data}
    shown = {"example": episode(EVIL, "b") | {"setting": EVIL}}
    parts = {"examples": [segmented(EVIL)], "parts": [EVIL, EVIL]}
    results = [
        made(EVIL, scores, truth=truth, options={EVIL: EVIL}, **changes),
        made("images", scores, details=shown, **changes),
        made("part-seg", scores, details=parts, **changes),
    ]
    other = replace(results[0], weights=["other"])
    tables = (compare_results({EVIL: results[0], EVIL * 2: other}),)
    run = replace(bare_run, results=tuple(results), tables=tables, unreadable={EVIL: EVIL})
    reader = Reader(render(run))
    assert not [found for found in reader.elements if found[1].get("src") == "x" or "onerror" in found[1]]
    assert len(reader.all("script")) == 2
    assert max(len(str(one.get("title"))) for one in reader.all("td")) < 300  # names in cells are short


def test_a_comparison_shows_figures_and_differences(bare_run: RunData) -> None:
    other = [Score.of(PRETRAINED, "accuracy", share(50)), *made().scores[1:]]
    compared = compare_results({"ours": made(), "theirs": made(scores=other, weights=["other"])})
    (section,) = table_sections(replace(bare_run, tables=(compared,)))
    reader = Reader(section.body)
    text = reader.text
    assert section.title == "Comparison, linear"
    assert "Difference from ours" in text
    assert "-20.0 [" in text
    assert len(reader.all("circle")) == len(compared.rows) + 1
    (broken,) = table_sections(replace(bare_run, tables=(replace(compared, rows=[]),)))
    assert "cannot be shown (IndexError" in said(broken.body)


@pytest.mark.slow
def test_what_the_commands_write_is_read(
    measured_run: Path, toy_collection: Collection, tmp_path: Path
) -> None:
    shutil.copytree(measured_run, tmp_path / "run")
    shutil.copytree(toy_collection.folder, tmp_path / "toy")  # the built-in encoder caches features in it
    run, data = str(tmp_path / "run"), str(tmp_path / "toy")
    compare([run, "builtin-small"], data, seeds=1, folds=3, device="cpu")
    efficiency([run])
    retrieval(run, data, seeds=1, device="cpu")
    robustness(run, data, points=64, seeds=1, device="cpu")
    found = read_run(tmp_path / "run")
    assert found.unreadable == {}
    assert [one.task for one in found.results] == ["linear", "linear", "retrieval", "robustness"]
    assert {type(one) for one in found.tables} == {Comparison, Efficiency}
    text = said(render(found))
    for words in ("Image → shape", "Comparison, linear", "Efficiency", "One shape under each corruption"):
        assert words in text
    assert "cannot be" not in text


def test_every_protocol_has_a_title() -> None:
    from adacross.evaluation import PROTOCOLS

    assert set(PROTOCOLS) <= set(TASKS)
