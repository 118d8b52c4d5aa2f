"""A step of several batches, clipped gradients, a warm start, and the checkpoints that stay."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_runs import PowerCutError, configured, cut_power, logged, same

from adacross.data.collection.collection import Collection
from adacross.distributed.group import ProcessGroup
from adacross.encoders import load
from adacross.errors import UserError
from adacross.methods import METHODS
from adacross.training import pretrain as setup
from adacross.training.checkpoint import checkpoints
from adacross.training.loop import loss_terms
from adacross.training.networks import new_method
from adacross.training.optim import make_optimizer
from adacross.training.pretrain import pretrain

PLAIN: dict[str, Any] = {
    "method": "crosspoint",
    "optimizer": "sgd",
    "schedule": "constant",
    "learning_rate": 0.1,
    "weight_decay": 0.0,
    "epochs": 1,
    "monitor_every": 0,
}


def test_a_step_of_several_batches_is_a_step_on_the_mean_of_their_losses(
    toy_collection: Collection, tmp_path: Path
):
    config = configured(toy_collection, tmp_path / "run", **PLAIN, accumulate=3)
    group = ProcessGroup(torch.device("cpu"))
    loader, _ = setup._data(config, group)
    method = new_method(config)
    optimizer = make_optimizer("sgd", method, 0.1, 0.0)
    assert loader.steps_per_epoch == 2
    losses = []
    for step in range(2):
        optimizer.zero_grad()
        batches = [loader.load(3 * step + place) for place in range(3)]
        terms = [loss_terms(method, raw, config, 3 * step + i, group) for i, raw in enumerate(batches)]
        loss = torch.stack([sum(each.values()) for each in terms]).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    run = pretrain(config)
    assert logged(run, "step", "step") == [1, 2]
    assert logged(run, "step", "loss") == pytest.approx(losses, rel=1e-5)
    found = load_file(run / "method.safetensors")
    for name, expected in method.state_dict().items():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.slow
def test_accumulation_resumes_to_the_same_bits(toy_collection: Collection, tmp_path: Path):
    options = {"accumulate": 2, "clip_norm": 1.0, "epochs": 2, "monitor_every": 0}
    whole = pretrain(configured(toy_collection, tmp_path / "whole", **options))
    with pytest.MonkeyPatch.context() as patch:
        cut_power(patch, 9)  # the second batch of a step
        with pytest.raises(PowerCutError):
            pretrain(configured(toy_collection, tmp_path / "cut", **options))
    resumed = pretrain(configured(toy_collection, tmp_path / "cut", **options, resume="auto"))
    assert same(whole, resumed)
    assert logged(whole, "step", "step", "terms") == logged(resumed, "step", "step", "terms")
    with pytest.raises(UserError, match="accumulate was 2, is 3"):
        pretrain(configured(toy_collection, resumed, **options | {"accumulate": 3}, resume="auto"))


def test_an_epoch_holds_a_step_at_least(toy_collection: Collection, tmp_path: Path):
    with pytest.raises(UserError, match=r"batch_size is 16 times accumulate 8, but .* has 119 shapes"):
        pretrain(configured(toy_collection, tmp_path / "run", accumulate=8))


def test_a_strange_gradient_of_a_later_batch_is_found(
    toy_collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The third batch's, in the second step of two."""
    original, batches = METHODS["crosspoint"].losses, iter(range(100))

    def losses(self: Any, batch: Any) -> dict[str, torch.Tensor]:
        terms, number = original(self, batch), next(batches)
        parameter = self.shared_parameters()[0]
        slope = (parameter - parameter.detach()).abs().sum().sqrt()  # infinite times 0
        return terms | {"cross": terms["cross"] + slope} if number in (3, 5) else terms  # 5: looked for

    monkeypatch.setattr(METHODS["crosspoint"], "losses", losses)
    run = tmp_path / "run"
    with pytest.raises(UserError, match=r"gradient of loss term 'cross' is not finite at step 3"):
        pretrain(configured(toy_collection, run, **PLAIN, accumulate=2))
    about = json.loads((run / "nonfinite-step-00000003" / "step.json").read_text())
    assert (about["step"], about["batch"], about["of"]) == (1, 3, ["cross"])
    assert len(about["shapes"]) == 16


def test_gradients_are_clipped_to_a_norm(toy_collection: Collection, tmp_path: Path):
    """With plain SGD's first step the weights move by the rate times the clipped norm."""
    norm = 1e-3
    config = configured(toy_collection, tmp_path / "run", **PLAIN, clip_norm=norm, batch_size=119)
    start = new_method(config)
    run = pretrain(config)
    found = load_file(run / "method.safetensors")
    moved = [(found[name] - before.detach()).flatten() for name, before in start.named_parameters()]
    assert float(torch.cat(moved).double().norm()) == pytest.approx(0.1 * norm, rel=1e-2)
    (measured,) = logged(run, "step", "gradient_norm")
    assert measured > norm


@pytest.mark.slow
def test_a_large_norm_changes_nothing(toy_collection: Collection, tmp_path: Path):
    free = pretrain(configured(toy_collection, tmp_path / "free", **PLAIN))
    assert same(free, pretrain(configured(toy_collection, tmp_path / "run", **PLAIN, clip_norm=1e9)))


@pytest.mark.parametrize("of", ["run", "encoder"])
def test_a_warm_start_begins_with_the_weights_of_a_saved_encoder(
    toy_collection: Collection, toy_run: Path, tmp_path: Path, of: str
):
    """Nothing is trained: the rate is as good as 0."""
    source = toy_run if of == "run" else toy_run / "encoder"
    options = PLAIN | {"learning_rate": 1e-30}
    run = pretrain(configured(toy_collection, tmp_path / "run", **options, init=str(source)))
    expected, found = dict(load(toy_run / "encoder").named_parameters()), load(run / "encoder")
    for name, parameter in found.named_parameters():
        assert torch.equal(parameter, expected[name]), name


@pytest.mark.slow
def test_a_warm_start_is_not_repeated_when_resuming(
    toy_collection: Collection, toy_run: Path, tmp_path: Path
):
    options = PLAIN | {"epochs": 2, "init": str(toy_run)}
    whole = pretrain(configured(toy_collection, tmp_path / "whole", **options))
    with pytest.MonkeyPatch.context() as patch:
        cut_power(patch, 8)
        with pytest.raises(PowerCutError):
            pretrain(configured(toy_collection, tmp_path / "cut", **options))
    assert same(whole, pretrain(configured(toy_collection, tmp_path / "cut", **options, resume="auto")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": "builtin-small"}, r"init builtin-small is a PointNet with \{.*but the run trains a Point"),
        ({"encoder": "dgcnn", "encoder_args": {}}, "is a PointNet with .*, but the run trains a DGCNN with"),
        ({"init": "nowhere"}, "nowhere does not exist here"),
    ],
)
def test_a_warm_start_from_another_encoder_is_refused_before_anything_is_written(
    toy_collection: Collection, toy_run: Path, tmp_path: Path, options: dict[str, Any], message: str
):
    with pytest.raises(UserError, match=message):
        pretrain(configured(toy_collection, tmp_path / "run", **{"init": str(toy_run)} | options))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("keep", "after"), [(None, [4]), (1, [4]), (3, [2, 3, 4]), (9, [1, 2, 3, 4])])
def test_the_checkpoints_that_stay(
    toy_collection: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep: int | None,
    after: list[int],
):
    """Of one after each of four epochs; by default two while training, and the last one after it."""
    during: list[int] = []
    save = setup.save_method

    def counting(*given: Any) -> None:
        during.append(len(checkpoints(tmp_path / "run")))
        save(*given)

    monkeypatch.setattr(setup, "save_method", counting)
    options = {"epochs": 4, "monitor_every": 0, "batch_size": 64, "keep_checkpoints": keep}
    run = pretrain(configured(toy_collection, tmp_path / "run", **options))
    assert [path.name for path in checkpoints(run)] == [f"step-{step:08d}.pt" for step in after]
    assert during == [2 if keep is None else min(keep, 4)]
