"""Part segmentation: what is learned from, what is counted, and that it can be interrupted."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.data.collection.collection import Collection
from adacross.data.collection.description import CollectionInfo
from adacross.data.collection.schema import to_batch, to_bytes
from adacross.data.shape import Shape
from adacross.encoders import DGCNNPartSeg, Encoder, PointNet
from adacross.errors import UserError
from adacross.evaluation import segmentation
from adacross.evaluation.driver import Bench
from adacross.evaluation.ledger import Ledger
from adacross.evaluation.part_seg import AMONG, PRESETS, PartShapes, category_parts, part_seg
from adacross.evaluation.result import CHANCE, PRETRAINED, SCRATCH, Result, load
from adacross.evaluation.segmentation import (
    OURS,
    Clouds,
    Segmenter,
    Training,
    draw,
    predict,
    segmenter,
    shape_ious,
    train,
)
from adacross.evaluation.supervised import Schedule
from adacross.features.sources import untrained_like
from adacross.training.interrupt import Interrupted

BRIEF = {"epochs": 1, "learning_rate": 1e-3, "points": 32, "device": "cpu"}
METRICS = ("instance mIoU", "class mIoU", "point accuracy")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(3)
    return PointNet(width=16).eval()


@pytest.fixture(scope="module")
def result(toy_collection: Collection, encoder: Encoder) -> Result:
    return part_seg(encoder, toy_collection, fractions=[0.5, 0.3], seeds=2, **BRIEF)


def bench_of(encoder: Encoder, collection: Collection) -> Bench:
    return Bench([encoder], [None], collection, "cpu", Ledger(None, {}))


def test_scores_of_both_networks_for_all_labels_and_ways_to_choose(result: Result):
    settings = [{"labels": labels, "parts among": among} for labels in ("30 %", "50 %") for among in AMONG]
    for setting in settings:
        for network in (PRETRAINED, SCRATCH):
            for metric in METRICS:
                score = result.score(network, metric, **setting)
                assert np.shape(score.outcomes) == (2, result.data.test)
                assert all(0 <= value <= 1 for value in score.values)
                assert score.networks == ([0, 0] if network == PRETRAINED else [0, 1])
        own = result.score(PRETRAINED, "point accuracy", **setting | {"parts among": "its own"})
        assert own.estimate.mean >= result.score(PRETRAINED, "point accuracy", **setting).estimate.mean
    assert len(result.scores) == len(settings) * 2 * 3 + 3
    assert "1 epochs" in result.protocol
    assert result.details["labeled"]["30 %"] < result.details["labeled"]["50 %"] < result.data.train
    assert (result.columns, len(result.text_rows())) == (
        ["labels", "parts among", "metric", PRETRAINED, SCRATCH, "chance", "gain"], len(settings) * 3 + 3
    )  # fmt: skip


def test_class_miou_is_the_mean_over_categories_of_the_instances(result: Result):
    instance, by_class = (result.score(PRETRAINED, metric) for metric in METRICS[:2])
    assert by_class.outcomes == instance.outcomes
    assert by_class.groups == result.truth
    means = {}
    for value, category in zip(instance.outcomes[0], result.truth, strict=True):
        means.setdefault(category, []).append(value)
    assert by_class.values[0] == pytest.approx(np.mean([np.mean(values) for values in means.values()]))


def test_chance_is_the_largest_part_of_the_category(result: Result, toy_collection: Collection):
    """By loops over the collection."""
    train, test = toy_collection.indices("train"), toy_collection.indices("test")
    parts, labels = toy_collection.part_labels(np.arange(len(toy_collection))), toy_collection.labels
    right = []
    for i in test:
        taught = np.concatenate([parts[j] for j in train if labels[j] == labels[i]])
        largest = np.bincount(taught[taught >= 0]).argmax()
        known = parts[i, :32][parts[i, :32] >= 0]
        right.append(np.mean(known == largest))
    assert result.score(CHANCE, "point accuracy").outcomes == [[pytest.approx(np.mean(right), abs=1e-6)]]
    assert result.score(CHANCE, "instance mIoU").estimate.mean < 0.6


def test_no_option_changes_which_shapes_are_tested(
    result: Result, toy_collection: Collection, encoder: Encoder
):
    other = part_seg(encoder, toy_collection, fractions=[0.02], seeds=1, **BRIEF | {"points": 40})
    assert other.ids == result.ids == [toy_collection.ids[i] for i in toy_collection.indices("test")]
    assert other.truth == result.truth == toy_collection.labels[toy_collection.indices("test")].tolist()
    assert (result.data.left_out, other.data.left_out) == ({}, {})


def test_what_is_left_out_is_named(tmp_path: Path):
    """A test shape of a category that nobody taught, and two without parts or category."""
    names, classes = ["cup/x", "cup/y", "jar/x"], ["cup", "jar"]
    rng = np.random.default_rng(0)
    for number, (split, label, part) in enumerate(
        [
            ("train", 0, 0), ("train", 0, 1), ("train", None, 0), ("test", 0, 0),
            ("test", 1, 2), ("test", 0, -1), ("test", None, 1),
        ]
    ):  # fmt: skip
        points = rng.normal(size=(4, 3)).astype(np.float32)
        views = np.zeros((0, 1, 1, 3), np.uint8)
        shape = Shape(str(number), points, split, label, np.full(4, part), views)
        data = to_bytes(to_batch(shape, np.zeros(3), 1.0))
        (tmp_path / f"data-{number:05d}-of-00007.arrow").write_bytes(data)
    CollectionInfo(1, "few", "x", "builtin", "y", 7, 4, 0, 0, classes, names, {"train": 3, "test": 4}).write(
        tmp_path
    )
    shapes = PartShapes.of(Collection.open(tmp_path), 4)
    assert (len(shapes.train), shapes.tested.tolist()) == (2, [3])
    assert shapes.left_out == {
        "jar (1 test shape)": "no training shape",
        "2 test shapes": "no category, or no point with a part",
    }
    assert shapes.largest_parts().tolist() == [[0] * 4]
    assert shapes.outcomes(np.ones((1, 4), dtype=np.int64)) == {"iou": [0.0], "accuracy": [0.0]}


def test_the_same_seeds_give_the_same_result_and_the_encoder_stays(
    result: Result, toy_collection: Collection, encoder: Encoder
):
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    again = part_seg(encoder.train(), toy_collection, fractions=[0.3], seeds=2, **BRIEF)
    assert again.scores[:12] == result.scores[:12]
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    encoder.eval()


def test_shown_predictions_are_those_that_were_scored(result: Result, toy_collection: Collection):
    """The first seed's with most labels, on the first points."""
    examples = result.details["examples"]
    assert len({example["category"] for example in examples}) == len(examples) == 6
    counted = category_parts(
        toy_collection.info, toy_collection.part_labels(toy_collection.indices("all")), toy_collection.labels
    )
    for example in examples:
        i = np.array([toy_collection.ids.index(example["id"])])
        label = toy_collection.labels[i]
        assert toy_collection.info.classes[label[0]] == example["category"]
        assert example["truth"] == toy_collection.part_labels(i)[0, :32].tolist()
        assert np.allclose(np.array(example["points"]) / 1000, toy_collection.points(i)[0, :32], atol=6e-4)
        for network, predicted in example["predicted"].items():
            found = shape_ious(np.array([predicted]), np.array([example["truth"]]), counted[label])
            outcomes = result.score(network, labels="50 %").outcomes[0]
            assert outcomes[result.ids.index(example["id"])] == pytest.approx(found[0], abs=1e-6)


def test_several_encoders_take_turns(result: Result, toy_collection: Collection, encoder: Encoder):
    fresh = untrained_like(encoder, 1)  # what seed 1 starts from scratch with
    found = part_seg([encoder, fresh], toy_collection, fractions=[0.3], seeds=1, **BRIEF)
    assert found.score(SCRATCH) == result.score(SCRATCH)
    given = found.score(PRETRAINED)
    assert given.networks == [0, 1]
    assert given.outcomes == [result.score(PRETRAINED).outcomes[0], found.score(SCRATCH).outcomes[1]]


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(
    toy_run: Path,
    toy_collection: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """The same command goes on, and measures what is left."""
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    calls = []
    real = segmentation.fit

    def stopping(*args, **kwargs):
        calls.append(kwargs["note"])
        if len(calls) == 2:
            raise Interrupted("stopped")
        return real(*args, **kwargs)

    monkeypatch.setattr(segmentation, "fit", stopping)
    measure: Callable[[], Result] = partial(
        part_seg, str(run), str(toy_collection.folder), fractions=[0.3], seeds=1, **BRIEF
    )
    with pytest.raises(Interrupted):
        measure()
    assert len(list(run.glob("evaluation/*/*.pieces/*seed-*.json"))) == 1
    found = measure()
    assert len(calls) == 3
    assert calls[2] == calls[1] == "30 % of labels, from scratch, seed 0"
    assert not list(run.glob("evaluation/*/*.pieces"))
    again = part_seg(
        str(run), toy_collection, fractions=[0.3], seeds=1, output=str(tmp_path / "x.json"), **BRIEF
    )
    assert again.scores == found.scores


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
        torch.manual_seed(0)
        clouds = Clouds(points, part, labels)[:, :count]
        losses.append(
            _loss(Pointwise(encoder), clouds, Training(Schedule(epochs=1, batch_size=6), points=count))
        )
    assert losses[0] == pytest.approx(losses[1])


class Pointwise(Segmenter):
    """Scores that depend on the point alone."""

    def __init__(self, encoder):
        super().__init__(encoder, torch.nn.Linear(3, 4), uses_category=False)

    def forward(self, points, category):
        return self.head(points)


def _loss(network: Segmenter, clouds: Clouds, plan: Training) -> float:
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            segmentation,
            "fit",
            lambda net, count, loss, *_, **__: found.append(
                loss(torch.arange(count), torch.Generator().manual_seed(0)).item()
            ),
        )
        train(network, clouds, plan, device="cpu", seed=0)
    return found[0]


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
    task = PartShapes.of(toy_collection, 64)
    network = segmenter(encoder, task.counted.shape[1], len(task.counted)).train()
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


@pytest.mark.slow
def test_it_learns(toy_collection: Collection):
    """With its own training shapes as test it must come far above what it starts from."""
    schedule = Schedule(epochs=30, batch_size=16, optimizer="adam", learning_rate=3e-3, label_smoothing=0.0)
    task = PartShapes.of(toy_collection, 64)
    some = task.train[np.flatnonzero(task.train.labels < 4)]
    network = segmenter(untrained_like(PointNet(width=64), 0), task.counted.shape[1], len(task.counted))
    counted = task.counted[some.labels]
    before = shape_ious(predict(network, some, device="cpu")[0], some.part, counted).mean()
    train(network, some, Training(schedule, points=64), device="cpu", seed=0)
    after = shape_ious(predict(network, some, device="cpu")[0], some.part, counted).mean()
    assert before < 0.25
    assert after > 0.35


def test_presets_and_what_is_given_beside_them(toy_collection: Collection):
    dgcnn = DGCNNPartSeg(k=15, width=8)
    choose = partial(Training.chosen, bench_of(dgcnn, toy_collection), OURS, PRESETS)
    paper = choose("crosspoint")
    plan = paper.schedule
    assert (plan.optimizer, plan.learning_rate, plan.last_rate, plan.epochs) == ("sgd", 0.1, 1e-3, 300)
    assert (plan.batch_size, plan.label_smoothing, paper.neighbors) == (8, 0.2, 40)
    assert (PRESETS["crosspoint"].points, paper.points) == (2048, 64)
    assert paper.prepared(dgcnn).k == 40
    assert dgcnn.k == 15
    given = choose("crosspoint", epochs=2, neighbors=7)
    assert (given.schedule.epochs, given.neighbors, given.schedule.batch_size) == (2, 7, 8)
    pointnet = bench_of(PointNet(width=8), toy_collection)
    assert Training.chosen(pointnet, OURS, PRESETS, "crosspoint").neighbors is None
    constant = choose("crossnet", learning_rate=0.01).schedule
    assert constant.rate(0, 100) == constant.rate(900, 100) == pytest.approx(0.01)
    assert choose(None, epochs=3).schedule.least_steps == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": [0.0]}, "fractions are"),
        ({"fractions": []}, "fractions are"),
        ({"fractions": [1.5]}, "up to 1"),
        ({"seeds": 0}, "seeds is 0"),
        ({"neighbors": 5}, "neighbors is 5; PointNet has none"),
        ({"epochs": 0}, "epochs is 0"),
        ({"points": 65}, "points is 65; expected 1 to 64"),
    ],
)
def test_mistakes(toy_collection: Collection, encoder: Encoder, options: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        part_seg(encoder, toy_collection, **BRIEF | options)


@pytest.mark.slow
def test_a_preset_is_in_the_files_name(toy_run: Path, toy_collection: Collection, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    found = part_seg(str(run), toy_collection, as_="crossnet", epochs=1, seeds=1, points=48, device="cpu")
    path = run / "evaluation" / "toy" / "part-seg-as-crossnet-epochs-1-points-48-seeds-1.json"
    assert load(path) == found
    assert "adam 0.001, constant, 1 epochs, batch 32" in found.protocol
    assert list(found.details["labeled"]) == ["100 %"]
