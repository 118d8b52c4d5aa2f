import copy
import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest

from adacross.data.collection import build
from adacross.data.collection.build import SHARD, Plan, WorkFolder
from adacross.data.collection.collection import Collection
from adacross.data.collection.description import VERSION, CollectionInfo
from adacross.data.collection.sample import Row
from adacross.data.collection.schema import arrow_schema, dataset_features, decode_view, encode_view, to_batch
from adacross.data.shape import Shape
from adacross.errors import UserError

COUNT, POINTS, VIEWS, SIZE = 2 * SHARD + 5, 7, 3, 16
SKIPPED = 4  # one shape of the first shard


def make_shape(i: int) -> Shape:
    rng = np.random.default_rng(i)
    return Shape(
        id=f"shape {i}",
        points=rng.normal(size=(POINTS, 3)).astype(np.float32),
        split="test" if i % 5 == 0 else "train",
        label=None if i % 7 == 0 else i % 2,
        part=rng.integers(-1, 2, POINTS),
        views=rng.integers(0, 256, (VIEWS, SIZE, SIZE, 3), dtype=np.uint8),
    )


def frame_of(shape: Shape) -> tuple[np.ndarray, float]:
    number = float(shape.id.split()[1])
    return np.array([number, 1, 2]), number + 2


SHAPES = [make_shape(i) for i in range(COUNT) if i != SKIPPED]


def write_collection(folder: Path, shapes: list[Shape]) -> Path:
    """The way `prepare` does it, one shape of the first shard skipped."""
    work, _ = WorkFolder.open(folder, Plan({"seed": 0}, COUNT, "digest"))
    for shard in range(work.plan.shards):
        names = {f"shape {i}" for i in range(shard * SHARD, (shard + 1) * SHARD)}
        rows = [Row(pa.Table.from_batches([to_batch(s, *frame_of(s))]), "") for s in shapes if s.id in names]
        work.save(shard, rows, [""] * len(rows), arrow_schema(POINTS, parts=True))
    counts = {name: sum(s.split == name for s in shapes) for name in ("train", "test")}
    info = CollectionInfo(
        VERSION,
        "c",
        "here",
        "meshes",
        "y",
        len(shapes),
        POINTS,
        VIEWS,
        SIZE,
        ["cup", "mug"],
        ["a", "b"],
        counts,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "FILE", SHARD)  # a shard is a file, so that there are several
        work.describe(info)
    work.finish(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("collections") / "c", SHAPES)


def same(a: Shape, b: Shape) -> None:
    assert (a.id, a.split, a.label) == (b.id, b.split, b.label)
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_array_equal(a.views, b.views)
    assert a.part is not None
    assert b.part is not None
    np.testing.assert_array_equal(a.part, b.part)


def test_reads_what_was_written(folder: Path) -> None:
    collection = Collection.open(folder)
    assert len(collection) == COUNT - 1
    assert collection.ids == [shape.id for shape in SHAPES]
    assert collection.labels.tolist() == [-1 if s.label is None else s.label for s in SHAPES]
    for i in (0, 3, SKIPPED, SHARD - 2, SHARD - 1, 2 * SHARD, COUNT - 2, -1):
        same(collection[i], SHAPES[i])


def test_points_of_any_indices(folder: Path) -> None:
    collection = Collection.open(folder)
    for indices in ([], [0], [-1, 5, 5, 2 * SHARD, 0, SHARD - 1, SHARD]):
        expected = np.array([SHAPES[i].points for i in indices]).reshape(-1, POINTS, 3)
        np.testing.assert_array_equal(collection.points(np.array(indices, dtype=np.int64)), expected)
    collection.points(np.array([0]))[:] = 0  # a fresh array: the file stays as it is
    assert collection.points(np.array([0])).any()


def test_frames_and_parts_of_any_indices(folder: Path) -> None:
    collection = Collection.open(folder)
    for indices in ([], [0], [-1, 5, 5, 2 * SHARD, 0, SHARD - 1, SHARD]):
        wanted = np.array(indices, dtype=np.int64)
        centers, scales = collection.frames(wanted)
        assert (centers.shape, scales.shape) == ((len(indices), 3), (len(indices),))
        np.testing.assert_array_equal(centers, np.reshape([frame_of(SHAPES[i])[0] for i in indices], (-1, 3)))
        np.testing.assert_array_equal(scales, [frame_of(SHAPES[i])[1] for i in indices])
        parts = collection.part_labels(wanted)
        assert parts.dtype == np.int64
        np.testing.assert_array_equal(parts, np.reshape([SHAPES[i].part for i in indices], (-1, POINTS)))
    for i in (COUNT - 1, -COUNT):
        with pytest.raises(IndexError):
            collection.frames(np.array([i]))
        with pytest.raises(IndexError):
            collection.part_labels(np.array([i]))


def test_parts_of_a_collection_without(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied)
    description = json.loads((copied / "collection.json").read_text())
    (copied / "collection.json").write_text(json.dumps(description | {"parts": []}))
    with pytest.raises(UserError, match=r"has no parts\. Give a collection of ShapeNetPart"):
        Collection.open(copied).part_labels(np.array([0]))


def test_single_views(folder: Path) -> None:
    collection = Collection.open(folder)
    for i, v in ((0, 0), (SHARD, 2), (-1, -1)):
        view = collection.view(i, v)
        np.testing.assert_array_equal(view, SHAPES[i].views[v])
        view[:] = 0


def test_splits(folder: Path) -> None:
    collection = Collection.open(folder)
    test = [i for i, shape in enumerate(SHAPES) if shape.split == "test"]
    assert collection.indices("test").tolist() == test
    assert sorted([*collection.indices("train"), *test]) == list(range(COUNT - 1))
    assert collection.indices("all").tolist() == list(range(COUNT - 1))
    with pytest.raises(UserError, match="train, test, all"):
        collection.indices("tests")


def test_indices_outside(folder: Path) -> None:
    collection = Collection.open(folder)
    for i in (COUNT - 1, -COUNT):
        with pytest.raises(IndexError):
            collection[i]
        with pytest.raises(IndexError):
            collection.points(np.array([0, i]))
    with pytest.raises(IndexError):
        collection.view(0, VIEWS)


def test_copies_open_the_folder_again(folder: Path) -> None:
    same(copy.copy(Collection.open(folder))[9], SHAPES[9])


def test_hugging_face_datasets_opens_it(folder: Path) -> None:
    table = datasets.load_from_disk(str(folder))
    assert len(table) == COUNT - 1
    row = table[SHARD]
    assert table.features["label"].names == ["cup", "mug"]
    assert (row["id"], row["split"]) == (SHAPES[SHARD].id, SHAPES[SHARD].split)
    np.testing.assert_array_equal(np.array(row["points"], dtype=np.float32), SHAPES[SHARD].points)
    np.testing.assert_array_equal(np.asarray(row["views"][1].convert("RGB")), SHAPES[SHARD].views[1])
    np.testing.assert_array_equal(row["part"], SHAPES[SHARD].part)
    assert row["center"] == frame_of(SHAPES[SHARD])[0].tolist()
    assert row["scale"] == frame_of(SHAPES[SHARD])[1]


def test_columns_are_described_as_datasets_describes_them() -> None:
    """`datasets` makes the same Arrow columns of the description, and the same description of its own."""
    schema = (
        arrow_schema(POINTS, True).append(pa.field("index", pa.int64())).append(pa.field("x", pa.float64()))
    )
    described = datasets.Features.from_dict(dataset_features(schema, ["cup", "mug"]))
    assert described.arrow_schema.remove_metadata().equals(schema)
    assert described["label"] == datasets.ClassLabel(names=["cup", "mug"])
    assert datasets.Features.from_dict(dataset_features(schema, []))["label"] == datasets.Value("int64")


def test_description_round_trip(folder: Path) -> None:
    info = Collection.open(folder).info
    assert info.splits["train"] + info.splits["test"] == info.count == COUNT - 1
    assert CollectionInfo(**json.loads((folder / "collection.json").read_text())) == info


def test_views_are_lossless() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_view(encode_view(picture)), picture)


def test_folders_that_are_no_collection(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        Collection.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no collection\.json"):
        Collection.open(tmp_path)
    (tmp_path / "c.partial").mkdir()
    with pytest.raises(UserError, match="interrupted"):
        Collection.open(tmp_path / "c")
    (tmp_path / "collection.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        Collection.open(tmp_path)
    (tmp_path / "collection.json").write_text("[]")
    with pytest.raises(UserError, match="version None"):
        Collection.open(tmp_path)


def test_another_version_says_how_to_go_on(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "c", SHAPES)
    description = json.loads((folder / "collection.json").read_text())
    (folder / "collection.json").write_text(json.dumps(description | {"version": 99}))
    with pytest.raises(UserError, match=r"version 99.*adacross prepare here .*--overwrite"):
        Collection.open(folder)
    description.pop("points")
    (folder / "collection.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"incomplete.*points"):
        Collection.open(folder)


def test_damaged_files(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "c", SHAPES)
    shard = folder / "data-00001-of-00003.arrow"
    whole = shard.read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"nonsense" * 100):
        shard.write_bytes(broken)
        with pytest.raises(UserError, match="damaged"):
            Collection.open(folder)
    shard.unlink()
    with pytest.raises(UserError, match=f"promises {COUNT - 1} shapes and holds {COUNT - 1 - SHARD}"):
        Collection.open(folder)
