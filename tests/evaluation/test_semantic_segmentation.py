"""Semantic segmentation: areas held out, coordinates, and counts over all blocks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.cli import main
from adacross.data.collection.collection import Collection
from adacross.data.collection.description import CollectionInfo
from adacross.data.collection.schema import to_batch, to_bytes
from adacross.data.shape import Shape
from adacross.encoders import DGCNNSemSeg, PointNet
from adacross.errors import UserError
from adacross.evaluation.results import load, save
from adacross.evaluation.segmentation.presets import SCENE_PRESETS, SCENES, chosen
from adacross.evaluation.segmentation.scene_task import SceneTask, held_out
from adacross.evaluation.segmentation.scenes import SemSegResult, measure_semantic_segmentation
from adacross.evaluation.segmentation.training import Protocol
from adacross.evaluation.supervised import Schedule

CLASSES = ["ceiling", "floor", "wall", "chair"]
POINTS = 64
BRIEF = Protocol(Schedule(epochs=1, batch_size=10, optimizer="adam", learning_rate=3e-3), points=32)


def make_block(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A metre of a room, y up, in metres: floor at 0, ceiling at 3, a wall between; some points unknown."""
    part = rng.integers(0, 3, POINTS)
    points = rng.uniform(-0.5, 0.5, (POINTS, 3))
    points[:, 1] = np.select([part == 0, part == 1], [3.0, 0.0], rng.uniform(0.3, 2.7, POINTS))
    part[:2] = -1
    return points, part


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Blocks of areas 1, 2 and 5, ten each; the split says something else; one block without classes."""
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
                id=f"Area_{area}_office_1/{number:05d}",
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
def encoder():
    torch.manual_seed(1)
    return PointNet(width=16).eval()


@pytest.fixture(scope="module")
def result(rooms: Collection, encoder) -> SemSegResult:
    return measure_semantic_segmentation([encoder], rooms, BRIEF, areas=[5, 1], seeds=2)


def test_an_area_is_held_out_whatever_the_split_says(rooms: Collection):
    fold = held_out(rooms, None)[0]
    assert fold.name == "area 5"
    assert {rooms.ids[i][:7] for i in fold.test} == {"Area_5_"}
    assert {rooms.ids[i][:7] for i in fold.train} == {"Area_1_", "Area_2_"}
    assert len(fold.train) == 19  # one block has no classes
    assert [fold.name for fold in held_out(rooms, [1, 2, 5])] == ["area 1", "area 2", "area 5"]


def test_without_areas_the_own_split_is_used(toy_collection: Collection):
    folds = held_out(toy_collection, None)
    assert [fold.name for fold in folds] == ["the test split"]
    assert np.array_equal(folds[0].train, toy_collection.indices("train"))
    assert np.array_equal(folds[0].test, toy_collection.indices("test"))


def test_coordinates_are_metres_on_the_ground_planes_middle_at_their_own_height(rooms: Collection):
    task = SceneTask(rooms, BRIEF, "source", "cpu")
    blocks = np.arange(5)
    points = task.clouds(blocks).points
    ground = points[:, :, [0, 2]]
    assert np.allclose(ground.max(1), -ground.min(1), atol=1e-5)
    assert points[:, :, 1].max() == pytest.approx(3, abs=1e-4)
    assert points[:, :, 1].min() == pytest.approx(0, abs=1e-4)
    centers, scales = rooms.frames(blocks)
    own = rooms.points(blocks) * scales[:, None, None] + centers[:, None]
    assert np.allclose(np.diff(own, axis=1), np.diff(points, axis=1), atol=1e-5)  # moved, not stretched
    assert np.array_equal(task.clouds(blocks, "unit").points, rooms.points(blocks))


def test_the_result_says_what_was_measured(result: SemSegResult):
    assert [fold.name for fold in result.folds] == ["area 5", "area 1"]
    assert [(fold.train, fold.test) for fold in result.folds] == [(19, 10), (19, 10)]
    assert (result.points, result.stored) == (32, 64)
    assert result.coordinates == "the source's coordinates"
    assert result.together.test == 20
    assert len(result.examples) == 4
    for example in result.examples:
        assert example.id.startswith("Area_5_")
        assert max(map(max, example.points)) <= 1001
    for fold in [*result.folds, result.together]:
        assert all(0 <= value <= 1 for value in [*fold.pretrained.miou.values, *fold.scratch.miou.values])
        assert fold.gain.values == pytest.approx(
            np.subtract(fold.pretrained.miou.values, fold.scratch.miou.values)
        )


def test_folds_are_counted_together_not_averaged(rooms: Collection, encoder, result: SemSegResult):
    """The same networks' counts, added by hand."""
    task = SceneTask(rooms, BRIEF, "source", "cpu")
    pieces = [task.measure(encoder, fold, 0) for fold in held_out(rooms, [5, 1])]
    intersection = np.sum([piece["intersection"] for piece in pieces], 0)
    union = np.sum([piece["union"] for piece in pieces], 0)
    expected = np.mean((intersection / np.maximum(union, 1))[union > 0])
    assert result.together.pretrained.miou.values[0] == pytest.approx(expected)
    points = sum(piece["points"] for piece in pieces)
    assert result.together.pretrained.accuracy.values[0] == pytest.approx(intersection.sum() / points)
    for fold, piece in zip(result.folds, pieces, strict=True):
        share = sum(piece["intersection"]) / piece["points"]
        assert fold.pretrained.accuracy.values[0] == pytest.approx(share)


@pytest.mark.slow
def test_it_learns_floors_and_ceilings(rooms: Collection, encoder):
    longer = Protocol(Schedule(epochs=15, batch_size=10, optimizer="adam", learning_rate=1e-2), points=64)
    found = measure_semantic_segmentation([encoder], rooms, longer, seeds=1)
    scores = found.folds[0].pretrained
    assert scores.accuracy.mean > 0.9
    assert min(scores.classes[:3]) > 0.8
    assert found.together == found.folds[0]


def test_the_same_twice_and_saved(rooms: Collection, encoder, result: SemSegResult, tmp_path: Path):
    again = measure_semantic_segmentation(
        [encoder], rooms, BRIEF, areas=[5, 1], seeds=2, result=tmp_path / "sem-seg.json"
    )
    assert again == result
    assert (tmp_path / "sem-seg.pieces").is_dir()
    save(again, str(tmp_path / "sem-seg.json"), None, "sem-seg")
    assert load(SemSegResult, tmp_path / "sem-seg.json") == result


def test_a_class_that_is_nowhere_is_none(result: SemSegResult):
    for scores in (result.folds[0].pretrained, result.folds[0].scratch):
        assert len(scores.classes) == 4
        assert scores.classes[3] in (None, 0.0)  # nowhere; 0 where it was predicted
        known = [value for value in scores.classes if value is not None]
        assert known


@pytest.mark.parametrize(
    ("areas", "message"), [([4], r"areas are \[4\]; .* has \[1, 2, 5\]"), ([], r"areas are \[\]")]
)
def test_areas_that_are_not_there(rooms: Collection, areas, message):
    with pytest.raises(UserError, match=message):
        held_out(rooms, areas)


def test_areas_of_a_collection_without(toy_collection: Collection):
    with pytest.raises(UserError, match="has no areas"):
        held_out(toy_collection, [5])


def test_only_crossnet_has_a_preset():
    none = dict.fromkeys(("epochs", "batch_size", "learning_rate", "points", "neighbors"))
    with pytest.raises(UserError, match=r"crosspoint has no preset .* crossnet"):
        chosen(SCENE_PRESETS, SCENES, "crosspoint", PointNet(width=8), **none)
    paper = chosen(SCENE_PRESETS, SCENES, "crossnet", DGCNNSemSeg(k=5, width=8), **none)
    assert (paper.points, paper.schedule.epochs, paper.neighbors) == (4096, 200, 20)
    assert paper.schedule.rate(0, 100) == paper.schedule.rate(500, 100) == 1e-3


def test_as_typed_on_any_collection_with_parts(
    toy_run: Path, toy_collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "sem-seg.json"
    words = ["evaluate", "sem-seg", str(toy_run), str(toy_collection.folder), "--output", str(output)]
    small = ["--epochs", "1", "--seeds", "1", "--points", "48", "--device", "cpu"]
    assert main([*words, *small]) == 0
    assert "test split" in capsys.readouterr().out
    assert load(SemSegResult, output).coordinates == "coordinates in the unit sphere"
    assert main([*words, *small, "--overwrite", "--areas", "5"]) == 2
    assert "has no areas" in capsys.readouterr().err
    assert main([*words, *small, "--overwrite", "--as", "crosspoint"]) == 2
    assert "--as knows crossnet" in capsys.readouterr().err
