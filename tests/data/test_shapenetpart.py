"""ShapeNetPart in both layouts, other categories in the text layout, and everything that goes wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from layout_files import POINTS, clouds, cut, inspected, lines, look, prepared, reasons, write, write_hdf5
from scipy.spatial import cKDTree

from adacross.data.collection.collection import Collection
from adacross.data.formats import format_of
from adacross.data.formats.shapenet import SYNSETS
from adacross.data.formats.shapenetpart import CATEGORIES, published_parts
from adacross.errors import UserError

SYNSET = {name: synset for synset, name in SYNSETS.items() if name in CATEGORIES}
SHAPES = {  # names of files, and how many points they have
    "train": {"airplane/a1": 40, "table/t1": 9, "mug/m.v1": 20},
    "val": {"airplane/a2": 30},
    "test": {"mug/m2": 25, "table/t2": 25},
}
PIDS = {"airplane": (0, 4), "bag": (4, 6), "mug": (36, 38), "table": (47, 50)}
EVERY = {name: count for shapes in SHAPES.values() for name, count in shapes.items()}


def place(name: str) -> str:
    category, _, stem = name.partition("/")
    return f"{SYNSET[category]}/{stem}"


def rows_of(name: str, count: int | None = None) -> np.ndarray:
    """Points, normals and part; every part of the category occurs."""
    count = count or EVERY[name]
    rows = clouds(len(name) * count, 1, count, 7)[0]
    low, high = PIDS[name.split("/", maxsplit=1)[0]]
    rows[:, 6] = low + np.arange(count) % (high - low)
    return rows


def write_lists(root: Path, lists: dict[str, list[str]]) -> None:
    for word, names in lists.items():
        content = json.dumps([f"shape_data/{name}" for name in names])
        write(root, f"train_test_split/shuffled_{word}_file_list.json", content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    names = "".join(f"{name.capitalize()}\t{SYNSET[name]}\n" for name in CATEGORIES)
    write(root, "synsetoffset2category.txt", names)
    for name in EVERY:
        write(root, f"{place(name)}.txt", lines(rows_of(name), " "))
    write_lists(root, {word: [place(name) for name in shapes] for word, shapes in SHAPES.items()})
    return root


def check_points(collection: Collection, i: int, rows: np.ndarray, parts: list[str] | None = None) -> None:
    """Every point is one of the file's, with that point's part."""
    centers, scales = collection.frames(np.array([i]))
    distance, nearest = cKDTree(rows[:, :3]).query(collection[i].points * scales[0] + centers[0])
    assert distance.max() < 1e-5
    np.testing.assert_array_equal(collection.part_labels(np.array([i]))[0], rows[nearest, -1])


def test_categories_and_their_parts() -> None:
    parts = published_parts()
    assert len(CATEGORIES) == len(SYNSET) == 16
    assert list(CATEGORIES) == sorted(CATEGORIES)
    assert [number for numbers in parts.values() for number in numbers.values()] == list(range(50))
    assert {name: (min(parts[name].values()), max(parts[name].values()) + 1) for name in PIDS} == PIDS
    assert parts["motorbike"] == {f"motorbike/{k}": 30 + k for k in range(6)}


@pytest.mark.slow
def test_from_text_to_a_collection(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = prepared(monkeypatch, root)
    info = collection.info
    assert (info.format, info.source_up) == ("shapenetpart", "y")
    assert info.classes == list(CATEGORIES)
    assert len(info.parts) == 50
    assert (info.parts[0], info.parts[16], info.parts[49]) == ("airplane/0", "earphone/0", "table/2")
    assert not info.skipped + info.warnings
    assert collection.ids == [place(name) for name in EVERY]
    assert [info.classes[label] for label in collection.labels] == [name.split("/")[0] for name in EVERY]
    assert info.splits == {"train": 4, "test": 2}  # validation is for training
    assert collection.indices("test").tolist() == [4, 5]
    for i, name in enumerate(EVERY):
        check_points(collection, i, rows_of(name))
    assert len(np.unique(collection[0].points, axis=0)) == POINTS  # there are enough: none is drawn twice
    assert len(np.unique(collection[1].points, axis=0)) < POINTS  # 9 points
    again = prepared(monkeypatch, root)
    np.testing.assert_array_equal(collection[0].points, again[0].points)
    other = prepared(monkeypatch, root, seed=1)
    assert (collection[0].points != other[0].points).any()


def test_normals_where_there_are_some(root: Path) -> None:
    source = look(root)
    loaded = format_of("shapenetpart").sample(source.items[0], 12, np.random.default_rng(0))
    assert loaded.cloud is not None
    assert loaded.cloud.normals is not None
    rows = rows_of("airplane/a1")
    nearest = cKDTree(rows[:, :3]).query(loaded.cloud.points)[1]
    np.testing.assert_allclose(loaded.cloud.normals, rows[nearest, 3:6], atol=1e-6)
    write(root, f"{place('airplane/a1')}.txt", lines(rows[:, [0, 1, 2, 6]], "\t"))
    loaded = format_of("shapenetpart").sample(source.items[0], 12, np.random.default_rng(0))
    assert loaded.cloud is not None
    assert loaded.cloud.normals is None
    assert loaded.cloud.part_names == tuple(f"airplane/{k}" for k in range(4))


BROKEN = {
    "empty": ("", "the file is empty"),
    "words": ("a b c d\n", "not a cloud of points"),
    "cut": (lines(rows_of("bag/b", 30), " ")[:-20], "not a cloud of points: the number of columns changed"),
    "five": (lines(rows_of("bag/b", 30)[:, :5], " "), "5 numbers a line, expected 4 or 7"),
    "nan": ("nan 0 0 4\n", "point 1 is not finite"),
    "other": (
        lines(rows_of("mug/m", 30), " "),
        r"a point's part is 36, which its category does not have \(4 to 5\)",
    ),
    "beyond": ("0 0 0 4\n1 0 0 50\n", "a point's part is 50"),
    "minus": ("0 0 0 4\n1 0 0 -1\n", "a point's part is -1; expected a whole number"),
    "half": ("0 0 0 4.5\n", "a point's part is 4.5; expected a whole number"),
    "giant": ("0 0 0 1e30\n", "a point's part is 1e.30; expected a whole number"),
    "one": ("1 2 3 5\n" * 30, "all points coincide"),
}


def test_broken_files_are_named_and_the_others_are_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{SYNSET['bag']}/{name}" for name in BROKEN]
    for name, (content, _) in zip(names, BROKEN.values(), strict=True):
        write(root, f"{name}.txt", content)
    write_lists(root, {"val": names})
    collection = prepared(monkeypatch, root)
    assert len(collection) == len(EVERY) - 1
    skipped = reasons(collection.info.skipped)
    assert list(skipped) == names
    for name, (_, reason) in zip(names, BROKEN.values(), strict=True):
        assert re.search(reason, skipped[name]), skipped[name]


def test_lists_and_files_that_disagree(root: Path) -> None:
    mug = SYNSET["mug"]
    write_lists(root, {"test": [f"{mug}/gone", f"{mug}/m2", f"{mug}/m.v1", "../x", "alone"]})
    source = look(root)
    assert len(source.items) == 5
    end = "in shuffled_test_file_list.json"
    assert reasons(source.skipped) == {
        f"{mug}/gone {end}": f"{mug}/gone.txt is not there",
        f"{mug}/m.v1 {end}": "named twice; its first place counts",
        f"../x {end}": "its folder is not in synsetoffset2category.txt",
        f"shape_data/alone {end}": "its folder is not in synsetoffset2category.txt",
    }
    assert source.missing == ["1 of the files that the lists name"]


def test_lists_that_are_missing_or_none(root: Path) -> None:
    folder = root / "train_test_split"
    (folder / "shuffled_val_file_list.json").unlink()
    assert look(root).missing == ["train_test_split/shuffled_val_file_list.json"]
    write(root, "train_test_split/shuffled_val_file_list.json", "{")
    with pytest.raises(UserError, match="not valid JSON"):
        look(root)
    write(root, "train_test_split/shuffled_val_file_list.json", '["a", 3]')
    with pytest.raises(UserError, match="not a list of texts"):
        look(root)
    write_lists(root, {"train": [], "val": [], "test": []})
    with pytest.raises(UserError, match="its lists name no file in it"):
        look(root)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(UserError, match="train_test_split has none of its lists"):
        look(root)
    write(root, "synsetoffset2category.txt", "Airplane\n")
    with pytest.raises(UserError, match="a line 'Airplane'; expected a name, a tab and a folder"):
        look(root)


def test_other_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their parts are numbered as the files' labels are ordered, whatever those are."""
    root = tmp_path / "gears"
    write(root, "synsetoffset2category.txt", "Spur gear\t01\nChair\t02\n")
    given = {"01/a": [7, 3, 3], "01/b": [9, 9, 7], "02/c": [0, 1, 12], "02/d": [1, 1, 1], "02/bad": []}
    for name, labels in given.items():
        rows = np.column_stack([clouds(len(labels), 1, 3)[0], labels]) if labels else np.zeros((0, 4))
        write(root, f"{name}.txt", lines(rows, " "))
    write_lists(root, {"train": list(given)[:2], "test": list(given)[2:]})
    collection = prepared(monkeypatch, root, points=3)
    assert collection.info.classes == ["Spur gear", "Chair"]
    assert collection.info.parts == [
        "Spur gear/0",
        "Spur gear/1",
        "Spur gear/2",
        "Chair/0",
        "Chair/1",
        "Chair/2",
    ]
    assert reasons(collection.info.skipped) == {"02/bad": "the file is empty"}
    every = np.sort(collection.part_labels(collection.indices("all")), axis=1)
    assert every.tolist() == [[0, 0, 1], [1, 2, 2], [3, 4, 5], [4, 4, 4]]
    assert collection.labels.tolist() == [0, 0, 1, 1]


def test_the_published_names_in_other_folders_are_other_categories(tmp_path: Path) -> None:
    write(tmp_path, "synsetoffset2category.txt", "Chair\t00000007\n")
    write(tmp_path, "00000007/a.txt", "0 0 0 40\n0 0 1 41\n")
    write_lists(tmp_path, {"train": ["00000007/a"]})
    assert look(tmp_path).parts == ["Chair/0", "Chair/1"]


def write_rows(root: Path, name: str, labels: list[int], seed: int) -> np.ndarray:
    """An HDF5 file; returns its parts."""
    parts = np.zeros((len(labels), POINTS + 4), np.uint8)
    for row, label in enumerate(labels):
        numbers = list(published_parts()[list(CATEGORIES)[label % 16]].values())
        parts[row] = np.random.default_rng(seed + row).choice(numbers, POINTS + 4)
    data = clouds(seed, len(labels), POINTS + 4)
    write_hdf5(root, name, data=data, label=np.array(labels)[:, None], pid=parts)
    return parts


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    root = tmp_path / "hdf5_data"
    write_rows(root, "ply_data_train0.h5", [0, 15, 4], 0)
    write_rows(root, "ply_data_val0.h5", [10], 10)
    write_rows(root, "ply_data_test0.h5", [2, 16, -1], 20)
    write(root, "all_object_categories.txt", "".join(f"{n.capitalize()}\t{SYNSET[n]}\n" for n in CATEGORIES))
    write(root, "train_hdf5_file_list.txt", "ply_data_train0.h5\n")
    return root


def test_from_hdf5_to_a_collection(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = prepared(monkeypatch, rows)
    info = collection.info
    assert (info.format, info.classes, len(info.parts)) == ("shapenetpart", list(CATEGORIES), 50)
    assert collection.ids == [
        "ply_data_train0/00000",
        "ply_data_train0/00001",
        "ply_data_train0/00002",
        "ply_data_val0/00000",
        "ply_data_test0/00000",
    ]
    assert collection.labels.tolist() == [0, 15, 4, 10, 2]
    assert info.splits == {"train": 4, "test": 1}
    assert reasons(info.skipped) == {
        "ply_data_test0/00001": "label 16, expected 0 to 15",
        "ply_data_test0/00002": "label -1, expected 0 to 15",
    }
    wanted = write_rows(rows, "ply_data_train0.h5", [0, 15, 4], 0)[:, :POINTS]
    np.testing.assert_array_equal(collection.part_labels(np.arange(3)), wanted)
    first = clouds(0, 3, POINTS + 4)[:, :POINTS]
    centers, scales = collection.frames(np.arange(3))
    np.testing.assert_allclose(
        collection.points(np.arange(3)) * scales[:, None, None] + centers[:, None], first, atol=1e-5
    )


def test_hdf5_parts_of_another_category_are_named(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = write_rows(rows, "ply_data_train0.h5", [0, 1, 2], 0)
    parts[1, 3] = 0
    parts[2, 5] = 200
    write_hdf5(rows, "ply_data_train0.h5", data=clouds(0, 3, POINTS + 4), label=[0, 1, 2], pid=parts)
    skipped = reasons(prepared(monkeypatch, rows).info.skipped)
    assert (
        skipped["ply_data_train0/00001"] == "a point's part is 0, which its category does not have (4 to 5)"
    )
    assert skipped["ply_data_train0/00002"].startswith("a point's part is 200, which")


def test_hdf5_files_of_another_form(rows: Path) -> None:
    cut(rows / "ply_data_train0.h5")
    write_hdf5(rows, "ply_data_val0.h5", data=clouds(0, 2), label=[0, 1], pid=np.zeros((2, 3)))
    source = look(rows)
    assert source.format == "shapenetpart"
    assert len(source.items) == 1
    assert "`pid` has shape (2, 3)" in reasons(source.skipped)["ply_data_val0.h5"]
    write_hdf5(rows, "ply_data_val0.h5", data=clouds(0, 2), label=[0, 1])
    assert "not an HDF5 file with `data` and `pid`" in reasons(look(rows).skipped)["ply_data_val0.h5"]
    (rows / "ply_data_val0.h5").unlink()
    assert look(rows).missing == ["ply_data_val*.h5"]
    write(rows, "all_object_categories.txt", "Cup 1\nMug 2\n")
    with pytest.raises(UserError, match="names other categories than ShapeNetPart's 16"):
        look(rows)


def test_without_parts_it_is_modelnet40(tmp_path: Path) -> None:
    write_hdf5(tmp_path, "ply_data_train0.h5", data=clouds(0, 2), label=[0, 1])
    assert look(tmp_path).format == "modelnet40"
    write_hdf5(tmp_path, "ply_data_train1.h5", data=clouds(0, 2), label=[0, 1], pid=np.zeros((2, POINTS)))
    assert look(tmp_path).format == "shapenetpart"


def test_no_variants(root: Path) -> None:
    with pytest.raises(UserError, match=r"variant obj_bg was given, but .* has none \(shapenetpart\)"):
        look(root, "obj_bg")


@pytest.mark.slow
def test_inspect(root: Path, rows: Path) -> None:
    write(root, f"{place('mug/m2')}.txt", "broken\n")
    kind, text = inspected(root)
    assert kind == "shapenetpart"
    for expected in ("airplane 2, mug 2, table 2", "own splits test 2, train 4", "parts 50", "5 of 6 files"):
        assert expected in text
    assert place("mug/m2") in text
    assert "not a cloud of points" in text
    kind, text = inspected(rows)
    assert kind == "shapenetpart"
    assert "5 of 5 rows" in text


@pytest.mark.parametrize("kind", ["missing", "a folder"])
def test_lists_without_the_names_of_categories_are_named(root: Path, kind: str) -> None:
    """Such a folder was read as clouds without parts."""
    (root / "synsetoffset2category.txt").unlink()
    if kind == "a folder":
        (root / "synsetoffset2category.txt").mkdir()
    with pytest.raises(UserError, match=r"lists of ShapeNetPart, but no file synsetoffset2category\.txt"):
        look(root)
