"""Projection heads have the papers' sizes."""

import pytest
import torch

from adacross.errors import UserError
from adacross.nn.heads import ImageProjection, PointProjection


def shapes(head):
    return {name: tuple(tensor.shape) for name, tensor in head.named_parameters()}


def test_point_head():
    head = PointProjection(2048)
    assert shapes(head) == {
        "0.weight": (1024, 2048),
        "0.bias": (1024,),
        "1.weight": (1024,),
        "1.bias": (1024,),
        "3.weight": (256, 1024),
        "3.bias": (256,),
    }
    assert head(torch.randn(3, 2048)).shape == (3, 256)


def test_image_head_has_no_biases():
    head = ImageProjection(2048)
    assert shapes(head) == {
        "0.weight": (512, 2048),
        "1.weight": (512,),
        "1.bias": (512,),
        "3.weight": (256, 512),
    }
    assert head(torch.randn(3, 2048)).shape == (3, 256)


def test_a_batch_of_one_cannot_train():
    head = PointProjection(8)
    with pytest.raises(UserError, match="batch of 1"):
        head(torch.randn(1, 8))
    assert head.eval()(torch.randn(1, 8)).shape == (1, 256)
