"""`adacross.encode`: clouds of any numeric type, checked, and a warning for another frame."""

import math
import re
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float32

import adacross
from adacross.encoders import PointNet
from adacross.errors import UserError
from adacross.features.encode import encode


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
    ("changed", "told"),
    [
        (lambda clouds: 1000 * clouds, "5 of 5 clouds are not .* point at distance 1000, centroid at "),
        (lambda clouds: 0.01 * clouds, "5 of 5 clouds are not .* point at distance 0.01,"),
        (lambda clouds: (clouds + 1) / 2, "5 of 5 clouds are not centered"),
        (lambda clouds: clouds * np.array([1, 1, 1, 1.02, 1])[:, None, None], "1 of 5 .*cloud 3: farthest"),
    ],
    ids=["millimeters", "tiny", "corner", "one"],
)
def test_another_frame_is_told_once_a_call(encoder: PointNet, clouds: np.ndarray, changed: Any, told: str):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = adacross.encode(encoder, changed(clouds), batch_size=1)
    assert found.shape == (5, 16)
    assert len(caught) == 1
    assert caught[0].category is UserWarning
    assert re.search(told, str(caught[0].message))
    assert "Subtract each cloud's mean and divide by its largest norm" in str(caught[0].message)


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
        ([np.zeros((40, 3)), np.zeros((50, 3))], r"different shapes \(\(40, 3\) and \(50, 3\)\)"),
        ([[[0.0, 0.0, 0.0]], [[0.0, 0.0]]], "different shapes"),
        ([[[0.0, 0.0, 0.0], [0.0]]], "a cloud is no array"),
        ([], r"shape \(0, 0, 3\); expected at least 1 cloud"),
        (np.zeros((0, 40, 3)), "expected at least 1 cloud"),
        (np.zeros((40, 3)), r"expected \(clouds, points, 3\). Of a single cloud use points\[None\]"),
        (np.zeros((2, 3, 40)), r"use points.transpose\(1, 2\)"),
        (np.zeros((2, 8, 3)), "at least 32 points"),
        (
            np.zeros((2, 40, 3), dtype=complex),
            "type complex128; expected coordinates of an integer or floating type",
        ),
        (np.zeros((2, 40, 3), dtype=bool), "type bool"),
        (torch.zeros((2, 40, 3), dtype=torch.bool), "type torch.bool"),
        (np.full((2, 40, 3), "a"), "type <U1"),
        (["cup.stl"], "type <U7"),
        (np.ma.masked_greater(np.ones((2, 40, 3)), 0), "masked coordinates"),
        (torch.ones(2, 40, 3).to_sparse(), "expected a dense one"),
        (torch.ones(2, 40, 3, device="meta"), "expected a dense one"),
    ],
)
def test_what_is_no_cloud_is_refused_in_a_sentence(encoder: PointNet, given: Any, message: str):
    with pytest.raises(UserError, match=message):
        adacross.encode(encoder, given)


_OTHER_TYPES = """
import numpy, adacross
clouds = numpy.zeros((2, 40, 3))
network = adacross.PointNet(width=16)
for call in (lambda: adacross.encode("builtin-small", clouds), lambda: network(clouds)):
    try:
        call()
    except adacross.UserError as error:
        print(error)
"""


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
    clouds = clouds.copy()
    clouds[3] *= 1e6  # beyond float16
    with pytest.raises(UserError, match=r"features of cloud 3 of 5 .* another type than torch.float16"):
        adacross.encode(PointNet(width=16).half(), clouds)


@pytest.mark.parametrize("batch_size", [0, -1, True])
def test_a_batch_size_is_a_whole_number(encoder: PointNet, clouds: np.ndarray, batch_size: Any):
    with pytest.raises(UserError, match=r"batch_size is .*expected a whole number of at least 1"):
        adacross.encode(encoder, clouds, batch_size=batch_size)


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:99", "meta"])
def test_a_device_that_is_not_there(encoder: PointNet, clouds: np.ndarray, device: str):
    with pytest.raises(UserError, match="device is"):
        adacross.encode(encoder, clouds, device=device)
    assert next(encoder.parameters()).device.type == "cpu"
