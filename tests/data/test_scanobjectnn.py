"""ScanObjectNN's HDF5 files: its three variants, and everything that goes wrong."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from layout_files import POINTS, clouds, cut, inspected, look, prepared, reasons, unit, write, write_hdf5

from adacross.data.formats import format_of, hdf5, scanobjectnn
from adacross.data.formats.scanobjectnn import CLASSES
from adacross.data.shape import BrokenShapeError
from adacross.errors import UserError

PLAIN, MOVED = "objectdataset.h5", "objectdataset_augmentedrot_scale75.h5"
STORED = POINTS + 2
COUNTS = {
    "main_split_nobg/training_" + PLAIN: 4,
    "main_split_nobg/test_" + PLAIN: 2,
    "main_split/training_" + PLAIN: 5,
    "main_split/test_" + PLAIN: 2,
    "main_split/training_" + MOVED: 6,
    "main_split/test_" + MOVED: 3,
}
SIZES = {"obj_only": (4, 2), "obj_bg": (5, 2), "pb_t50_rs": (6, 3)}


def write_objects(root: Path, name: str, count: int) -> None:
    data = clouds(len(name), count, STORED)
    labels = np.arange(count, dtype=np.int32) % len(CLASSES)
    write_hdf5(root, name, data=data, label=labels, mask=-np.ones((count, STORED), np.int8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "h5_files"
    for name, count in COUNTS.items():
        write_objects(root, name, count)
    return root


def only(root: Path, variant: str) -> Path:
    """Remove all files but one variant's."""
    keep = scanobjectnn.variants(root)[variant]
    for path in root.rglob("*.h5"):
        if path not in keep:
            path.unlink()
    return root


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("pb_t25", "main_split/{}_objectdataset_augmented25_norot.h5"),
        ("pb_t25_r", "main_split/{}_objectdataset_augmented25rot.h5"),
        ("pb_t50_r", "main_split/{}_objectdataset_augmentedrot.h5"),
        ("pb_t50_rs_nobg", "main_split_nobg/{}_objectdataset_augmentedrot_scale75.h5"),
    ],
)
def test_rarer_variants_are_read_by_name_or_where_they_are_alone(
    root: Path, tmp_path: Path, variant: str, name: str
) -> None:
    for split in ("training", "test"):
        write_objects(root, name.format(split), 2)
        write_objects(tmp_path / "alone", name.format(split), 2)
    assert look(root, variant=variant).variant == variant
    assert look(tmp_path / "alone").variant == variant
    with pytest.raises(UserError, match=rf"several variants of ScanObjectNN: .*{variant}.* Choose one"):
        look(root)
    (place,) = {name.partition("/")[0]}
    if place == "main_split_nobg":  # of which the usual one is taken
        assert look(root / place).variant == "obj_only"


@pytest.mark.slow
@pytest.mark.parametrize("variant", SIZES)
def test_variants(root: Path, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = prepared(monkeypatch, root, variant=variant)
    info, (train, test) = collection.info, SIZES[variant]
    assert info.splits == {"train": train, "test": test}
    assert (info.format, info.source_up, info.classes) == ("scanobjectnn", "y", list(CLASSES))
    assert info.made["options"]["variant"] == variant
    assert not info.warnings + info.skipped + info.parts
    assert collection.labels.tolist() == [*range(train), *range(test)]
    path = scanobjectnn.variants(root)[variant][0]
    with h5py.File(path) as file:
        stored = file["data"][:]
    assert collection.ids[:train] == [f"{path.stem}/{row:05d}" for row in range(train)]
    for i in range(train):
        np.testing.assert_allclose(collection[i].points, unit(stored[i, :POINTS]), atol=1e-6)


def test_names_and_their_order() -> None:
    assert len(set(CLASSES)) == 15
    assert (CLASSES[0], CLASSES[9], CLASSES[14]) == ("bag", "table", "toilet")


def test_the_one_that_is_there_is_taken(root: Path) -> None:
    for variant in ("pb_t50_rs", "obj_bg", "obj_only"):
        copy = root.parent / variant
        for name in COUNTS:
            write(copy, name, (root / name).read_bytes())
        source = look(only(copy, variant))
        assert source.variant == variant
        assert f"variant {variant}: " in source.note
        assert len(source.items) == sum(SIZES[variant])


def test_several_are_there_and_none_is_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"obj_only, obj_bg, pb_t50_rs\. Choose one with --variant"):
        look(root)
    with pytest.raises(UserError, match=r"obj_bg, pb_t50_rs\. Choose one"):
        look(root / "main_split")


def test_one_of_the_two_folders_itself(root: Path) -> None:
    assert look(root / "main_split_nobg").variant == "obj_only"
    assert len(look(root / "main_split", "pb_t50_rs").items) == 9
    with pytest.raises(
        UserError, match=r"has no obj_only \(main_split_nobg/training_object.*: obj_bg, pb_t50_rs"
    ):
        look(root / "main_split", "obj_only")


def test_unknown_variant(root: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'obj_bg'"):
        look(root, "obj_b")


def test_the_contrastive_programs_files(tmp_path: Path) -> None:
    for name, count in (("train", 3), ("test", 2)):
        write_objects(tmp_path, f"main_split/{name}.h5", count)
    source = look(tmp_path)
    assert (source.variant, len(source.items)) == ("obj_bg", 5)
    assert source.note == "ScanObjectNN, variant obj_bg: train.h5 and test.h5."
    assert [item.split for item in source.items] == ["train"] * 3 + ["test"] * 2
    write_objects(tmp_path, f"main_split/training_{PLAIN}", 9)  # the data set's own name goes first
    assert look(tmp_path).missing == [f"main_split/test_{PLAIN}"]


@pytest.mark.slow
def test_filling_is_replaced_by_real_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = clouds(3, 4, POINTS)
    data[0, 5:] = -1
    data[1, 3] = -1  # a real point like any other, since it is not at the end
    data[2] = -1
    data[3, 10:, :2] = -1  # not filling: z is something else
    root = tmp_path / "h5_files"
    write_hdf5(root, f"main_split/training_{PLAIN}", data=data, label=[0, 1, 2, 3])
    collection = prepared(monkeypatch, root)
    name = "training_objectdataset"
    assert collection.ids == [f"{name}/{row:05d}" for row in (0, 1, 3)]
    assert reasons(collection.info.skipped) == {f"{name}/00002": "no point but padding, (-1, -1, -1)"}
    assert reasons(collection.info.warnings) == {
        f"{name}/00000": "5 real points, fewer than 16; they are repeated in turn"
    }
    repeated = np.concatenate([data[0, :5]] * 4)[:POINTS]
    np.testing.assert_allclose(collection[0].points, unit(repeated), atol=1e-6)
    np.testing.assert_allclose(collection[1].points, unit(data[1]), atol=1e-6)
    np.testing.assert_allclose(collection[2].points, unit(data[3]), atol=1e-6)
    assert not prepared(monkeypatch, root, points=4).info.warnings  # there are enough real ones


def test_labels_out_of_range_and_points_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = clouds(3, 5, POINTS)
    data[4, 2, 1] = np.nan
    root = tmp_path / "h5_files"
    write_hdf5(root, f"main_split_nobg/training_{PLAIN}", data=data, label=[3, -1, 15, 14, 0])
    collection = prepared(monkeypatch, root)
    assert collection.labels.tolist() == [3, 14]
    assert reasons(collection.info.skipped) == {
        "training_objectdataset/00001": "label -1, expected 0 to 14",
        "training_objectdataset/00002": "label 15, expected 0 to 14",
        "training_objectdataset/00004": "a point is not finite (NaN or infinite coordinates)",
    }


def test_files_of_another_form_are_named(root: Path) -> None:
    place = f"main_split/training_{MOVED}"
    cut(root / place)
    source = look(root, "pb_t50_rs")
    assert len(source.items) == 3
    assert list(reasons(source.skipped)) == [Path(place).name]
    for arrays, reason in (
        ({"data": clouds(0, 2)}, "not an HDF5 file with `data` and `label`"),
        ({"data": clouds(0, 2), "label": [0]}, "2 shapes but 1 labels"),
        ({"data": clouds(0, 2)[:, :, :2], "label": [0, 1]}, r"expected (n, points, 3)"),
        ({"data": clouds(0, 2)[0], "label": [0] * POINTS}, r"expected (n, points, 3)"),
        ({"data": clouds(0, 2), "label": [b"bag", b"bin"]}, "not an HDF5 file with"),
    ):
        write_hdf5(root, place, **arrays)
        assert reason in reasons(look(root, "pb_t50_rs").skipped)[Path(place).name]
    (root / "main_split" / f"test_{MOVED}").unlink()
    with pytest.raises(UserError, match=r"no shape in the HDF5 files of .* Download them again"):
        look(root, "pb_t50_rs")


def test_a_file_that_changes_while_it_is_read(root: Path) -> None:
    items = look(root, "obj_only").items
    format_of("scanobjectnn").sample(items[0], 5, np.random.default_rng(0))
    name = f"main_split_nobg/training_{PLAIN}"
    write_objects(root, name, 2)
    hdf5._block.cache_clear()
    with pytest.raises(BrokenShapeError, match="shorter"):
        format_of("scanobjectnn").sample(items[3], 5, np.random.default_rng(0))
    (root / name).unlink()
    hdf5._block.cache_clear()
    with pytest.raises(BrokenShapeError, match="cannot read training_objectdataset"):
        format_of("scanobjectnn").sample(items[0], 5, np.random.default_rng(0))


@pytest.mark.slow
def test_inspect(root: Path) -> None:
    kind, text = inspected(root)
    assert kind == "scanobjectnn"
    for expected in (
        "shapes 6",
        "own splits test 2, train 4",
        "variants obj_only, obj_bg, pb_t50_rs; this is obj_only",
        f"points {STORED} a shape",
        "6 of 6 rows",
        "--variant obj_only",
    ):
        assert expected in text
    (root / "main_split_nobg" / f"test_{PLAIN}").unlink()
    assert f"missing main_split_nobg/test_{PLAIN}" in inspected(root)[1]
