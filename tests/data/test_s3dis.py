"""S3DIS in blocks: rooms, areas, labels of points, and everything that goes wrong."""

from pathlib import Path

import numpy as np
import pytest
from layout_files import POINTS, clouds, cut, inspected, look, prepared, reasons, write, write_hdf5

from adacross.data.formats import format_of
from adacross.data.formats.s3dis import PARTS
from adacross.errors import UserError

STORED = POINTS + 3
ROOMS = ["Area_1_office_1"] * 2 + ["Area_5_hallway_2"] * 3 + ["Area_6_office_1"] + ["Area_1_office_1"]
SIZES = (3, 2, 2)


def labels_of(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, len(PARTS), size=(count, STORED)).astype(np.uint8)


def write_blocks(root: Path, number: int, count: int) -> None:
    """Meters, z up, far from the origin; and six channels that nobody needs."""
    data = clouds(number, count, STORED, 9)
    data[..., :3] = data[..., :3] * (0.2, 0.3, 0.9) + (7, -3, 1.5)
    write_hdf5(root, f"ply_data_all_{number}.h5", data=data, label=labels_of(number, count))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "indoor3d_sem_seg_hdf5_data"
    for number, count in enumerate(SIZES):
        write_blocks(root, number, count)
    write(root, "all_files.txt", "".join(f"{root.name}/ply_data_all_{i}.h5\n" for i in range(3)))
    write(root, "room_filelist.txt", "\n".join(ROOMS) + "\n")
    return root


def stored(root: Path) -> np.ndarray:
    return np.concatenate([clouds(i, n, STORED, 9) for i, n in enumerate(SIZES)])[..., :3] * (
        0.2,
        0.3,
        0.9,
    ) + (
        7,
        -3,
        1.5,
    )


def test_from_the_folder_to_a_collection(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = prepared(monkeypatch, root)
    info = collection.info
    assert (info.format, info.source_up, info.classes, info.parts) == ("s3dis", "z", [], list(PARTS))
    assert not info.skipped + info.warnings
    assert collection.ids == [
        "Area_1_office_1/00000",
        "Area_1_office_1/00001",
        "Area_5_hallway_2/00000",
        "Area_5_hallway_2/00001",
        "Area_5_hallway_2/00002",
        "Area_6_office_1/00000",
        "Area_1_office_1/00002",
    ]
    assert collection.labels.tolist() == [-1] * 7
    assert collection.indices("test").tolist() == [2, 3, 4]
    every = collection.indices("all")
    wanted = np.concatenate([labels_of(i, n) for i, n in enumerate(SIZES)])[:, :POINTS]
    np.testing.assert_array_equal(collection.part_labels(every), wanted)
    centers, scales = collection.frames(every)
    meters = collection.points(every) * scales[:, None, None] + centers[:, None]
    turned = stored(root)[:, :POINTS, [0, 2, 1]] * (1, 1, -1)  # y up
    np.testing.assert_allclose(meters, turned, atol=1e-5)


def test_names_and_their_order() -> None:
    assert len(set(PARTS)) == 13
    assert (PARTS[0], PARTS[2], PARTS[8], PARTS[12]) == ("ceiling", "wall", "chair", "clutter")


def test_files_in_the_order_of_their_numbers_without_a_list(tmp_path: Path) -> None:
    for number in (0, 2, 10, 1):
        write_blocks(tmp_path, number, 1)
    write(tmp_path, "room_filelist.txt", "a\nb\nc\nd\n")
    source = look(tmp_path)
    assert [(item.id, Path(item.path).stem[13:]) for item in source.items] == [
        ("a/00000", "0"),
        ("b/00000", "1"),
        ("c/00000", "2"),
        ("d/00000", "10"),
    ]
    assert source.missing == ["all_files.txt"]
    assert {item.split for item in source.items} == {"train"}


def test_one_broken_file_does_not_move_the_rooms_of_the_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = look(root).items
    cut(root / "ply_data_all_1.h5")
    source = look(root)
    kept = [(item.id, item.row, item.split) for item in whole if "all_1" not in item.path]
    assert [(item.id, item.row, item.split) for item in source.items] == kept
    assert list(reasons(source.skipped)) == ["ply_data_all_1.h5"]
    assert len(prepared(monkeypatch, root)) == 5
    cut(root / "ply_data_all_0.h5")
    with pytest.raises(
        UserError, match=r"7 lines, but the files hold 2 blocks, and ply_data_all_0.h5, ply_data"
    ):
        look(root)
    cut(root / "ply_data_all_2.h5")
    with pytest.raises(UserError, match=r"no shape in the HDF5 files of .* can be read"):
        look(root)


def test_lists_that_do_not_fit(root: Path) -> None:
    write(root, "room_filelist.txt", "\n".join(ROOMS[:-1]))
    with pytest.raises(UserError, match=r"6 lines, but the files hold 7 blocks\. One line a block"):
        look(root)
    (root / "room_filelist.txt").unlink()
    with pytest.raises(UserError, match=r"has no room_filelist\.txt\. Give the whole folder"):
        look(root)
    write(root, "room_filelist.txt", "\n".join(ROOMS))
    (root / "ply_data_all_2.h5").unlink()
    with pytest.raises(UserError, match=r"lists ply_data_all_2\.h5, which is not there"):
        look(root)


def test_rooms_alone(tmp_path: Path) -> None:
    write(tmp_path, "room_filelist.txt", "\n".join(ROOMS))
    with pytest.raises(UserError, match=r"has no ply_data_all_\*\.h5\. Give the whole folder"):
        look(tmp_path)


@pytest.mark.parametrize(
    ("data", "labels", "reason"),
    [
        (clouds(0, 2, STORED, 6), labels_of(0, 2), "expected (n, points, 9)"),
        (clouds(0, 2, STORED, 9), labels_of(0, 2)[:, 1:], "one a point"),
        (clouds(0, 2, STORED, 9), [0, 1], "one a point"),
    ],
)
def test_files_of_another_form(root: Path, data: np.ndarray, labels: np.ndarray, reason: str) -> None:
    write_hdf5(root, "ply_data_all_1.h5", data=data, label=labels)
    source = look(root)
    assert reason in reasons(source.skipped)["ply_data_all_1.h5"]
    assert len(source.items) == 5


def test_blocks_with_wrong_labels_or_points_are_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, labels = clouds(1, 2, STORED, 9), labels_of(1, 2)
    labels[0, 4] = 13
    data[1, 2, 0] = np.inf
    write_hdf5(root, "ply_data_all_1.h5", data=data, label=labels)
    collection = prepared(monkeypatch, root)
    assert reasons(collection.info.skipped) == {
        "Area_5_hallway_2/00001": "a point has label 13, expected 0 to 12",
        "Area_5_hallway_2/00002": "a point is not finite (NaN or infinite coordinates)",
    }
    assert len(collection) == 5


def test_no_variants(root: Path) -> None:
    with pytest.raises(UserError, match=r"variant clean was given, but .* has none \(s3dis\)"):
        look(root, "clean")


def test_reading_one_block(root: Path) -> None:
    loaded = format_of("s3dis").sample(look(root).items[3], 4, np.random.default_rng(0))
    assert loaded.cloud is not None
    assert loaded.cloud.part_names == PARTS
    np.testing.assert_allclose(loaded.cloud.points, stored(root)[3, :4], atol=1e-6)


def test_inspect(root: Path) -> None:
    kind, text = inspected(root)
    assert kind == "s3dis"
    for expected in ("shapes 7", "own splits test 3, train 4", "parts 13", "up z (override", "7 of 7 rows"):
        assert expected in text
