"""What the sections say, without a browser."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from adacross.data.rendering.palette import palette
from adacross.report import RunData, render
from adacross.report.confusion import confusion, worst
from adacross.report.curves import curves, thin
from adacross.report.embedding import embedding
from adacross.report.html import Html, plural, tag
from adacross.report.inputs import Card, Linear, Log, Probe
from adacross.report.overview import duration, overview
from adacross.report.plots import embed_json
from adacross.report.point_clouds import point_clouds
from adacross.report.retrieval_examples import retrieval_examples
from adacross.report.setup import flatten, setup

EVIL = "</script><img src=x onerror=alert(1)>\"'&<!--{{"


class Reader(HTMLParser):
    """Collects elements with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())


def said(markup: str) -> str:
    return Reader(markup).text


def linear(confusion_matrix: list[list[int]], names: tuple[str, ...], **changes: object) -> Linear:
    probe = Probe((0.5,), 0.5, 0.01, (1.0,))
    made = Linear("s", 64, 9, 9, "SVM", (0, 1), names, probe, probe, 0.0, np.array(confusion_matrix))
    return replace(made, **changes)


def test_the_strip_shows_classes_from_all_over_the_alphabet(full_run: RunData) -> None:
    assert full_run.embedding is not None
    card = full_run.embedding.cards[0]
    cards = tuple(replace(card, id=f"{i}", class_name=f"class {i // 2:02}") for i in range(60))
    data = replace(full_run, embedding=replace(full_run.embedding, cards=cards))
    shown = re.findall(r"a shape: class (\d\d)", overview(data).body)
    assert [int(number) for number in shown] == [5 * i // 2 for i in range(12)]


def test_the_headline_has_every_figure(full_run: RunData) -> None:
    text = said(overview(full_run).body)
    for figure in (
        "80.0 ± 0.7 %",
        "70.3 ± 1.0 %",
        "+9.7 points",
        "79.2 · 80.8 · 80.0",
        "31.0 %",
        "68.0 %",
        "83.0 %",
    ):
        assert figure in text
    assert "480 steps (24 epochs) in 4 min 10 s on 2 CPU cores" in text
    assert "chance 0.83 % 4.17 % 8.33 % 12.3 %" in text
    assert "more than twice the spread" in text


@pytest.mark.parametrize(
    ("gain", "seeds", "words"),
    [
        (0.001, (0, 1), "less than twice the spread"),
        (-0.02, (0, 1), "did not help"),
        (0.1, (0,), "spread is unknown"),
    ],
)
def test_a_weak_result_is_called_weak(
    full_run: RunData, gain: float, seeds: tuple[int, ...], words: str
) -> None:
    weak = replace(full_run, linear=linear([[1]], ("a",), gain=gain, seeds=seeds))
    assert words in said(overview(weak).body)


def test_the_worst_confusions_come_from_the_matrix() -> None:
    sentence = worst(linear([[7, 3, 0], [0, 10, 0], [1, 0, 4]], ("mug", "vase", "bowl")))
    assert "Error rate: 16.0" in sentence
    assert "mug as vase (3 of 10, 30" in sentence
    assert "bowl as mug (1 of 5, 20" in sentence
    assert "vase taken" not in sentence
    assert "No test shape" in worst(linear([[3, 0], [0, 2]], ("a", "b")))
    assert "empty" in worst(linear([[0, 0], [0, 0]], ("a", "b")))


def test_confusion_rows_are_shares_of_the_truth() -> None:
    data = RunData(Path("r"), {}, "", {}, EMPTY, linear=linear([[3, 1], [0, 0]], ("a", "b")))
    heatmap, bars = confusion(data).figures["confusion-plot"]["data"]
    assert heatmap["z"] == [[0.75, 0.25], [0.0, 0.0]]
    assert bars["x"] == [0.75, 0.0]
    assert bars["text"] == ["75", "–"]


EMPTY = Log(np.zeros(0, np.int64), np.zeros(0), {}, {}, {}, np.zeros(0, np.int64), {})


def test_curves_hold_the_log(full_run: RunData) -> None:
    figures = curves(full_run).figures
    assert set(figures) == {"curve-loss", "curve-weights", "curve-monitor", "curve-lr"}
    names = [trace["name"] for trace in figures["curve-loss"]["data"]]
    assert names == ["weighted total", "intra", "cross"]
    np.testing.assert_allclose(figures["curve-loss"]["data"][1]["y"], full_run.log.terms["intra"], rtol=1e-3)
    assert figures["curve-loss"]["data"][0]["x"][-1] == full_run.log.steps[-1]


def made_of(log: Log, **terms: np.ndarray) -> Log:
    """A log with other loss terms and their sum."""
    total = {"loss": sum(terms.values())}
    return replace(log, values=log.values | total, terms=terms)


def test_losses_far_apart_share_a_logarithmic_axis(full_run: RunData) -> None:
    """Points 1e-2, depth 1e-1: on a plain axis one would lie on the ground."""
    falling = 1 + np.exp(-full_run.log.steps / 100)
    log = made_of(full_run.log, points=0.01 * falling, depth=0.1 * falling, cross=0.012 * falling)
    section = curves(replace(full_run, log=log))
    figure = section.figures["curve-loss"]
    assert figure["layout"]["yaxis"]["type"] == "log"
    assert [trace["name"] for trace in figure["data"]] == ["weighted total", "points", "depth", "cross"]
    assert "Loss terms, logarithmic" in said(section.body)
    assert "points from 0.0199 to 0.0101" in section.body
    for name in ("weights", "monitor", "lr"):
        assert "type" not in section.figures[f"curve-{name}"]["layout"]["yaxis"]


def test_losses_near_each_other_or_not_positive_have_a_plain_axis(full_run: RunData) -> None:
    steps = len(full_run.log.steps)
    near = made_of(full_run.log, intra=np.linspace(3, 1, steps), cross=np.linspace(4, 2, steps))
    signed = made_of(full_run.log, intra=np.linspace(3, -1, steps), cross=np.linspace(40, 2, steps))
    for log in (near, signed):
        section = curves(replace(full_run, log=log))
        assert "type" not in section.figures["curve-loss"]["layout"]["yaxis"]
        assert "logarithmic" not in section.body


def test_a_lone_curve_is_named(full_run: RunData) -> None:
    """A method without retrieval has one monitored figure; without a name nobody knows which."""
    known = full_run.log.monitor["probe_accuracy"]
    monitor = {"probe_accuracy": known, "recall_at_1": np.full_like(known, np.nan)}
    log = replace(full_run.log, monitor=monitor, terms={"points": full_run.log.terms["intra"]})
    figures = curves(replace(full_run, log=log)).figures
    for name in ("loss", "monitor"):
        assert len(figures[f"curve-{name}"]["data"]) == 1
        assert figures[f"curve-{name}"]["layout"]["showlegend"]
    assert not figures["curve-lr"]["layout"]["showlegend"]


def test_a_long_curve_is_averaged_not_sampled() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    values[17] = np.nan
    steps, means = thin(np.arange(10_000), values, most=100)
    assert len(steps) == 100
    sizes = np.diff(np.append(np.linspace(0, 9999, 100, endpoint=False).astype(int), 9999))
    assert (means * sizes).sum() == pytest.approx(np.nansum(values))


def test_an_empty_run_says_what_fills_it(bare_run: RunData) -> None:
    for section, command in (
        (overview, "adacross evaluate linear runs/bare gone"),
        (overview, "adacross evaluate retrieval runs/bare gone"),
        (curves, "adacross pretrain gone --config runs/bare/config.yaml --resume auto"),
        (confusion, "adacross evaluate linear runs/bare gone"),
    ):
        assert command in said(section(bare_run).body)
    for section in (embedding, retrieval_examples, point_clouds, setup):
        assert "gone does not exist" in said(section(bare_run).body)


def test_without_classes_nothing_is_right_or_wrong(full_run: RunData) -> None:
    assert full_run.embedding
    assert full_run.facts
    cards = tuple(Card(card.id, None, card.image) for card in full_run.embedding.cards)
    shown = replace(full_run.embedding, cards=cards, same_class_neighbor=None)
    match = full_run.neighbors[0]
    plain = replace(match, query=cards[0], results=cards[:5], same_class=(False,) * 5)
    run = replace(
        full_run, linear=None, embedding=shown, neighbors=(plain,), image_to_shape=(plain,),
        facts=replace(full_run.facts, classes=()),
    )  # fmt: skip
    text = said(retrieval_examples(run).body)
    assert "another class" not in text
    assert "★" in text
    assert [trace["name"] for trace in embedding(run).figures["map-plot"]["data"]] == ["no class"]
    assert "no classes" in said(confusion(run).body)
    assert "52.0 %" not in said(overview(run).body)  # mAP of classes that do not exist


def test_hostile_names_stay_text(full_run: RunData) -> None:
    assert full_run.embedding
    assert full_run.facts
    assert full_run.linear
    evil = [Card(EVIL, EVIL, card.image) for card in full_run.embedding.cards]
    run = replace(
        full_run,
        folder=Path("runs") / EVIL.replace("/", "-"),
        config=full_run.config | {"method": EVIL, "collection": EVIL, EVIL: {EVIL: EVIL}},
        config_text=EVIL,
        environment={EVIL: EVIL, "date": EVIL, "device": EVIL, "command": EVIL},
        linear=replace(full_run.linear, classes=(EVIL,) * 12, data=EVIL, classifier=EVIL),
        facts=replace(full_run.facts, name=EVIL, source=EVIL),
        embedding=replace(full_run.embedding, cards=tuple(evil)),
        clouds=tuple(replace(shape, card=evil[0], parts=(EVIL,) * 3) for shape in full_run.clouds),
        neighbors=tuple(
            replace(match, query=evil[0], results=tuple(evil[:5])) for match in full_run.neighbors
        ),
        absent={"image_to_shape": EVIL},
        image_to_shape=(),
    )
    page = render(run)
    reader = Reader(page)
    assert not [found for found in reader.elements if found[1].get("src") == "x" or "onerror" in found[1]]
    assert sum(name == "script" for name, _ in reader.elements) == 3
    data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert data
    assert "<" not in data[1]
    figures = json.loads(data[1])
    assert figures["map-plot"]["names"][0] == EVIL
    for trace in figures["map-plot"]["data"] + figures["curve-loss"]["data"]:
        assert "<" not in trace["name"]  # Plotly reads labels as HTML
    assert "<" not in "".join(figures["confusion-plot"]["layout"]["xaxis"]["ticktext"])


def test_markup_is_escaped_unless_it_is_html() -> None:
    assert tag("p", "<b>", Html("<i></i>"), title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<i></i></p>'
    assert tag("input", checked=True, disabled=False) == "<input checked>"
    assert json.loads(embed_json({"a": EVIL + "\u2028"})) == {"a": EVIL + "\u2028"}
    assert not set("<>&\u2028") & set(embed_json(EVIL + "\u2028"))
    with pytest.raises(ValueError, match="Out of range"):
        embed_json(float("nan"))


def test_small_words() -> None:
    assert [plural(1, "class"), plural(2, "class"), plural(1200, "query")] == [
        "1 class",
        "2 classes",
        "1,200 queries",
    ]
    assert [duration(8.0).replace("\u00a0", " "), duration(9284.0).replace("\u00a0", " ")] == [
        "8 s",
        "2 h 34 min",
    ]
    assert flatten({"a": {"b": 1e-3, "c": {}}, "d": None}) == [("a.b", "0.001"), ("a.c", "–"), ("d", "–")]
    assert len(set(palette(40))) == 40


def test_the_page_is_one_file_with_names_for_everything(full_run: RunData) -> None:
    page = render(full_run)
    reader = Reader(page)
    for name, attributes in reader.elements:
        assert not str(attributes.get("src", "data:")).startswith(("http", "/", "file"))
        if name == "img":
            assert attributes["alt"]
        if name == "th":
            assert attributes.get("scope")
        if name == "link":
            assert attributes["href"] == "data:,"
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [str(attributes["href"])[1:] for name, attributes in reader.elements if name == "a"]
    assert targets
    assert set(targets) <= set(ids)
    assert page.count("plotly.js v") == 1
    assert len(page) < 12e6
