"""`adacross.encode`: shapes as people have them, checked, in the frame of training."""

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from jaxtyping import Float32

import adacross
from adacross.data.collection.collection import Collection
from adacross.data.shape import Mesh, PointCloud
from adacross.encoders import PointNet
from adacross.encoders.frozen import encode
from adacross.errors import UserError

_SOLID = trimesh.creation.box((1, 2, 3))
BOX = Mesh(np.array(_SOLID.vertices, dtype=np.float64), np.array(_SOLID.faces, dtype=np.int64))


@pytest.fixture(scope="module")
def encoder() -> PointNet:
    torch.manual_seed(0)
    return PointNet(width=16).eval()


@pytest.fixture(scope="module")
def clouds() -> Float32[np.ndarray, "5 64 3"]:
    points = np.random.default_rng(0).normal(size=(5, 64, 3))
    points -= points.mean(1, keepdims=True)
    return (points / np.linalg.norm(points, axis=2).max(1)[:, None, None]).astype(np.float32)


def read_only(clouds: np.ndarray) -> np.ndarray:
    copied = clouds.copy()
    copied.flags.writeable = False
    return copied


@pytest.mark.parametrize(
    "given",
    [
        lambda clouds: clouds.astype(np.float64),
        lambda clouds: clouds.astype(np.longdouble),
        lambda clouds: clouds.astype(">f4"),
        lambda clouds: clouds.astype(">f8"),
        lambda clouds: clouds[::-1][::-1],
        lambda clouds: np.ascontiguousarray(clouds[:, :, ::-1])[:, :, ::-1],
        read_only,
        list,
        tuple,
        lambda clouds: [torch.from_numpy(cloud) for cloud in clouds],
        lambda clouds: clouds.tolist(),
        torch.from_numpy,
        lambda clouds: torch.from_numpy(clouds).double().requires_grad_(),
    ],
)
def test_all_that_holds_the_same_numbers_has_the_same_features(
    encoder: PointNet, clouds: np.ndarray, given: Any
):
    assert np.array_equal(adacross.encode(encoder, given(clouds)), adacross.encode(encoder, clouds))


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int64, np.uint16, ">i2"])
def test_coarser_types_are_converted(encoder: PointNet, clouds: np.ndarray, dtype: Any):
    given = (100 * clouds).round().clip(0).astype(dtype)
    expected = encode(encoder, given.astype(np.float32))
    assert np.array_equal(encode(encoder, given), expected)
    if dtype != np.uint16:
        native = given.astype(np.dtype(dtype).newbyteorder("="))
        assert np.array_equal(encode(encoder, torch.from_numpy(native)), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_clouds_take_the_type_of_the_weights(clouds: np.ndarray, dtype: torch.dtype):
    found = adacross.encode(PointNet(width=16).to(dtype), clouds)
    assert found.shape == (5, 16)
    assert found.dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e300])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, list], ids=["array", "tensor", "list"])
def test_a_coordinate_that_is_no_number_names_its_cloud(
    encoder: PointNet, clouds: np.ndarray, value: float, kind: Any
):
    spoiled = clouds.astype(np.float64)
    spoiled[3, 7, 1] = value
    with pytest.raises(UserError, match=r"cloud 3 of 5 \(from 0\) has a coordinate that is NaN, infinite or"):
        adacross.encode(encoder, kind(spoiled), batch_size=2)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda clouds: 1000 * clouds, "5 of 5 shapes were .* at distance 1000, centroid at "),
        (lambda clouds: 0.01 * clouds, "5 of 5 shapes were .* at distance 0.01,"),
        (lambda clouds: (clouds + 1) / 2, "5 of 5 shapes were centered and scaled"),
        (lambda clouds: clouds * np.array([1, 1, 1, 1.02, 1])[:, None, None], "1 of 5 .*cloud 3: farthest"),
    ],
    ids=["millimeters", "tiny", "corner", "one"],
)
def test_another_frame_is_normalized_and_said_once(
    encoder: PointNet, clouds: np.ndarray, changed: Any, said: str, capsys: pytest.CaptureFixture[str]
):
    found = adacross.encode(encoder, changed(clouds.astype(np.float64)), batch_size=1)
    assert np.allclose(found, adacross.encode(encoder, clouds), atol=1e-6)
    printed = " ".join(capsys.readouterr().err.split())
    assert printed.count("shapes were centered") == 1
    assert re.search(said, printed)


def test_files_arrays_meshes_and_clouds_of_unequal_sizes_in_one_list(
    encoder: PointNet, clouds: np.ndarray, tmp_path: Path
):
    box = Mesh(BOX.vertices * 1000, BOX.faces)
    trimesh.Trimesh(BOX.vertices, BOX.faces).export(tmp_path / "box.ply")
    given = [
        clouds[0],
        str(tmp_path / "box.ply"),
        torch.from_numpy(clouds[1][:40]),
        box,
        PointCloud(clouds[2]),
    ]
    found = encoder.encode(given)
    assert found.shape == (5, 16)
    assert found.dtype == np.float32
    for place in (0, 2, 4):
        assert np.array_equal(found[place], encoder.encode(given[place])[0])
    assert np.array_equal(found[1], encoder.encode(tmp_path / "box.ply")[0])
    assert np.abs(found[3] - found[1]).max() < 0.3 * np.abs(found[1]).max()  # the same box, in millimeters


def test_a_collection_has_a_row_for_each_shape(encoder: PointNet, toy_collection: Collection):
    found = encoder.encode(toy_collection)
    assert np.array_equal(found, encode(encoder, toy_collection.points(toy_collection.indices("all"))))


def test_what_is_wrong_with_a_shape_names_its_place(encoder: PointNet, clouds: np.ndarray):
    for wrong, message in (
        (clouds[0][:20], "cloud 2 of 3 .* has 20 points; expected at least 32"),
        (np.full((40, 3), np.nan), "cloud 2 of 3 .* has a coordinate that is NaN"),
        (np.ones((40, 3)), "cloud 2 of 3 .*all points coincide"),
        (np.ones((40, 2)), r"cloud 2 of 3 .*shape \(1, 40, 2\)"),
        ("absent.stl", "cloud 2 of 3 .*absent.stl does not exist"),
    ):
        with pytest.raises(UserError, match=message):
            encoder.encode([clouds[0], clouds[1][:50], wrong])


def test_the_up_axis_is_turned_to_y(encoder: PointNet, clouds: np.ndarray):
    turned = clouds[:, :, [0, 2, 1]] * np.array([1, -1, 1], np.float32)  # y up to z up
    assert np.allclose(adacross.encode(encoder, turned, up="z"), adacross.encode(encoder, clouds), atol=1e-6)


def test_a_part_of_a_clouds_points_is_still_in_the_frame(encoder: PointNet):
    """A class of slender shapes, whose points' centroid moves most when few of them are drawn."""
    rng = np.random.default_rng(1)
    lines = np.zeros((200, 2048, 3))
    lines[:, :, 0] = rng.choice([-1, 1], (200, 2048))
    lines -= lines.mean(1, keepdims=True)
    lines /= np.linalg.norm(lines, axis=2).max(1)[:, None, None]
    for count in (32, 64, 1024):
        adacross.encode(encoder, lines[:, :count])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[[0.0, 0.0, 0.0]], [[0.0, 0.0]]], "cloud 0 of 2 .* has 1 points"),
        ([[[0.0, 0.0, 0.0], [0.0]]], "a cloud is not an array"),
        ([], "no shapes to encode; give at least 1"),
        (np.zeros((0, 40, 3)), "expected at least 1 cloud"),
        (np.zeros((2, 3, 40)), r"use points.transpose\(1, 2\)"),
        (np.zeros((2, 8, 3)), "at least 32 points"),
        (
            np.zeros((2, 40, 3), dtype=complex),
            "type complex128; expected coordinates of an integer or floating type",
        ),
        (np.zeros((2, 40, 3), dtype=bool), "type bool"),
        (torch.zeros((2, 40, 3), dtype=torch.bool), "type torch.bool"),
        (np.full((2, 40, 3), "a"), "type <U1"),
        (["cup.stl"], "cup.stl does not exist"),
        (np.ma.masked_greater(np.ones((2, 40, 3)), 0), "masked coordinates"),
        (torch.ones(2, 40, 3).to_sparse(), "expected a dense one"),
        (torch.ones(2, 40, 3, device="meta"), "expected a dense one"),
        ([np.ma.masked_greater(np.ones((40, 3)), 0)], "masked coordinates"),
        ([torch.ones(40, 3).to_sparse()], "expected a dense one"),
    ],
)
def test_what_is_no_cloud_is_refused_in_a_sentence(encoder: PointNet, given: Any, message: str):
    with pytest.raises(UserError, match=message):
        adacross.encode(encoder, given)


_OTHER_TYPES = """
import numpy, adacross
clouds = numpy.random.default_rng(0).random((2, 40, 3))
network = adacross.PointNet(width=16)
for call in (lambda: adacross.encode("builtin-small", clouds), lambda: network(clouds)):
    try:
        call()
    except adacross.UserError as error:
        print(error)
"""


@pytest.mark.slow
def test_what_is_no_network_and_no_tensor():
    """In a process of its own: the tests' type checker refuses both before the library can."""
    done = subprocess.run([sys.executable, "-c", _OTHER_TYPES], capture_output=True, text=True, check=True)
    network, tensor = done.stdout.splitlines()
    assert network == "encoder is 'builtin-small'; expected a network. Load it with adacross.load."
    assert tensor == "points are of type ndarray; expected a tensor. Arrays: adacross.encode."


def test_features_that_are_no_numbers_are_refused(clouds: np.ndarray):
    damaged = PointNet(width=16)
    with torch.no_grad():
        next(damaged.parameters()).fill_(math.nan)
    with pytest.raises(UserError, match=r"features of cloud 0 of 5 \(from 0\) are NaN"):
        adacross.encode(damaged, clouds)
    with pytest.raises(UserError, match=r"features of cloud 0 of 2 \(from 0\) are NaN"):
        adacross.encode(damaged, [clouds[0][:40], clouds[1]])


@pytest.mark.parametrize("batch_size", [0, -1, True])
def test_a_batch_size_is_a_whole_number(encoder: PointNet, clouds: np.ndarray, batch_size: Any):
    with pytest.raises(UserError, match=r"batch_size is .*expected a whole number of at least 1"):
        adacross.encode(encoder, clouds, batch_size=batch_size)


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:99", "meta"])
def test_a_device_that_is_not_there(encoder: PointNet, clouds: np.ndarray, device: str):
    with pytest.raises(UserError, match="device is"):
        adacross.encode(encoder, clouds, device=device)
    assert next(encoder.parameters()).device.type == "cpu"
