"""Which parameters an optimizer moves, and how."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy_runs import configured

from adacross.data.collection.collection import Collection
from adacross.errors import UserError
from adacross.methods import Method
from adacross.training.config import PretrainConfig
from adacross.training.networks import new_method
from adacross.training.optim import make_optimizer
from adacross.training.pretrain import pretrain


@pytest.fixture
def method(toy_collection: Collection, tmp_path: Path) -> Method:
    return new_method(configured(toy_collection, tmp_path))


@pytest.fixture
def masked(toy_collection: Collection, tmp_path: Path) -> Method:
    """A method with learnt tokens."""
    return new_method(configured(toy_collection, tmp_path, method="joint-mae"))


def given(optimizer: torch.optim.Optimizer) -> list[int]:
    return sorted(id(p) for group in optimizer.param_groups for p in group["params"])


def changed(method: Method, optimizer: torch.optim.Optimizer, gradient: float) -> dict[str, torch.Tensor]:
    """How far a step with this gradient everywhere moves every parameter."""
    before = {name: parameter.detach().clone() for name, parameter in method.named_parameters()}
    for parameter in method.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()
    return {name: parameter.detach() - before[name] for name, parameter in method.named_parameters()}


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_every_parameter_is_given_exactly_once(name: str, method: Method, masked: Method):
    for one in (method, masked):
        assert given(make_optimizer(name, one, 0.1, 0.1)) == sorted(map(id, one.parameters()))


def test_sgd_released_is_given_the_point_network_and_its_head_alone(method: Method):
    point = chain(method.encoder.parameters(), method.point_head.parameters())
    assert given(make_optimizer("sgd-released", method, 0.1, 0.1)) == sorted(map(id, point))


def test_adamw_shrinks_all_but_vectors_and_tokens(masked: Method):
    start = {name: parameter.detach().clone() for name, parameter in masked.named_parameters()}
    moved = changed(masked, make_optimizer("adamw", masked, 0.1, 0.5), 0.0)
    kept = {name for name, change in moved.items() if not change.any()}
    assert {name for name in start if name.endswith("token")} <= kept
    assert any(name.endswith("token") for name in start)
    for name, change in moved.items():
        vector = start[name].ndim == 1
        assert (name in kept) == (vector or name.endswith("token") or not start[name].any()), name
        if name not in kept:
            torch.testing.assert_close(change, -0.1 * 0.5 * start[name])


def test_adams_weight_decay_is_part_of_the_gradient(method: Method):
    """So a step is as long as the rate, whatever the coefficient: Adam divides by the gradient's size."""
    start = method.towers["rgb"].head[0].weight.detach().clone()
    moved = changed(method, make_optimizer("adam", method, 0.01, 100.0), 0.0)["towers.rgb.head.0.weight"]
    torch.testing.assert_close(moved, -0.01 * start.sign(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["sgd", "sgd-released"])
def test_sgd_has_a_momentum_of_nine_tenths(name: str, method: Method):
    optimizer = make_optimizer(name, method, 0.1, 0.0)
    for length in (0.1, 0.19, 0.271):
        moved = changed(method, optimizer, 1.0)["encoder.last.linear.weight"]
        torch.testing.assert_close(moved, torch.full_like(moved, -length))


def networks(config: PretrainConfig, run: Path) -> Iterator[tuple[str, str, bool]]:
    """Each parameter's network, its name, and whether training has moved it."""
    after = load_file(run / "method.safetensors")
    for name, before in new_method(config).named_parameters():
        yield (
            ".".join(name.split(".")[: 2 if name.startswith("towers") else 1]),
            name,
            not torch.equal(before.detach(), after[name]),
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_run_trains_every_network(toy_collection: Collection, tmp_path: Path, name: str):
    """The released programs' SGD option leaves both ResNets at their random start."""
    options = {"optimizer": name, "learning_rate": 0.1 if name == "sgd" else 0.001, "epochs": 1}
    config = configured(toy_collection, tmp_path / "run", monitor_every=0, **options)
    found = list(networks(config, pretrain(config)))
    assert {network for network, _, _ in found} == {"encoder", "point_head", "towers.rgb", "towers.gray"}
    assert [parameter for _, parameter, moved in found if not moved] == []


def test_sgd_released_leaves_the_image_towers_bit_for_bit_as_drawn(
    toy_collection: Collection, tmp_path: Path
):
    config = configured(
        toy_collection,
        tmp_path / "run",
        optimizer="sgd-released",
        learning_rate=0.1,
        epochs=1,
        monitor_every=0,
    )
    for network, parameter, moved in networks(config, pretrain(config)):
        assert moved == (not network.startswith("towers")), parameter


def test_sgd_released_is_refused_where_there_are_no_towers(toy_collection: Collection, tmp_path: Path):
    config = configured(
        toy_collection, tmp_path / "run", method="point-m2ae", optimizer="sgd-released", learning_rate=0.1
    )
    with pytest.raises(UserError, match=r"sgd-released leaves image towers untrained.*has none; use sgd"):
        pretrain(config)
    assert not (tmp_path / "run").exists()
