"""`fused=False`: the same numbers, with every module called."""

from typing import Any

import pytest
import torch
from torch import nn
from toy import TOY_M2AE

from adacross.encoders import ENCODERS, Encoder, build_encoder
from adacross.nn.layers import set_fused

OPTIONS: dict[str, dict[str, Any]] = {
    kind: {"k": 6, "width": 24} if "dgcnn" in kind else TOY_M2AE if kind == "point-m2ae" else {"width": 24}
    for kind in ENCODERS
}


def both(kind: str) -> tuple[Encoder, Encoder]:
    fused, plain = (build_encoder(kind, **OPTIONS[kind], fused=fused).double() for fused in (True, False))
    for norm in (module for module in fused.modules() if isinstance(module, nn.BatchNorm1d)):
        nn.init.normal_(norm.weight)  # of either sign
        nn.init.normal_(norm.bias)
    plain.load_state_dict(fused.state_dict())
    return fused, plain


@pytest.mark.parametrize("kind", ENCODERS)
def test_features_gradients_and_statistics_are_the_same(kind: str):
    fused, plain = both(kind)
    points = torch.randn(4, 60, 3, dtype=torch.float64)
    for training in (True, False):
        for network in (fused.train(training), plain.train(training)):
            network.zero_grad()
            local, whole = network.both_features(points)
            (whole.square().mean() + local.square().mean()).backward()
        torch.testing.assert_close(plain(points), fused(points), rtol=1e-8, atol=1e-8)
        for one, two in zip(plain.parameters(), fused.parameters(), strict=True):
            torch.testing.assert_close(one.grad, two.grad, rtol=1e-6, atol=1e-8)
    for name, value in fused.state_dict().items():
        torch.testing.assert_close(plain.state_dict()[name], value, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_module_is_called(kind: str):
    _, plain = both(kind)
    called = set()
    leaves = {
        name: module
        for name, module in plain.named_modules()
        if isinstance(module, (nn.Linear, nn.BatchNorm1d, nn.LayerNorm))
    }
    for name, module in leaves.items():
        module.register_forward_hook(lambda *_, name=name: called.add(name))
    plain(torch.randn(2, 60, 3, dtype=torch.float64))
    plain.both_features(torch.randn(2, 60, 3, dtype=torch.float64))
    assert called == set(leaves)


def test_a_parametrization_of_a_loaded_encoder_is_seen():
    network = build_encoder("dgcnn", k=6, width=24).eval()
    set_fused(network, False)
    points = torch.randn(2, 60, 3)
    before = network(points)

    class Zero(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return 0 * weight

    nn.utils.parametrize.register_parametrization(network.last.linear, "weight", Zero())
    assert not torch.equal(network(points), before)
    assert network(points).std() < 1e-6
