"""Fine-tuning: the papers' settings, the labels given, and that nothing but them is learnt from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.encoders import DGCNN, PointM2AE, PointNet
from adacross.errors import UserError
from adacross.evaluation.classification import OURS, PRESETS, Protocol, Task
from adacross.evaluation.classifier import ClassificationHead, Classifier
from adacross.evaluation.fine_tune import FineTuneResult, fraction_of, measure_fine_tune
from adacross.evaluation.results import load
from adacross.evaluation.supervised import Schedule

QUICK = replace(OURS, points=48, schedule=replace(OURS.schedule, epochs=2, least_steps=0))


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 1.0])
def test_a_fraction_keeps_every_class_and_smaller_ones_lie_within(fraction: float):
    labels = np.random.default_rng(0).integers(0, 7, 400)
    chosen = fraction_of(labels, fraction, seed=3)
    for label in range(7):
        expected = max(1, round(fraction * (labels == label).sum()))
        assert (labels[chosen] == label).sum() == expected
    assert set(fraction_of(labels, fraction / 2, 3)) <= set(chosen)
    assert len(np.unique(chosen)) == len(chosen)
    if fraction < 1:
        assert not np.array_equal(chosen, fraction_of(labels, fraction, 4))


def test_scores_are_counted_as_by_hand():
    """A "network" that tells classes by the sign of the mean x, on clouds where some signs are wrong."""

    class Sign(torch.nn.Module):
        def forward(self, points: torch.Tensor) -> torch.Tensor:
            x = points[:, :, 0].mean(1)
            return torch.stack([-x, x], 1)

    x = np.array([-1, -1, -1, 1, 1, 1, 1, -1], dtype=np.float32)  # predicted 0 0 0 1 1 1 1 0
    truth = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    clouds = np.broadcast_to(x[:, None, None], (8, 40, 3)).copy()
    task = Task((clouds, clouds), (truth, truth), 2, replace(QUICK, points=40), votes=4, device="cpu")
    overall, per_class, voted = task.score(Sign(), 0)
    assert overall == pytest.approx(4 / 8)
    assert per_class == pytest.approx((3 / 6 + 1 / 2) / 2)
    assert voted == overall  # scales from 2/3 and shifts to 0.2 turn no sign


def test_scoring_changes_nothing_in_a_network_that_was_left_in_training_mode(toy_collection: Collection):
    test = toy_collection.indices("test")
    clouds, labels = toy_collection.points(test)[:, :48], toy_collection.labels[test]
    task = Task((clouds, clouds), (labels, labels), 44, QUICK, 0, "cpu")
    network = task.network(PointNet(width=16), 0).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = task.score(network, 0)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert task.score(network.eval(), 0) == first


def test_the_result_has_both_starts_with_the_same_head_and_leaves_the_encoder_alone(
    toy_collection: Collection,
):
    encoder = PointNet(width=16)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    result = measure_fine_tune([encoder], toy_collection, QUICK, fractions=[0.3, 1.0], seeds=2, votes=2)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert [row.fraction for row in result.labels] == [0.3, 1.0]
    assert result.labels[1].shapes == result.train
    assert len(result.labels[0].scratch.overall.values) == 2
    assert result.labels[0].pretrained.voted is not None
    again = measure_fine_tune([encoder], toy_collection, QUICK, fractions=[0.3], seeds=1, votes=2)
    assert again.labels[0].pretrained.overall.values[0] == result.labels[0].pretrained.overall.values[0]


@pytest.mark.parametrize("paper", ["crossnet", "adacrossnet"])
def test_the_contrastive_papers_settings(paper: str):
    protocol = PRESETS[paper]
    assert protocol.schedule == Schedule(
        epochs=200, batch_size=32, optimizer="sgd", learning_rate=0.1, last_rate=0.001, weight_decay=1e-4,
        label_smoothing=0.2,
    )  # fmt: skip
    assert (protocol.hidden, protocol.points, protocol.draw) == ((512, 256), 1024, "first")


def test_point_m2aes_settings_turn_its_local_attention_on_and_draw_from_farthest_points():
    protocol = replace(PRESETS["point-m2ae"], points=64)
    clouds = np.random.default_rng(0).normal(size=(3, 200, 3)).astype(np.float32)
    task = Task((clouds, clouds), (np.arange(3), np.arange(3)), 3, protocol, 0, "cpu")
    encoder = PointM2AE([24, 12, 6], [8, 4, 4], [16, 32, 48], width=8, depths=[1, 1, 1], heads=4)
    network = task.network(encoder, 0)
    assert network.encoder.radii == (0.32, 0.64, 1.28)
    assert encoder.radii is None
    assert task.candidates(clouds).shape == (3, 75, 3)


def test_a_head_says_what_it_needs():
    head = ClassificationHead(8, 3)
    with pytest.raises(UserError, match="batch of 1"):
        head(torch.zeros(1, 8))
    assert head.eval()(torch.zeros(1, 8)).shape == (1, 3)
    network = Classifier(DGCNN(k=4, width=8), ClassificationHead(DGCNN(k=4, width=8).dim, 3)).eval()
    clouds = torch.randn(4, 40, 3)
    assert torch.allclose(network(clouds), network(clouds[:, torch.randperm(40)]), atol=1e-5)


def test_the_command_line(
    toy_run: Path, toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture
):
    output = tmp_path / "fine-tune.json"
    command = ["evaluate", "fine-tune", str(toy_run), str(toy_collection.folder), "--device", "cpu"]
    small = [
        *["--fractions", "0.5", "--epochs", "1", "--points", "48", "--seeds", "1", "--output"],
        str(output),
    ]
    assert main([*command, *small]) == 0
    assert "from scratch" in capsys.readouterr().out
    assert load(FineTuneResult, output).labels[0].fraction == 0.5
    assert not output.with_suffix(".pieces").exists()
    assert main([*command, "--as", "adacrossnet", *small, "--overwrite"]) == 0
    assert "sgd 0.1 to 0.001, 1 epochs" in load(FineTuneResult, output).protocol
    assert main([*command, "--as", "crosspoint"]) == 2
    assert "published no fine-tuned classification" in capsys.readouterr().err
    assert main([*command, "--fractions", "0"]) == 2
    assert main([*command, "--epochs", "0"]) == 2


def test_a_protocol_says_itself_in_a_line():
    words = Protocol(Schedule(epochs=3, least_steps=10)).words
    assert words == (
        "sgd 0.1 to 0.001, 3 epochs (at least 10 steps), batch 32, label smoothing 0.2, head 512-256, "
        "first points, last step"
    )
