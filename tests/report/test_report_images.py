"""Few-shot pictures and searches among shapes, as the report tells them."""

import base64
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from adacross.evaluation.images.measure import ImageFewShotResult
from adacross.evaluation.images.result import EpisodeScore, Example, Query, Setting
from adacross.evaluation.results import Figure, save
from adacross.evaluation.retrieval.measure import evaluate_retrieval
from adacross.report.gather import read_run
from adacross.report.image_few_shot import image_few_shot, verdict
from adacross.report.inputs import Direction, Search
from adacross.report.retrieval_examples import retrieval_examples
from PIL import Image
from test_sections import EVIL, Reader, said
from toy import TOY_RETRIEVAL

from adacross.data.collection.collection import Collection
from adacross.data.collection.schema import encode_view
from adacross.report import RunData, reading, render
from adacross.report.overview import overview
from adacross.report.setup import setup


def score(*means: float, interval: float = 0.007) -> EpisodeScore:
    return EpisodeScore(Figure.of(means), [interval] * len(means))


def picture(hue: int) -> str:
    return base64.b64encode(encode_view(np.full((32, 32, 3), hue, np.uint8))).decode()


def result(
    *, gain: float = 0.04, classes: int = 5, shots: int = 1, pixels: float = 0.3
) -> ImageFewShotResult:
    names = [f"class {index}" for index in range(classes)]
    rows = [
        Setting(
            classes, each, score(0.29 + gain, 0.3 + gain, 0.31 + gain), score(0.29, 0.3, 0.31),
            score(pixels, pixels, pixels), score(gain, gain, gain),
        )
        for each in (shots, 5)
    ]  # fmt: skip
    queries = [
        Query(picture(10 * way + place), names[way], names[(way + (place == 1)) % classes])
        for way in range(classes)
        for place in range(3)
    ]
    support = [[picture(100 + way)] * shots for way in range(classes)]
    return ImageFewShotResult(
        task="images", data="cifar_fs", layout="CIFAR-FS pickles", split="test", classes=names, pictures=1920,
        skipped=0, encoders=["a"], tower="rgb", network="ResNet-18 (RGB), 128 features", size=32, queries=15,
        episodes=600, classifier="logistic regression, C 1", spread="±: over 600 episodes", seeds=[0, 1, 2],
        settings=rows, example=Example("5-way 1-shot", 0.4, names, support, queries),
    )  # fmt: skip


def test_every_figure_of_the_pictures_is_told(full_run: RunData) -> None:
    section = image_few_shot(full_run, result())
    text = said(section.body)
    for figure in ("5-way 1-shot", "5-way 5-shot", "34.0 %", "30.0 %", "+4.0 points", "± 0.7", "20.0 %"):
        assert figure in text
    assert "29.0 · 30.0 · 31.0" in text
    assert "the test split's 5 classes, 1,920 pictures (CIFAR-FS pickles) of “cifar_fs”" in text
    assert "logistic regression, C 1" in text
    assert "40 % of its queries are correct" in text
    assert section.anchor == "images"


def test_an_episode_is_drawn_a_column_a_class(full_run: RunData) -> None:
    reader = Reader(image_few_shot(full_run, result(shots=2)).body)
    images = [found for name, found in reader.elements if name == "img"]
    assert len(images) == 2 * 5 + 3 * 5
    drawn = [
        int(np.asarray(Image.open(io.BytesIO(base64.b64decode(str(image["src"]).split(",")[1]))))[0, 0, 0])
        for image in images
    ]
    assert drawn[:10] == [100, 101, 102, 103, 104] * 2
    assert drawn[10:15] == [0, 10, 20, 30, 40]
    kinds = [str(found["class"]) for name, found in reader.elements if name == "figure"]
    assert kinds == ["card"] * 10 + ["card right"] * 5 + ["card wrong"] * 5 + ["card right"] * 5
    assert images[15]["alt"] == "class 0, taken for class 1"
    assert reader.text.count("✗ class 1") == 1


def test_the_verdict_is_honest() -> None:
    assert "more than twice its spread over seeds in 5-way 1-shot and 5-way 5-shot" in verdict(result())
    assert "Plain pixels" not in verdict(result(pixels=0.2))
    lost = verdict(result(gain=-0.02))
    assert "did not help" in lost
    assert "Plain pixels do as well or better in 5-way 1-shot" in lost
    assert "spread is unknown" in verdict(replace(result(), seeds=[0]))


def test_twenty_classes_and_hostile_names_do_no_harm(full_run: RunData) -> None:
    many = result(classes=20)
    evil = replace(many.example, classes=[EVIL] * 20, queries=[Query(picture(1), EVIL, EVIL)] * 60)
    page = render(replace(full_run, results={"images": replace(many, data=EVIL, example=evil)}))
    reader = Reader(page)
    assert not [found for found in reader.elements if found[1].get("src") == "x" or "onerror" in found[1]]
    assert EVIL in " ".join(reader.words)


def test_a_result_in_the_run_becomes_a_section(toy_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    save(result(), None, run, "images")
    data = read_run(run)
    assert data.results["images"] == result()
    assert 'href="#images"' in render(data)


@pytest.fixture
def searched(full_run: RunData) -> RunData:
    assert full_run.retrieval
    found = Search(
        256, Direction({1: 0.353, 10: 0.768}, 0.181, {"recall@1": 0.009, "mAP": 0.001}),
        Direction({1: 0.273, 10: 0.678}, 0.146), Direction({1: 0.0203, 10: 0.1873}, 0.034),
    )  # fmt: skip
    itself = Search(128, Direction({1: 0.99}, None), Direction({1: 0.97}, None), Direction({1: 0.0025}, None))
    retrieval = replace(
        full_run.retrieval, shape_to_shape=found, same_object=itself, spread="mean ± deviation of 3"
    )
    return replace(full_run, retrieval=retrieval, shape_to_image=full_run.image_to_shape)


def test_shapes_that_search_shapes_have_a_table(searched: RunData) -> None:
    text = said(overview(searched).body)
    assert "same class, pre-trained 35.3 ± 0.9 % 76.8 % 18.1 ± 0.1 %" in text
    assert "same class, untrained 27.3 % 67.8 % 14.6 %" in text
    assert "same class, chance 2.03 % 18.73 % 3.40 %" in text
    assert "itself, other points, pre-trained 99.0 % – –" in text
    assert "by 128 points of it" in text
    assert text.count("mean ± deviation of 3") == 2
    assert "Image-to-shape retrieval" in text
    assert "not measured" not in text
    assert "Shape-to-shape retrieval uses" in said(setup(searched).body)


def test_the_three_searches_are_drawn(searched: RunData) -> None:
    text = said(retrieval_examples(searched).body)
    places = [text.index(name) for name in ("Shape → shape", "Image → shape", "Shape → image")]
    assert places == sorted(places)
    elements = Reader(retrieval_examples(searched).body).elements
    assert sum(str(found.get("aria-label")).startswith("image of") for _, found in elements) >= 1
    rows = [found for _, found in elements if found.get("class") == "match"]
    assert len(rows) == 3 * 4


def test_an_encoder_without_pictures_has_shapes_only(searched: RunData) -> None:
    assert searched.retrieval
    nothing = Direction({}, None)
    retrieval = replace(searched.retrieval, image_to_shape=nothing, shape_to_image=nothing)
    config = searched.config | {"method": "joint-mae"}
    data = replace(searched, retrieval=retrieval, config=config, image_to_shape=(), shape_to_image=())
    text = said(overview(data).body)
    assert "Shape-to-shape retrieval" in text
    assert "Cross-modal retrieval" not in text
    assert "no joint space of images and clouds" in text
    drawn = said(retrieval_examples(data).body)
    assert "Image → shape" not in drawn
    assert "no joint space of images and clouds" in drawn
    assert "with one image of each" not in said(setup(data).body)


def test_an_older_result_is_read_and_says_what_it_lacks(full_run: RunData, tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "retrieval.json").write_text(json.dumps(TOY_RETRIEVAL))
    retrieval = reading.read_retrieval(tmp_path)
    assert retrieval
    assert retrieval.shape_to_shape is None
    assert retrieval.shape_examples == ()
    assert retrieval.image_to_shape.std == {}
    text = said(overview(replace(full_run, retrieval=retrieval)).body)
    assert "Shape-to-shape retrieval has not been evaluated yet" in text
    assert "adacross evaluate retrieval" in text
    for wrong in ({"shape_to_shape": {"points": 3}}, {"same_object": []}, {"std": {"image_to_shape": [1]}}):
        (tmp_path / "evaluation" / "retrieval.json").write_text(json.dumps(TOY_RETRIEVAL | wrong))
        with pytest.raises(Exception, match="adacross evaluate retrieval"):
            reading.read_retrieval(tmp_path)


def test_what_the_command_writes_is_what_the_report_draws(
    toy_run: Path, toy_collection: Collection, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    measured = evaluate_retrieval(str(run), str(toy_collection.folder), points=32, seeds=2, device="cpu")
    data = read_run(run)
    assert data.retrieval
    assert data.retrieval.shape_to_shape
    assert measured.shape_to_shape
    found = data.retrieval.shape_to_shape.pretrained
    assert found.recall[5] == measured.shape_to_shape.pretrained["recall@5"].mean
    assert found.std["mAP"] == measured.shape_to_shape.pretrained["mAP"].std
    assert data.retrieval.chance_precision == measured.chance["mAP"] == pytest.approx(data.random_precision)
    assert len(data.shape_to_image) == len(data.image_to_shape) == len(data.neighbors) == 8
    for match, example in zip(data.shape_to_image, measured.shape_examples, strict=True):
        assert [card.id for card in match.results] == [toy_collection.ids[index] for index in example.results]
    assert "Shape → image" in said(retrieval_examples(data).body)
