"""Part segmentation: what is learnt from, what is counted, and that it can be interrupted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.cli import main
from adacross.data.collection.collection import Collection, CollectionInfo
from adacross.encoders import DGCNNPartSeg, PointNet
from adacross.errors import UserError
from adacross.evaluation.results import load, save
from adacross.evaluation.segmentation import training
from adacross.evaluation.segmentation.metrics import shape_ious
from adacross.evaluation.segmentation.part_task import category_parts, part_task
from adacross.evaluation.segmentation.parts import PartSegResult, measure_part_segmentation
from adacross.evaluation.segmentation.presets import PART_PRESETS, PARTS, chosen
from adacross.evaluation.segmentation.segmenter import Segmenter
from adacross.evaluation.segmentation.training import Clouds, Protocol, draw, new_segmenter, predict, train
from adacross.evaluation.supervised import Schedule
from adacross.features.sources import untrained_like
from adacross.training.interrupt import Interrupted

BRIEF = Protocol(Schedule(epochs=1, batch_size=16, optimizer="adam", learning_rate=1e-3), points=32)
NONE = dict.fromkeys(("epochs", "batch_size", "learning_rate", "points", "neighbors"))


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(3)
    return PointNet(width=16).eval()


@pytest.fixture(scope="module")
def result(toy_collection: Collection, encoder) -> PartSegResult:
    return measure_part_segmentation([encoder], toy_collection, BRIEF, fractions=(0.5, 0.3), seeds=2)


def test_the_result_says_what_was_measured(result: PartSegResult, toy_collection: Collection):
    assert [row.fraction for row in result.labels] == [0.3, 0.5]
    assert result.labels[0].shapes < result.labels[1].shapes < result.train
    assert result.seeds == [0, 1]
    assert sum(result.tested) == result.test == len(toy_collection.indices("test"))
    assert "1 epochs" in result.protocol
    for row in result.labels:
        for scores in (row.pretrained, row.scratch, row.pretrained_known, row.scratch_known):
            assert all(0 <= value <= 1 for value in [*scores.instance.values, *scores.accuracy.values])
            tested = [value for value in scores.categories if value is not None]
            assert np.mean(tested) == pytest.approx(scores.by_class.mean)
        differences = np.subtract(row.pretrained.instance.values, row.scratch.instance.values)
        assert row.gain.values == pytest.approx(differences)
        assert row.pretrained_known.accuracy.mean >= row.pretrained.accuracy.mean


def test_it_is_saved_and_read_back(result: PartSegResult, tmp_path: Path):
    path = tmp_path / "part-seg.json"
    save(result, str(path), None, "part-seg")
    assert load(PartSegResult, path) == result


def test_the_same_seeds_give_the_same_result_and_the_encoder_stays(
    result: PartSegResult, toy_collection: Collection, encoder
):
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    again = measure_part_segmentation([encoder.train()], toy_collection, BRIEF, fractions=(0.3,), seeds=2)
    assert again.labels[0] == result.labels[0]
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())


def test_shown_predictions_are_those_that_were_scored(toy_collection: Collection, encoder):
    """The first seed's, on the points it was tested on."""
    found = measure_part_segmentation([encoder], toy_collection, BRIEF, fractions=(0.1,), seeds=1)
    assert len({example.category for example in found.examples}) == len(found.examples) == 6
    index = {name: i for i, name in enumerate(toy_collection.ids)}
    drawn = np.random.default_rng(0).permutation(64)[:32]
    for example in found.examples:
        i = np.array([index[example.id]])
        assert toy_collection.info.classes[toy_collection.labels[i[0]]] == example.category
        assert example.truth == toy_collection.part_labels(i)[0, drawn].tolist()
        assert np.allclose(np.array(example.points) / 1000, toy_collection.points(i)[0, drawn], atol=6e-4)
        assert len(example.pretrained) == len(example.scratch) == 32


def test_several_encoders_take_turns(result: PartSegResult, toy_collection: Collection, encoder):
    fresh = untrained_like(encoder, 1)  # what seed 1 starts from scratch with
    row = measure_part_segmentation(
        [encoder, fresh], toy_collection, BRIEF, fractions=(0.3,), seeds=1
    ).labels[0]
    assert row.scratch == result.labels[0].scratch
    assert row.pretrained.instance.values[0] == result.labels[0].pretrained.instance.values[0]
    assert row.gain.values[1] == 0


def test_ctrl_c_keeps_what_is_done(
    result: PartSegResult,
    toy_collection: Collection,
    encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    calls = []
    real = training.fit

    def stopping(*args, **kwargs):
        calls.append(kwargs["note"])
        if len(calls) == 3:
            raise Interrupted("stopped")
        return real(*args, **kwargs)

    monkeypatch.setattr(training, "fit", stopping)
    path = tmp_path / "part-seg.json"
    with pytest.raises(Interrupted):
        measure_part_segmentation([encoder], toy_collection, BRIEF, fractions=(0.3,), seeds=2, result=path)
    assert len(list((tmp_path / "part-seg.pieces").glob("*-seed*.json"))) == 2
    found = measure_part_segmentation(
        [encoder], toy_collection, BRIEF, fractions=(0.3,), seeds=2, result=path
    )
    assert len(calls) == 5
    assert found.labels[0] == result.labels[0]


def small(names, classes, parts, labels):
    info = CollectionInfo(1, "x", "x", "builtin", "y", len(parts), 2, 0, 0, classes, names, {})
    return info, np.array(parts), np.array(labels)


def test_parts_of_a_category_by_name_or_by_what_occurs():
    named = small(["a/x", "b/y", "a/z"], ["a", "b"], [[0, -1], [1, 0]], [0, 1])
    assert category_parts(*named).tolist() == [[True, False, True], [False, True, False]]
    numbered = small(["0", "1", "2"], ["a", "b"], [[0, -1], [1, 2], [2, 2]], [0, 1, 1])
    assert category_parts(*numbered).tolist() == [[True, False, False], [False, True, True]]
    alone = small(["x", "y", "z"], [], [[0, -1], [2, 2]], [0, 0])
    assert category_parts(*alone).tolist() == [[True, False, True]]
    prefix = small(["jar/x", "jarlid/y"], ["jar", "jarlid"], [[0], [1]], [0, 1])
    assert category_parts(*prefix).tolist() == [[True, False], [False, True]]


def test_points_without_a_part_teach_nothing(encoder):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 40, 3)).astype(np.float32)
    part = rng.integers(0, 4, (6, 40))
    part[:, 25:] = -1
    labels = np.zeros(6, dtype=np.int64)
    losses = []
    for count in (40, 25):
        protocol = Protocol(Schedule(epochs=1, batch_size=6), points=count)
        network = new_segmenter(Pointwise, encoder, 0)
        losses.append(_losses(network, Clouds(points[:, :count], part[:, :count], labels), protocol))
    assert losses[0] == pytest.approx(losses[1])


class Pointwise(Segmenter):
    """Scores that depend on the point alone."""

    def __init__(self, encoder):
        super().__init__(encoder, torch.nn.Linear(3, 4), told=False)

    def forward(self, points, category):
        return self.head(points)


def _losses(network, clouds, protocol):
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            training,
            "fit",
            lambda net, count, loss, *_, **__: found.append(
                loss(torch.arange(count), torch.Generator().manual_seed(0)).item()
            ),
        )
        train(network, clouds, protocol, seed=0, device="cpu")
    return found


def test_drawn_points_keep_their_parts_and_none_is_drawn_twice():
    points = torch.arange(2 * 30, dtype=torch.float32).reshape(2, 30, 1).expand(-1, -1, 3)
    part = torch.arange(60).reshape(2, 30)
    chosen, of_part = draw(points, part, 20, torch.Generator().manual_seed(1))
    assert torch.equal(chosen[:, :, 0].long(), of_part)
    assert all(len(set(row.tolist())) == 20 for row in of_part)
    assert not torch.equal(of_part[0] + 30, of_part[1])
    everything, _ = draw(points, part, 30, torch.Generator().manual_seed(1))
    assert not torch.equal(everything, points)  # in another order
    assert torch.equal(everything.sort(1).values, points)


def test_predictions_are_of_eval_mode_whatever_the_batch(toy_collection: Collection, encoder):
    task = part_task(toy_collection, BRIEF, "cpu")
    network = new_segmenter(task._with_head, encoder, 0).train()
    counted = task.counted[task.test.labels]
    every, known = predict(network, task.test, allowed=counted, device="cpu", batch_size=50)
    again = predict(network, task.test, allowed=counted, device="cpu", batch_size=7)
    assert (every == again[0]).mean() > 0.999
    assert (known == again[1]).mean() > 0.999
    assert counted[np.arange(len(known))[:, None], known].all()
    assert not counted[np.arange(len(every))[:, None], every].all()
    inside = counted[np.arange(len(every))[:, None], every]
    assert np.array_equal(every[inside], known[inside])
    assert (
        shape_ious(known, task.test.part, counted).mean() > shape_ious(every, task.test.part, counted).mean()
    )


def test_it_learns(toy_collection: Collection):
    """With its own training shapes as test it must come far above what it starts from."""
    protocol = Protocol(
        Schedule(epochs=30, batch_size=16, optimizer="adam", learning_rate=3e-3, label_smoothing=0.0),
        points=64,
    )
    task = part_task(toy_collection, protocol, "cpu")
    some = task.train.shapes(np.flatnonzero(task.train.labels < 4))
    encoder = untrained_like(PointNet(width=64), 0)
    network = new_segmenter(task._with_head, encoder, 0)
    counted = task.counted[some.labels]
    before = shape_ious(predict(network, some, device="cpu")[0], some.part, counted).mean()
    train(network, some, protocol, seed=0, device="cpu")
    after = shape_ious(predict(network, some, device="cpu")[0], some.part, counted).mean()
    assert before < 0.25
    assert after > 0.35


def test_presets_and_what_is_given_beside_them():
    dgcnn = DGCNNPartSeg(k=15, width=8)
    paper = chosen(PART_PRESETS, PARTS, "crosspoint", dgcnn, **NONE)
    plan = paper.schedule
    assert (plan.optimizer, plan.learning_rate, plan.last_rate, plan.epochs) == ("sgd", 0.1, 1e-3, 300)
    assert (plan.batch_size, plan.label_smoothing, paper.points, paper.neighbors) == (8, 0.2, 2048, 40)
    assert paper.prepared(dgcnn).k == 40
    assert dgcnn.k == 15
    given = chosen(PART_PRESETS, PARTS, "crosspoint", dgcnn, **NONE | {"epochs": 2, "neighbors": 7})
    assert (given.schedule.epochs, given.neighbors, given.schedule.batch_size) == (2, 7, 8)
    assert chosen(PART_PRESETS, PARTS, "crosspoint", PointNet(width=8), **NONE).neighbors is None
    constant = chosen(PART_PRESETS, PARTS, "crossnet", dgcnn, **NONE | {"learning_rate": 0.01}).schedule
    assert constant.rate(0, 100) == constant.rate(900, 100) == pytest.approx(0.01)
    assert chosen(PART_PRESETS, PARTS, None, dgcnn, **NONE | {"epochs": 3}).schedule.least_steps == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": (0.0,)}, "fractions are"),
        ({"fractions": ()}, "fractions are"),
        ({"fractions": (1.5,)}, "up to 1"),
        ({"seeds": 0}, "seeds is 0"),
    ],
)
def test_mistakes(toy_collection: Collection, encoder, options, message):
    with pytest.raises(UserError, match=message):
        measure_part_segmentation([encoder], toy_collection, BRIEF, **options)


def test_neighbours_for_an_encoder_without(encoder):
    with pytest.raises(UserError, match="PointNet has none"):
        chosen(PART_PRESETS, PARTS, None, encoder, **NONE | {"neighbors": 5})
    with pytest.raises(UserError, match="epochs is 0"):
        chosen(PART_PRESETS, PARTS, None, encoder, **NONE | {"epochs": 0})


def test_as_typed(
    toy_run: Path, toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "part-seg.json"
    words = ["evaluate", "part-seg", str(toy_run), str(toy_collection.folder), "--output", str(output)]
    small = ["--epochs", "1", "--seeds", "1", "--points", "48", "--device", "cpu", "--fractions", "0.2"]
    assert main([*words, *small]) == 0
    assert "from scratch" in capsys.readouterr().out
    assert load(PartSegResult, output).encoders == ["toy"]
    assert json.loads(output.read_text())["labels"][0]["fraction"] == 0.2
    assert not (tmp_path / "part-seg.pieces").exists()
    assert main([*words, "--as", "nobody"]) == 2
    assert main([*words, "--as", "crossnet", *small, "--overwrite"]) == 0
    assert "adam 0.001, constant, 1 epochs, batch 32" in load(PartSegResult, output).protocol
