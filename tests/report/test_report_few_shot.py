"""Sections about few-shot episodes, comparisons and the papers' linear probes, without a browser."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from adacross.evaluation.compare.comparison import ComparedRow, Comparison
from adacross.evaluation.few_shot.measure import FewShotResult, SettingResult
from adacross.evaluation.results import Figure, load, save
from adacross.report.comparison import comparison
from adacross.report.few_shot import few_shot
from adacross.report.linear_preset import linear_preset
from adacross.report.plots import embed_json

from adacross.evaluation.linear import LinearResult, Score
from adacross.report import RunData, render

EVIL = "</script><img src=x onerror=alert(1)>"


class Words(HTMLParser):
    """The text and the elements of a piece of markup."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def said(markup: str) -> str:
    return re.sub(r"\s+", " ", " ".join(Words(markup).words))


def episodes(name: str = "shapes", **changes: object) -> FewShotResult:
    """Two settings: one in which pre-training helps in 3 of 4 episodes, one without difference."""
    better, worse = [0.9, 0.8, 0.85, 0.7], [0.7, 0.75, 0.8, 0.72]
    first = SettingResult(
        5, 10, [9, 10], ["vase", EVIL], 0.2, Figure.of(better), Figure.of(worse),
        Figure.of(np.subtract(better, worse).tolist()),
    )  # fmt: skip
    second = SettingResult(
        10, 20, [20, 20], [], 0.1, Figure.of(worse), Figure.of(worse), Figure.of([0.0] * 4)
    )
    result = FewShotResult(
        task="few-shot", data=name, encoders=["a"], points=1024, train=480, test=120, protocol="ours",
        classifier="frozen features, StandardScaler and linear SVM (SVC, C = 1)", queries_from="test",
        spread="mean ± standard deviation over 4 episodes; seed 0", seed=0, episodes="few-shot-episodes.json",
        settings=[first, second], left_out={"10-way 10-shot": "only 8 classes have 10 training shapes"},
    )  # fmt: skip
    return replace(result, **changes)


def compared(baseline: str = "runs-*", name: str = "dgcnn & more") -> Comparison:
    def row(called: str, values: list[float], **figures: object) -> ComparedRow:
        made = ComparedRow(called, True, [called], Figure.of(values), None, 3, None, None, None, None)
        return replace(made, **figures)

    base, other = [0.7, 0.72, 0.71], [0.74, 0.75, 0.76]
    difference = Figure.of(np.subtract(other, base).tolist())
    rows = [
        row(baseline, base),
        row(name, other, difference=difference, low=0.011, high=0.069, p=0.0004, p_holm=0.0008),
        row("untrained dgcnn", [0.5, 0.5, 0.5], pretrained=False, difference=Figure.of([-0.2, -0.22, -0.21])),
    ]
    return Comparison(
        "compare", "linear", "shapes", "linear SVM", "accuracy", 1024, 480, 120, [0, 1, 2], baseline,
        "mean ± standard deviation over 3 seeds", ["Each p is two-sided.", "Nothing else."], rows,
    )  # fmt: skip


def preset() -> LinearResult:
    return LinearResult(
        "linear", "shapes", ["a"], 1024, 480, 120, "crosspoint", "linear SVM (SVC), C = 0.01",
        "measured once", [0, 1], ["x", "y"], Score.of([0.8], [0.01]), Score.of([0.5, 0.6], [0.01, 0.01]),
        0.25, [[1, 0], [0, 1]],
    )  # fmt: skip


@pytest.mark.parametrize("result", [episodes(), compared(), preset()], ids=lambda result: result.task)
def test_results_are_read_as_they_were_saved(result: object, tmp_path: Path):
    save(result, str(tmp_path / "r.json"), None, "x")
    assert load(type(result), tmp_path / "r.json") == result


def test_few_shot_says_every_figure(full_run: RunData):
    section = few_shot(full_run, episodes())
    text = said(section.body)
    assert (section.anchor, section.title) == ("few-shot", "Few-shot")
    assert "5-way 10-shot 20 % 81.2 ± 8.5 % 74.2 ± 4.3 % +7.0 ± 9.3 3 of 4" in text
    assert "10-way 20-shot 10 % 74.2 ± 4.3 % 74.2 ± 4.3 % +0.0 ± 0.0 0 of 4" in text
    assert "9 to 20 shapes of a class, of the test split" in text
    assert "10-way 10-shot is left out: only 8 classes" in text
    assert f"5-way 10-shot never draws vase, {EVIL}: too few shapes" in text
    assert "few-shot-episodes.json" in text
    assert "Not to be compared" not in text
    assert "better in 3 of 4 episodes" in section.body  # read aloud instead of the figure


def test_a_published_protocol_is_a_section_of_its_own_with_a_warning(full_run: RunData):
    section = few_shot(full_run, episodes(protocol="crosspoint", queries_from="train"))
    assert (section.anchor, section.title) == ("few-shot-crosspoint", "Few-shot, as CrossPoint measures")
    assert "Not to be compared with other protocols." in said(section.body)
    assert set(section.figures) == {"few-shot-crosspoint-plot"}


def test_every_episode_is_a_dot_joined_to_its_pair(full_run: RunData):
    lines, trained, means, untrained, _ = few_shot(full_run, episodes()).figures["few-shot-plot"]["data"]
    assert trained["x"] == [0.9, 0.8, 0.85, 0.7, 0.7, 0.75, 0.8, 0.72]
    assert untrained["x"][:4] == [0.7, 0.75, 0.8, 0.72]
    assert trained["text"][1] == "episode 2, pre-trained: 80.0\u00a0%"
    assert lines["x"][:6] == [0.9, 0.7, None, 0.8, 0.75, None]
    assert means["x"] == [0.8125, 0.7425]
    assert trained["marker"]["symbol"] != untrained["marker"]["symbol"]  # not by colour alone


def test_the_comparison_says_every_figure(full_run: RunData):
    section = comparison(full_run, compared())
    text = said(section.body)
    assert "runs-* 71.0 ± 1.0 % 70.0 · 72.0 · 71.0 baseline – –" in text
    assert "dgcnn & more 75.0 ± 1.0 % 74.0 · 75.0 · 76.0 +4.0 +1.1 to +6.9 < 0.001" in text
    assert "untrained dgcnn 50.0 ± 0.0 % 50.0 · 50.0 · 50.0 −21.0 – –" in text
    assert "Mean ± standard deviation over 3 seeds. Each p is two-sided. Nothing else." in text
    assert "Linear probe on “shapes”" in text
    assert "the same 3 seeds" in text


def test_dots_are_seeds_and_bars_intervals(full_run: RunData):
    figures = comparison(full_run, compared()).figures
    dots, means = figures["compare-values"]["data"]
    assert len(dots["x"]) == 9
    assert means["x"] == [0.71, 0.75, 0.5]
    assert means["error_x"]["array"] == [0.01, 0.01, 0.0]
    _, marks = figures["compare-differences"]["data"]
    assert (marks["x"], marks["y"]) == ([4.0, -21.0], [1.0, 2.0])
    assert marks["error_x"]["array"] == pytest.approx([2.9, 0.0])
    assert marks["error_x"]["arrayminus"] == pytest.approx([2.9, 0.0])
    ticks = figures["compare-values"]["layout"]["yaxis"]["ticktext"]
    assert ticks[1] == "dgcnn &amp; more"


def test_a_lone_entry_has_no_figure_of_differences(full_run: RunData):
    whole = compared()
    alone = comparison(full_run, replace(whole, rows=whole.rows[:1]))
    assert set(alone.figures) == {"compare-values"}


def test_a_papers_probe_says_its_c(full_run: RunData):
    section = linear_preset(full_run, preset())
    text = said(section.body)
    assert section.anchor == "linear-crosspoint"
    assert "pre-trained 80.0 ± 0.0 % 80.0 0.01" in text
    assert "untrained 55.0 ± 7.1 % 50.0 · 60.0 0.01" in text
    assert "Linear SVM (SVC), C = 0.01; 1,024 points" in text


def test_names_cannot_become_markup(full_run: RunData):
    sections = [
        few_shot(full_run, episodes(EVIL, classifier=EVIL, spread=EVIL, left_out={EVIL: EVIL})),
        comparison(full_run, compared(EVIL, EVIL + "2")),
        linear_preset(full_run, replace(preset(), data=EVIL, classifier=EVIL)),
    ]
    for section in sections:
        assert not {"img", "script"} & set(Words(section.body).tags)
        embedded = embed_json(section.figures)
        assert "<" not in embedded
        assert "<" not in "".join(
            str(text) for text in re.findall(r'"ticktext":(\[.*?\])', json.dumps(section.figures))
        )


def test_the_page_holds_them(full_run: RunData):
    data = replace(full_run, results={"few-shot": episodes(), "compare": compared()})
    page = render(data)
    assert '<section id="few-shot"' in page
    assert '<section id="compare"' in page
    assert "few-shot-plot" in page
