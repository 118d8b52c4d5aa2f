"""`SearchIndex` from Python."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import adacross
from adacross.data.collection.collection import Collection
from adacross.encoders.frozen import encode, frozen
from adacross.errors import UserError
from adacross.features.collection import FeatureCache, collection_features
from adacross.search.index import SearchIndex
from adacross.search.query import Query
from adacross.training.networks import load_method


def test_the_nearest_are_those_that_a_sort_of_all_cosines_gives(
    search_index: SearchIndex, toy_collection: Collection
) -> None:
    points = toy_collection.points(np.arange(len(toy_collection)))[:, : search_index.points]
    features = encode(search_index.encoder, points).astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    similarity = unit @ unit[7]
    found = search_index.search(7, top=12)
    expected = [i for i in np.argsort(-similarity, kind="stable") if i != 7][:12]
    np.testing.assert_allclose(found.similarities, similarity[expected], atol=1e-5)
    assert found.indices.tolist() == expected
    assert found.space == "shapes"
    assert found.ids == tuple(toy_collection.ids[i] for i in expected)
    assert found.classes == tuple(toy_collection.info.classes[toy_collection.labels[i]] for i in expected)


def test_a_picture_finds_what_the_image_tower_and_the_projection_say(
    search_index: SearchIndex, toy_collection: Collection, toy_run: Path
) -> None:
    method, _ = load_method(toy_run)
    picture = toy_collection.view(11, 0)
    points = torch.from_numpy(toy_collection.points(np.arange(len(toy_collection)))[:, : search_index.points])
    with frozen(method):
        shapes = torch.nn.functional.normalize(method.embed_clouds(points))
        asked = torch.nn.functional.normalize(method.embed_pictures(torch.from_numpy(picture)[None]))
    similarity = (shapes @ asked[0]).numpy()
    found = search_index.search(picture, top=5)
    assert found.space == "images"
    np.testing.assert_allclose(found.similarities, np.sort(similarity)[::-1][:5], atol=1e-5)
    assert set(found.indices.tolist()) == set(np.argsort(-similarity)[:5].tolist())


def test_a_picture_file_is_read_as_prepare_reads_pictures(
    search_index: SearchIndex, toy_collection: Collection, tmp_path: Path
) -> None:
    """Saved losslessly and large, with transparency around it, it finds about what the stored one finds."""
    picture = Image.fromarray(toy_collection.view(3, 0)).resize((128, 128), Image.Resampling.NEAREST)
    wide = Image.new("RGBA", (192, 128), (0, 0, 0, 0))
    wide.paste(picture.convert("RGBA"), (32, 0))
    wide.save(tmp_path / "photo.png")
    query = search_index.query(tmp_path / "photo.png")
    assert query.image is not None
    assert query.image.shape == (32, 32, 3)
    assert (query.image[0, 0] == 255).all()
    assert len(search_index.search(query, top=3).ids) == 3


@pytest.mark.slow
def test_a_shape_is_found_by_its_own_points_turned_into_a_file(
    search_index: SearchIndex, toy_collection: Collection, tmp_path: Path
) -> None:
    cloud = toy_collection.points(np.array([5]))[0][: search_index.points]
    np.save(tmp_path / "cloud.npy", 3 * cloud + 7)
    for given in (tmp_path / "cloud.npy", str(tmp_path / "cloud.npy"), 2 * cloud):
        found = search_index.search(given, top=1)
        assert found.indices.tolist() == [5]
        assert found.similarities[0] == pytest.approx(1, abs=1e-3)
    turned = cloud[:, [0, 2, 1]] * np.array([1, -1, 1])  # z up
    np.save(tmp_path / "turned.npy", turned)
    assert search_index.search(tmp_path / "turned.npy", top=1, up="z").indices.tolist() == [5]


def test_a_query_is_encoded_once(search_index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    query = search_index.encode(search_index.query(2 * search_index.cloud(6)))
    expected = search_index.search(query, top=4).ids

    def never(*_: object, **__: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr("adacross.search.index.encode", never)
    assert search_index.search(query, top=4).ids == expected
    assert search_index.encode(query) is query


def test_ids_and_classes(search_index: SearchIndex, toy_collection: Collection) -> None:
    name = toy_collection.ids[9]
    assert search_index.search(name, top=4).indices.tolist() == search_index.search(9, top=4).indices.tolist()
    chosen = toy_collection.info.classes[2]
    found = search_index.search(name, top=1000, classes=[chosen])
    assert set(found.classes) == {chosen}
    assert len(found.ids) == (toy_collection.labels == 2).sum() - (toy_collection.labels[9] == 2)
    assert list(found.similarities) == sorted(found.similarities, reverse=True)
    assert len(search_index.search(0, top=10_000).ids) == len(toy_collection) - 1
    assert search_index.search(0, top=3, classes=[]).ids == ()


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        ("no-such-file.stl", {}, "does not exist"),
        ("shape.doc", {}, "neither a shape nor an image"),
        (10_000, {}, "expected 0 to"),
        (0, {"top": 0}, "top is 0"),
        (0, {"classes": ["chairr"]}, "class"),
        (np.zeros((5, 4), dtype=np.float32), {}, "is not a query"),
        (np.zeros((50, 3), dtype=np.float32), {}, "all points coincide"),
    ],
)
def test_what_cannot_be_searched_is_said(
    search_index: SearchIndex, query: object, options: dict, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        search_index.search(query, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_broken_files_are_named(search_index: SearchIndex, tmp_path: Path) -> None:
    for name, content in (
        ("broken.png", b"\x89PNG nothing"),
        ("broken.off", b"OFF\n3 1 0\n0 0"),
        ("e.glb", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            search_index.search(tmp_path / name)


def test_an_encoder_alone_finds_shapes_and_refuses_pictures(
    toy_collection: Collection, toy_run: Path, tmp_path: Path, search_index: SearchIndex
) -> None:
    alone = SearchIndex(toy_collection, adacross.load(toy_run / "encoder"), device="cpu")
    assert alone.joint is None
    assert alone.search(4, top=6).ids == search_index.search(4, top=6).ids
    with pytest.raises(UserError, match="an image query needs an image tower"):
        alone.search(toy_collection.view(0, 0))


def test_features_are_computed_once(
    search_index: SearchIndex, toy_collection: Collection, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    (file,) = (own_run / "features").glob("features-*")
    with monkeypatch.context() as patched:
        patched.setattr("adacross.features.collection.encode", never)
        again = SearchIndex(toy_collection, own_run, device="cpu")
        np.testing.assert_array_equal(again.features, search_index.features)
        with pytest.raises(AssertionError, match="computed again"):
            SearchIndex(toy_collection, own_run, points=40, device="cpu")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])  # as a disk that failed would leave it
    again = SearchIndex(toy_collection, own_run, device="cpu")
    np.testing.assert_array_equal(again.features, search_index.features)
    assert file.read_bytes() == whole


def test_what_was_encoded_before_ctrl_c_is_kept(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import adacross.features.collection as module

    encode, calls = module.encode, list[int]()

    def counted(encoder: adacross.Encoder, clouds: np.ndarray, **options: Any) -> np.ndarray:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(len(clouds))
        return encode(encoder, clouds, **options)

    monkeypatch.setattr(module, "BLOCK", 64)
    monkeypatch.setattr(module, "encode", counted)
    torch.manual_seed(0)
    encoder = adacross.PointNet(width=8)
    cache = FeatureCache.of(encoder, toy_collection, 48, tmp_path)
    with pytest.raises(
        KeyboardInterrupt, match=r"2 blocks of 64 shapes are kept in .*run the same command again"
    ):
        collection_features(encoder, toy_collection, points=48, cache=cache)
    assert len(list(cache.folder.glob("block*"))) == 2
    calls[:] = [0, 0, 0]  # from here on none is interrupted
    features = collection_features(encoder, toy_collection, points=48, cache=cache)
    assert calls[3:] == [64, len(toy_collection) - 3 * 64]
    assert [path.name.split("-")[0] for path in cache.folder.iterdir()] == ["features"]
    without = collection_features(encoder, toy_collection, points=48)
    np.testing.assert_array_equal(features, without)
    some = np.array([7, 3])
    np.testing.assert_array_equal(
        collection_features(encoder, toy_collection, some, points=48, cache=cache), without[some]
    )


def test_other_weights_and_other_points_are_other_features(
    toy_collection: Collection, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    keys = {
        FeatureCache.of(adacross.PointNet(width=8), toy_collection, points, tmp_path).key
        for points in (48, 48, 32)
    }
    assert len(keys) == 3


def test_a_cache_that_cannot_be_written_is_said_and_survived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "features").write_text("a file where the folder would be")
    cache = FeatureCache(tmp_path / "features", "key")
    arrays = cache.load_or_compute("map", lambda: {"xy": np.zeros((2, 2))}, rows=2)
    assert arrays["xy"].shape == (2, 2)
    assert "computed again next time" in " ".join(capsys.readouterr().err.split())


def test_features_that_are_not_finite_are_refused(toy_collection: Collection, tmp_path: Path) -> None:
    encoder = adacross.PointNet(width=8)
    next(encoder.parameters()).data.fill_(float("nan"))
    with pytest.raises(UserError, match="are NaN or infinite"):
        SearchIndex(Collection.open(toy_collection.folder), encoder, device="cpu")


def test_fifty_thousand_shapes_are_searched_exactly(search_index: SearchIndex) -> None:
    """`benchmarks/search.py` measures the time that docs/search.md gives."""
    rows = np.random.default_rng(0).standard_normal((50_000, 256), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    collection = Collection.__new__(Collection)  # of which the index asks only this
    collection.labels = np.full(len(rows), -1, dtype=np.int64)
    collection.ids = [str(i) for i in range(len(rows))]
    collection.info = search_index.collection.info
    many = copy.copy(search_index)
    many.collection, many.vectors = collection, rows
    found = many.search(Query("one", index=123), top=48)
    assert found.indices.tolist() == np.argsort(-(rows @ rows[123]), kind="stable")[1:49].tolist()
