"""One shape from one file, of every kind that a user may have."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from adacross.data.collection.build import target_of
from adacross.data.collection.sample import load_shape
from adacross.data.formats import index_source
from adacross.data.formats.files import read_shape
from adacross.errors import UserError
from adacross.io.remote import at_home, local_folder

SIZE = (1.0, 2.0, 4.0)


@pytest.mark.parametrize("suffix", ["off", "obj", "ply", "stl", "glb"])
def test_a_mesh_is_sampled_turned_and_scaled(tmp_path: Path, suffix: str):
    path = tmp_path / f"box.{suffix}"
    trimesh.creation.box(SIZE).export(path)
    shape = load_shape(path, points=4000, up="z")
    extent = np.ptp(shape.points, axis=0)
    assert np.allclose(extent / extent.max(), (0.25, 1.0, 0.5), atol=0.02)  # z became y
    assert np.linalg.norm(shape.points, axis=1).max() == pytest.approx(1, abs=1e-5)
    assert shape.views.shape[0] == 0


def test_the_axis_of_the_file_type_is_taken_if_none_is_given(tmp_path: Path):
    for suffix, tallest in (("off", 1), ("stl", 1), ("obj", 2)):
        path = tmp_path / f"box.{suffix}"
        trimesh.creation.box(SIZE).export(path)
        assert np.ptp(load_shape(path, points=500).points, axis=0).argmax() == tallest


def save_cloud(path: Path, points: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, points)
    elif path.suffix == ".ply":
        trimesh.PointCloud(points).export(path)
    else:
        np.savetxt(path, points, delimiter="," if path.suffix == ".csv" else " ")


@pytest.mark.parametrize("suffix", ["npy", "ply", "xyz", "txt", "pts", "csv"])
def test_points_of_a_cloud_are_drawn_and_those_of_a_small_one_repeated(tmp_path: Path, suffix: str):
    path = tmp_path / f"cloud.{suffix}"
    save_cloud(path, np.random.default_rng(0).uniform(-5, 5, (100, 3)).astype(np.float32))
    assert len(np.unique(load_shape(path, points=40).points, axis=0)) == 40
    many = load_shape(path, points=250).points
    assert many.shape == (250, 3)
    assert len(np.unique(many.round(5), axis=0)) == 100
    assert np.array_equal(many, load_shape(path, points=250).points)


def test_normals_and_colors_behind_the_coordinates_are_passed_over(tmp_path: Path):
    points = np.random.default_rng(0).uniform(-1, 1, (50, 6))
    save_cloud(tmp_path / "six.xyz", points)
    save_cloud(tmp_path / "three.npy", points[:, :3])
    six, three = (
        np.sort(load_shape(tmp_path / name, points=50).points, 0) for name in ("six.xyz", "three.npy")
    )
    assert np.allclose(six, three, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.npy", b"\x93NUMPY\x01\x00", "not a readable NumPy file"),
        ("a.xyz", b"one two three", "not a cloud of points"),
        ("a.xyz", b"1 2\n3 4", "2 numbers a line"),
        ("a.txt", b"nan 1 2\nnan 2 3", "no point is finite"),
        ("a.stl", b"", "the file is empty"),
        ("a.jpg", b"picture", "expected an ending among"),
    ],
)
def test_what_is_no_shape_is_named_with_the_reason(tmp_path: Path, name: str, content: bytes, said: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said) as raised:
        load_shape(tmp_path / name)
    assert name in str(raised.value)


@pytest.mark.parametrize(
    "stored", [np.zeros(3), np.zeros((4, 2)), np.zeros((0, 3)), np.array([["a", "b", "c"]])]
)
def test_an_array_that_is_no_cloud_is_refused(tmp_path: Path, stored: np.ndarray):
    np.save(tmp_path / "a.npy", stored)
    with pytest.raises(UserError, match=r"expected .*\(N, 3\)"):
        load_shape(tmp_path / "a.npy")


def test_a_pickle_in_a_numpy_file_is_not_opened(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"a\.npy is not a shape"):
        load_shape(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["box.stl", "cloud.npy"])
def test_a_process_of_its_own_reads_the_same(tmp_path: Path, name: str):
    if name == "box.stl":
        trimesh.creation.box(SIZE).export(tmp_path / name)
    else:
        np.save(tmp_path / name, np.random.default_rng(0).normal(size=(50, 3)))
    here, apart = (
        load_shape(tmp_path / name, points=64, up="z", timeout=timeout) for timeout in (None, 60.0)
    )
    np.testing.assert_array_equal(apart.points, here.points)
    assert apart.views.shape[0] == 0
    assert apart.points.flags.writeable


@pytest.mark.slow
def test_what_a_process_of_its_own_cannot_read_is_named(tmp_path: Path):
    (tmp_path / "a.xyz").write_text("one two three")
    with pytest.raises(UserError, match=r"a\.xyz is not a shape: not a cloud of points"):
        load_shape(tmp_path / "a.xyz", timeout=60.0)
    np.savetxt(tmp_path / "b.xyz", np.random.default_rng(0).normal(size=(200_000, 3)))
    with pytest.raises(UserError, match=r"b\.xyz is not a shape: .*longer than 0.01 s"):
        load_shape(tmp_path / "b.xyz", timeout=0.01)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(UserError, match="does not exist"):
        load_shape(tmp_path / "nothing.stl")


def test_a_tilde_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    trimesh.creation.box(SIZE).export(tmp_path / "a.stl")
    assert len(read_shape("~/a.stl").faces) == 12
    assert load_shape("~/a.stl", points=9).points.shape == (9, 3)
    assert (
        index_source("~").location == index_source("~/a.stl").location.removesuffix("/a.stl") == str(tmp_path)
    )
    assert target_of("~/c", overwrite=False) == local_folder("~/c") == tmp_path / "c"
    assert at_home("~nobody-of-this-name/a") == Path("~nobody-of-this-name/a")
