"""Collections as Parquet and back: the same in every value, and nothing damaged or hostile gets through."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trimesh
import yaml

from adacross import UserError, fetch, share
from adacross.data.collection.collection import Collection
from adacross.data.collection.prepare import prepare
from adacross.hub import parquet
from adacross.io.files import locked

TRAIN = "data/train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def unlabeled(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("unlabeled")
    (folder / "secret place" / "parts").mkdir(parents=True)
    for number in range(5):
        box = trimesh.creation.box((1, 1 + number, 2))
        box.export(folder / "secret place" / "parts" / f"box {number}.stl")
    source, target = folder / "secret place" / "parts", folder / "boxes"
    prepare(str(source), str(target), points=32, views=2, size=32, workers=1, test_fraction=0.0)
    return Collection.open(target)


@pytest.fixture(scope="module")
def shared(toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the hub would get of the toy collection. Copy it before you damage it."""
    folder = tmp_path_factory.mktemp("shared") / "toy"
    share(str(toy_collection.folder), "owner/toy", dry_run=str(folder))
    return folder


def assert_same(a: Collection, b: Collection) -> None:
    every = np.arange(len(a))
    assert a.ids == b.ids
    assert a.info.classes == b.info.classes
    assert a.info.parts == b.info.parts
    assert a.info.splits == b.info.splits
    assert np.array_equal(a.labels, b.labels)
    assert np.array_equal(a.points(every), b.points(every))
    assert all(
        np.array_equal(one, other) for one, other in zip(a.frames(every), b.frames(every), strict=True)
    )
    assert all(np.array_equal(a.indices(split), b.indices(split)) for split in ("train", "test"))
    assert not a.info.parts or np.array_equal(a.part_labels(every), b.part_labels(every))
    names = sorted(path.name for path in a.folder.glob("*.arrow"))
    assert names == sorted(path.name for path in b.folder.glob("*.arrow"))
    for name in names:  # pictures among them
        assert (a.folder / name).read_bytes() == (b.folder / name).read_bytes()


def test_labels_and_parts_come_back(toy_collection, shared, tmp_path):
    info = fetch(str(shared), str(tmp_path / "back"))
    assert info == toy_collection.info
    assert_same(toy_collection, Collection.open(tmp_path / "back"))
    import datasets

    again = datasets.load_from_disk(str(tmp_path / "back"))
    assert again[3]["id"] == toy_collection.ids[3]
    assert again.features["label"].names == toy_collection.info.classes


def test_a_collection_without_labels_comes_back_and_its_folder_is_not_told(unlabeled, tmp_path):
    share(str(unlabeled.folder), "owner/boxes", dry_run=str(tmp_path / "look"))
    fetch(str(tmp_path / "look"), str(tmp_path / "back"))
    assert_same(unlabeled, Collection.open(tmp_path / "back"))
    assert all(b"secret" not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert Collection.open(tmp_path / "back").info.source == "parts"
    card = (tmp_path / "look" / "README.md").read_text()
    assert "none: unlabeled" in card
    assert "| part |" not in card
    head = yaml.safe_load(card.split("---")[1])
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]


def test_a_shard_without_shapes_and_many_files(toy_collection, tmp_path, monkeypatch):
    sparse = tmp_path / "sparse"
    sparse.mkdir()
    shards = sorted(toy_collection.folder.glob("*.arrow"))
    with pa.ipc.open_stream(shards[0].read_bytes()) as reader:
        empty = reader.schema.empty_table()
    for number in range(len(shards) + 1):
        name = f"data-{number:05d}-of-{len(shards) + 1:05d}.arrow"
        if number == 2:
            with pa.ipc.new_stream(str(sparse / name), empty.schema) as writer:
                writer.write_batch(pa.RecordBatch.from_pylist([], schema=empty.schema))
        else:
            shutil.copyfile(shards[number - (number > 2)], sparse / name)
    shutil.copyfile(toy_collection.folder / "collection.json", sparse / "collection.json")
    monkeypatch.setattr(parquet, "FILE_BYTES", 60_000)
    done = share(str(sparse), "owner/sparse", dry_run=str(tmp_path / "look"))
    assert len([name for name in done.files if name.startswith("data/train-")]) > 1
    assert all(name.endswith((".parquet", ".json", ".md")) for name in done.files)
    fetch(str(tmp_path / "look"), str(tmp_path / "back"))
    assert_same(Collection.open(sparse), Collection.open(tmp_path / "back"))


def test_datasets_reads_it_as_the_card_says(toy_collection, shared, tmp_path):
    import datasets

    card = yaml.safe_load((shared / "README.md").read_text().split("---")[1])
    files = {entry["split"]: str(shared / entry["path"]) for entry in card["configs"][0]["data_files"]}
    read = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in read.items()} == toy_collection.info.splits
    assert read["test"].features["label"].names == toy_collection.info.classes
    row = read["test"][0]
    place = row["index"]
    assert row["id"] == toy_collection.ids[place]
    assert np.array_equal(np.array(row["points"], np.float32), toy_collection[place].points)
    assert np.array_equal(np.asarray(row["views"][0]), toy_collection.view(place, 0))


def test_targets_that_are_there(toy_collection, shared, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="full exists and is not a collection"):
            fetch(str(shared), str(tmp_path / "full"), overwrite=overwrite)
    with pytest.raises(UserError, match="full exists; choose a new or empty folder"):
        share(str(toy_collection.folder), "owner/toy", dry_run=str(tmp_path / "full"))
    fetch(str(shared), str(tmp_path / "back"))
    with pytest.raises(UserError, match="back exists"):
        fetch(str(shared), str(tmp_path / "back"))
    fetch(str(shared), str(tmp_path / "back"), overwrite=True)
    assert len(Collection.open(tmp_path / "back")) == len(toy_collection)


def test_what_is_fetched_is_on_the_disk_before_it_has_its_name(shared, tmp_path, monkeypatch):
    settled = {}
    sync = os.fsync

    def noted(handle: int) -> None:
        settled[os.fstat(handle).st_ino] = (tmp_path / "back").exists()
        sync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    fetch(str(shared), str(tmp_path / "back"))
    files = list((tmp_path / "back").iterdir())
    assert len(files) == 7
    assert [settled.get(path.stat().st_ino) for path in files] == 7 * [False]


def test_files_that_come_meanwhile_are_kept(toy_collection, shared, tmp_path, monkeypatch):
    target = tmp_path / "there"

    def meanwhile(*_: object) -> None:
        target.mkdir()
        (target / "letter.txt").write_text("dear")

    with monkeypatch.context() as patch:
        patch.setattr("adacross.hub.share.read_parquet", meanwhile)
        with pytest.raises(UserError, match="there exists and is not a collection"):
            fetch(str(shared), str(target))
    shutil.rmtree(target)
    with monkeypatch.context() as patch:
        patch.setattr("adacross.hub.share._write", meanwhile)
        with pytest.raises(UserError, match="there exists; choose a new or empty folder"):
            share(str(toy_collection.folder), "owner/toy", dry_run=str(target))
    assert [path.name for path in target.iterdir()] == ["letter.txt"]
    with locked(tmp_path / "back", "prepare"), pytest.raises(UserError, match="in use: adacross prepare"):
        fetch(str(shared), str(tmp_path / "back"))


def edit(name: str, change: Callable[[dict], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return damage


def piece(**changes: object) -> Callable[[Path], None]:
    return edit("shards.json", lambda value: value["shards"][1][0].update(changes))


def rewrite(change: Callable[[pa.Table], pa.Table], **options: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = pq.ParquetFile(folder / TRAIN)
        groups = [change(file.read_row_group(number)) for number in range(file.num_row_groups)]
        arguments = {"compression": "none", "use_dictionary": ["part.list.element"]} | options
        with pq.ParquetWriter(folder / TRAIN, groups[0].schema, **arguments) as writer:
            for group in groups:
                writer.write_table(group, row_group_size=len(group))

    return damage


def column(name: str, make: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> Callable[[Path], None]:
    return rewrite(lambda rows: rows.set_column(rows.schema.get_field_index(name), name, make(rows[name])))


def flip(folder: Path) -> None:
    data = bytearray((folder / TRAIN).read_bytes())
    data[len(data) // 3] ^= 1
    (folder / TRAIN).write_bytes(data)


def cut(folder: Path) -> None:
    (folder / TRAIN).write_bytes((folder / TRAIN).read_bytes()[:-100])


def ints(values: list[int]) -> pa.Array:
    return pa.array(values, pa.int64())


DAMAGES = {
    "cut off": (cut, f"{TRAIN} is damaged"),
    "a bit": (flip, f"{TRAIN} is damaged"),
    "no Parquet": (lambda folder: (folder / TRAIN).write_text("no"), f"{TRAIN} is damaged"),
    "gone": (lambda folder: (folder / TRAIN).unlink(), f"{TRAIN} does not exist"),
    "a column fewer": (rewrite(lambda rows: rows.drop_columns(["center"])), f"{TRAIN} is damaged"),
    "no index": (rewrite(lambda rows: rows.drop_columns(["index"])), f"{TRAIN} is damaged"),
    "another type": (column("scale", lambda old: old.cast(pa.float64())), f"{TRAIN} is damaged.*types"),
    "a label": (column("label", lambda old: ints([999] * len(old))), f"{TRAIN} is damaged.*labels from 999"),
    "a null": (column("label", lambda old: ints([None] * len(old))), f"{TRAIN} is damaged.*no label"),
    "a split": (column("split", lambda old: pa.array(["test"] * len(old))), "another split than train"),
    "a value": (column("scale", lambda old: pa.array([2.0] * len(old), pa.float32())), "SHA-256"),
    "places": (column("index", lambda old: ints(list(range(len(old))))), "SHA-256"),
    "compressed": (rewrite(lambda rows: rows, compression="zstd"), "is not stored as"),
    "numbered": (rewrite(lambda rows: rows, use_dictionary=["id"]), "id is not stored as"),
    "digest": (piece(sha256="0" * 64), f"{TRAIN} is damaged.*SHA-256"),
    "rows": (piece(rows=7), "shards.json lists .* states"),
    "row group": (piece(row_group=99), f"{TRAIN} is damaged.*row groups"),
    "the same piece": (piece(row_group=0), f"{TRAIN} is damaged"),
    "out of the folder": (piece(file="../train-00000-of-00001.parquet"), "contains an invalid entry"),
    "absolute": (piece(file="/etc/passwd"), "shards.json contains an invalid entry"),
    "negative": (piece(row_group=-1), "shards.json contains an invalid entry"),
    "more": (piece(more=1), "shards.json contains an invalid entry"),
    "no shards": (edit("shards.json", lambda value: value.pop("shards")), "shards.json lists no shards"),
    "version": (edit("shards.json", lambda value: value.update(version=9)), "shards.json is of version 9"),
    "a list": (lambda folder: (folder / "shards.json").write_text("[]"), "shards.json is of version None"),
    "order": (edit("shards.json", lambda value: value["shards"].reverse()), "do not hold shapes 0 to"),
    "count": (edit("collection.json", lambda value: value.update(count=3)), "shards.json lists"),
    "points": (edit("collection.json", lambda value: value.update(points=2**31 - 1)), "can hold"),
    "views": (edit("collection.json", lambda value: value.update(views=2**31 - 1)), "can hold"),
    "no collection": (lambda folder: (folder / "collection.json").unlink(), "is not a collection"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_named_and_leave_nothing(name, shared, tmp_path):
    damage, message = DAMAGES[name]
    shutil.copytree(shared, tmp_path / "shared")
    damage(tmp_path / "shared")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message):
        fetch(str(tmp_path / "shared"), str(tmp_path / "back"))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_collection_is_not_shared(toy_collection, tmp_path):
    shutil.copytree(toy_collection.folder, tmp_path / "toy")
    sorted((tmp_path / "toy").glob("*.arrow"))[1].unlink()
    with pytest.raises(UserError, match=r"toy is damaged: collection\.json states 220 shapes"):
        share(str(tmp_path / "toy"), "owner/toy", dry_run=str(tmp_path / "look"))
    assert not (tmp_path / "look").exists()
