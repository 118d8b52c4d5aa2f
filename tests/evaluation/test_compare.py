"""Comparisons: t-test against scipy, Holm by hand, equal seeds for all, and the command as typed."""

import csv
import io
import json
import re
import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.encoders import DGCNN, Encoder, PointNet
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.evaluation.compare import tasks
from adacross.evaluation.compare.comparison import Comparison, as_csv, as_markdown, points
from adacross.evaluation.compare.measure import measure_compare
from adacross.evaluation.compare.significance import holm, independent, paired_test
from adacross.evaluation.few_shot.episodes import draw_episodes
from adacross.evaluation.few_shot.measure import measure_few_shot
from adacross.evaluation.linear import measure_linear
from adacross.evaluation.results import load
from adacross.features.sources import untrained_like

SMALL = {"seeds": 4, "points": 40, "folds": 3}
QUICK = {"task": "retrieval-shape", "seeds": 4, "points": 40}


@pytest.fixture(scope="module")
def encoders() -> dict[str, Encoder]:
    torch.manual_seed(5)
    return {name: PointNet(width=32).eval() for name in ("a", "b", "c", "d", "e")}


@pytest.mark.parametrize("count", [3, 5, 12])
def test_the_t_test_is_scipys(count: int):
    rng = np.random.default_rng(count)
    first, second = rng.normal(0.7, 0.02, count), rng.normal(0.68, 0.02, count)
    found = paired_test((first - second).tolist())
    expected = stats.ttest_rel(first, second)
    assert found is not None
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_the_t_test_by_hand():
    """Differences 1, 2, 3: t = 2 / (1 / sqrt(3)); with 2 degrees of freedom p has a closed form."""
    found = paired_test([1.0, 2.0, 3.0])
    t = 2 * np.sqrt(3)
    assert found is not None
    assert found.p == pytest.approx(1 - t / np.sqrt(t**2 + 2))
    assert found.high - 2 == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)


def test_a_test_that_says_nothing_is_none():
    assert paired_test([0.1, 0.2]) is None
    assert paired_test([]) is None
    assert paired_test([0.05, 0.05, 0.05, 0.05 + 1e-15]) is None


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
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
    for given in permutations([0.001, 0.02, 0.02, 0.3]):
        assert holm(given) == pytest.approx(slow_holm(list(given)))


def test_holm_is_between_nothing_and_bonferroni():
    rng = np.random.default_rng(0)
    for _ in range(50):
        given = rng.uniform(size=rng.integers(1, 8)).tolist()
        corrected = holm(given)
        assert corrected == pytest.approx(slow_holm(given))
        assert all(p <= c <= min(1.0, len(given) * p) + 1e-12 for p, c in zip(given, corrected, strict=True))


def slow_groups(counts: tuple[int, int], seeds: int) -> int:
    """How many groups of seeds share no pre-training: connected components, found by merging."""
    group = list(range(seeds))
    for count in counts:
        for a in range(seeds):
            for b in range(a):
                if count > 1 and a % count == b % count:
                    group = [group[b] if g == group[a] else g for g in group]
    return len(set(group))


@pytest.mark.parametrize("counts", [(1, 1), (3, 1), (1, 3), (3, 3), (2, 3), (4, 2), (4, 6), (12, 3)])
def test_seeds_that_share_a_pretraining_are_one(counts: tuple[int, int]):
    differences = np.random.default_rng(0).normal(size=12).tolist()
    found = independent(differences, counts)
    assert len(found) == slow_groups(counts, 12)
    assert np.mean(found) == pytest.approx(np.mean(differences))
    if counts == (3, 1):
        assert found[1] == pytest.approx(np.mean([differences[i] for i in (1, 4, 7, 10)]))


@pytest.mark.slow
def test_all_are_measured_under_the_same_seeds_as_alone(
    toy_collection: Collection, encoders: dict[str, Encoder]
):
    """Each value is what `evaluate linear` finds for that seed; untrained encoders are those of that seed."""
    small = SMALL | {"seeds": 3}
    result = measure_compare({"a": [encoders["a"]], "b": [encoders["b"]]}, toy_collection, **small)
    assert [row.name for row in result.rows] == ["a", "b", "untrained pointnet"]
    assert result.baseline == "a"
    for row in result.rows[:2]:
        alone = measure_linear([encoders[row.name]], toy_collection, points=40, folds=3, seeds=3)
        assert row.accuracy.values == alone.pretrained.accuracy
    assert result.rows[2].accuracy.values == alone.untrained.accuracy
    first = np.array(result.rows[0].accuracy.values)
    tested = []
    for row in result.rows[1:]:
        assert row.difference is not None
        assert row.difference.values == pytest.approx(np.array(row.accuracy.values) - first)
        assert row.units == 3
        if np.ptp(row.difference.values) > 1e-9:
            tested.append(row)
            assert row.p == pytest.approx(stats.ttest_rel(row.accuracy.values, first).pvalue)
    assert tested
    assert [row.p_holm for row in tested] == pytest.approx(slow_holm([row.p or 0.0 for row in tested]))
    assert result.rows[0].difference is result.rows[0].p is None
    assert any("about other seeds, not about other shapes" in note for note in result.notes)
    assert any("how repeats differ: a, b" in note for note in result.notes)


@pytest.mark.slow
def test_pretrainings_take_turns_and_are_averaged(toy_collection: Collection, encoders: dict[str, Encoder]):
    """Three of an entry and seeds 4: raised to 6, so that each is measured twice; the test is over 3."""
    three = [encoders[name] for name in ("a", "b", "c")]
    result = measure_compare({"many": three, "one": [encoders["d"]]}, toy_collection, **QUICK)
    many, one, untrained = result.rows
    assert len(result.seeds) == 6
    for turn, encoder in enumerate(three):
        alone = measure_compare({"x": [encoder]}, toy_collection, **QUICK | {"seeds": 6}).rows[0]
        assert many.accuracy.values[turn::3] == alone.accuracy.values[turn::3]
    for row in (one, untrained):
        differences = np.subtract(row.accuracy.values, many.accuracy.values).reshape(2, 3).mean(axis=0)
        assert row.units == 3
        assert row.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert any("over pre-trainings" in note for note in result.notes)


def test_too_few_or_no_differences_have_no_p_value_and_it_is_said(
    toy_collection: Collection, encoders: dict[str, Encoder]
):
    pair = [encoders["a"], encoders["b"]]
    result = measure_compare(
        {"x": pair, "y": [encoders["c"], encoders["d"]]}, toy_collection, **QUICK | {"seeds": 2}
    )
    assert [row.p for row in result.rows] == [None, None, None]
    assert any("fewer than 3 independent differences: y, untrained pointnet" in note for note in result.notes)
    same = measure_compare({"x": [encoders["a"]], "twin": [encoders["a"]]}, toy_collection, **QUICK)
    assert same.rows[1].difference is not None
    assert same.rows[1].difference.mean == 0
    assert same.rows[1].p is None
    assert any("same under every seed: twin" in note for note in same.notes)
    assert as_markdown(same).count("| – | – |") == 2


def test_every_kind_has_its_untrained_row(toy_collection: Collection, encoders: dict[str, Encoder]):
    given = {
        "a": [encoders["a"]], "wide": [PointNet(width=48)], "again": [encoders["b"]],
        "edge": [DGCNN(k=4, width=32)],
    }  # fmt: skip
    result = measure_compare(given, toy_collection, baseline="untrained dgcnn", **QUICK | {"seeds": 1})
    names = ["untrained pointnet, like a", "untrained pointnet, like wide", "untrained dgcnn"]
    assert [row.name for row in result.rows if not row.pretrained] == names
    assert result.rows[-1].difference is None
    with pytest.raises(UserError, match=r"unknown baseline 'z'\. Valid: a, wide"):
        measure_compare(given, toy_collection, baseline="z")


def test_few_shot_values_are_those_of_the_episodes_of_the_seed(
    toy_collection: Collection, encoders: dict[str, Encoder], monkeypatch: pytest.MonkeyPatch
):
    result = measure_compare({"a": [encoders["a"]]}, toy_collection, "few-shot", seeds=2, ways=3, shots=2)
    for seed, value in enumerate(result.rows[0].accuracy.values):
        episodes = draw_episodes(toy_collection, [3], [2], seed=seed)
        alone = measure_few_shot([encoders["a"].train()], toy_collection, episodes)
        assert value == pytest.approx(alone.settings[0].pretrained.mean)
    assert "10 episodes of 3-way 2-shot" in result.protocol
    assert result.spread.startswith("mean ± standard deviation over 2 seeds: episodes,")
    with pytest.raises(UserError, match="cannot fill any setting"):
        measure_compare({"a": [encoders["a"]]}, toy_collection, "few-shot")


def test_shape_retrieval_is_mean_average_precision_of_the_class(
    toy_collection: Collection, encoders: dict[str, Encoder]
):
    """Query by query, without the query itself."""
    result = measure_compare({"a": [encoders["a"]]}, toy_collection, "retrieval-shape", seeds=3)
    test = toy_collection.indices("test")
    features, labels = encode(encoders["a"], toy_collection.points(test)), toy_collection.labels[test]
    precisions = []
    for query in range(len(test)):
        cosine = [
            float(np.dot(features[query], other) / np.linalg.norm(other))
            for i, other in enumerate(features)
            if i != query
        ]
        right = np.delete(labels == labels[query], query)[np.argsort(-np.array(cosine), kind="stable")]
        ranks = np.flatnonzero(right)
        precisions.append(np.mean([(i + 1) / (rank + 1) for i, rank in enumerate(ranks)]))
    assert result.rows[0].accuracy.values == pytest.approx([np.mean(precisions)] * 3, abs=1e-4)
    assert "nothing else" in result.spread
    assert result.figure == "mAP"


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on(
    toy_collection: Collection, encoders: dict[str, Encoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = {"a": [encoders["a"]], "b": [encoders["b"]]}
    whole = measure_compare(given, toy_collection, **QUICK)
    measured: list[Encoder] = []

    features = tasks.Gallery.features

    def stops(self: tasks.Gallery, encoder: Encoder, seed: int) -> np.ndarray:
        measured.append(encoder)
        if len(measured) == 6:
            raise KeyboardInterrupt
        return features(self, encoder, seed)

    monkeypatch.setattr(tasks.Gallery, "features", stops)
    path = tmp_path / "compare.json"
    with pytest.raises(KeyboardInterrupt):
        measure_compare(given, toy_collection, **QUICK, result=path)
    assert measure_compare(given, toy_collection, **QUICK, result=path) == whole
    assert len(measured) == 6 + 4 + 4  # b's four and the untrained four; a's were kept


@pytest.mark.slow
def test_encoders_in_training_mode_change_nothing(toy_collection: Collection, encoders: dict[str, Encoder]):
    given = {"a": [encoders["a"]], "b": [encoders["b"]]}
    expected = measure_compare(given, toy_collection, **QUICK)
    for encoder in encoders.values():
        encoder.train()
    assert measure_compare(given, toy_collection, **QUICK) == expected
    for encoder in encoders.values():
        encoder.eval()


@pytest.fixture(scope="module")
def runs(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three copies of the toy run, two of them with other weights, and one lone encoder."""
    folder = tmp_path_factory.mktemp("compared")
    for name in ("x-seed0", "x-seed1", "x-seed2"):
        shutil.copytree(toy_run, folder / name)
        if name != "x-seed0":
            torch.manual_seed(int(name[-1]))
            shutil.rmtree(folder / name / "encoder")
            PointNet(width=32).save_pretrained(folder / name / "encoder")
    return folder


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["evaluate", "compare", *words])
    out, err = capsys.readouterr()
    return code, out, re.sub(r"\s+", " ", err)


@pytest.mark.slow
def test_as_typed_with_markdown_and_csv_beside_it(
    capsys: pytest.CaptureFixture[str], runs: Path, toy_collection: Collection, tmp_path: Path
):
    words = [str(runs / "x-seed*"), str(runs / "x-seed1" / "encoder"), str(toy_collection.folder)]
    small = ["--seeds", "3", "--points", "40", "--folds", "3", "--device", "cpu"]
    path = tmp_path / "a.json"
    code, out, err = typed(capsys, *words, *small, "--baseline", "encoder", "--output", str(path))
    assert code == 0, err
    assert "x-seed*" in out
    result = load(Comparison, path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "a.json", "a.md"]
    assert [row.name for row in result.rows] == ["x-seed*", "encoder", "untrained pointnet"]
    assert result.rows[0].encoders == ["x-seed0", "x-seed1", "x-seed2"]
    assert result.rows[0].units == 3
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [row["encoder"] for row in rows] == ["x-seed*", "encoder", "untrained pointnet"]
    for row, line in zip(result.rows, rows, strict=True):
        assert float(line["mean"]) == row.accuracy.mean
        assert [float(line[f"seed_{seed}"]) for seed in range(3)] == row.accuracy.values
        assert line["p_holm"] == ("" if row.p_holm is None else str(row.p_holm))
    text = (tmp_path / "a.md").read_text()
    assert text == as_markdown(result)
    assert "| encoder | accuracy | each | difference to encoder | 95 % interval | p (Holm) |" in text
    assert f"| x-seed\\* | {result.rows[0].accuracy} |" in text
    assert as_csv(result) == (tmp_path / "a.csv").read_text()
    hostile = replace(result, data="=1+1", baseline="@x", rows=[replace(result.rows[0], name="-1")])
    (line,) = csv.DictReader(io.StringIO(as_csv(hostile)))
    assert (line["data"], line["baseline"], line["encoder"]) == ("'=1+1", "'@x", "'-1")


@pytest.mark.slow
def test_without_an_output_it_goes_into_the_first_run(
    capsys: pytest.CaptureFixture[str], runs: Path, toy_collection: Collection
):
    words = [str(runs / "x-seed1" / "encoder"), str(runs / "x-seed2"), str(runs / "x-seed0")]
    small = ["--task", "few-shot", "--ways", "3", "--shots", "1", "--seeds", "2", "--device", "cpu"]
    code, _, err = typed(capsys, *words, str(toy_collection.folder), *small)
    assert code == 0, err
    folder = runs / "x-seed2" / "evaluation"
    assert sorted(file.name for file in folder.iterdir()) == ["compare.csv", "compare.json", "compare.md"]
    assert json.loads((folder / "compare.json").read_text())["measured"] == "few-shot"


@pytest.mark.slow
def test_two_encoder_folders_are_told_apart_by_their_paths(
    capsys: pytest.CaptureFixture[str], runs: Path, toy_collection: Collection, tmp_path: Path
):
    words = [str(runs / name / "encoder") for name in ("x-seed1", "x-seed2")]
    small = ["--seeds", "1", "--folds", "3", "--points", "40", "--device", "cpu"]
    path = tmp_path / "x.json"
    code, _, err = typed(
        capsys, *words, str(toy_collection.folder), *small, "--baseline", words[1], "--output", str(path)
    )
    assert code == 0, err
    result = load(Comparison, path)
    assert [row.name for row in result.rows[:2]] == words
    assert result.baseline == words[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x-seed0", "x-seed0"], "an encoder was given twice"),
        (["x-seed0", "nothing*"], "nothing matches"),
        (["x-seed0", "--baseline", "z"], "unknown baseline 'z'. Valid: x-seed0, untrained pointnet"),
        (["x-seed0", "--seeds", "0"], "expected at least 1 of each"),
        (["x-seed0", "--folds", "1"], "folds is 1; expected at least 2"),
        (["x-seed0", "--device", "gpu"], "device is 'gpu', which cannot be used here"),
        (["x-seed0", "--output", "a.md"], "expected a name that ends in .json"),
    ],
    ids=" ".join,
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str],
    runs: Path,
    toy_collection: Collection,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
):
    monkeypatch.chdir(runs)
    flags = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
    given = [*words[:flags], str(toy_collection.folder), *words[flags:]]
    if "--output" not in words:
        given += ["--output", "never.json"]
    if "--folds" not in words:
        given += ["--folds", "3"]
    code, _, err = typed(capsys, *given, "--points", "40")
    assert code == 2
    assert message in err
    assert not (runs / "never.json").exists()


def test_untrained_rows_are_drawn_by_the_seed(toy_collection: Collection, encoders: dict[str, Encoder]):
    """The untrained encoder of seed 2 is `untrained_like(encoder, 2)`."""
    result = measure_compare({"a": [encoders["a"]]}, toy_collection, "retrieval-shape", seeds=3)
    fresh = untrained_like(encoders["e"], 2)
    again = measure_compare({"fresh": [fresh]}, toy_collection, "retrieval-shape", seeds=1)
    assert result.rows[1].accuracy.values[2] == pytest.approx(again.rows[0].accuracy.values[0])


@pytest.mark.parametrize(("difference", "said"), [(0.021, "+2.1"), (-0.0001, "+0.0"), (-0.3, "-30.0")])
def test_a_difference_in_points(difference: float, said: str):
    assert points(difference) == said
