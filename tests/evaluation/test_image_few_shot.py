"""Few-shot images: episodes, the classifier against the plain one, the protocol, training on base classes."""

import base64
import io
import pickle  # noqa: TID251  the tests write what the library must read without it
import shutil
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import nn
from toy import TOY, TOY_MASKED

from adacross.console import progress_bar
from adacross.data.image_set import ImageSet, read_image_set
from adacross.data.transforms import plain_views
from adacross.encoders import PointNet, ResNet
from adacross.errors import UserError
from adacross.evaluation import images as module
from adacross.evaluation.images import (
    RFS,
    ImageFolder,
    Study,
    accuracy,
    draw_episodes,
    images,
    normalized_views,
    random_crop,
    solve,
)
from adacross.evaluation.ledger import Ledger
from adacross.evaluation.result import CHANCE, PRETRAINED, SCRATCH, UNTRAINED, Result, load
from adacross.evaluation.supervised import fit
from adacross.training.config import PretrainConfig
from adacross.training.interrupt import Interrupted
from adacross.training.networks import load_method, new_method, save_method

BRIEF: dict[str, Any] = {
    "ways": [3], "shots": [1], "queries": 4, "episodes": 6, "seeds": 1, "device": "cpu",
}  # fmt: skip
TRAINED = BRIEF | {"train": True, "epochs": 2, "batch_size": 16}


def colors(per_class: int = 12, classes: int = 6, size: int = 32, noise: int = 40) -> ImageSet:
    """Images of one color a class, with noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), per_class)
    base = rng.integers(60, 196, (classes, 1, 1, 3))
    pictures = base[labels] + rng.integers(-noise, noise + 1, (len(labels), size, size, 3))
    names = [f"color {label}" for label in range(classes)]
    return ImageSet(Path("colors"), "made up", "all", names, pictures.clip(0, 255).astype(np.uint8), labels)


def write(data: ImageSet, folder: Path, split: Callable[[int], str] = lambda label: "test") -> Path:
    """Write images as CIFAR-FS has them, with the split of each label."""
    folder.mkdir()
    splits = np.array([split(label) for label in data.labels.tolist()])
    for name in np.unique(splits):
        chosen = splits == name
        table = {"data": data.pictures[chosen], "labels": data.labels[chosen].tolist()}
        (folder / f"CIFAR_FS_{name}.pickle").write_bytes(pickle.dumps(table))
    return folder


def write_png(data: ImageSet, folder: Path) -> Path:
    """Write images as `<class>/*.png`."""
    for index, (image, label) in enumerate(zip(data.pictures, data.labels, strict=True)):
        path = folder / data.classes[label] / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(colors(), tmp_path_factory.mktemp("images") / "colors")


@pytest.fixture(scope="module")
def split_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base classes in train, others in test."""
    place = tmp_path_factory.mktemp("images") / "disjoint"
    return write(colors(classes=9), place, lambda label: "train" if label < 4 else "test")


def made_run(place: Path, options: dict[str, Any] = TOY, seed: int = 0, **changes: Any) -> Path:
    """A run as `pretrain` leaves it, of a network that nobody trained."""
    torch.manual_seed(seed)
    config = PretrainConfig("no/collection", run=str(place), **options | changes)
    config.save(place)
    save_method(new_method(config), place)
    return place


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of AdaCrossNet, which has an RGB and a gray tower."""
    return made_run(tmp_path / "run")


def study(data: ImageSet, base: ImageSet | None = None, **changes: Any) -> Study:
    episodes = {"5-way 2-shot": draw_episodes(data.labels, 5, 2, 4, 3)}
    options: dict[str, Any] = {
        "schedule": RFS,
        "size": 32,
        "gray": False,
        "device": "cpu",
        "ledger": Ledger(None, {}),
    }
    return Study(data, base, episodes, **options | changes)


def accuracies(result: Result, network: str = PRETRAINED) -> list[list[float]]:
    return result.score(network).outcomes


def test_episodes_have_what_they_promise_and_come_back():
    labels = np.array([4, 4, 4, 4, 9, 9, 9, 9, 0, 0, 0, 0, 7, 7, 7, 7, 7])
    episodes = draw_episodes(labels, ways=3, shots=2, queries=2, count=50, seed=3)
    again = draw_episodes(labels, ways=3, shots=2, queries=2, count=10, seed=3)
    drawn: set[int] = set()
    for episode, same in zip(episodes, again, strict=False):
        np.testing.assert_array_equal(episode.queries, same.queries)
    for support, queries in episodes:
        both = np.concatenate([support, queries], axis=1)
        classes = labels[both[:, 0]]
        assert len(set(classes.tolist())) == 3
        assert (labels[both] == classes[:, None]).all()
        assert len(set(both.ravel().tolist())) == both.size  # no query was learned from
        drawn |= set(both.ravel().tolist())
    assert drawn == set(range(17))
    other = draw_episodes(labels, ways=3, shots=2, queries=2, count=10, seed=4)
    assert any((a.queries != b.queries).any() for a, b in zip(episodes, other, strict=False))


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize("width", [8, 600])
def test_the_classifier_is_plain_logistic_regression(shots: int, width: int):
    """Fitted in the support set's span it is the same, and it converges without a warning."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 20)
    features = rng.normal(size=(120, width)) + 0.8 * rng.normal(size=(6, width))[labels]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    same, asked = 0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for support, queries in draw_episodes(labels, 5, shots, 10, 20):
            plain = LogisticRegression(C=1.0, max_iter=1000, tol=1e-8)
            plain.fit(features[support.ravel()], np.repeat(np.arange(5), shots))
            expected = plain.predict(features[queries.ravel()]).reshape(5, 10)
            same += (solve(features[support], features[queries]) == expected).sum()
            asked += expected.size
    assert same / asked > 0.995  # the solver's own tolerance


def test_features_are_the_towers_in_evaluation_mode_of_plain_images():
    """Before the projection, whatever state the tower was left in and whatever the batch."""
    data = colors(per_class=15)
    tower = ResNet(18, 3, width=8)
    tower(torch.randn(8, 3, 32, 32))  # its statistics move
    tower.train()
    found = study(data).features(tower)
    assert tower.training
    tower.eval()
    with torch.inference_mode():
        expected = tower(plain_views(torch.from_numpy(data.pictures), 32)).double().numpy()
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(study(data).features(None), axis=1), 1, atol=1e-6)


def test_images_are_resized_to_what_the_tower_was_trained_on():
    data = colors(size=20)
    seen: list[tuple[int, ...]] = []
    tower = ResNet(18, 1, width=8)
    tower.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[1:])))
    study(data, size=48, gray=True).features(tower)
    assert set(seen) == {(1, 48, 48)}
    assert study(data, size=48).features(None).shape == (72, 3 * 32 * 32)


def test_a_crop_is_a_shifted_image_on_black():
    pictures = torch.randint(1, 256, (40, 16, 16, 3), dtype=torch.uint8)
    crops = random_crop(pictures, torch.Generator().manual_seed(0))
    shifts = set()
    for image, crop in zip(pictures, crops, strict=True):
        fitting = []
        for y in range(-2, 3):
            for x in range(-2, 3):
                moved = torch.zeros_like(image)
                moved[max(0, -y) : 16 - max(0, y), max(0, -x) : 16 - max(0, x)] = image[
                    max(0, y) : 16 + min(0, y), max(0, x) : 16 + min(0, x)
                ]
                fitting += [(y, x)] if torch.equal(moved, crop) else []
        assert len(fitting) == 1
        shifts.update(fitting)
    assert len(shifts) > 15


def test_an_episode_learns_from_five_augmented_copies_after_training(monkeypatch: pytest.MonkeyPatch):
    """And only from those; its queries stay as they are. Without base classes there is none."""
    asked: list[tuple[np.ndarray, np.ndarray]] = []

    def solving(support: np.ndarray, queries: np.ndarray) -> np.ndarray:
        asked.append((support, queries))
        return solve(support, queries)

    monkeypatch.setattr(module, "solve", solving)
    data, tower = colors(), ResNet(18, 3, 8)
    monkeypatch.setattr(Study, "trained", lambda self, network, *rest: network)
    with progress_bar("done") as progress:
        for base in (None, data):
            study(data, base).measure(tower, 0, "x", progress)
    made = study(data)
    plain = made.features(tower)
    copies = np.stack([made.features(tower, copy) for copy in range(5)])
    assert not (np.abs(copies - plain).max(axis=2) < 1e-6).any()
    assert len({copy.tobytes() for copy in copies}) == 5
    for place, (support, queries) in enumerate(draw_episodes(data.labels, 5, 2, 4, 3)):
        frozen, augmented = asked[place], asked[3 + place]
        np.testing.assert_array_equal(frozen[0], plain[support])
        assert augmented[0].shape == (5, 2 * 5, tower.dim)
        for way in range(5):
            expected = np.concatenate([copies[:, index] for index in support[way]])
            np.testing.assert_array_equal(augmented[0][way], expected)
        np.testing.assert_array_equal(frozen[1], plain[queries])
        np.testing.assert_array_equal(augmented[1], plain[queries])


def test_augmented_views_are_the_same_for_the_same_generator_and_have_the_towers_channels():
    pictures = torch.from_numpy(colors().pictures[:8])
    for gray, channels in ((False, 3), (True, 1)):
        first, again, other = (
            normalized_views(pictures, 32, gray, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
        )
        assert first.shape == (8, channels, 32, 32)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


@pytest.mark.slow
def test_what_pixels_tell_is_found_and_noise_is_chance(run: Path, tmp_path: Path):
    options: dict[str, Any] = {"seeds": 1, "device": "cpu"}
    clear = images(run, write(colors(noise=8), tmp_path / "clear"), queries=4, episodes=30, **options)
    for episode in ("5-way 1-shot", "5-way 5-shot"):
        assert clear.score("pixels", episode=episode).estimate.mean > 0.85
    data = colors(per_class=30)
    data.pictures[:] = np.random.default_rng(1).permutation(data.pictures)
    blind = images(run, write(data, tmp_path / "noise"), shots=[5], episodes=60, **options)
    for network in (PRETRAINED, UNTRAINED, "pixels", CHANCE):
        assert blind.score(network).estimate.mean == pytest.approx(0.2, abs=0.04)


@pytest.mark.slow
def test_all_networks_solve_the_same_episodes(run: Path, folder: Path, tmp_path: Path):
    other = made_run(tmp_path / "other", seed=1)
    options = BRIEF | {"ways": [3, 5], "shots": [1, 2]}
    one = images(run, folder, **options | {"seeds": 2})
    two = images([run, other], folder, **options)
    assert list(dict.fromkeys(score.setting["episode"] for score in one.scores)) == [
        "3-way 1-shot", "3-way 2-shot", "5-way 1-shot", "5-way 2-shot",
    ]  # fmt: skip
    assert {(score.units, score.metric) for score in one.scores} == {("episodes", "accuracy")}
    assert one.score(UNTRAINED).networks == [0, 1]
    assert accuracies(one, UNTRAINED)[0] != accuracies(one, UNTRAINED)[1]
    assert two.score().networks == [0, 1]
    assert accuracies(two)[0] == accuracies(one)[0]
    assert one.score().estimate.std is None
    assert two.score().estimate.std is not None
    assert accuracies(one, "pixels") == accuracies(two, "pixels")
    assert one.score(CHANCE, episode="5-way 1-shot").estimate.mean == 0.2
    gains = [gain.mean for _, gain in one.gains()]
    assert gains[0] == pytest.approx(np.mean(accuracies(one)) - np.mean(accuracies(one, UNTRAINED)))
    assert len(gains) == 4
    assert "interval over episodes" in one.caption
    assert "72 images" in one.caption
    assert one.data.test == 72
    fewer = images(run, folder, **BRIEF | {"ways": [5]})
    assert accuracies(fewer) == one.score(episode="5-way 1-shot").outcomes  # whatever else is measured


def test_the_example_is_the_first_episode(run: Path, folder: Path):
    result = images(run, folder, **BRIEF | {"shots": [2, 5], "queries": 5})
    data = read_image_set(folder, 32)
    ((support, queries),) = draw_episodes(data.labels, 3, 2, 5, 1)
    method: Any = load_method(run)[0]
    features = study(data).features(method.towers["rgb"].encoder)
    predicted = solve(features[support], features[queries])
    example = result.details["example"]
    names = [data.classes[label] for label in data.labels[support[:, 0]]]
    assert example["setting"] == "3-way 2-shot"
    assert example["accuracy"] == accuracy(predicted) == accuracies(result)[0][0]
    assert example["classes"] == names
    assert [query["truth"] for query in example["queries"]] == np.repeat(names, 3).tolist()
    assert [query["predicted"] for query in example["queries"]] == [
        names[way] for way in predicted[:, :3].ravel()
    ]
    shown = Image.open(io.BytesIO(base64.b64decode(example["support"][1][0])))
    np.testing.assert_array_equal(np.asarray(shown), data.pictures[support[1, 0]])


@pytest.mark.slow
def test_classes_with_too_few_images_are_left_out_and_named(run: Path, tmp_path: Path):
    """Of the settings that need more only: no figure depends on which others are measured."""
    data = colors(per_class=6, classes=7)
    kept = np.flatnonzero((data.labels != 2) | (np.arange(len(data.labels)) % 6 < 5))
    data = replace(data, pictures=data.pictures[kept], labels=data.labels[kept])
    place = write(data, tmp_path / "few")
    options = BRIEF | {"ways": [5], "queries": 4}
    both = images(run, place, **options | {"shots": [1, 2]})
    assert both.data.left_out == {"class 2 (5 images)": "too few for 2-shot with 4 queries"}
    alone = images(run, place, **options)
    assert alone.score().outcomes == both.score(episode="5-way 1-shot").outcomes
    with pytest.raises(UserError, match=r"has 0 classes of 7 images or more; 5-way episodes need 5"):
        images(run, place, **options | {"shots": [3]})


@pytest.mark.slow
def test_a_folder_of_images(run: Path, folder: Path, tmp_path: Path):
    """Its images are those of the pickle; what cannot be read is in the result."""
    place = write_png(colors(), tmp_path / "folder")
    (place / "color 0" / "broken.png").write_bytes(b"no image")
    result = images(run, place, **BRIEF)
    assert result.score().outcomes == images(run, folder, **BRIEF).score().outcomes
    (reason,) = result.data.left_out.values()
    assert "color 0/broken.png" in reason
    with pytest.raises(UserError, match=r"folder has no splits\. --train learns base classes"):
        images(run, place, **TRAINED)


@pytest.mark.parametrize(
    "wrong", [{"ways": [1]}, {"shots": [0]}, {"queries": 0}, {"episodes": 0}, {"seeds": 0}], ids=str
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any], run: Path, folder: Path):
    with pytest.raises(UserError, match="expected at least 2 ways"):
        images(run, folder, **BRIEF | wrong)


@pytest.mark.slow
def test_an_interrupted_measurement_goes_on(run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    done: list[str] = []
    real = Study.measure

    def stopping(self: Study, network: nn.Module | None, seed: int, name: str, *bar: Any) -> Any:
        if name == "untrained-1" and len(done) == 2:
            raise KeyboardInterrupt
        done.append(name)
        return real(self, network, seed, name, *bar)

    options = BRIEF | {"seeds": 2}
    monkeypatch.setattr(Study, "measure", stopping)
    with pytest.raises(KeyboardInterrupt):
        images(run, folder, **options)
    done.append("again")
    result = images(run, folder, **options)
    assert done == ["pre-trained-0", "untrained-0", "again", "untrained-1", "pixels-0"]
    assert not list((run / "evaluation" / "colors").glob("*.pieces"))
    assert images(run, folder, **options, overwrite=True).scores == result.scores


def test_the_result_is_saved_and_measured_once(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    result = images(run, folder, **BRIEF)
    (path,) = (run / "evaluation" / "colors").iterdir()
    assert load(path) == result
    assert images(run, folder, **BRIEF) == result
    assert "--overwrite measures again" in " ".join(capsys.readouterr().err.split())
    copied = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert ImageFolder(copied).digest() == ImageFolder(folder).digest() == result.data.digest
    write(colors(noise=41), tmp_path / "other")
    assert ImageFolder(tmp_path / "other").digest() != result.data.digest
    (copied / "CIFAR_FS_test.pickle").rename(copied / "CIFAR_FS_val.pickle")
    assert ImageFolder(copied).digest() != result.data.digest


def test_the_gray_tower_where_there_is_one(run: Path, folder: Path):
    result = images(run, folder, **BRIEF, tower="gray")
    assert result.details["network"] == "ResNet-18 (gray)"
    assert accuracies(result) != accuracies(images(run, folder, **BRIEF))


def test_runs_without_such_a_tower_are_refused_with_a_sentence(run: Path, folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"one \(crosspoint\) has no gray tower, only rgb"):
        images(made_run(tmp_path / "one", method="crosspoint"), folder, tower="gray")
    with pytest.raises(UserError, match="the encoder is a point encoder alone"):
        images(run / "encoder", folder)
    with pytest.raises(UserError, match="the encoder is a point encoder alone"):
        images(PointNet(width=32), folder)
    with pytest.raises(UserError, match="nowhere is not a folder"):
        images(run, tmp_path / "nowhere")
    with pytest.raises(UserError, match="pre-trained with joint-mae, which has no image tower"):
        images(made_run(tmp_path / "masked", TOY_MASKED), folder)
    with pytest.raises(UserError, match="different image towers or sizes"):
        images([run, made_run(tmp_path / "other", image_size=40)], folder)


@pytest.mark.slow
def test_training_learns_the_base_classes_and_is_deterministic(run: Path, split_folder: Path):
    result = images(run, split_folder, **TRAINED | {"seeds": 2})
    again = images(run, split_folder, **TRAINED | {"seeds": 2}, overwrite=True)
    assert again.scores == result.scores
    assert result.score().networks == [0, 0]  # one pre-training, measured twice
    assert result.score(SCRATCH).networks == [0, 1]
    assert {score.network for score in result.scores} == {PRETRAINED, SCRATCH, "pixels", CHANCE}
    assert accuracies(result)[0] != accuracies(result)[1]
    assert (result.data.train, result.data.test) == (48, 60)
    assert "trained on 4 base classes for 2 epochs" in result.protocol
    (path,) = (run / "evaluation" / "disjoint").iterdir()
    assert load(path) == again
    frozen = images(run, split_folder, **BRIEF)
    assert frozen.data.train == 0
    assert frozen.data.classes == result.data.classes


def test_a_network_learns_from_the_train_split_alone(split_folder: Path):
    """Its classes are others than those of the test split, and a frozen tower is trained, too."""
    base, novel = (read_image_set(split_folder, 32, split) for split in ("train", "test"))
    assert not set(base.classes) & set(novel.classes)
    tower = ResNet(18, 3, 8).requires_grad_(False)
    before = [weight.clone() for weight in tower.parameters()]
    schedule = RFS.changed(epochs=6, batch_size=16, learning_rate=0.02)
    with progress_bar("done") as progress:
        trained = study(novel, schedule=schedule).trained(tower, base, 0, "x", progress)
    assert all(map(torch.equal, tower.parameters(), before))  # a copy was trained
    assert not any(map(torch.equal, trained.parameters(), before))
    features, raw = (study(base).features(network) for network in (trained, tower))

    def apart(rows: np.ndarray) -> float:
        """Share of the variance that lies between the classes."""
        centers = np.stack([rows[base.labels == label].mean(axis=0) for label in range(4)])
        return float(centers.var(axis=0).sum() / rows.var(axis=0).sum())

    assert apart(features) > apart(raw)


def test_sets_without_disjoint_base_classes_are_refused(run: Path, folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"CIFAR_FS_train.pickle"):
        images(run, folder, **TRAINED)
    table = {"data": colors().pictures[:24], "labels": [3] * 12 + [77] * 12}
    place = write(colors(), tmp_path / "shared")
    (place / "CIFAR_FS_train.pickle").write_bytes(pickle.dumps(table))
    with pytest.raises(UserError, match=r"shared has class 3 in both train and test\. --train learns"):
        images(run, place, **TRAINED)
    with pytest.raises(UserError, match=r"belong to the training\. Give --train"):
        images(run, folder, **BRIEF, epochs=3)
    with pytest.raises(UserError, match="epochs is 0; expected above 0"):
        images(run, folder, **TRAINED | {"epochs": 0})


@pytest.mark.slow
def test_interrupted_in_training_and_in_an_episode_the_outcome_is_that_of_a_run_never_stopped(
    run: Path, split_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = images(run, split_folder, **TRAINED, output=tmp_path / "whole.json")
    views, solving, fitting, calls = normalized_views, solve, fit, []

    def interrupted_views(*given: Any) -> torch.Tensor:
        calls.append("view")
        if calls.count("view") == 4:  # a step of the second epoch
            signal.raise_signal(signal.SIGINT)
        return views(*given)

    def interrupted_solve(support: np.ndarray, queries: np.ndarray) -> np.ndarray:
        calls.append("episode")
        if calls.count("episode") == 3:
            raise KeyboardInterrupt
        return solving(support, queries)

    def counted_fit(*given: Any, **named: Any) -> list[float]:
        calls.append("fit")
        return fitting(*given, **named)

    monkeypatch.setattr(module, "normalized_views", interrupted_views)
    monkeypatch.setattr(module, "solve", interrupted_solve)
    monkeypatch.setattr(module, "fit", counted_fit)
    with pytest.raises(Interrupted, match=r"pre-trained-0: training, at step 4 of 6"):
        images(run, split_folder, **TRAINED)
    with pytest.raises(KeyboardInterrupt):
        images(run, split_folder, **TRAINED)
    assert calls.count("fit") == 2
    result = images(run, split_folder, **TRAINED)
    assert calls.count("fit") == 3  # the finished tower was kept; only the other one is trained
    assert result.scores == whole.scores
    assert [path.suffix for path in (run / "evaluation" / "disjoint").iterdir()] == [".json"]
