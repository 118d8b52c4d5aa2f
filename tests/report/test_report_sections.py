"""Sections other than results, without a browser."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import EVIL, Reader, made, said
from PIL import Image

from adacross.data.collection.collection import Collection
from adacross.report import render
from adacross.report.page import Section, duration, embed_json, plural, section, sentence
from adacross.report.run import Curves, RunData
from adacross.report.sections import feature_map, overview, rows, setup, training
from adacross.report.shapes import match, neighbors, point_clouds, spread, webp

STEPS = np.arange(1, 481)
FALLING = 1 + np.exp(-STEPS / 100)
LOG = Curves(
    steps=STEPS,
    values={"epoch": STEPS / 20, "loss": 3 * FALLING, "lr": 1e-3 * FALLING, "seconds": STEPS * 0.52},
    terms={"intra": FALLING, "cross": 2 * FALLING},
    weights={"intra": 0.5 * FALLING, "cross": 0.6 * FALLING},
    monitor_steps=np.array([100, 200, 300]),
    monitor={
        "probe_accuracy": np.array([0.5, 0.6, 0.7]),
        "untrained_accuracy": np.array([0.4, np.nan, np.nan]),
        "recall_at_1": np.full(3, np.nan),
    },
)


def test_an_empty_run_says_what_fills_it(bare_run: RunData) -> None:
    for make, command in (
        (overview, "adacross evaluate linear runs/bare gone"),
        (overview, "adacross evaluate retrieval runs/bare gone"),
        (training, "adacross pretrain gone --config runs/bare/config.yaml --resume auto"),
    ):
        assert command in said(make(bare_run).body)
    for make in (feature_map, neighbors, point_clouds, setup):
        assert "gone does not exist" in said(make(bare_run).body)


def test_the_headline_has_every_figure(bare_run: RunData) -> None:
    results = (made(), made("retrieval", name="retrieval"), made("few-shot", name="few-shot-ways-5"))
    environment = {"device": "cpu", "cores": 2}
    run = replace(bare_run, results=results, weights="weights", log=LOG, environment=environment)
    text = said(overview(run).body)
    for words in (
        "The point encoder PointNet was pre-trained with CrossPoint on gone : 480 steps (24 epochs) in "
        "4 min 10 s on 2 CPU cores.",
        "Linear probe, accuracy 70.0 % pre-trained, 60.4 to 78.1",
        "Same encoder, untrained 60.0 % ± 2.0",
        "Retrieval, accuracy 70.0 % pre-trained, untrained 60.0 %",
        "Pre-training gains 10.0 points",
        "Few-shot, ways 5 accuracy 70.0 % 60.4 to 78.1 60.0 % ± 2.0 +10.0 points",
    ):
        assert words in text
    assert "To fill it in" not in text


def test_shapes_drawn_while_training_are_told_from_those_of_the_collection(full_run: RunData) -> None:
    run = replace(full_run, config=full_run.config | {"fresh": 8192, "epochs": 20})
    text = said(overview(run).body)
    assert "on 163,840 built-in shapes, drawn while training," in text
    assert "of the collection" not in text
    assert "of the collection" in said(overview(full_run).body)


def test_curves_hold_the_log(bare_run: RunData) -> None:
    section = training(replace(bare_run, log=LOG))
    reader = Reader(section.body)
    plots = [one for one in reader.all("svg") if "data-window" in one]
    assert len(plots) == 4
    names = [one["data-name"] for one in reader.all("g")]
    assert names[:3] == ["weighted total", "intra", "cross"]
    assert "probe accuracy, untrained encoder" in names
    assert "recall@1" not in names
    assert "untrained encoder from 40.0\u00a0% to 40.0\u00a0%" in str(plots[2]["aria-label"])  # a level line
    lone = replace(LOG, terms={"points": FALLING}, monitor={})
    text = said(training(replace(bare_run, log=lone)).body)
    assert "weighted total" not in text
    assert "Monitor Not in the log." in text


def test_spread_takes_every_class_before_a_second_of_one() -> None:
    labels = np.array([0] * 50 + [1, 2] + [3] * 5)
    chosen = spread(labels, 6, np.random.default_rng(0))
    assert set(labels[chosen[:4]]) == {0, 1, 2, 3}
    assert len(set(chosen.tolist())) == 6
    assert len(spread(labels[:3], 6, np.random.default_rng(0))) == 3


def test_a_picture_shrinks_but_never_grows() -> None:
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    for size, width in ((32, 32), (112, 64)):
        assert Image.open(io.BytesIO(webp(picture, size))).size == (width, width)


def test_a_match_shows_the_images_that_were_asked_with(toy_collection: Collection) -> None:
    query, other = (int(index) for index in toy_collection.indices("test")[:2])
    asked, found = match(toy_collection, {"query": query, "view": 0, "results": [other, query]})
    assert [one.kind for one in found][1] == "object"
    drawn = np.asarray(Image.open(io.BytesIO(asked.image)).convert("RGB")).astype(int)
    assert np.abs(drawn - toy_collection.view(query, 0)).mean() < 6
    with pytest.raises(IndexError, match="shape 9999 of"):
        match(toy_collection, {"query": query, "results": [9999]})


def test_small_words() -> None:
    assert [plural(1, "class"), plural(2, "class"), plural(1200, "query")] == [
        "1 class",
        "2 classes",
        "1,200 queries",
    ]
    assert [duration(8.0), duration(9284.0)] == ["8\u00a0s", "2\u00a0h 34\u00a0min"]
    assert [sentence("a b"), sentence("Done!"), sentence("")] == ["A b.", "Done!", ""]
    assert rows({"a": {"b": 1e-3, "c": 0}, "d": None}) == [("a.b", "0.001"), ("a.c", "0"), ("d", "–")]


def test_markup_is_escaped() -> None:
    evil: Section = section("missing", "title", "anchor", reason=EVIL, command=EVIL)
    assert Reader(evil.body).all("img") == []
    assert said(evil.body).count("onerror") == 2
    assert json.loads(embed_json({"a": EVIL + "\u2028"})) == {"a": EVIL + "\u2028"}
    assert not set("<>&\u2028") & set(embed_json(EVIL + "\u2028"))
    with pytest.raises(ValueError, match="Out of range"):
        embed_json(float("nan"))


@pytest.mark.slow
def test_a_map_has_a_dot_and_a_picture_for_each_shape(full_run: RunData) -> None:
    section = feature_map(full_run)
    assert full_run.features
    assert full_run.collection
    dots = Reader(section.body).all("use")
    assert sorted(int(str(one["data-i"])) for one in dots) == list(range(len(full_run.features.indices)))
    shown = section.data["map"]
    assert shown["ids"] == [full_run.collection.ids[i] for i in full_run.features.indices]
    assert all(image.startswith("data:image/webp;base64,") for image in shown["images"])
    assert "nearest neighbor of their own class (chance" in said(section.body)


@pytest.mark.slow
def test_neighbors_are_the_most_similar_features(full_run: RunData) -> None:
    features, collection = full_run.features, full_run.collection
    assert features
    assert collection
    reader = Reader(neighbors(full_run).body)
    titles = [str(one["title"]) for one in reader.all("figcaption")]
    assert len(titles) == 8 * 6
    unit = features.values / np.linalg.norm(features.values, axis=1, keepdims=True)
    places = {collection.ids[index]: place for place, index in enumerate(features.indices)}
    query = places[titles[0]]
    nearest = [int(i) for i in np.argsort(-unit @ unit[query], kind="stable") if i != query][:5]
    assert [places[title] for title in titles[1:6]] == nearest


@pytest.mark.slow
def test_a_cloud_is_embedded_as_it_is(full_run: RunData) -> None:
    assert full_run.collection
    scenes = [one for one in Reader(point_clouds(full_run).body).all("div") if one.get("class") == "scene"]
    assert len(scenes) == 6
    clouds = [
        np.frombuffer(base64.b64decode(str(one["data-points"])), "<i2").reshape(-1, 3) for one in scenes
    ]
    test = full_run.collection.points(full_run.collection.indices("test"))
    for cloud, scene in zip(clouds, scenes, strict=True):
        assert np.abs(test - cloud / 32767).max(axis=(1, 2)).min() < 1e-4
        part = np.frombuffer(base64.b64decode(str(scene["data-part"])), np.uint8)
        assert len(part) == len(cloud)
        assert part.max() < len(str(scene["data-colors"]).split())


@pytest.mark.slow
def test_without_classes_nothing_is_right_or_wrong(full_run: RunData, tmp_path: Path) -> None:
    assert full_run.collection
    assert full_run.features
    rows = full_run.features.indices
    images = np.stack([full_run.collection.views(int(index)) for index in rows])
    plain = Collection.from_arrays(full_run.collection.points(rows), images=images, folder=tmp_path / "plain")
    features = replace(full_run.features, indices=np.arange(len(rows)), split="all")
    run = replace(full_run, collection=plain, features=features, results=())
    assert "another class" not in said(neighbors(run).body)
    assert 'class="chips"' not in feature_map(run).body
    text = said(overview(run).body)
    assert "no classes" in text
    assert "evaluate linear" not in text


@pytest.mark.slow
def test_the_page_is_one_small_file_with_names_for_everything(full_run: RunData) -> None:
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
        if attributes.get("role") == "img":
            assert attributes["aria-label"]
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [str(one["href"])[1:] for one in reader.all("a")]
    assert targets
    assert set(targets) <= set(ids)
    assert len(page) < 600_000
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert (
        policy[1]
        .replace("&#39;", "'")
        .startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    )
    assert "adacross evaluate linear" in said(setup(full_run).body)


@pytest.mark.slow
def test_hostile_names_of_a_collection_stay_text(full_run: RunData) -> None:
    assert full_run.collection
    info = full_run.collection.info
    evil = Collection.__new__(Collection)
    evil.__dict__.update(full_run.collection.__dict__)
    evil.info = replace(
        info, name=EVIL, source=EVIL, classes=[EVIL] * len(info.classes), parts=[EVIL] * len(info.parts)
    )
    evil.__dict__["ids"] = [EVIL] * len(full_run.collection)
    run = replace(
        full_run,
        folder=Path("runs") / EVIL.replace("/", "-"),
        config=full_run.config | {"method": EVIL, "collection": EVIL, EVIL: {EVIL: EVIL}},
        config_text=EVIL,
        environment={EVIL: EVIL, "date": EVIL, "device": EVIL, "command": EVIL},
        collection=evil,
        log=replace(LOG, terms={EVIL: FALLING, "b": FALLING}),
    )
    page = render(run)
    reader = Reader(page)
    assert not [found for found in reader.elements if found[1].get("src") == "x" or "onerror" in found[1]]
    assert len(reader.all("script")) == 2
    data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert data
    assert "<" not in data[1]
    assert json.loads(data[1])["map"]["names"][0] == EVIL
