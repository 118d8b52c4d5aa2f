"""ModelNet40 as text files, and ModelNet10 of both of ModelNet40's layouts."""

import re
from pathlib import Path

import numpy as np
import pytest
from layout_files import POINTS, clouds, inspected, lines, look, prepared, reasons, unit, write, write_hdf5

from adacross.data.formats import format_of
from adacross.data.formats.modelnet import TEN
from adacross.data.shape import BrokenShapeError
from adacross.errors import UserError

NAMES = ["airplane_0001", "airplane_0002", "bed_0001", "night_stand_0001", "night_stand_0002"]
TRAIN, TEST = NAMES[:3] + NAMES[4:], NAMES[3:4]
FORTY = [TEN.get(i, f"other{i}") for i in range(40)]


def rows_of(seed: int, count: int = POINTS + 4) -> np.ndarray:
    """Points and unit normals."""
    rows = clouds(seed, 1, count, 6)[0]
    rows[:, 3:] /= np.linalg.norm(rows[:, 3:], axis=1, keepdims=True)
    return rows


def file_of(name: str) -> str:
    return f"{name.rsplit('_', 1)[0]}/{name}.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "modelnet40_normal_resampled"
    for seed, name in enumerate(NAMES):
        write(root, file_of(name), lines(rows_of(seed), ","))
    write(root, "modelnet40_shape_names.txt", "airplane\nbed\nnight_stand\n")
    write(root, "modelnet40_train.txt", "\n".join(TRAIN) + "\n")
    write(root, "modelnet40_test.txt", "\r\n".join(TEST))
    write(root, "modelnet10_shape_names.txt", "bed\nnight_stand\n")
    write(root, "modelnet10_train.txt", "bed_0001\n")
    write(root, "modelnet10_test.txt", "night_stand_0001\nnight_stand_0002\n")
    return root


def test_from_the_folder_to_a_collection(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = prepared(monkeypatch, root)
    info = collection.info
    assert (info.format, info.source_up, info.parts, info.skipped) == ("modelnet_text", "y", [], [])
    assert info.classes == ["airplane", "bed", "night_stand"]
    assert collection.ids == TRAIN + TEST
    assert collection.labels.tolist() == [0, 0, 1, 2, 2]
    assert collection.indices("test").tolist() == [4]
    assert info.made["options"]["variant"] == "modelnet40"
    for i, name in enumerate(collection.ids):
        first = rows_of(NAMES.index(name))[:POINTS, :3].astype(float)
        np.testing.assert_allclose(collection[i].points, unit(first), atol=1e-5)


def test_normals_come_with_the_points(root: Path) -> None:
    item = look(root).items[2]
    cloud = format_of("modelnet_text").sample(item, 5, np.random.default_rng(0)).cloud
    assert cloud is not None
    np.testing.assert_allclose(cloud.points, rows_of(2)[:5, :3], atol=1e-6)
    np.testing.assert_allclose(cloud.normals, rows_of(2)[:5, 3:], atol=1e-6)


def test_modelnet10_is_what_its_lists_say(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = prepared(monkeypatch, root, variant="modelnet10")
    assert collection.ids == ["bed_0001", "night_stand_0001", "night_stand_0002"]
    assert collection.labels.tolist() == [0, 1, 1]
    assert collection.info.splits == {"train": 1, "test": 2}
    assert collection.info.classes == ["bed", "night_stand"]
    assert collection.info.made["options"]["variant"] == "modelnet10"


def test_modelnet10_of_hdf5_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "hdf5"
    labels = np.arange(40, dtype=np.uint8)
    write_hdf5(root, "ply_data_train0.h5", data=clouds(0, 40), label=labels[:, None])
    write_hdf5(root, "ply_data_test0.h5", data=clouds(1, 3), label=[35, 0, 1])
    write(root, "shape_names.txt", "\n".join(FORTY))
    collection = prepared(monkeypatch, root, variant="modelnet10")
    assert collection.info.format == "modelnet40"
    assert collection.info.classes == list(TEN.values()) == sorted(TEN.values())
    assert collection.labels.tolist() == [*range(10), 9, 0]
    assert collection.info.splits == {"train": 10, "test": 2}
    assert [int(name[-2:]) for name in collection.ids[:10]] == [1, 2, 8, 12, 14, 22, 23, 30, 33, 35]
    assert not collection.info.skipped
    (root / "shape_names.txt").unlink()  # the ten are known by their labels
    assert look(root, "modelnet10").classes == list(TEN.values())
    assert len(look(root, "modelnet40").items) == len(look(root).items) == 43


def test_modelnet10_of_other_classes_is_refused(tmp_path: Path) -> None:
    write_hdf5(tmp_path, "ply_data_train0.h5", data=clouds(0, 2), label=[0, 2])
    write(tmp_path, "shape_names.txt", "cup\nmug\njar\n")
    with pytest.raises(UserError, match="label 1, bathtub"):
        look(tmp_path, "modelnet10")
    write(tmp_path, "shape_names.txt", "\n".join(FORTY))
    assert [item.label for item in look(tmp_path, "modelnet10").items] == [1]
    write_hdf5(tmp_path, "ply_data_train0.h5", data=clouds(0, 2), label=[0, 3])
    with pytest.raises(UserError, match="belongs to ModelNet10"):
        look(tmp_path, "modelnet10")


def test_a_changed_variant_starts_over(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("adacross.data.collection.build._description", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepared(patch, root)
    assert len(prepared(monkeypatch, root, variant="modelnet10")) == 3
    assert "variant was 'modelnet40'" in " ".join(capsys.readouterr().err.split())


def test_other_variants(root: Path) -> None:
    with pytest.raises(UserError, match="Valid: modelnet40, modelnet10"):
        look(root, "modelnet20")


BROKEN = {
    "empty": ("", "the file is empty"),
    "blank": (" \n\n", "the file is empty"),
    "words": ("hello world\n", "not a cloud of points: could not convert string 'hello world'"),
    "garbage": (
        lines(rows_of(1), ",") + "0,0,zero,0,0,1\n",
        "not a cloud of points: could not convert string 'zero'",
    ),
    "cut": (lines(rows_of(1)[:POINTS], ",")[:-12], "not a cloud of points: the number of columns changed"),
    "four": (lines(rows_of(1)[:, :4], ","), "4 numbers a line, expected 6"),
    "spaces": (lines(rows_of(1), " "), "not a cloud of points"),
    "nan": ("0,0,0,0,0,1\nnan,0,0,0,0,1\n" + lines(rows_of(1), ","), "a number of point 2 is not finite"),
    "huge": ("1e300,0,0,0,0,1\n" * POINTS, "point 1 is not finite"),
    "few": (
        lines(rows_of(1, 3), ","),
        rf"3 points, fewer than the {POINTS} of the collection \(--points 3 wo",
    ),
    "binary": (b"\x89PNG\r\n\x1a\n\xff\xfe\x00" * 9, "not a cloud of points"),
}


def test_broken_files_are_named_and_the_others_are_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"bed_{name}" for name in BROKEN]
    for name, (content, _) in zip(names, BROKEN.values(), strict=True):
        write(root, file_of(name), content)
    write(root, "modelnet40_train.txt", "\n".join(names + TRAIN))
    collection = prepared(monkeypatch, root)
    assert collection.ids == TRAIN + TEST
    skipped = reasons(collection.info.skipped)
    assert list(skipped) == names
    for name, (_, reason) in zip(names, BROKEN.values(), strict=True):
        assert re.search(reason, skipped[name]), skipped[name]


def test_lists_and_files_that_disagree(root: Path) -> None:
    (root / "bed" / "bed_0001.txt").unlink()
    write(root, "modelnet40_test.txt", "airplane_0001\nnight_stand_0001\nlamp_0001\nbed_../../x\nbed\n")
    source = look(root)
    assert [item.id for item in source.items] == [n for n in TRAIN if n != "bed_0001"] + TEST
    assert reasons(source.skipped) == {
        "bed_0001 in modelnet40_train.txt": "bed/bed_0001.txt is not there",
        "airplane_0001 in modelnet40_test.txt": "named twice; its first place counts",
        "lamp_0001 in modelnet40_test.txt": "its class is not in modelnet40_shape_names.txt",
        "bed_../../x in modelnet40_test.txt": "its class is not in modelnet40_shape_names.txt",
        "bed in modelnet40_test.txt": "bed/bed.txt is not there",
    }
    assert source.missing == ["2 of the files that the lists name"]


@pytest.mark.slow
def test_what_is_missing(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "modelnet40_test.txt").unlink()
    (root / "modelnet40_shape_names.txt").unlink()
    collection = prepared(monkeypatch, root, test_fraction=0.5)
    assert "missing in the source: modelnet40_test.txt; modelnet40_shape_names.txt." in (
        " ".join(capsys.readouterr().err.split())
    )
    assert collection.info.classes == ["airplane", "bed", "night_stand"]
    assert collection.info.splits == {"train": 2, "test": 2}  # drawn: the source's own has one side alone
    kind, text = inspected(root)
    assert kind == "modelnet_text"
    assert "missing modelnet40_test.txt; modelnet40_shape_names.txt" in text
    assert "4 of 4 files" in text
    assert f"points {POINTS + 4} a shape" in text
    (root / "modelnet40_train.txt").unlink()
    with pytest.raises(UserError, match=r"no modelnet40_train\.txt and no modelnet40_test\.txt\. Add them"):
        look(root)
    write(root, "modelnet40_train.txt", "bed_9999\n")
    with pytest.raises(UserError, match="none of the 1 shapes that the lists"):
        look(root)


def test_points_of_a_file_whose_fellows_are_broken(root: Path) -> None:
    for name in NAMES[1:]:
        write(root, file_of(name), "")
    assert look(root).points == POINTS + 4
    write(root, file_of(NAMES[0]), "")
    assert look(root).points is None


def test_a_file_that_vanishes(root: Path) -> None:
    item = look(root).items[0]
    Path(item.path).unlink()
    with pytest.raises(BrokenShapeError, match="No such file"):
        format_of("modelnet_text").sample(item, 5, np.random.default_rng(0))
