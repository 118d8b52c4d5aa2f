"""Comparisons: what is tested and over what, how often equal encoders are called different, and the files."""

import csv
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import wraps
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.encoders import DGCNN, PointNet
from adacross.errors import UserError
from adacross.evaluation import driver, evaluate
from adacross.evaluation.compare import Comparison, compare, compare_results
from adacross.evaluation.labeled import Labeled
from adacross.evaluation.linear import linear
from adacross.evaluation.result import CHANCE, PRETRAINED, UNTRAINED, Data, Result, Score, read_as
from adacross.features.statistics import holm
from adacross.features.svm import fixed_svm

DATA = Data("parts", "digest", 100, 40)


def made_up(name: str, accuracies: Sequence[float], *, seed: int = 0, kind: str = "pointnet") -> Result:
    """A result of encoders that are right on given shares of 40 test shapes."""
    rng = np.random.default_rng([seed, len(name), *map(ord, name)])
    right = rng.random((len(accuracies), 40)) < np.array(accuracies)[:, None]
    fresh = np.random.default_rng(0).random((2, 40)) < 0.3
    return Result(
        data=DATA,
        scores=[
            Score.of(PRETRAINED, "accuracy", right),
            Score.of(UNTRAINED, "accuracy", fresh),
            Score.of(CHANCE, "accuracy", [0.1]),
        ],
        protocol="a made-up protocol",
        ids=[f"shape{i}" for i in range(40)],
        task="linear",
        encoders=[f"{name}{i}" for i in range(len(accuracies))],
        kind=kind,
        weights=[f"{name}{i}" for i in range(len(accuracies))],
    )


def row(comparison: Comparison, encoder: str):
    return next(each for each in comparison.rows if each.encoder == encoder)


def test_one_pretraining_a_side_is_mcnemar_over_test_shapes():
    results = {"a": made_up("a", [0.5]), "b": made_up("b", [0.8]), "c": made_up("c", [0.6])}
    results = {
        name: replace(each, scores=[one for one in each.scores if one.network != UNTRAINED])
        for name, each in results.items()
    }
    found = compare_results(results)
    base = np.array(results["a"].scores[0].outcomes[0])
    p_values = []
    for name in ("b", "c"):
        other = np.array(results[name].scores[0].outcomes[0])
        better, worse = int((other > base).sum()), int((other < base).sum())
        difference = row(found, name).difference
        assert difference is not None
        assert difference.mean == pytest.approx(other.mean() - base.mean())
        assert difference.p == pytest.approx(stats.binomtest(better, better + worse).pvalue)
        p_values.append(difference.p)
    assert [row(found, name).p_holm for name in ("b", "c")] == holm(p_values)
    assert "not about methods" in found.caption
    assert "once: a, b, c" in found.caption
    assert found.baseline == "a"
    assert row(found, "a").difference is None


def test_the_spread_of_initializations_stands_for_that_of_a_single_pretraining():
    results = {"a": made_up("a", [0.5]), "b": made_up("b", [0.8])}
    found = row(compare_results(results), "b").difference
    fresh = [np.mean(each) for each in results["a"].scores[1].outcomes]
    expected = 2 * stats.t.sf(abs(found.mean) / np.sqrt(2 * np.var(fresh, ddof=1)), len(fresh) - 1)
    assert found.p == pytest.approx(expected)
    assert "McNemar's exact test over 40 units, the spread of 2 initializations" in found.test


def test_several_pretrainings_a_side_are_welch_over_pretrainings():
    """Five against seven."""
    one, two = [0.5, 0.52, 0.6, 0.55, 0.5], [0.7, 0.8, 0.75, 0.6, 0.7, 0.8, 0.9]
    results = {"a": made_up("a", one), "b": made_up("b", two)}
    found = row(compare_results(results, "b"), "a").difference
    means = [[np.mean(each) for each in results[name].scores[0].outcomes] for name in ("a", "b")]
    assert found is not None
    assert found.p == pytest.approx(stats.ttest_ind(*means, equal_var=False).pvalue)
    caption = compare_results(results).caption
    assert "p of b is over pre-trainings: it is about the methods" in caption
    assert "not about methods" not in caption


def test_several_against_one_are_paired_over_test_shapes():
    found = compare_results(
        {"a": made_up("a", [0.5, 0.6]), "b": made_up("b", [0.7]), "c": made_up("c", [0.4, 0.5])}
    )
    assert "paired t-test over 40 units" in str(row(found, "b").difference.test)
    assert "Welch" in row(found, "c").difference.test
    assert "p of b is about these encoders on other test shapes" in found.caption
    assert "p of c is over pre-trainings" in found.caption


def test_what_stands_beside_the_entries_is_there_once_and_not_tested():
    results = {
        "a": made_up("a", [0.5]),
        "edge": made_up("e", [0.5], kind="dgcnn"),
        "wide": replace(made_up("w", [0.5]), scores=[
            made_up("w", [0.5]).scores[0], Score.of(UNTRAINED, "accuracy", np.eye(2, 40))
        ]),
    }  # fmt: skip
    found = compare_results(results)
    names = [each.encoder for each in found.rows]
    untrained = ["untrained pointnet, like a", "untrained dgcnn", "untrained pointnet, like wide"]
    assert names[:3] == ["a", "edge", "wide"]
    assert sorted(names[3:]) == sorted([*untrained, "chance"])
    assert [each.encoder for each in found.rows if each.difference] == ["edge", "wide"]


def test_settings_and_metrics_are_compared_with_their_like_and_corrected_together():
    def settings(name: str) -> Result:
        plain = made_up(name, [0.5])
        rng = np.random.default_rng(len(name))
        scores = [
            Score.of(PRETRAINED, metric, rng.random(40), labels=labels)
            for labels in ("1 %", "10 %") for metric in ("accuracy", "mAP")
        ]  # fmt: skip
        return replace(plain, scores=scores)

    found = compare_results({"a": settings("a"), "long": settings("long")})
    assert found.columns == ["labels", "metric", "encoder", "figure", "difference from a", "p (Holm)"]
    tested = [each for each in found.rows if each.difference]
    assert [(each.setting["labels"], each.metric) for each in tested] == [
        ("1 %", "accuracy"), ("1 %", "mAP"), ("10 %", "accuracy"), ("10 %", "mAP"),
    ]  # fmt: skip
    assert [each.p_holm for each in tested] == holm([each.difference.p for each in tested])
    assert "number of comparisons: 4" in found.caption


def test_episodes_are_never_tested():
    """They share shapes: the few-shot protocol also has its accuracy by query shape."""
    result = made_up("a", [0.5])
    episodes = Score.of(PRETRAINED, "accuracy", [0.5, 0.6], units="episodes")
    by_shape = Score.of(PRETRAINED, "accuracy by shape", result.scores[0].outcomes)
    results = {
        "a": replace(result, scores=[episodes, by_shape]),
        "b": replace(result, scores=[episodes, by_shape], weights=["b"]),
    }
    assert {each.metric for each in compare_results(results).rows} == {"accuracy by shape"}
    with pytest.raises(UserError, match="over episodes only"):
        compare_results({name: replace(one, scores=[episodes]) for name, one in results.items()})


def test_other_units_or_the_same_encoder_twice_are_refused():
    a, b = made_up("a", [0.5]), made_up("b", [0.6])
    with pytest.raises(UserError, match="b and a were not tested on the same shapes"):
        compare_results({"a": a, "b": replace(b, ids=b.ids[::-1])})
    with pytest.raises(UserError, match="with the same task and options"):
        compare_results({"a": a, "b": replace(b, options={"points": 3})})
    with pytest.raises(UserError, match="two of a, b hold the same encoder"):
        compare_results({"a": a, "b": replace(made_up("b", [0.5, 0.6]), weights=["c", "a0"])})
    with pytest.raises(UserError, match="unknown baseline 'z'"):
        compare_results({"a": a, "b": b}, "z")


def slow_holm(p_values: list[float]) -> list[float]:
    """Step by step as in the paper: reject while p(i) (m - i + 1) <= alpha; the least alpha that rejects."""
    order = sorted(p_values)
    corrected = []
    for p in p_values:
        steps = [q * (len(order) - rank) for rank, q in enumerate(order) if q <= p]
        corrected.append(min(1.0, max(steps)))
    return corrected


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    for given in permutations([0.001, 0.02, 0.02, 0.3]):
        assert holm(given) == pytest.approx(slow_holm(list(given)))


@pytest.mark.slow
def test_equal_encoders_are_seldom_called_different(tmp_path: Path):
    """PointNets with fresh weights differ in nothing but their seed; of 136 pairs at most 5 % may differ.

    The first edition called 18 of 25 such pairs different, a test over test shapes alone one in seven.
    """
    prepare("builtin", str(tmp_path / "shapes"), count=880, points=64, views=0, workers=2, test_fraction=0.45)
    shapes = Labeled.of(Collection.open(tmp_path / "shapes"))
    train_labels, test_labels = shapes.labels
    clouds = torch.from_numpy(shapes.collection.points(np.arange(len(shapes.collection))))
    right = []
    for seed in range(20):
        torch.manual_seed(seed)
        encoder = PointNet(width=32).eval()
        with torch.no_grad():
            features = encoder(clouds).numpy()
        train, test = features[shapes.train], features[shapes.test]
        penalty = 1 / float(train.astype(np.float64).var(axis=0).mean())
        right.append(fixed_svm(train, train_labels, test, penalty) == test_labels)
    fresh = Score.of(UNTRAINED, "accuracy", np.array(right[:3]))
    scores = [Score.of(PRETRAINED, "accuracy", each) for each in right[3:]]
    single = [one.minus(other, (fresh, fresh)) for one, other in combinations(scores, 2)]
    assert len(single) == 136
    assert all("McNemar" in each.test and "spread of 3" in each.test for each in single)
    assert np.mean([each.significant for each in single]) <= 0.05
    rng = np.random.default_rng(0)
    several = []
    for _ in range(120):
        sides = rng.permutation(17)[:10].reshape(2, 5) + 3
        one, other = (Score.of(PRETRAINED, "accuracy", np.array(right)[side]) for side in sides)
        several.append(one.minus(other))
    assert all("Welch" in each.test for each in several)
    assert np.mean([each.significant for each in several]) <= 0.05


@pytest.fixture(scope="module")
def runs(toy_run: Path, toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the toy run with other weights, a lone encoder of each kind, and the toy collection."""
    folder = tmp_path_factory.mktemp("compared")
    for number in range(4):
        torch.manual_seed(number)
        run = folder / f"x-seed{number}"
        shutil.copytree(toy_run, run)
        shutil.rmtree(run / "encoder")
        PointNet(width=32).save_pretrained(run / "encoder")
    DGCNN(k=4, width=32).save_pretrained(folder / "dgcnn")
    shutil.copytree(toy_collection.folder, folder / "parts")
    return folder


@pytest.mark.slow
def test_each_pretraining_is_measured_once_and_files_are_written(
    runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A pattern of three against one run and an encoder folder; then the same again."""
    aside = tmp_path / "x-seed3"
    shutil.move(runs / "x-seed3", aside)
    words = [str(runs / "x-seed*"), str(aside), str(runs / "dgcnn")]
    encoded: list[str] = []
    features = driver.Bench.features

    def counted(self: driver.Bench, encoder, points: int):
        if encoder is not None:  # the shape histogram
            encoded.append(encoder.kind)
        return features(self, encoder, points)

    monkeypatch.setattr(driver.Bench, "features", counted)
    given = {"points": 40, "seeds": 1, "folds": 3, "device": "cpu"}
    found = compare(words, str(runs / "parts"), **given)
    assert encoded.count("pointnet") == 3 + 1 + 2  # and an untrained one for each entry
    names = [each.encoder for each in found.rows if each.metric == "accuracy"]
    assert names[:3] == ["x-seed*", "x-seed3", "dgcnn"]
    assert set(names[3:]) == {"untrained pointnet", "untrained dgcnn", "shape histogram", "chance"}
    place = runs / "x-seed0" / "evaluation" / "parts"
    assert sorted(path.name for path in place.glob("compare-*")) == [
        f"compare-linear.{ending}" for ending in ("csv", "json", "md", "tex")
    ]
    assert read_as(Comparison, place / "compare-linear.json") == found
    assert (place / "compare-linear.md").read_text().count("| accuracy |") == len(names)
    assert (place / "compare-linear.tex").read_text().startswith(r"\begin{tabular}{lllll}")
    lines = list(csv.DictReader((place / "compare-linear.csv").read_text().splitlines()))
    for line, each in zip(lines, found.rows, strict=True):
        assert float(line["mean"]) == each.figure.mean
        assert line["p_holm"] == ("" if each.p_holm is None else str(each.p_holm))
    encoded.clear()
    again = compare(words[:2], str(runs / "parts"), baseline="x-seed3", **given)
    assert encoded == []  # both were measured before
    assert row(again, "x-seed*").figure == row(found, "x-seed*").figure
    assert len(list(place.glob("compare-linear*.json"))) == 2  # the first comparison is kept
    assert read_as(Comparison, place / "compare-linear.json") == found
    alone = evaluate("linear", str(aside), str(runs / "parts"), **given)
    assert row(found, "x-seed3").figure == alone.score().estimate
    few = compare(words[:2], str(runs / "parts"), "few-shot", ways=[3], shots=[1], device="cpu")
    assert {each.metric for each in few.rows} == {"accuracy by shape"}
    tested = row(few, "x-seed3").difference
    assert tested is not None
    assert tested.p is not None
    shutil.move(aside, runs / "x-seed3")


def test_the_entries_are_tested_on_equal_terms(runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Options reach the protocol; baselines go by name or as typed, folders of one name by their paths."""
    asked = []

    @wraps(linear)
    def measured(word: str, data: str, **options) -> Result:
        asked.append((word, data, options))
        return made_up(word, [0.5])

    monkeypatch.setattr(sys.modules[compare.__module__], "find_protocol", lambda task: measured)
    words = [str(runs / name / "encoder") for name in ("x-seed1", "x-seed2")]
    path = tmp_path / "a.json"
    found = compare(words, "data", points=7, baseline=words[1], output=str(path))
    assert asked == [(word, "data", {"points": 7, "device": None}) for word in words]
    assert list(found.entries) == words
    assert found.baseline == words[1]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.csv", "a.json", "a.md", "a.tex"]
    (tmp_path / "a.json").unlink()
    with pytest.raises(UserError, match=r"a.md exists"):
        compare(words, "data", output=str(path))
    compare(words, "data", output=str(path), overwrite=True)
    assert json.loads(path.read_text())["task"] == "linear"


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["x-seed0", "x-seed0"], {}, "an entry was given twice: x-seed0, x-seed0"),
        (["x-seed0", "nothing*"], {}, "nothing matches"),
        (["x-seed0", "x-seed1"], {"baseline": "z"}, "unknown baseline 'z'. Valid: x-seed0, x-seed1"),
        (["x-seed0"], {"task": "lineer"}, "unknown protocol 'lineer'"),
        (["x-seed0"], {"ways": [5]}, "unknown option of task linear 'ways'. Valid: points"),
        (["x-seed0"], {"output": "a.md"}, "a comparison is JSON"),
        ([], {}, "unknown baseline ''"),
    ],
    ids=str,
)
def test_mistakes_are_said_before_anything_is_measured(
    runs: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], options: dict, message: str
):
    monkeypatch.chdir(runs)
    monkeypatch.setattr(driver, "Bench", lambda *given: pytest.fail("measured"))
    if words[-1:] == ["nothing*"]:
        words = words[::-1]
    with pytest.raises(UserError, match=message):
        compare(words, "parts", **options)


def test_text_of_others_is_harmless_in_the_files():
    found = compare_results({"-1": made_up("a", [0.5]), "$x_1 & {y}": made_up("b", [0.6])})
    lines = list(csv.DictReader(found.to_csv().splitlines()))
    assert lines[0]["encoder"] == "'-1"
    assert r"\$x\_1 \& \{y\}" in found.to_latex()
