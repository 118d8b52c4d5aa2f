"""What holds for every contrastive method; each one's equation is in its own file."""

import re
from typing import Any

import pytest
import torch
from contrastive import CONTRASTIVE, IMAGES, agree, batch, built, by_definition

from adacross.distributed.group import ProcessGroup
from adacross.encoders import Encoder, PointNet
from adacross.errors import UserError
from adacross.losses.weighting import Weighting
from adacross.methods import (
    AdaCrossNet,
    CrossModal,
    CrossNet,
    CrossPoint,
    ImageTowerConfig,
    Method,
    build_method,
)
from adacross.training.loop import gradient_norms

every_method = pytest.mark.parametrize(
    ("name", "options"), CONTRASTIVE, ids=[" ".join((name, *given.values())) for name, given in CONTRASTIVE]
)


@every_method
def test_both_clouds_share_one_pass_and_so_their_batch_statistics(name: str, options: dict[str, Any]):
    method = built(name, **options).train()
    calls = []
    method.encoder.register_forward_hook(lambda module, inputs, output: calls.append(inputs[0].shape))
    method.losses(batch())
    assert calls == [(12, 40, 3)]


@every_method
def test_every_network_gets_a_gradient(name: str, options: dict[str, Any]):
    method = built(name, **options).train()
    sum(method.losses(batch()).values()).backward()
    missing = {key for key, value in method.named_parameters() if value.grad is None or not value.grad.any()}
    # The bias before a BatchNorm has none, or one of rounding; all else must learn.
    assert missing <= {"point_head.0.bias"}


@every_method
def test_every_term_reaches_the_shared_parameters(name: str, options: dict[str, Any]):
    method = built(name, **options).train()
    shared = method.shared_parameters()
    assert {id(parameter) for parameter in shared} < {id(parameter) for parameter in method.parameters()}
    for term, value in method.losses(batch()).items():
        gradients = torch.autograd.grad(value, shared, retain_graph=True)
        assert all(gradient.norm() > 1e-6 for gradient in gradients), term


@every_method
def test_gradient_norms_are_those_of_a_backward_pass_for_each_term(name: str, options: dict[str, Any]):
    method = built(name, **options).train()
    terms = method.losses(batch())
    found = gradient_norms(terms, method.shared_parameters(), ProcessGroup(torch.device("cpu")))
    assert all(parameter.grad is None for parameter in method.parameters())  # the step's own comes later
    sum(terms.values()).backward()  # and the graph is still there for it
    for term in terms:
        method.zero_grad(set_to_none=True)
        method.losses(batch())[term].backward()
        flat = torch.cat([parameter.grad.flatten() for parameter in method.shared_parameters()])
        assert found[term] == pytest.approx(flat.double().norm().item(), rel=1e-4)


def test_each_method_has_its_papers_weighting_and_temperature():
    assert (built("crosspoint").temperature, CrossPoint.weighting) == (0.1, "fixed")
    assert (built("crossnet").temperature, CrossNet.weighting) == (0.2, "fixed")
    assert (built("adacrossnet").temperature, AdaCrossNet.weighting) == (0.2, "adacrossnet")


def test_crosspoint_compares_the_mean_of_raw_projections():
    method, given = built("crosspoint"), batch()
    z1, z2 = (method.embed_clouds(cloud) for cloud in given.clouds)
    pictures = method.towers["rgb"](given.rgb)
    agree(
        method.losses(given),
        {"intra": by_definition(z1, z2, 0.1), "cross": by_definition((z1 + z2) / 2, pictures, 0.1)},
    )


@pytest.mark.parametrize("name", ["adacrossnet", "crossnet", "crosspoint"])
def test_building_hands_on_what_it_was_given(name: str):
    encoder = PointNet(width=32)
    images = ImageTowerConfig("resnet50", {"width": 4}, False, 48)
    method = build_method(name, encoder, images, 40, temperature=0.3)
    assert method.encoder is encoder
    assert (method.points, method.image_size, method.temperature) == (40, 48, 0.3)
    for pictures, channels in (("rgb", 3), ("gray", 1)):
        if pictures in method.towers:
            resnet = method.towers[pictures].encoder
            assert resnet(torch.randn(1, channels, 48, 48)).shape == (
                1,
                4 * 32,
            )  # bottlenecks from 4 channels
    assert ("gray" in method.towers) == (name != "crosspoint")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("crosnet", {}, "unknown method 'crosnet'. Did you mean 'crossnet'?"),
        ("crosspoint", {"tau": 0.1}, "unknown option of method crosspoint 'tau'. Valid: temperature"),
        (
            "crossnet",
            {"variants": "joint"},
            "Did you mean 'variant'? Valid: variant, temperature, negatives.",
        ),
        ("crosspoint", {"temperature": 0.0}, "temperature is 0.0; expected a positive number"),
        ("crossnet", {"temperature": float("nan")}, "temperature is nan"),
        (
            "crossnet",
            {"variant": "joint", "negatives": "released"},
            "negatives is 'released', but variant 'joint' has one row a shape",
        ),
    ],
)
def test_what_a_method_does_not_have_is_refused(name: str, options: dict[str, Any], message: str):
    with pytest.raises(UserError, match=re.escape(message)):
        build_method(name, PointNet(width=32), IMAGES, None, **options)


def test_a_method_without_its_parts_cannot_be_made():
    class Nothing(Method):
        pass

    for kind in (Method, Nothing, CrossModal, Encoder, Weighting):
        with pytest.raises(TypeError, match=f"abstract class {kind.__name__}"):
            kind()
