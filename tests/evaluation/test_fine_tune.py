"""Fine-tuning: the papers' settings, the labels given, and that nothing but them is learned from."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adacross.data.collection.collection import Collection
from adacross.data.transforms import draw_points, scale_and_shift
from adacross.encoders import DGCNN, PointM2AE, PointNet
from adacross.errors import UserError
from adacross.evaluation.classification import (
    OURS,
    PRESETS,
    ClassificationHead,
    Training,
    classify,
    new_classifier,
)
from adacross.evaluation.fine_tune import fine_tune
from adacross.evaluation.result import CHANCE, PRETRAINED, SCRATCH, load
from adacross.evaluation.supervised import Schedule, fraction_of
from adacross.features.sources import untrained_like

QUICK: dict[str, Any] = {"points": 48, "epochs": 2, "device": "cpu"}


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


class Sign(torch.nn.Module):
    """Tells two classes by the sign of the mean x."""

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        x = points[:, :, 0].mean(1)
        return torch.stack([-x, x], 1)


def test_classes_are_predicted_and_voted():
    x = np.array([-1, -1, -1, 1, 1, 1, 1, -1], dtype=np.float32)
    clouds = np.broadcast_to(x[:, None, None], (8, 40, 3)).copy()
    expected = [0, 0, 0, 1, 1, 1, 1, 0]
    assert classify(Sign(), clouds).tolist() == [expected]
    # scales from 2/3 and shifts to 0.2 turn no sign
    assert classify(Sign(), clouds, votes=4).tolist() == [expected, expected]


def test_votes_add_probabilities_of_scaled_and_shifted_copies():
    clouds = np.random.default_rng(0).normal(size=(50, 40, 3)).astype(np.float32)
    generator = torch.Generator().manual_seed(9)
    copies = [scale_and_shift(torch.from_numpy(clouds), generator) for _ in range(3)]
    votes = sum(Sign()(copy).softmax(1) for copy in copies)
    plain, voted = classify(Sign(), clouds, votes=3, seed=9)
    assert voted.tolist() == votes.argmax(1).tolist()
    assert plain.tolist() != voted.tolist()


def test_predicting_changes_nothing_in_a_network_that_was_left_in_training_mode():
    clouds = np.random.default_rng(0).normal(size=(20, 48, 3)).astype(np.float32)
    network = new_classifier(PointNet(width=16), 5, OURS, 0).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = classify(network, clouds)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert np.array_equal(classify(network.eval(), clouds), first)


@pytest.mark.slow
def test_both_starts_are_scored_per_test_shape_and_the_encoder_stays(toy_collection: Collection):
    encoder = PointNet(width=16)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    measure = partial(fine_tune, encoder, toy_collection, **QUICK)
    result = measure(fractions=[0.3, 1.0], seeds=2, votes=2)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert result.details["labeled"] == {"30 %": 44, "100 %": result.data.train}
    assert [result.score(network).networks for network in (PRETRAINED, SCRATCH)] == [[0, 0], [0, 1]]
    truth = np.array(result.truth)
    for score in result.scores[:-2]:
        if score.metric != "mean class accuracy":
            assert score.outcomes == (np.array(score.predictions) == truth).astype(float).tolist()
    for labels in ("30 %", "100 %"):
        plain, macro, voted = (
            result.score(SCRATCH, metric, labels=labels)
            for metric in ("accuracy", "mean class accuracy", "voted accuracy")
        )
        right = np.array(plain.predictions) == truth
        shares = [[row[truth == label].mean() for label in np.unique(truth)] for row in right]
        assert macro.values == pytest.approx(np.mean(shares, axis=1).tolist())
        assert len(voted.predictions) == 2
    assert [one.estimate.mean for one in result.scores if one.network == CHANCE] == [
        pytest.approx(1 / 44),
        pytest.approx(1 / 44),
    ]
    again = measure(fractions=[0.3], seeds=1)
    assert again.score(PRETRAINED).predictions == result.score(PRETRAINED).predictions[:1]


@pytest.mark.slow
def test_several_pretrainings_take_turns(toy_collection: Collection):
    encoder = PointNet(width=16)
    others = [encoder, untrained_like(encoder, 1)]
    result = fine_tune(others, toy_collection, fractions=[0.3], seeds=3, **QUICK | {"epochs": 1})
    assert result.score(PRETRAINED).networks == [0, 1, 0]
    assert result.score(SCRATCH).networks == [0, 1, 2]


def test_both_starts_get_the_same_head_and_the_encoder_is_copied():
    encoder = PointNet(width=16).requires_grad_(False)
    first, second = (new_classifier(start, 5, OURS, 3) for start in (encoder, untrained_like(encoder, 0)))
    assert all(torch.equal(a, b) for a, b in zip(first[1].parameters(), second[1].parameters(), strict=True))
    assert all(parameter.requires_grad for parameter in first.parameters())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_rotations_are_about_the_up_axis_by_any_angle():
    """Same draws otherwise: what is left of scale and shift is a rotation of x and z."""
    training = replace(OURS, points=30, rotate_y=True)
    clouds = torch.from_numpy(np.random.default_rng(0).normal(size=(400, 50, 3)).astype(np.float32))

    class Recorded:
        rotated = torch.empty(0)

    def record(points: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        Recorded.rotated = points
        return points

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adacross.evaluation.classification.scale_and_shift", record)
        training.augment(clouds, torch.Generator().manual_seed(4))
        plain = draw_points(clouds, 30, torch.Generator().manual_seed(4))
    rotated = Recorded.rotated
    assert torch.equal(rotated[:, :, 1], plain[:, :, 1])
    assert torch.allclose(rotated.norm(dim=2), plain.norm(dim=2), atol=1e-5)
    turns = [torch.atan2(each[:, 0, 0], each[:, 0, 2]) for each in (rotated, plain)]
    angles = (turns[0] - turns[1]).remainder(2 * torch.pi)
    assert torch.histc(angles, 4, 0, 2 * torch.pi).min() > 60
    kept = replace(training, rotate_y=False).augment(clouds, torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    assert torch.equal(kept, scale_and_shift(draw_points(clouds, 30, generator), generator))


@pytest.mark.parametrize("paper", ["crossnet", "adacrossnet"])
def test_the_contrastive_papers_settings(paper: str):
    training = PRESETS[paper]
    assert training.schedule == Schedule(
        epochs=200, batch_size=32, optimizer="sgd", learning_rate=0.1, last_rate=0.001, weight_decay=1e-4,
        label_smoothing=0.2,
    )  # fmt: skip
    assert (training.hidden, training.points, training.draw) == ((512, 256), 1024, "first")


def test_point_m2aes_settings_turn_its_local_attention_on_and_draw_from_farthest_points():
    training = replace(PRESETS["point-m2ae"], points=64)
    clouds = np.random.default_rng(0).normal(size=(3, 200, 3)).astype(np.float32)
    encoder = PointM2AE([24, 12, 6], [8, 4, 4], [16, 32, 48], width=8, depths=[1, 1, 1], heads=4)
    copied = new_classifier(encoder, 3, training, 0)[0]
    assert isinstance(copied, PointM2AE)
    assert copied.radii == (0.32, 0.64, 1.28)
    assert encoder.radii is None
    assert training.candidates(clouds).shape == (3, 75, 3)


def test_a_head_says_what_it_needs():
    head = ClassificationHead(8, 3)
    with pytest.raises(UserError, match="batch of 1"):
        head(torch.zeros(1, 8))
    assert head.eval()(torch.zeros(1, 8)).shape == (1, 3)
    network = new_classifier(DGCNN(k=4, width=8), 3, OURS, 0).eval()
    clouds = torch.randn(4, 40, 3)
    assert torch.allclose(network(clouds), network(clouds[:, torch.randperm(40)]), atol=1e-5)


def test_results_say_how_they_were_trained(toy_collection: Collection, tmp_path: Path):
    measure = partial(fine_tune, PointNet(width=16), toy_collection, fractions=[0.3], seeds=1)
    measure = partial(measure, **QUICK | {"epochs": 1})
    path = tmp_path / "fine-tune.json"
    result = measure(rotate_y=True, output=str(path))
    assert load(path) == result
    assert not path.with_suffix(".pieces").exists()
    assert "random rotations about the up axis" in result.protocol
    assert "sgd 0.1 to 0.001, 1 epochs" in measure(as_="adacrossnet").protocol


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"as_": "crosspoint"}, "published no fine-tuned classification"),
        ({"fractions": [0.0]}, "fractions are"),
        ({"fractions": [0.5, 1.5]}, "fractions are"),
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": -1.0}, "learning_rate is -1"),
        ({"seeds": 0}, "seeds is 0"),
        ({"votes": -1}, "votes -1"),
        ({"points": 0}, "points is 0; expected 1 to 64"),
        ({"points": 10_000}, "points is 10000; expected 1 to 64"),
    ],
    ids=str,
)
def test_mistakes(toy_collection: Collection, options: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        fine_tune(PointNet(width=16), toy_collection, **options)


def test_a_training_says_itself_in_a_line():
    assert str(Training(Schedule(epochs=3, least_steps=10), rotate_y=True)) == (
        "sgd 0.1 to 0.001, 3 epochs (at least 10 steps), batch 32, label smoothing 0.2, head 512-256, "
        "first 1,024 points, random rotations about the up axis, scale and shift, last step"
    )
