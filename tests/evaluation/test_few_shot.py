"""Few-shot episodes: drawn, kept, read; learnt as plain scikit-learn does, and as a user types it."""

import json
import re
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.encoders import Encoder, PointNet
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.evaluation import classification
from adacross.evaluation.few_shot.episodes import Episode, EpisodeSet, Rule, draw_episodes, read_episodes
from adacross.evaluation.few_shot.learners import episode_accuracy
from adacross.evaluation.few_shot.measure import FewShotResult, measure_few_shot
from adacross.evaluation.few_shot.protocol import OURS, PRESETS
from adacross.evaluation.results import load
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
            assert {split_of(toy_collection, shape) for shape in episode.learnt} == {"train"}
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


def test_crosspoint_asks_training_shapes_that_were_not_learnt(toy_collection: Collection):
    rule = replace(PRESETS["crosspoint"].rule, queries=1, episodes=20)
    (setting,) = draw_episodes(toy_collection, [5], [2], rule).settings
    for episode in setting.episodes:
        assert {split_of(toy_collection, shape) for shape in episode.asked} == {"train"}
        assert not set(episode.learnt) & set(episode.asked)
        assert len(episode.asked) == 5


def test_what_the_data_cannot_fill_is_left_out_and_named(toy_collection: Collection):
    given = draw_episodes(toy_collection, [5, 60], [1, 9])
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
    drawn.save(tmp_path / "e.json")
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


def test_accuracy_is_that_of_a_plain_svm_on_scaled_features():
    """Scaled by hand with the support set's mean and deviation; classes count alike."""
    rng = np.random.default_rng(0)
    learnt, asked = (rng.normal(size=(12, 8)) * np.arange(1, 9), rng.normal(size=(20, 8)) * np.arange(1, 9))
    groups = [[f"{i}" for i in range(n)] for n in (4, 4, 4)]
    uneven = [["q"] * n for n in (2, 3, 15)]
    episode = Episode(["a", "b", "c"], groups, uneven)
    known, truth = episode.targets
    learnt += 3 * known[:, None]
    asked += 3 * truth[:, None]
    mean, std = learnt.mean(axis=0), learnt.std(axis=0)
    machine = SVC(kernel="linear", C=1).fit((learnt - mean) / std, known)
    right = machine.predict((asked - mean) / std) == truth
    by_class = [right[:2].mean(), right[2:5].mean(), right[5:].mean()]
    assert episode_accuracy(learnt, asked, episode) == pytest.approx(np.mean(by_class))
    assert np.mean(by_class) != pytest.approx(right.mean())


@pytest.mark.slow
def test_frozen_episodes_match_a_slow_direct_computation(
    toy_collection: Collection, drawn: EpisodeSet, encoder: Encoder
):
    """Each episode encoded by itself, by the encoder whose turn it is, whatever its state."""
    other = untrained_like(encoder, 99)
    result = measure_few_shot([encoder.train(), other.train()], toy_collection, drawn, names=["a", "b"])
    assert encoder.training
    assert other.training
    for setting, row in zip(drawn.settings, result.settings, strict=True):
        for number, episode in enumerate(setting.episodes):
            groups = [
                np.array([toy_collection.ids.index(shape) for shape in shapes])
                for shapes in (episode.learnt, episode.asked)
            ]
            for network, found in (
                ((encoder, other)[number % 2], row.pretrained),
                (untrained_like(encoder, number), row.untrained),
            ):
                learnt, asked = (encode(network.eval(), toy_collection.points(group)) for group in groups)
                assert found.values[number] == pytest.approx(episode_accuracy(learnt, asked, episode))
        assert row.gain.values == pytest.approx(np.subtract(row.pretrained.values, row.untrained.values))
    assert "2 pre-training seeds take turns" in result.spread
    assert "4 initialisations take turns" in result.spread
    assert result.settings[0].chance == pytest.approx(1 / 3)


def test_fewer_points_are_drawn_the_same_for_all_clouds(
    toy_collection: Collection, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
):
    """Three draws take turns; as a paper measures, the first stored points are taken."""
    seen: list[np.ndarray] = []

    def spy(network: Encoder, clouds: np.ndarray, device: str) -> np.ndarray:
        seen.append(clouds)
        return np.random.default_rng(0).normal(size=(len(clouds), network.dim)).astype(np.float32)

    monkeypatch.setattr("adacross.evaluation.few_shot.learners.encode", spy)
    episodes = draw_episodes(toy_collection, [3], [1], Rule(episodes=5))
    drawing = measure_few_shot([encoder], toy_collection, episodes, replace(OURS, points=40))
    assert "3 draws of points take turns" in drawing.spread
    everything = toy_collection.points(np.arange(len(toy_collection)))
    draws = set()
    for clouds in seen:
        places = [
            tuple(int(np.flatnonzero((cloud == point).all(axis=1))[0]) for point in clouds[0])
            for cloud in everything
            if (cloud == clouds[0][0]).all(axis=1).any()
        ]
        draws.add(places[0])
        owners = [i for i, cloud in enumerate(everything) if (cloud[list(places[0])] == clouds[0]).all()]
        assert len(owners) == 1
    assert len(draws) == 3
    assert {len(places) for places in draws} == {40}
    seen.clear()
    first = replace(OURS, points=40, first=True)
    assert "points" not in measure_few_shot([encoder], toy_collection, episodes, first).spread
    assert all((everything[:, :40] == clouds[0]).all(axis=(1, 2)).any() for clouds in seen)


def test_the_presets_are_the_published_settings():
    """As read from the programs."""
    crosspoint = PRESETS["crosspoint"]
    assert asdict(crosspoint.rule) == {"episodes": 10, "queries": 20, "queries_from": "train", "exact": True}
    assert (crosspoint.points, crosspoint.fine_tune) == (None, None)
    assert "linear SVM (SVC, C = 1)" in crosspoint.words
    for name in ("point-m2ae", "joint-mae"):
        protocol = PRESETS[name]
        training = protocol.fine_tune
        assert training is not None
        assert asdict(protocol.rule) == {"episodes": 10, "queries": 20, "queries_from": "test", "exact": True}
        assert (protocol.points, protocol.first) == (1024, True)
        assert (training.hidden, training.negative_slope) == ((256, 256), 0.0)
        schedule = training.schedule
        assert (schedule.epochs, schedule.optimizer, schedule.learning_rate) == (150, "adamw", 5e-4)
    assert set(PRESETS) == {"crosspoint", "point-m2ae", "joint-mae"}


@pytest.mark.slow
def test_fine_tuning_goes_on_where_it_was_interrupted(
    toy_collection: Collection, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Finished episodes are kept; the result is that of an uninterrupted measurement; the encoder stays."""
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    episodes = draw_episodes(toy_collection, [3], [2], Rule(episodes=2))
    protocol = PRESETS["point-m2ae"].with_epochs(3)
    whole = measure_few_shot([encoder], toy_collection, episodes, protocol)
    trained: list[int] = []
    measure = classification.Task.measure

    def stops(self: classification.Task, *given: object) -> list[float]:
        trained.append(1)
        if len(trained) == 3:
            raise Interrupted("stopped")
        return measure(self, *given)

    monkeypatch.setattr(classification.Task, "measure", stops)
    path = tmp_path / "few-shot.json"
    with pytest.raises(Interrupted):
        measure_few_shot([encoder], toy_collection, episodes, protocol, result=path)
    again = measure_few_shot([encoder], toy_collection, episodes, protocol, result=path)
    assert len(trained) == 3 + 2
    assert again.settings == whole.settings
    assert "fresh one in each" in whole.spread
    assert "3 epochs" in whole.classifier
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_fine_tuning_starts_from_the_encoder_or_afresh_on_the_support_set(
    toy_collection: Collection, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[classification.Task, Encoder, np.ndarray, int]] = []

    def spy(self: classification.Task, network: Encoder, chosen: np.ndarray, seed: int, *_: object) -> list:
        seen.append((self, network, chosen, seed))
        return [0.5, 0.25]

    monkeypatch.setattr(classification.Task, "measure", spy)
    episodes = draw_episodes(toy_collection, [3], [2], Rule(episodes=2))
    result = measure_few_shot([encoder], toy_collection, episodes, PRESETS["joint-mae"])
    assert result.settings[0].pretrained.values == [0.25, 0.25]
    assert result.protocol == "joint-mae"
    first, second, fresh, other = seen
    assert first[1] is second[1] is encoder
    weights = [next(network.parameters()) for network in (encoder, fresh[1], other[1])]
    assert all(not torch.equal(a, b) for a, b in combinations(weights, 2))
    assert [call[3] for call in seen[:2]] == [call[3] for call in seen[2:]]
    for task, _, chosen, _ in seen:
        assert task.classes == 3
        assert list(chosen) == list(range(6))
    learnt = [toy_collection.ids.index(shape) for shape in episodes.settings[0].episodes[0].learnt]
    assert np.array_equal(first[0].clouds[0], toy_collection.points(np.array(learnt)))
    assert first[0].labels[0].tolist() == [0, 0, 1, 1, 2, 2]


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["evaluate", "few-shot", *words])
    out, err = capsys.readouterr()
    return code, re.sub(r"\s+", " ", out), re.sub(r"\s+", " ", err)


@pytest.mark.slow
def test_as_typed_and_measured_again_from_its_own_episodes(
    capsys: pytest.CaptureFixture[str], toy_run: Path, toy_collection: Collection, tmp_path: Path
):
    data, path = str(toy_collection.folder), tmp_path / "few.json"
    small = ["--ways", "5", "99", "--shots", "1", "2", "--episodes", "3", "--seed", "4", "--device", "cpu"]
    code, out, err = typed(capsys, str(toy_run), data, *small, "--output", str(path))
    assert code == 0, err
    assert "5-way 2-shot" in out
    assert "StandardScaler and linear SVM (SVC, C = 1)" in out
    assert "99-way 1-shot is left out: only 44 classes" in err
    result = load(FewShotResult, path)
    assert [len(row.pretrained.values) for row in result.settings] == [3, 3]
    assert (result.encoders, result.seed, result.episodes) == (["toy"], 4, "few-episodes.json")
    assert set(result.left_out) == {"99-way 1-shot", "99-way 2-shot"}
    kept = tmp_path / "few-episodes.json"
    again = tmp_path / "again.json"
    code, _, err = typed(
        capsys, str(toy_run), data, "--episodes", str(kept), "--output", str(again), "--device", "cpu"
    )
    assert code == 0, err
    assert load(FewShotResult, again).settings == result.settings
    assert (tmp_path / "again-episodes.json").read_text() == kept.read_text()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "again-episodes.json", "again.json", "few-episodes.json", "few.json",
    ]  # fmt: skip
    code, _, err = typed(capsys, str(toy_run), data, "--episodes", str(kept), "--as", "crosspoint")
    assert code == 2
    assert "'test'. Valid: train" in err


def test_as_papers_as_typed(
    capsys: pytest.CaptureFixture[str], toy_run: Path, toy_collection: Collection, tmp_path: Path
):
    given = [str(toy_run), str(toy_collection.folder), "--ways", "3", "--shots", "2", "--queries", "1"]
    given += ["--episodes", "2", "--device", "cpu"]
    for paper, extra in (("crosspoint", []), ("point-m2ae", ["--epochs", "2"])):
        path = tmp_path / f"{paper}.json"
        code, out, err = typed(capsys, *given, *extra, "--as", paper, "--output", str(path))
        assert code == 0, err
        assert f"few-shot as {paper}" in out
        result = load(FewShotResult, path)
        assert result.protocol == paper
        assert result.settings[0].queries == [1, 1]
        assert result.queries_from == ("train" if paper == "crosspoint" else "test")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--as", "crossnet"], "no few-shot figures of crossnet are known"),
        (["--as", "adacrossnet"], "--as knows crosspoint, point-m2ae, joint-mae"),
        (["--epochs", "3"], "features are frozen"),
        (["--as", "point-m2ae", "--epochs", "0"], "epochs is 0"),
        (["--points", "0"], "points is 0"),
        (["--episodes", "few.json", "--shots", "1"], "shots given beside --episodes FILE"),
        (["--episodes", "0"], "0 episodes"),
        ([], "cannot fill any setting"),
    ],
    ids=" ".join,
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str],
    toy_run: Path,
    toy_collection: Collection,
    tmp_path: Path,
    words: list[str],
    message: str,
):
    code, _, err = typed(
        capsys, str(toy_run), str(toy_collection.folder), *words, "--output", str(tmp_path / "x.json")
    )
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []
