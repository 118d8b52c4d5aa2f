"""Semantic segmentation: areas held out, coordinates, and counts over all blocks."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.data.collection.collection import Collection
from adacross.data.collection.description import CollectionInfo
from adacross.data.collection.schema import to_batch, to_bytes
from adacross.data.shape import Shape
from adacross.encoders import DGCNNSemSeg, Encoder, PointNet
from adacross.errors import UserError
from adacross.evaluation import segmentation
from adacross.evaluation.driver import Bench
from adacross.evaluation.ledger import Ledger
from adacross.evaluation.result import CHANCE, PRETRAINED, SCRATCH, Result, load
from adacross.evaluation.segmentation import Training, predict
from adacross.evaluation.sem_seg import BLOCKS, PRESETS, clouds_of, held_out, sem_seg

CLASSES = ["ceiling", "floor", "wall", "chair"]
POINTS = 64
BRIEF = {"epochs": 1, "batch_size": 10, "points": 32, "device": "cpu"}


def make_block(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A meter of a room, y up, in meters: floor at 0, ceiling at 3, a wall between; some points unknown."""
    part = rng.integers(0, 3, POINTS)
    points = rng.uniform(-0.5, 0.5, (POINTS, 3))
    points[:, 1] = np.select([part == 0, part == 1], [3.0, 0.0], rng.uniform(0.3, 2.7, POINTS))
    part[:2] = -1
    return points, part


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Areas 1, 2 and 5, five rooms of two blocks each, one block without classes; the split is another."""
    folder = tmp_path_factory.mktemp("collections") / "rooms"
    folder.mkdir()
    rng = np.random.default_rng(0)
    batches = []
    for area in (1, 2, 5):
        for number in range(10):
            points, part = make_block(rng)
            center = points.mean(0)
            scale = float(np.linalg.norm(points - center, axis=1).max())
            if area == 2 and number == 3:
                part[:] = -1
            shape = Shape(
                id=f"Area_{area}_office_{number // 2}/{number:05d}",
                points=((points - center) / scale).astype(np.float32),
                split="test" if number % 2 else "train",
                label=None,
                part=part,
                views=np.zeros((0, 1, 1, 3), np.uint8),
            )
            batches.append(to_bytes(to_batch(shape, center + np.array([7.0, 0, -3.0]), scale)))
    for number, data in enumerate(batches):
        (folder / f"data-{number:05d}-of-{len(batches):05d}.arrow").write_bytes(data)
    splits = {"train": 15, "test": 15}
    CollectionInfo(1, "rooms", "made", "builtin", "z", 30, POINTS, 0, 0, [], CLASSES, splits).write(folder)
    return Collection.open(folder)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(1)
    return PointNet(width=16).eval()


@pytest.fixture(scope="module")
def result(rooms: Collection, encoder: Encoder) -> Result:
    return sem_seg(encoder, rooms, areas=[5, 1], seeds=2, **BRIEF)


def test_an_area_is_held_out_whatever_the_split_says(rooms: Collection):
    fold = held_out(rooms, None)[0]
    assert fold.name == "area 5"
    assert {rooms.ids[i][:7] for i in fold.test} == {"Area_5_"}
    assert {rooms.ids[i][:7] for i in fold.train} == {"Area_1_", "Area_2_"}
    assert len(fold.train) == 19  # one block has no classes
    assert fold.units == [f"Area_5_office_{room}" for room in range(5)]
    assert [rooms.ids[i].split("/")[0] for i in fold.test] == [fold.units[room] for room in fold.rooms]
    assert [(fold.left_out, len(fold.test)) for fold in held_out(rooms, [2, 1])] == [(1, 9), (0, 10)]
    assert [fold.name for fold in held_out(rooms, [1, 2, 5])] == ["area 1", "area 2", "area 5"]


def test_without_areas_the_own_split_is_used(toy_collection: Collection):
    folds = held_out(toy_collection, None)
    assert [fold.name for fold in folds] == ["the test split"]
    assert np.array_equal(folds[0].train, toy_collection.indices("train"))
    assert np.array_equal(folds[0].test, toy_collection.indices("test"))
    assert folds[0].units == sorted(toy_collection.ids[i] for i in folds[0].test)


def test_coordinates_are_meters_on_the_ground_planes_middle_at_their_own_height(rooms: Collection):
    blocks = np.arange(5)
    points = clouds_of(rooms, blocks, "source").points
    ground = points[:, :, [0, 2]]
    assert np.allclose(ground.max(1), -ground.min(1), atol=1e-5)
    assert points[:, :, 1].max() == pytest.approx(3, abs=1e-4)
    assert points[:, :, 1].min() == pytest.approx(0, abs=1e-4)
    centers, scales = rooms.frames(blocks)
    own = rooms.points(blocks) * scales[:, None, None] + centers[:, None]
    assert np.allclose(np.diff(own, axis=1), np.diff(points, axis=1), atol=1e-5)  # moved, not stretched
    assert np.array_equal(clouds_of(rooms, blocks, "unit").points, rooms.points(blocks))


def test_the_scores_of_both_networks_for_each_area_and_for_all(result: Result):
    places = {"2 areas together": 10, "area 5": 5, "area 1": 5}
    assert list(dict.fromkeys(score.setting["held out"] for score in result.scores)) == list(places)
    for place, rooms in places.items():
        for network, networks in ((PRETRAINED, [0, 0]), (SCRATCH, [0, 1])):
            for metric in ("mIoU", "overall accuracy"):
                score = result.score(network, metric, **{"held out": place})
                assert np.shape(score.outcomes) == (2, rooms)
                assert (score.units, score.networks) == ("rooms", networks)
                assert all(0 <= value <= 1 for value in score.values)
    assert result.ids == [f"Area_{area}_office_{room}" for area in (5, 1) for room in range(5)]
    assert (result.data.train, result.data.test, result.data.classes) == (29, 20, CLASSES)
    assert result.data.left_out == {}
    details = result.details
    assert details["blocks"] == {f"area {area}": {"train": 19, "test": 10} for area in (5, 1)}
    assert (details["points"], details["stored"]) == (32, 64)
    assert details["coordinates"] == "the source's coordinates"
    assert len(details["examples"]) == 4
    for example in details["examples"]:
        assert example["id"].startswith("Area_5_")
        assert max(map(max, example["points"])) <= 1001
        assert set(example["predicted"]) == {PRETRAINED, SCRATCH}


def test_points_are_counted_over_blocks_and_areas_not_averaged(
    rooms: Collection, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
):
    """The same networks' predictions, one point at a time."""
    kept = []

    def keeping(network, clouds, **how):
        said = predict(network, clouds, **how)
        kept.append((said[0], clouds.part))
        return said

    monkeypatch.setattr("adacross.evaluation.sem_seg.predict", keeping)
    found = sem_seg(encoder, rooms, areas=[5, 1], seeds=1, **BRIEF)
    first, _, second, _ = kept  # pre-trained and from scratch for each area
    for place, blocks in (("area 5", [first]), ("area 1", [second]), ("2 areas together", [first, second])):
        said, truth = (np.concatenate([each[i] for each in blocks]).ravel().tolist() for i in (0, 1))
        pairs = [(s, t) for s, t in zip(said, truth, strict=True) if t >= 0]
        ious = []
        for label in range(4):
            either = sum(label in pair for pair in pairs)
            if either:
                ious.append(sum(pair == (label, label) for pair in pairs) / either)
        setting = {"held out": place}
        assert found.score(PRETRAINED, "mIoU", **setting).values == pytest.approx([np.mean(ious)])
        share = np.mean([s == t for s, t in pairs])
        assert found.score(PRETRAINED, "overall accuracy", **setting).values == pytest.approx([share])
        intersection, union = np.array(found.details["counts"][place][PRETRAINED][0])
        assert (intersection[union > 0] / union[union > 0]).tolist() == pytest.approx(ious)


def test_chance_is_the_largest_class(result: Result, rooms: Collection):
    fold = held_out(rooms, [5])[0]
    taught = rooms.part_labels(fold.train)
    largest = np.bincount(taught[taught >= 0]).argmax()
    truth = rooms.part_labels(fold.test)[:, :32]
    share = np.mean(truth[truth >= 0] == largest)
    setting = {"held out": "area 5"}
    assert result.score(CHANCE, "overall accuracy", **setting).outcomes == [[pytest.approx(share)]]
    assert result.score(CHANCE, "mIoU", **setting).outcomes == [[pytest.approx(share / 3)]]


@pytest.mark.slow
def test_it_learns_floors_and_ceilings(rooms: Collection, encoder: Encoder):
    found = sem_seg(
        encoder, rooms, seeds=1, epochs=15, batch_size=10, learning_rate=1e-2, points=64, device="cpu"
    )
    assert found.score(PRETRAINED, "overall accuracy").estimate.mean > 0.9
    intersection, union = np.array(found.details["counts"]["area 5"][PRETRAINED][0])
    assert (intersection[:3] / union[:3]).min() > 0.8
    assert {score.setting["held out"] for score in found.scores} == {"area 5"}


def test_the_same_twice_and_saved(
    toy_run: Path, rooms: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also if it is stopped in between."""
    path = tmp_path / "sem-seg.json"
    options = {"areas": [5, 1], "seeds": 1, "output": str(path), **BRIEF}
    first = sem_seg(str(toy_run), rooms, **options)
    assert load(path) == first
    with monkeypatch.context() as patch:
        real, calls = segmentation.fit, []

        def stopping(*args, **how):
            calls.append(how["note"])
            if len(calls) == 2:
                raise KeyboardInterrupt
            return real(*args, **how)

        patch.setattr(segmentation, "fit", stopping)
        with pytest.raises(KeyboardInterrupt):
            sem_seg(str(toy_run), rooms, overwrite=True, **options)
        assert (tmp_path / "sem-seg.pieces").is_dir()
        assert sem_seg(str(toy_run), rooms, overwrite=True, **options).scores == first.scores
    assert len(calls) == 5
    assert [file.name for file in tmp_path.iterdir()] == ["sem-seg.json"]


def test_a_class_that_is_nowhere_does_not_count(result: Result):
    """It has no point in any union, or was predicted, and is wrong."""
    for counts in result.details["counts"]["area 5"].values():
        assert np.shape(counts)[1:] == (2, 4)
        assert all(intersection[3] == 0 for intersection, _ in counts)


@pytest.mark.parametrize(
    ("areas", "message"), [([4], r"areas are \[4\]; .* has \[1, 2, 5\]"), ([], r"areas are \[\]")]
)
def test_areas_that_are_not_there(rooms: Collection, areas: list[int], message: str):
    with pytest.raises(UserError, match=message):
        held_out(rooms, areas)


def test_areas_of_a_collection_without(toy_collection: Collection):
    with pytest.raises(UserError, match="has no areas"):
        held_out(toy_collection, [5])


def test_only_crossnet_has_a_preset(rooms: Collection):
    bench = Bench([DGCNNSemSeg(k=5, width=8)], [None], rooms, "cpu", Ledger(None, {}))
    with pytest.raises(UserError, match=r"crosspoint has no preset .* --as knows crossnet"):
        Training.chosen(bench, BLOCKS, PRESETS, "crosspoint")
    paper = Training.chosen(bench, BLOCKS, PRESETS, "crossnet")
    assert (PRESETS["crossnet"].points, paper.points) == (4096, 64)
    assert (paper.schedule.epochs, paper.neighbors) == (200, 20)
    assert paper.schedule.rate(0, 100) == paper.schedule.rate(500, 100) == 1e-3


def test_any_collection_with_parts_is_measured_on_its_own_split(
    toy_run: Path, toy_collection: Collection, tmp_path: Path
):
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    found = sem_seg(str(run), str(toy_collection.folder), epochs=1, seeds=1, points=48, device="cpu")
    assert load(run / "evaluation" / "toy" / "sem-seg-epochs-1-points-48-seeds-1.json") == found
    assert found.details["coordinates"] == "coordinates in the unit sphere"
    assert {score.setting["held out"] for score in found.scores} == {"the test split"}
    assert found.uncertainty.startswith("[95 % interval over test shapes]")
    assert found.data.test == len(found.ids) == len(toy_collection.indices("test"))
    with pytest.raises(UserError, match="has no areas"):
        sem_seg(str(run), toy_collection, areas=[5], device="cpu")
