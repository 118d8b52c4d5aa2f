"""Few-shot episodes: drawn, kept, read; learned as plain scikit-learn does; what their figures are about."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder, PointNet
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.evaluation import classification
from adacross.evaluation.episodes import Episode, EpisodeSet, Rule, Setting, draw_episodes, read_episodes
from adacross.evaluation.few_shot import PRESETS, few_shot, svm_answers
from adacross.evaluation.result import CHANCE, HISTOGRAM, PRETRAINED, SCRATCH, UNTRAINED, Result, load
from adacross.features.histogram import shape_histogram
from adacross.features.sources import untrained_like
from adacross.training.interrupt import Interrupted


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(7)
    return PointNet(width=32).eval()


@pytest.fixture(scope="module")
def drawn(toy_collection: Collection) -> EpisodeSet:
    """The toy collection has 3 training and 2 test shapes a class."""
    return draw_episodes(toy_collection, [3, 5], [1, 2], Rule(episodes=4), seed=0)


@pytest.fixture(scope="module")
def collection(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A copy, in which features may be cached."""
    folder = tmp_path_factory.mktemp("few-shot") / "toy"
    shutil.copytree(toy_collection.folder, folder)
    return Collection.open(folder)


def rows(collection: Collection, shapes: list[str]) -> np.ndarray:
    return np.array([collection.ids.index(shape) for shape in shapes])


def split_of(collection: Collection, shape: str) -> str:
    return collection[collection.ids.index(shape)].split


def test_episodes_are_what_they_say(toy_collection: Collection, drawn: EpisodeSet):
    assert [(s.ways, s.shots, s.name) for s in drawn.settings] == [
        (3, 1, "3-way 1-shot"), (3, 2, "3-way 2-shot"), (5, 1, "5-way 1-shot"), (5, 2, "5-way 2-shot"),
    ]  # fmt: skip
    assert drawn.left_out == {}
    for setting in drawn.settings:
        assert len(setting.episodes) == 4
        for episode in setting.episodes:
            assert len(set(episode.classes)) == setting.ways
            assert [len(group) for group in episode.support] == [setting.shots] * setting.ways
            assert {split_of(toy_collection, shape) for shape in episode.learned} == {"train"}
            assert {split_of(toy_collection, shape) for shape in episode.asked} == {"test"}
            for name, support, query in zip(episode.classes, episode.support, episode.query, strict=True):
                label = toy_collection.info.classes.index(name)
                members = [toy_collection.ids.index(shape) for shape in (*support, *query)]
                assert set(toy_collection.labels[members]) == {label}
                assert len(query) == (toy_collection.labels[toy_collection.indices("test")] == label).sum()


def test_an_episode_is_a_function_of_seed_setting_and_number(toy_collection: Collection, drawn: EpisodeSet):
    more = draw_episodes(toy_collection, [5], [2], Rule(episodes=6), seed=0).settings[0]
    assert more.episodes[:4] == drawn.settings[-1].episodes
    assert len({tuple(episode.classes) for episode in more.episodes}) > 1
    other = draw_episodes(toy_collection, [5], [2], Rule(episodes=6), seed=1).settings[0]
    assert other.episodes != more.episodes


def test_crosspoint_asks_training_shapes_that_were_not_learned(toy_collection: Collection):
    rule = replace(PRESETS["crosspoint"].rule, queries=1, episodes=20)
    (setting,) = draw_episodes(toy_collection, [5], [2], rule).settings
    for episode in setting.episodes:
        assert {split_of(toy_collection, shape) for shape in episode.asked} == {"train"}
        assert not set(episode.learned) & set(episode.asked)
        assert len(episode.asked) == 5


def test_what_the_data_cannot_fill_is_left_out_and_named(toy_collection: Collection):
    given = draw_episodes(toy_collection, [5, 60], [1, 9, 1])
    assert [setting.name for setting in given.settings] == ["5-way 1-shot"]
    assert given.left_out["60-way 1-shot"] == "only 44 classes have 1 training and 1 test shape"
    assert given.left_out["5-way 9-shot"] == "only 0 classes have 9 training and 1 test shape"
    with pytest.raises(UserError, match=r"cannot fill any setting.*only 0 classes have 10 \+ 20 training"):
        draw_episodes(toy_collection, [5], [10], PRESETS["crosspoint"].rule)
    with pytest.raises(UserError, match="only 0 classes have 1 training and 20 test shapes"):
        draw_episodes(toy_collection, [5], [1], PRESETS["point-m2ae"].rule)
    for wrong in ({"ways": [1]}, {"ways": []}, {"shots": [0]}, {"rule": Rule(episodes=0)}):
        with pytest.raises(UserError, match="expected at least 2 ways"):
            draw_episodes(toy_collection, **wrong)


def test_classes_with_too_few_shapes_are_never_drawn(toy_collection: Collection):
    """All but six classes lose their last training shape's label."""
    fewer = Collection.open(toy_collection.folder)
    fewer.labels = fewer.labels.copy()
    train = fewer.indices("train")
    for label in range(6, 44):
        fewer.labels[train[fewer.labels[train] == label][0]] = -1
    (setting,) = draw_episodes(fewer, [5], [3], Rule(episodes=30)).settings
    assert setting.without == toy_collection.info.classes[6:]
    chosen = {name for episode in setting.episodes for name in episode.classes}
    assert chosen == set(toy_collection.info.classes[:6])


def test_saved_episodes_are_read_as_they_were(toy_collection: Collection, drawn: EpisodeSet, tmp_path: Path):
    """From a file of their own, and from one with the layout of a result."""
    for content in (asdict(drawn), {"layout": 2, "details": {"points": 64, "episodes": asdict(drawn)}}):
        (tmp_path / "e.json").write_text(json.dumps(content))
        assert read_episodes(tmp_path / "e.json", toy_collection) == drawn


def damaged(episodes: EpisodeSet, collection: Collection, how: str) -> dict:
    """A file's content with one thing wrong in its last episode."""
    content = asdict(episodes)
    episode = content["settings"][-1]["episodes"][-1]
    match how:
        case "unknown":
            episode["query"][0][0] = "nowhere/7"
            episode["support"][1][0] = "nowhere/8"
        case "class":
            episode["classes"][0], episode["classes"][1] = episode["classes"][1], episode["classes"][0]
        case "tested":
            episode["support"][0][0] = episode["query"][0].pop()
        case "both":
            content["queries_from"] = "train"
            for setting in content["settings"]:
                for each in setting["episodes"]:
                    each["query"] = each["support"]
        case "split":
            content["queries_from"] = "train"
        case "word":
            content["queries_from"] = "validation"
        case "ways":
            episode["classes"].pop()
        case "shots":
            episode["support"][0].pop()
        case "nothing":
            content["settings"] = []
        case "field":
            del episode["query"]
    return content


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("unknown", r"names shapes that .* lacks: nowhere/8, nowhere/7\. Give episodes of this collection"),
        ("class", "counts as .* what .* does not"),
        ("tested", "learns from shapes that are not of the training split"),
        ("both", "asks shapes that it learns from"),
        ("split", "asks shapes that are not of the train split"),
        ("word", "unknown split in .* 'validation'. Valid: train, test"),
        ("ways", "that is not of 5 classes"),
        ("shots", "other than 2 shapes to learn from"),
        ("nothing", "holds no episode"),
        ("field", "'query' is missing"),
    ],
)
def test_a_wrong_file_of_episodes_is_refused_by_name(
    toy_collection: Collection, drawn: EpisodeSet, tmp_path: Path, how: str, message: str
):
    path = tmp_path / "e.json"
    path.write_text(json.dumps(damaged(drawn, toy_collection, how)))
    with pytest.raises(UserError, match=message):
        read_episodes(path, toy_collection)


def test_what_is_no_file_of_episodes(toy_collection: Collection, tmp_path: Path):
    with pytest.raises(UserError, match="expected a number, or a file"):
        read_episodes(Path("many"), toy_collection)
    with pytest.raises(UserError, match="does not exist"):
        read_episodes(tmp_path / "e.json", toy_collection)
    (tmp_path / "linear.json").write_text('{"details": {"points": 64}}')
    with pytest.raises(UserError, match="'episodes' is missing"):
        read_episodes(tmp_path / "linear.json", toy_collection)


def test_accuracy_is_that_of_a_plain_svm_on_scaled_features():
    """Scaled by hand with the support set's mean and deviation; classes count alike."""
    rng = np.random.default_rng(0)
    learned, asked = (rng.normal(size=(12, 8)) * np.arange(1, 9), rng.normal(size=(20, 8)) * np.arange(1, 9))
    groups = [[f"{i}" for i in range(n)] for n in (4, 4, 4)]
    uneven = [["q"] * n for n in (2, 3, 15)]
    episode = Episode(["a", "b", "c"], groups, uneven)
    known, truth = episode.targets
    learned += 3 * known[:, None]
    asked += 3 * truth[:, None]
    mean, std = learned.mean(axis=0), learned.std(axis=0)
    machine = SVC(kernel="linear", C=1).fit((learned - mean) / std, known)
    answers = machine.predict((asked - mean) / std)
    assert np.array_equal(svm_answers(learned, known, asked), answers)
    right = answers == truth
    by_class = [right[:2].mean(), right[2:5].mean(), right[5:].mean()]
    assert episode.accuracy(right) == pytest.approx(np.mean(by_class))
    assert np.mean(by_class) != pytest.approx(right.mean())


def test_a_shape_counts_once_however_often_it_is_asked():
    episodes = [Episode(["x"], [["s"]], [asked]) for asked in (["a", "b"], ["c", "a"], ["a"])]
    setting = Setting(1, 1, [], episodes)
    assert setting.shapes == ["a", "b", "c"]
    right = [np.array([True, False]), np.array([True, False]), np.array([False])]
    assert setting.by_shape(right).tolist() == pytest.approx([1 / 3, 0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("points", [None, 40])
def test_frozen_episodes_match_a_slow_direct_computation(
    collection: Collection, encoder: Encoder, points: int | None
):
    """Every episode encoded by itself, of the first stored points, by every encoder, whatever its state."""
    other = untrained_like(encoder, 99)
    result = few_shot(
        [encoder.train(), other.train()], collection, ways=[3], shots=[2], episodes=3, points=points
    )
    assert encoder.training
    assert other.training
    episodes = draw_episodes(collection, [3], [2], Rule(episodes=3)).settings[0].episodes
    fresh = [untrained_like(encoder, seed) for seed in range(3)]

    def encoded(network: Encoder) -> Callable[[np.ndarray], np.ndarray]:
        return lambda clouds: encode(network.eval(), clouds)

    learners = {PRETRAINED: [encoded(encoder), encoded(other)], UNTRAINED: list(map(encoded, fresh))}
    for network, each in (learners | {HISTOGRAM: [shape_histogram]}).items():
        accuracies, by_shape = [], []
        for features in each:
            right: dict[str, list[bool]] = {}
            accuracies.append([])
            for episode in episodes:
                learned, asked = (
                    features(collection.points(rows(collection, shapes))[:, :points])
                    for shapes in (episode.learned, episode.asked)
                )
                known, truth = episode.targets
                correct = svm_answers(learned, known, asked) == truth
                accuracies[-1].append(np.mean([correct[truth == label].mean() for label in range(3)]))
                for shape, value in zip(episode.asked, correct, strict=True):
                    right.setdefault(shape, []).append(bool(value))
            shapes = result.details["shapes"]["3-way 2-shot"]
            by_shape.append([np.mean(right.pop(shape)) for shape in shapes])
            assert not right
        assert result.score(network, "accuracy").outcomes == pytest.approx(np.array(accuracies))
        assert result.score(network, "accuracy by shape").outcomes == pytest.approx(np.array(by_shape))


def test_intervals_of_one_encoder_are_over_episodes_and_over_the_shapes_that_they_asked(
    collection: Collection, encoder: Encoder
):
    result = few_shot(encoder, collection, ways=[3], shots=[1], episodes=4)
    accuracy, by_shape = (result.score(metric=metric) for metric in ("accuracy", "accuracy by shape"))
    assert (accuracy.units, len(accuracy.outcomes[0])) == ("episodes", 4)
    assert by_shape.units == "test shapes"
    assert len(by_shape.outcomes[0]) == len(set(result.details["shapes"]["3-way 1-shot"]))
    assert accuracy.setting == by_shape.setting == {"episode": "3-way 1-shot"}
    assert accuracy.estimate.low is not None
    assert "interval over episodes is about other episodes of these shapes" in result.caption
    assert [each.estimate.mean for each in result.scores if each.network == CHANCE] == [1 / 3, 1 / 3]
    assert result.score(UNTRAINED).estimate.count == 3


def test_the_spread_of_several_pretrainings_is_over_them(collection: Collection, encoder: Encoder):
    result = few_shot([encoder, untrained_like(encoder, 5)], collection, ways=[3], shots=[1], episodes=2)
    estimate = result.scores[0].estimate
    assert (estimate.count, estimate.low) == (2, None)
    assert estimate.std is not None


def test_what_is_left_out_is_in_the_result(collection: Collection, encoder: Encoder):
    fewer = Collection.open(collection.folder)
    fewer.labels = fewer.labels.copy()
    train = fewer.indices("train")
    fewer.labels[train[fewer.labels[train] == 4][0]] = -1
    result = few_shot(encoder, fewer, ways=[5, 99], shots=[3], episodes=2)
    assert result.data.left_out == {
        "99-way 3-shot": "only 43 classes have 3 training and 1 test shape",
        f"{fewer.info.classes[4]} of 5-way 3-shot": "too few shapes",
    }


def test_the_presets_are_the_published_settings():
    """As read from the programs."""
    crosspoint = PRESETS["crosspoint"]
    assert asdict(crosspoint.rule) == {"episodes": 10, "queries": 20, "queries_from": "train", "exact": True}
    assert (crosspoint.points, crosspoint.training) == (None, None)
    for name in ("point-m2ae", "joint-mae"):
        preset = PRESETS[name]
        training = preset.training
        assert training is not None
        assert asdict(preset.rule) == {"episodes": 10, "queries": 20, "queries_from": "test", "exact": True}
        assert preset.points == 1024
        assert (training.hidden, training.negative_slope) == ((256, 256), 0.0)
        schedule = training.schedule
        assert (schedule.epochs, schedule.optimizer, schedule.learning_rate) == (150, "adamw", 5e-4)
    assert set(PRESETS) == {"crosspoint", "point-m2ae", "joint-mae"}


@pytest.mark.slow
def test_fine_tuning_goes_on_where_it_was_interrupted(
    collection: Collection, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Finished episodes are kept; the result is that of an uninterrupted measurement; the encoder stays."""
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    options = {"ways": [3], "shots": [2], "episodes": 2, "queries": 2, "as_": "point-m2ae", "epochs": 3}
    whole = few_shot(encoder, collection, **options)
    trained: list[int] = []
    fit = classification.fit

    def stops(*given: Any, **named: Any) -> list[float]:
        trained.append(1)
        if len(trained) == 3:
            raise Interrupted("stopped")
        return fit(*given, **named)

    monkeypatch.setattr(classification, "fit", stops)
    measure = partial(few_shot, encoder, collection, **options, output=str(tmp_path / "few-shot.json"))
    with pytest.raises(Interrupted):
        measure()
    again = measure()
    assert len(trained) == 3 + 2
    assert again.scores == whole.scores
    assert "3 epochs" in whole.protocol
    assert [path.name for path in tmp_path.iterdir()] == ["few-shot.json"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_fine_tuning_starts_from_the_encoder_or_afresh_on_the_support_set(
    collection: Collection, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[Any, ...]] = []

    def spy(bench: object, note: str, *given: Any, seed: int, **named: object) -> np.ndarray:
        seen.append((note, *given, seed))
        return np.array([[0, 0, 0, 0, 2, 1]])

    monkeypatch.setattr("adacross.evaluation.few_shot.fine_tuned_predictions", spy)
    result = few_shot(encoder, collection, ways=[3], shots=[2], episodes=2, queries=2, as_="joint-mae")
    accuracy = result.score(PRETRAINED, "accuracy", episode="3-way 2-shot")
    assert accuracy.outcomes == [pytest.approx([0.5, 0.5])]
    assert result.score(SCRATCH).networks == [0]
    networks = [call[1] for call in seen]
    assert networks[0] is networks[1] is encoder
    weights = [next(network.parameters()) for network in networks[1:]]
    assert all(not torch.equal(a, b) for a, b in combinations(weights, 2))
    assert [call[-1] for call in seen[:2]] == [call[-1] for call in seen[2:]]
    assert len({call[0] for call in seen}) == 4, "pieces of the ledger have different names"
    episodes = draw_episodes(collection, [3], [2], Rule(episodes=2, queries=2)).settings[0].episodes
    for (_, _, train, test, classes, training, _), episode in zip(seen, 2 * episodes, strict=True):
        assert (classes, training.points) == (3, 64)
        assert np.array_equal(train[0], collection.points(rows(collection, episode.learned)))
        assert np.array_equal(test, collection.points(rows(collection, episode.asked)))
        assert train[1].tolist() == [0, 0, 1, 1, 2, 2]


@pytest.fixture
def run(toy_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(toy_run, tmp_path / "toy")
    return tmp_path / "toy"


@pytest.mark.slow
def test_a_result_gives_its_episodes_to_another_measurement(
    run: Path, collection: Collection, tmp_path: Path
):
    first = few_shot(str(run), collection, ways=[5], shots=[1, 2], episodes=3, seed=4)
    path = run / "evaluation" / "toy" / f"{first.name}.json"
    kept = load(path)
    assert kept == first
    again = few_shot(str(run), collection, episodes=str(path))
    assert again.scores == first.scores
    assert again.details == first.details
    assert str(tmp_path) not in json.dumps(asdict(again)), "a path of this machine"
    assert few_shot(str(run), collection, episodes=str(path)) == again
    with pytest.raises(UserError, match=r"'test'\. Valid: train"):
        few_shot(str(run), collection, episodes=str(path), as_="crosspoint")
    episodes = tmp_path / "episodes.json"
    measured: list[Result] = []
    for count in (2, 3):
        drawn = draw_episodes(collection, [4], [1], Rule(episodes=count))
        episodes.write_text(json.dumps(asdict(drawn)))
        measured.append(few_shot(str(run), collection, episodes=str(episodes)))
    assert [len(each.scores[0].outcomes[0]) for each in measured] == [2, 3], "other episodes in the same file"
    assert measured[0].name != measured[1].name


@pytest.mark.slow
def test_as_papers(collection: Collection, encoder: Encoder):
    measure = partial(few_shot, encoder, collection, ways=[3], shots=[2], queries=1, episodes=2)
    crosspoint = measure(as_="crosspoint")
    assert "queries: 1 training shapes of each class" in crosspoint.protocol
    assert "pre-training may have seen them" in crosspoint.caption
    assert crosspoint.score(metric="accuracy by shape").units == "training shapes"
    point_m2ae = measure(as_="point-m2ae", epochs=1)
    assert "queries: 1 test shapes of each class" in point_m2ae.protocol
    assert "whole network fine-tuned: adamw 0.0005" in point_m2ae.protocol
    assert {score.network for score in point_m2ae.scores} == {PRETRAINED, SCRATCH, CHANCE}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"as_": "crossnet"}, "no few-shot figures of crossnet are known"),
        ({"as_": "adacrossnet"}, "--as knows crosspoint, point-m2ae, joint-mae"),
        ({"epochs": 3}, "features are frozen"),
        ({"as_": "point-m2ae", "epochs": 0}, "epochs is 0"),
        ({"points": 0}, "points is 0; expected 1 to 64"),
        ({"as_": "crosspoint", "points": 65}, "points is 65; expected 1 to 64"),
        ({"episodes": "few.json", "shots": [1]}, "shots given beside --episodes FILE"),
        ({"episodes": 0}, "0 episodes"),
        ({}, "cannot fill any setting"),
    ],
    ids=str,
)
def test_mistakes(
    toy_collection: Collection, encoder: Encoder, tmp_path: Path, options: dict[str, Any], message: str
):
    with pytest.raises(UserError, match=message):
        few_shot(encoder, toy_collection, **options, output=str(tmp_path / "x.json"))
    assert list(tmp_path.iterdir()) == []
