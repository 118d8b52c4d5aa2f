"""Collections of arrays, collections without images, and collections of version 0.1."""

import doctest
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import trimesh

import adacross
from adacross.data import shape
from adacross.data.collection import collection
from adacross.data.collection.collection import Collection
from adacross.data.collection.decoded import DecodedViews
from adacross.data.collection.inspect import inspect
from adacross.data.collection.prepare import prepare
from adacross.data.formats import base, files
from adacross.errors import UserError

CLOUDS = np.random.default_rng(0).normal(size=(6, 40, 3)) * 100 + 1e6
LABELS = ["cup", "jar", "cup", "jar", None, "cup"]


def made(folder: Path, *given: Any, **options: Any) -> Collection:
    return Collection.from_arrays(*given, folder=folder / "c", **{"views": 0} | options)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8"])
def test_arrays_of_every_type_of_number_come_into_the_unit_sphere(tmp_path: Path, dtype: str) -> None:
    clouds = (CLOUDS - 1e6).astype(dtype)
    found = made(tmp_path, clouds, LABELS, test_fraction=0.5)
    assert found.info.classes == ["cup", "jar"]
    assert found.labels.tolist() == [0, 1, 0, 1, -1, 0]
    assert found.info.splits == {"train": 3, "test": 3}
    points = found.points(found.indices("all"))
    assert points.shape == (6, 40, 3)
    np.testing.assert_allclose(points.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(points, axis=2).max(1), 1, rtol=1e-6)
    centers, scales = found.frames(found.indices("all"))
    back = np.sort(points * scales[:, None, None] + centers[:, None], axis=1)
    np.testing.assert_allclose(back, np.sort(clouds.astype("f4"), axis=1), atol=1e-3)


def test_far_from_the_origin_and_z_up(tmp_path: Path) -> None:
    tall = CLOUDS * (1, 1, 5)
    found = made(tmp_path, tall, up="z")
    assert np.ptp(found[0].points, axis=0).argmax() == 1
    assert found.info.source_up == "z"
    assert found.info.classes == []


def test_small_shapes_far_from_the_origin_keep_their_digits(tmp_path: Path) -> None:
    """At 5 million float32 has steps of a half; here the shapes measure a hundredth."""
    small = (CLOUDS - 1e6) / 1e4
    near, far = made(tmp_path / "near", small), made(tmp_path / "far", small + 5e6)
    every = near.indices("all")
    np.testing.assert_allclose(far.points(every), near.points(every), atol=1e-4)
    np.save(tmp_path / "a.npy", small[0] + 5e6)
    np.testing.assert_array_equal(adacross.read_shape(tmp_path / "a.npy").points, small[0] + 5e6)
    with pytest.raises(UserError, match="a point is not finite"):
        made(tmp_path, CLOUDS * 1e40)


def test_unequal_clouds_have_a_common_number_of_points(tmp_path: Path) -> None:
    clouds = [CLOUDS[i, : 10 + 5 * i] for i in range(6)]
    found = made(tmp_path, clouds, sample=20)
    assert found.points(found.indices("all")).shape == (6, 20, 3)
    assert len(np.unique(found[0].points, axis=0)) == 10  # all of them, some repeated
    assert len(np.unique(found[5].points, axis=0)) == 20
    assert made(tmp_path / "other", clouds).info.points == 2048


def test_images_are_kept_or_rendered(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (6, 2, 16, 16, 3), dtype=np.uint8)
    found = made(tmp_path, CLOUDS, None, images, size=16)
    assert found.info.views == 2
    np.testing.assert_array_equal([found[i].views for i in range(6)], images)
    wide = made(tmp_path / "wide", CLOUDS, None, np.full((6, 1, 4, 8, 3), 7, np.uint8), size=16)
    assert wide[0].views.shape == (1, 16, 16, 3)
    assert (wide[0].views[0, 0] == 255).all()  # white above and below
    drawn = made(tmp_path / "drawn", CLOUDS, size=32, views=2)
    assert (drawn[0].views != 255).any()


def test_numbers_as_labels_names_and_ids(tmp_path: Path) -> None:
    found = made(
        tmp_path, CLOUDS, np.array([0, 2, -1, 0, 0, 2]), ids=list("abcdef"), class_names=["x", "y", "z"]
    )
    assert (found.info.classes, found.ids) == (["x", "y", "z"], list("abcdef"))
    assert made(tmp_path / "plain", CLOUDS, [0, 2, 1, 0, 0, 2]).info.classes == ["00", "01", "02"]


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (([],), {}, "points holds no cloud"),
        ((CLOUDS, ["cup"]), {}, "labels has 1 entries for 6 clouds"),
        ((CLOUDS, LABELS), {"class_names": ["cup"]}, "label 'jar' is not in class_names"),
        ((CLOUDS, [0, 1, 0, 1, 0, 5]), {"class_names": ["a", "b"]}, "label 5 is beyond the 2 class_names"),
        ((CLOUDS, [0, "cup", 0, 1, 0, 5]), {}, "labels must all be names"),
        ((CLOUDS, None, None, ["a"] * 6), {}, "ids are not unique"),
        (
            (CLOUDS, None, np.zeros((6, 1, 4, 4), np.uint8)),
            {},
            r"000000 are uint8 \(1, 4, 4\)",
        ),
        ((CLOUDS[:, :, :2],), {}, r"shape 000000: an array of shape \(40, 2\), expected \(N, 3\)"),
        ((CLOUDS * np.nan,), {}, "shape 000000: a point is not finite"),
        ((CLOUDS * 0,), {}, "shape 000000: all points coincide"),
        ((CLOUDS,), {"test_fraction": 1.0}, "test_fraction is 1.0"),
    ],
)
def test_arrays_that_are_no_shapes(tmp_path: Path, given: Any, options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(tmp_path, *given, **options)
    assert not list(tmp_path.glob("*"))


def test_only_a_collection_is_replaced(tmp_path: Path) -> None:
    first = made(tmp_path, CLOUDS)
    with pytest.raises(UserError, match="--overwrite"):
        made(tmp_path, CLOUDS)
    again = made(tmp_path, CLOUDS[:3], overwrite=True)
    assert (len(first), len(again)) == (6, 3)
    (tmp_path / "c" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"did not write \(notes.txt\)"):
        made(tmp_path, CLOUDS, overwrite=True)


@pytest.mark.slow
def test_prepare_without_images_and_what_it_returns(tmp_path: Path) -> None:
    for name in ("a", "b"):
        trimesh.creation.box((1, 2, 3)).export(tmp_path / f"{name}.off")
    found = prepare(str(tmp_path), str(tmp_path / "c"), views=0, points=32, workers=1)
    assert isinstance(found, Collection)
    assert found.info.views == 0
    assert found[0].views.shape == (0, 224, 224, 3)
    assert inspect(str(tmp_path / "c"), sheet=str(tmp_path / "sheet.png")).kind == "collection"
    assert (tmp_path / "sheet.png").is_file()
    with pytest.raises(UserError, match=r"has no images.*--views"):
        DecodedViews(found, tmp_path, 0)


def test_a_collection_of_version_1_opens_unchanged(tmp_path: Path) -> None:
    found = made(tmp_path, CLOUDS, LABELS)
    path = found.folder / "collection.json"
    raw = json.loads(path.read_text())
    old = {{"format": "kind", "warnings": "remarks"}.get(name, name): value for name, value in raw.items()}
    said = [{"name": "a", "reason": "b"}]
    path.write_text(json.dumps(old | {"version": 1, "kind": "meshes", "remarks": said}))
    again = Collection.open(found.folder)
    assert (again.info.format, again.info.warnings) == ("meshes", said)
    assert again.digest() == found.digest()
    path.write_text(json.dumps(old | {"version": 3}))
    with pytest.raises(UserError, match="is a collection of version 3; this adacross reads 1 to 2"):
        Collection.open(found.folder)


def test_public_names() -> None:
    assert adacross.Collection.from_arrays.__self__ is Collection
    assert adacross.read_shape.__module__ == "adacross.data.formats.files"


@pytest.mark.parametrize("module", [shape, base, files, collection])
def test_examples_in_docstrings(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
