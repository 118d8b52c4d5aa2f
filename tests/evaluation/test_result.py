"""Results: rows, gains, files and what is refused."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from adacross.errors import UserError
from adacross.evaluation.result import Data, Result, Score, load, save


def result(**changes: object) -> Result:
    """A made-up result with two settings."""
    rng = np.random.default_rng(0)
    scores = [
        Score.of(network, "accuracy", rng.uniform(size=(count, 40)) < share, labels=labels)
        for labels in ("10 %", "100 %")
        for network, count, share in (("pre-trained", 1, 0.8), ("from scratch", 3, 0.5))
    ]
    scores.append(Score.of("chance", "accuracy", [0.1], labels="10 %"))
    made = Result(
        data=Data("parts", "d1", 100, 40, ["a_1", "b"], {"c (2 test shapes)": "no training shape"}),
        scores=scores,
        protocol="made up",
        notes=["a note"],
        task="fine-tune",
        name="fine-tune",
        encoders=["run"],
        weights=["w1"],
        version="0.2.0",
        date="2026-01-01T00:00:00+00:00",
    )
    return replace(made, **changes)


def test_a_row_has_a_setting_and_a_metric_and_a_figure_a_network():
    rows = result().rows()
    assert [row["labels"] for row in rows] == ["10 %", "100 %"]
    assert list(rows[0]) == ["labels", "metric", "pre-trained", "from scratch", "chance", "gain"]
    first, scratch = result().scores[:2]
    assert rows[0]["gain"] == first.minus(scratch)
    assert rows[0]["from scratch"] == scratch.estimate
    assert result().columns == list(rows[0])
    assert "chance" not in rows[1]


def test_details_are_in_records_but_not_in_tables():
    scores = [
        *result().scores,
        replace(Score.of("pre-trained", "accuracy", [1, 0], labels="10 %", severity="3"), detail=True),
    ]
    assert result(scores=scores).text_rows() == result().text_rows()
    assert "severity" not in result(scores=scores).columns
    assert len(result(scores=scores).records()) == len(result().records()) + 1


def test_one_table_in_every_language():
    made = result()
    out = io.StringIO()
    Console(file=out, width=200).print(made.table())
    for text in (out.getvalue(), made.to_markdown().replace("\\", ""), made.to_latex(), made._repr_html_()):
        for row in made.text_rows():
            assert row[0].split()[0] in text
        assert f"{100 * made.scores[0].estimate.mean:.1f}" in text
    assert made.to_latex().count(r"\%") >= 7
    assert r"\toprule" in made.to_latex()
    read = list(csv.DictReader(io.StringIO(made.to_csv())))
    assert float(read[0]["value"]) == made.scores[0].estimate.mean
    assert [row["p"] != "" for row in read] == [row["encoder"] == "gain" for row in read]
    assert len(made.to_dataframe()) == len(read)


def test_the_caption_says_what_the_uncertainty_is_over_and_what_was_left_out():
    caption = result().caption
    assert "[95 % interval over test shapes]" in caption
    assert "from scratch: ± over 3 initializations" in caption
    assert "Left out: c (2 test shapes): no training shape" in caption
    assert "a note" in caption
    several = Score.of("pre-trained", "accuracy", np.ones((2, 5)))
    assert "mean ± standard deviation over 2 pre-trainings" in result(scores=[several]).caption


def test_repetitions_on_one_network_are_averaged_per_shape():
    """Counted one by one, they would pass for pre-trainings."""
    score = Score.of("pre-trained", "accuracy", [[1, 0, 1], [0, 0, 1]], networks=[0, 0])
    assert score.by_network.tolist() == [[0.5, 0, 1]]
    assert score.estimate.std is None
    assert score.values == pytest.approx([2 / 3, 1 / 3])


def test_a_score_is_found_by_network_metric_and_setting():
    assert result().score("from scratch", labels="100 %") is not result().score("from scratch", labels="10 %")
    with pytest.raises(UserError, match=r"has no score of pre-trained, mAP, labels 3"):
        result().score("pre-trained", "mAP", labels="3")


def test_a_file_holds_the_same_result(tmp_path: Path):
    save(result(), tmp_path / "a.json")
    assert load(tmp_path / "a.json") == result()
    lines = (tmp_path / "a.json").read_text().splitlines()
    assert max(line.count(",") for line in lines) == 40  # outcomes of a repetition take one line
    assert len(lines) < 150


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [{}]}, "'network' is missing"),
        ({"protocol": 3}, "3 where str is expected"),
        ({"layout": None}, "cannot be used"),
        ({"truth": {"a": 1}}, "where a list is expected"),
    ],
)
def test_what_is_no_result_is_named(tmp_path: Path, change: dict[str, object], message: str):
    path = tmp_path / "a.json"
    save(result(), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        load(path)


@pytest.mark.parametrize(
    "change", [{"outcomes": [[1.0], [1.0, 0.0]]}, {"outcomes": []}, {"networks": [0, 1]}, {"groups": [1]}]
)
def test_outcomes_that_are_no_table_are_refused(tmp_path: Path, change: dict[str, object]):
    path = tmp_path / "a.json"
    save(result(), path)
    value = json.loads(path.read_text())
    value["scores"][0] |= change
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match="cannot be used"):
        load(path)


def test_a_file_of_the_first_edition_says_so(tmp_path: Path):
    (tmp_path / "linear.json").write_text('{"task": "linear", "data": "parts"}')
    with pytest.raises(UserError, match=r"written by adacross 0\.1.*measure again"):
        load(tmp_path / "linear.json")
