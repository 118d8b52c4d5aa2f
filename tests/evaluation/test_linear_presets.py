"""`evaluate linear --as PAPER`: the paper's SVC on features as they are; and the traps of the protocol."""

import copy
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.encoders import DGCNN, Encoder, PointNet
from adacross.encoders.frozen import encode
from adacross.errors import UserError
from adacross.evaluation.linear import LinearResult, measure_linear
from adacross.evaluation.probe import PRESETS, Probe
from adacross.evaluation.results import Paper, load
from adacross.features.sources import untrained_like
from adacross.report.gather import read_run
from adacross.report.linear_preset import linear_preset
from adacross.report.overview import overview


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(3)
    return PointNet(width=32).eval()


def plain(
    encoder: Encoder,
    collection: Collection,
    points: int,
    penalty: float,
    scaler: StandardScaler | None = None,
) -> np.ndarray:
    """Predictions of scikit-learn's SVC on features of the first points, not scaled if not asked for."""
    train, test = collection.indices("train"), collection.indices("test")
    features = [encode(encoder, collection.points(split)[:, :points]) for split in (train, test)]
    if scaler:
        features = [scaler.fit(features[0]).transform(each) for each in features]
    return SVC(kernel="linear", C=penalty).fit(features[0], collection.labels[train]).predict(features[1])


@pytest.mark.parametrize(
    ("paper", "penalty"),
    [
        ("crosspoint", 0.01),
        ("crossnet", 0.01),
        ("adacrossnet", 0.01),
        ("point-m2ae", 0.012),
        ("joint-mae", 0.012),
    ],
)
def test_a_preset_is_plain_svc_on_unscaled_features_of_the_first_points(
    toy_collection: Collection, encoder: Encoder, paper: Paper, penalty: float
):
    """Features grown to where C matters; there neither another C nor scaled features predict the same."""
    grown = copy.deepcopy(encoder)
    last = [module for module in grown.modules() if isinstance(module, torch.nn.BatchNorm1d)][-1]
    features = encode(grown, toy_collection.points(toy_collection.indices("train"))[:, :48])
    factor = (30 / float(features.var(axis=0).mean())) ** 0.5
    with torch.no_grad():
        last.weight.mul_(factor)
        last.bias.mul_(factor)
    result = measure_linear([grown], toy_collection, points=48, as_=paper)
    truth = toy_collection.labels[toy_collection.indices("test")]
    predicted = plain(grown, toy_collection, 48, penalty)
    assert result.pretrained.accuracy == [float((predicted == truth).mean())]
    expected = np.zeros((44, 44), dtype=np.int64)
    np.add.at(expected, (truth, predicted), 1)
    assert result.confusion == expected.tolist()
    assert all(c == penalty for c in (*result.pretrained.C, *result.untrained.C))
    assert len(result.untrained.C) == 3
    for seed, accuracy in enumerate(result.untrained.accuracy):
        fresh = plain(untrained_like(grown, seed), toy_collection, 48, penalty)
        assert accuracy == float((fresh == truth).mean())
    assert (plain(grown, toy_collection, 48, 1e-5) != predicted).any()
    assert (plain(grown, toy_collection, 48, penalty, StandardScaler()) != predicted).any()


def test_presets_say_what_methods_md_says(toy_collection: Collection):
    assert set(PRESETS) == set(get_args(Paper))
    assert {name: preset.points for name, preset in PRESETS.items()} == {
        "crosspoint": 1024, "crossnet": 1024, "adacrossnet": None, "point-m2ae": 1024, "joint-mae": 1024,
    }  # fmt: skip
    scanned = copy.copy(toy_collection)
    scanned.info = replace(toy_collection.info, format="scanobjectnn")
    found = {name: preset.penalty(scanned) for name, preset in PRESETS.items()}
    assert found == dict.fromkeys(("crosspoint", "crossnet", "adacrossnet"), 0.01) | dict.fromkeys(
        ("point-m2ae", "joint-mae"), 0.042
    )


def test_what_is_given_beside_a_preset_wins_and_is_said(toy_collection: Collection, encoder: Encoder):
    given = measure_linear([encoder], toy_collection, points=40, as_="crosspoint", C=0.1, seeds=1)
    assert (given.points, given.pretrained.C, given.protocol) == (40, [0.1], "crosspoint")
    assert "C = 0.1, on features as they are" in given.classifier
    usual = measure_linear([encoder], toy_collection, as_="crosspoint", seeds=1)
    assert usual.points == toy_collection.info.points


def test_c_alone_is_fixed_and_points_are_still_drawn(toy_collection: Collection, encoder: Encoder):
    result = measure_linear([encoder], toy_collection, points=40, C=2.0, seeds=3)
    assert result.protocol == "ours"
    assert result.pretrained.C == [2.0] * 3
    train, test = toy_collection.indices("train"), toy_collection.indices("test")
    for seed, accuracy in enumerate(result.pretrained.accuracy):
        drawn = np.random.default_rng(seed).permutation(64)[:40]
        features = [encode(encoder, toy_collection.points(split)[:, drawn]) for split in (train, test)]
        machine = SVC(kernel="linear", C=2.0).fit(features[0], toy_collection.labels[train])
        assert accuracy == machine.score(features[1], toy_collection.labels[test])
    assert "the points drawn" in result.spread
    assert "folds" not in result.spread


def test_several_pretrainings_are_each_measured_once(toy_collection: Collection, encoder: Encoder):
    others = [encoder, *(untrained_like(encoder, seed) for seed in (11, 12))]
    result = measure_linear(others, toy_collection, as_="crossnet", seeds=4)
    alone = [measure_linear([one], toy_collection, as_="crossnet", seeds=1) for one in others]
    assert result.pretrained.accuracy == [one.pretrained.mean for one in alone]
    assert len(result.untrained.accuracy) == 4
    assert result.spread.startswith("mean ± standard deviation of 3: 3 pre-training seeds; untrained: 4 init")
    assert alone[0].spread.startswith("measured once")


def test_the_default_protocol_is_as_before(toy_collection: Collection, encoder: Encoder):
    """Points and folds drawn by the seed, C by cross-validation, whatever else there is now."""
    from adacross.features.svm import svm

    result = measure_linear([encoder], toy_collection, points=40, folds=3, seeds=2)
    train, test = toy_collection.indices("train"), toy_collection.indices("test")
    for seed in range(2):
        drawn = np.random.default_rng(seed).permutation(64)[:40]
        features = [encode(encoder, toy_collection.points(split)[:, drawn]) for split in (train, test)]
        predicted, penalty = svm(features[0], toy_collection.labels[train], features[1], 3, seed)
        accuracy = float((predicted == toy_collection.labels[test]).mean())
        assert (result.pretrained.accuracy[seed], result.pretrained.C[seed]) == (accuracy, penalty)
    assert result.classifier == "linear SVM (SVC), C by 3-fold cross-validation on the training split"
    assert result.protocol == "ours"


@pytest.mark.parametrize("as_", [None, "crosspoint"])
def test_features_in_training_mode_cannot_leak_the_class(toy_collection: Collection, as_: Paper | None):
    """The trap: BatchNorm in training mode reads the batch, and in a sorted file the batch is the class.

    The shapes are sorted by class; the encoder is left in training mode. The result is that of eval mode, and
    training mode would have given other features, by which whole batches are told apart.
    """
    torch.manual_seed(0)
    encoder = DGCNN(k=4, width=32)
    resorted = copy.copy(toy_collection)
    resorted.indices = lambda split: _by_class(toy_collection, split)  # type: ignore[method-assign]
    train = resorted.indices("train")
    assert (np.diff(resorted.labels[train]) >= 0).all()
    options = {"points": 48, "folds": 3, "seeds": 1, "as_": as_, "C": 10.0 if as_ else None}
    expected = measure_linear([encoder.eval()], resorted, **options)
    found = measure_linear([encoder.train()], resorted, **options)
    assert encoder.training
    assert found == expected
    clouds = torch.from_numpy(resorted.points(train[:6])[:, :48])
    with torch.no_grad():
        leaking = copy.deepcopy(encoder).train()(clouds).numpy()
    assert not np.allclose(leaking, encode(encoder, clouds), rtol=0.1)


def _by_class(collection: Collection, split: str) -> np.ndarray:
    indices = collection.indices(split)
    return indices[np.argsort(collection.labels[indices], kind="stable")]


def shown(result: LinearResult) -> str:
    out = io.StringIO()
    Console(file=out, width=300).print(result.table())
    return out.getvalue()


def test_c_stands_in_the_table_the_json_and_the_report_as_typed(
    capsys: pytest.CaptureFixture[str], toy_run: Path, toy_collection: Collection, tmp_path: Path
):
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    data = str(toy_collection.folder)
    small = ["--seeds", "2", "--folds", "3", "--points", "48", "--device", "cpu"]
    assert main(["evaluate", "linear", str(run), data, *small]) == 0
    default = (run / "evaluation" / "linear.json").read_text()
    assert main(["evaluate", "linear", str(run), data, *small, "--as", "point-m2ae"]) == 0
    out = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "C = 0.012, on features as they are (as Point-M2AE's program: 0.012, on ScanObjectNN 0.042)" in out
    assert (run / "evaluation" / "linear.json").read_text() == default
    path = run / "evaluation" / "linear-as-point-m2ae.json"
    result = load(LinearResult, path)
    assert json.loads(path.read_text())["pretrained"]["C"] == [0.012]
    assert re.search(r"pre-trained .* 0\.012 ", shown(result))
    assert re.search(r"untrained .* 0\.012 0\.012 ", shown(result))
    assert main(["evaluate", "linear", str(run), data, *small, "--C", "0.1"]) == 0
    assert json.loads((run / "evaluation" / "linear-C-0.1.json").read_text())["untrained"]["C"] == [0.1, 0.1]
    report = read_run(run)
    chosen = load(LinearResult, run / "evaluation" / "linear.json").pretrained.C
    assert " · ".join(f"{c:.2g}" for c in chosen) in overview(report).body
    section = linear_preset(report, result)
    assert section.anchor == "linear-point-m2ae"
    assert "C = 0.012" in section.body
    assert "<td>0.012</td>" in section.body
    assert "Point-M2AE" in section.title


def test_mistakes(toy_collection: Collection, encoder: Encoder, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(UserError, match=r"C is 0\.0; expected a number above 0"):
        measure_linear([encoder], toy_collection, C=0.0)
    with pytest.raises(UserError, match="points is -3"):
        Probe.of(toy_collection, -3, 3, "cpu")
    for folds in (1, 0, -2):
        with pytest.raises(UserError, match=f"folds is {folds}; expected at least 2"):
            measure_linear([encoder], toy_collection, folds=folds)
    assert Probe.of(toy_collection, 40, 1, "cpu", C=1.0).C == 1.0, "no folds are needed"
    assert main(["evaluate", "linear", "x", "y", "--as", "pointnet"]) == 2
    assert "crosspoint" in capsys.readouterr().err
