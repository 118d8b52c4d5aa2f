"""Pictures, features and clouds from a real collection and a real encoder, both tiny."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.encoders import PointNet
from adacross.report import gather, write_report
from adacross.report.drawing import webp
from adacross.report.gather import read_run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    prepare(
        "builtin",
        str(folder / "shapes"),
        points=64,
        views=2,
        size=32,
        count=100,
        workers=1,
        test_fraction=0.4,
    )
    PointNet(width=32).save_pretrained(folder / "run" / "encoder")
    config = f"collection: {folder / 'shapes'}\nmethod: adacrossnet\nencoder: pointnet\npoints: 48\n"
    (folder / "run" / "config.yaml").write_text(config)
    return folder


def write_retrieval(run: Path, **examples: list[dict[str, object]]) -> None:
    figures = {"recall@1": 0.1, "mAP": 0.2}
    result = {
        "data": "shapes", "gallery": 40, "queries": 40, "chance_recall_at_1": 0.025,
        "image_to_shape": figures, "shape_to_image": figures, **examples,
    }  # fmt: skip
    (run / "evaluation").mkdir(exist_ok=True)
    (run / "evaluation" / "retrieval.json").write_text(json.dumps(result))


def test_a_run_is_read(place: Path) -> None:
    shapes = Collection.open(place / "shapes")
    test = shapes.indices("test")
    query, other = int(test[0]), int(test[1])
    write_retrieval(
        place / "run",
        examples=[{"query": query, "view": 1, "results": [other, query]}],
        neighbours=[{"query": query, "results": [other]}],
    )
    data = read_run(place / "run", seed=1)
    assert data.absent == {}
    assert data.facts
    assert data.facts.count == 100
    assert data.embedding
    assert data.embedding.split == "test"
    assert {card.id for card in data.embedding.cards} == {shapes.ids[index] for index in test}
    assert np.isfinite(data.embedding.xy).all()
    match = data.image_to_shape[0]
    assert match.same_object == (False, True)
    assert match.same_class[1]
    assert match.query.id == match.results[1].id
    drawn = np.asarray(Image.open(io.BytesIO(match.query.image)).convert("RGB")).astype(int)
    assert np.abs(drawn - shapes.view(query, 1)).mean() < 4  # the picture that was asked with
    assert np.abs(drawn - shapes.view(query, 1)).mean() < np.abs(drawn - shapes.view(query, 0)).mean()
    assert len(data.clouds) == 6
    assert len({shape.card.class_name for shape in data.clouds}) == 6
    assert all(shape.part is not None and shape.part.max() < len(shape.parts) for shape in data.clouds)
    assert data.random_precision is not None


def test_the_report_is_the_same_for_the_same_seed(place: Path, tmp_path: Path) -> None:
    one, two = (write_report(place / "run", output=tmp_path / f"{name}.html", seed=4) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_results_on_another_collection_are_not_drawn(place: Path) -> None:
    write_retrieval(place / "run", examples=[{"query": 1, "view": 0, "results": [5000]}])
    data = read_run(place / "run")
    assert data.image_to_shape == ()
    assert "another collection" in data.absent["image_to_shape"]
    assert data.embedding is not None


def test_a_run_and_collection_that_moved_together_are_found(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place, tmp_path / "moved")
    config = tmp_path / "moved" / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(place), str(tmp_path / "elsewhere")))
    assert read_run(tmp_path / "moved" / "run").facts is not None


def test_without_encoder_or_collection_the_rest_is_there(place: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    config = (place / "run" / "config.yaml").read_text()
    (run / "config.yaml").write_text(config)
    data = read_run(run)
    assert "--resume auto" in data.absent["embedding"]
    assert data.clouds
    (run / "config.yaml").write_text(config.replace("shapes", "nothing"))
    data = read_run(run)
    assert data.facts is None
    assert "does not exist" in data.absent["clouds"]
    assert "adacross report" in data.absent["clouds"]
    assert write_report(run).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_spread_takes_every_class_before_a_second_of_one() -> None:
    labels = np.array([0] * 50 + [1, 2] + [3] * 5)
    chosen = gather.spread(labels, 6, np.random.default_rng(0))
    assert set(labels[chosen[:4]]) == {0, 1, 2, 3}
    assert len(set(chosen.tolist())) == 6
    assert len(gather.spread(labels[:3], 6, np.random.default_rng(0))) == 3


def test_a_picture_shrinks_but_never_grows() -> None:
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    for size, width in ((32, 32), (112, 64)):
        assert Image.open(io.BytesIO(webp(picture, size))).size == (width, width)
