"""Few-shot pictures: episodes, the classifier against the plain one, the protocol, the command."""

import base64
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from toy import TOY, TOY_MASKED

from adacross.cli import main
from adacross.data.image_set import ImageSet, read_image_set
from adacross.data.transforms import plain_views
from adacross.encoders import ResNet
from adacross.errors import UserError
from adacross.evaluation.images.episodes import Study, accuracy, draw_episodes, half_width, solve
from adacross.evaluation.images.measure import ImageFewShotResult, enough, evaluate_images, measure_images
from adacross.evaluation.results import load
from adacross.training.config import PretrainConfig
from adacross.training.networks import load_method, new_method, save_method


def colours(per_class: int = 12, classes: int = 6, size: int = 32, noise: int = 40) -> ImageSet:
    """Pictures of one colour a class, with noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), per_class)
    base = rng.integers(60, 196, (classes, 1, 1, 3))
    images = base[labels] + rng.integers(-noise, noise + 1, (len(labels), size, size, 3))
    names = [f"colour {label}" for label in range(classes)]
    return ImageSet(Path("colours"), "made up", "all", names, images.clip(0, 255).astype(np.uint8), labels)


def study(data: ImageSet, **changes: object) -> Study:
    options = {"size": 32, "gray": False, "ways": (5,), "shots": (1,), "queries": 4, "episodes": 5}
    return Study(data, **options | changes, device="cpu")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def picture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "colours"
    data = colours()
    for index, (image, label) in enumerate(zip(data.pictures, data.labels, strict=True)):
        path = folder / data.classes[label] / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def test_episodes_have_what_they_promise_and_come_back():
    labels = np.array([4, 4, 4, 4, 9, 9, 9, 9, 0, 0, 0, 0, 7, 7, 7, 7, 7])
    episodes = draw_episodes(labels, ways=3, shots=2, queries=2, count=50, seed=3)
    again = draw_episodes(labels, ways=3, shots=2, queries=2, count=10, seed=3)
    drawn: set[int] = set()
    for episode, same in zip(episodes, again, strict=False):
        np.testing.assert_array_equal(episode.queries, same.queries)
    for episode in episodes:
        assert len(set(episode.classes.tolist())) == 3
        both = np.concatenate([episode.support, episode.queries], axis=1)
        assert (labels[both] == episode.classes[:, None]).all()
        assert len(set(both.ravel().tolist())) == both.size  # no query was learnt from
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
        for episode in draw_episodes(labels, 5, shots, 10, 20, 0):
            truth = np.repeat(np.arange(5), shots)
            plain = LogisticRegression(C=1.0, max_iter=1000, tol=1e-8)
            plain.fit(features[episode.support.ravel()], truth)
            expected = plain.predict(features[episode.queries.ravel()]).reshape(5, 10)
            same += (solve(features, episode) == expected).sum()
            asked += expected.size
    assert same / asked > 0.995  # the solver's own tolerance


def test_the_interval_is_students():
    values = [0.2, 0.4, 0.6, 0.4]
    t = 3.182446305284263  # 97.5 % of Student's t with 3 degrees of freedom
    assert half_width(values) == pytest.approx(t * np.std(values, ddof=1) / 2)
    assert half_width([0.3]) == 0
    many = np.random.default_rng(0).normal(size=600)
    assert half_width(many.tolist()) == pytest.approx(1.96 * many.std(ddof=1) / 600**0.5, rel=3e-3)


def test_features_are_the_encoders_in_eval_mode_of_plain_pictures():
    """Before the projection, whatever state the tower was left in and whatever the batch."""
    data = colours(per_class=15)
    tower = ResNet(18, 3, width=8)
    tower(torch.randn(8, 3, 32, 32))  # its statistics move
    tower.train()
    found = study(data).features(tower)
    assert tower.training
    tower.eval()
    with torch.inference_mode():
        expected = tower(plain_views(torch.from_numpy(data.pictures), 32)).double().numpy()
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(study(data).features(None), axis=1), 1)


def test_pictures_are_resized_to_what_the_tower_was_trained_on():
    data = colours(size=20)
    seen: list[tuple[int, ...]] = []
    tower = ResNet(18, 1, width=8)
    tower.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[1:])))
    study(data, size=48, gray=True).features(tower)
    assert set(seen) == {(1, 48, 48)}
    assert study(data, size=48).features(None).shape == (72, 3 * 32 * 32)


@pytest.mark.slow
def test_what_pixels_tell_is_found_and_noise_is_chance():
    clear = measure_images([ResNet(18, 3, 8)], colours(noise=8), size=32, queries=4, episodes=30, seeds=1)
    for setting in clear.settings:
        assert setting.pixels.accuracy.mean > 0.85
    noise = colours(per_class=30)
    noise = ImageSet(
        noise.folder,
        "",
        "all",
        noise.classes,
        np.random.default_rng(1).permutation(noise.pictures),
        noise.labels,
    )
    blind = measure_images([ResNet(18, 3, 8)], noise, size=32, shots=(5,), episodes=60, seeds=1)
    for score in (blind.settings[0].pretrained, blind.settings[0].untrained, blind.settings[0].pixels):
        assert score.accuracy.mean == pytest.approx(0.2, abs=0.04)


def test_gain_is_paired_and_seeds_are_told():
    towers = [ResNet(18, 3, 8) for _ in range(2)]
    result = measure_images(towers, colours(), size=32, queries=4, episodes=8, seeds=3, names=["a", "b"])
    assert result.seeds == [0, 1, 2]
    assert result.encoders == ["a", "b"]
    assert "2 pre-training seeds take turns" in result.spread
    assert [setting.name for setting in result.settings] == ["5-way 1-shot", "5-way 5-shot"]
    for setting in result.settings:
        values = [getattr(setting, arm).accuracy.values for arm in ("pretrained", "untrained", "gain")]
        np.testing.assert_allclose(np.subtract(values[0], values[1]), values[2], atol=1e-12)
        assert len(setting.gain.interval) == 3
    chosen = measure_images(towers[1:], colours(), size=32, queries=4, episodes=8, seeds=2)
    assert (
        chosen.settings[0].pretrained.accuracy.values[1] == result.settings[0].pretrained.accuracy.values[1]
    )
    assert (
        chosen.settings[0].pretrained.accuracy.values[0] != result.settings[0].pretrained.accuracy.values[0]
    )


def test_the_example_is_the_first_episode():
    data, tower = colours(), ResNet(18, 3, 8)
    result = measure_images([tower], data, size=32, shots=(2, 5), queries=5, episodes=3, seeds=1)
    (episode,) = draw_episodes(data.labels, 5, 2, 5, 1, 0)
    predicted = solve(study(data).features(tower), episode)
    example = result.example
    assert example.setting == "5-way 2-shot"
    assert example.accuracy == accuracy(predicted)
    assert example.classes == [data.classes[label] for label in episode.classes]
    assert [query.truth for query in example.queries] == np.repeat(example.classes, 3).tolist()
    assert [query.predicted for query in example.queries] == [
        example.classes[way] for way in predicted[:, :3].ravel()
    ]
    shown = Image.open(io.BytesIO(base64.b64decode(example.support[1][0])))
    np.testing.assert_array_equal(np.asarray(shown), data.pictures[episode.support[1, 0]])


def test_classes_with_too_few_pictures_are_left_out_and_named(capsys: pytest.CaptureFixture[str]):
    data = colours(per_class=6, classes=7)
    kept = np.flatnonzero((data.labels != 2) | (np.arange(len(data.labels)) % 6 < 3))
    data = ImageSet(data.folder, "", "all", data.classes, data.pictures[kept], data.labels[kept])
    found = enough(data, 5, 6)
    assert "colour 2" not in found.classes
    assert sorted(set(found.labels.tolist())) == list(range(6))
    assert [found.classes[label] for label in found.labels[::6]] == found.classes
    assert "colour 2" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"has 0 classes of 7 pictures or more; 5-way episodes need 5"):
        enough(data, 5, 7)


@pytest.mark.parametrize(
    "wrong", [{"ways": (1,)}, {"shots": (0,)}, {"queries": 0}, {"episodes": 0}, {"seeds": 0}], ids=str
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, int]):
    with pytest.raises(UserError, match="expected at least 2 ways"):
        measure_images([ResNet(18, 3, 8)], colours(), size=32, **wrong)  # type: ignore[arg-type]


def test_an_interrupted_measurement_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def measure() -> ImageFewShotResult:
        return measure_images(
            [tower], colours(), size=32, queries=3, episodes=4, seeds=3, result=tmp_path / "images.json"
        )

    tower = ResNet(18, 3, 8)
    done: list[int] = []
    real = Study.accuracies

    def stopping(self: Study, towers: object, seed: int, *bar: object) -> object:
        if seed == 2 and len(done) == 2:
            raise KeyboardInterrupt
        done.append(seed)
        return real(self, towers, seed, *bar)  # type: ignore[arg-type]

    monkeypatch.setattr(Study, "accuracies", stopping)
    with pytest.raises(KeyboardInterrupt):
        measure()
    done.append(-1)
    again = measure()
    assert done == [0, 1, -1, 2]
    monkeypatch.setattr(Study, "accuracies", real)
    assert again == measure_images([tower], colours(), size=32, queries=3, episodes=4, seeds=3)


@pytest.mark.slow
def test_the_command_as_typed(
    toy_run: Path, picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "images.json"
    words = ["--ways", "3", "5", "--shots", "1", "--queries", "4", "--episodes", "6", "--seeds", "2"]
    code = main(
        [
            "evaluate",
            "images",
            str(toy_run),
            str(picture_folder),
            *words,
            "--device",
            "cpu",
            "--output",
            str(output),
        ]
    )
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "5-way 1-shot" in out
    assert "untrained" in out
    assert not output.with_suffix(".pieces").exists()
    result = load(ImageFewShotResult, output)
    assert result.data == "colours"
    assert (result.layout, result.split, result.pictures) == ("image folder", "all", 72)
    assert [setting.ways for setting in result.settings] == [3, 5]
    assert "C 1" in result.classifier
    method, _ = load_method(toy_run)
    again = evaluate_images(
        str(toy_run), str(picture_folder), [3, 5], [1], 4, 6, 2, device="cpu", output=str(tmp_path / "b.json")
    )
    assert result == again == load(ImageFewShotResult, tmp_path / "b.json")
    direct = Study(read_image_set(picture_folder, 32), 32, False, (3,), (1,), 4, 6, "cpu")
    tower = method.towers["rgb"].encoder
    scores = [accuracy(solve(direct.features(tower), e)) for e in direct.drawn(3, 1, 0)]
    assert result.settings[0].pretrained.accuracy.values[0] == pytest.approx(np.mean(scores))


def test_the_gray_tower_where_there_is_one(
    toy_run: Path, picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The toy run is an AdaCrossNet, with both."""
    brief = ["--ways", "2", "--shots", "1", "--queries", "2", "--episodes", "2", "--seeds", "1"]
    output = tmp_path / "gray.json"
    given = [str(toy_run), str(picture_folder), *brief, "--output", str(output), "--device", "cpu"]
    assert main(["evaluate", "images", *given, "--tower", "gray"]) == 0
    capsys.readouterr()
    assert json.loads(output.read_text())["tower"] == "gray"
    assert main(["evaluate", "images", *given, "--tower", "blue"]) == 2
    assert "tower" in capsys.readouterr().err


def made_run(folder: Path, options: dict[str, Any], **changes: Any) -> str:
    """A run as `pretrain` leaves it, of a network that nobody trained."""
    config = PretrainConfig("no/collection", run=str(folder), **options | changes)
    config.save(folder)
    save_method(new_method(config), folder)
    return str(folder)


def test_runs_without_such_a_tower_are_refused_with_a_sentence(
    toy_run: Path, picture_folder: Path, tmp_path: Path
):
    data = str(picture_folder)
    with pytest.raises(UserError, match=r"one \(crosspoint\) has no gray tower, only rgb"):
        evaluate_images(made_run(tmp_path / "one", TOY, method="crosspoint"), data, tower="gray")
    with pytest.raises(UserError, match="encoder is a point encoder alone"):
        evaluate_images(str(toy_run / "encoder"), data)
    with pytest.raises(UserError, match="nowhere is not a folder"):
        evaluate_images(str(toy_run), str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="pre-trained with joint-mae, which has no image tower"):
        evaluate_images(made_run(tmp_path / "masked", TOY_MASKED), data)
    with pytest.raises(UserError, match="different image towers or picture sizes"):
        evaluate_images([str(toy_run), made_run(tmp_path / "other", TOY, image_size=40)], data)
