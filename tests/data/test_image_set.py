"""Labeled pictures: every layout, what goes wrong in each, and pickles that would run something."""

import os
import pickle  # noqa: TID251  the tests write what the library must read, and refuse, without it
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adacross.data import image_set as array_pickle
from adacross.data.image_set import read_image_set, read_pickled_table
from adacross.errors import UserError


def pictures(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def write_folder(root: Path, images: np.ndarray, labels: list[int], names: str = "abcdefgh") -> Path:
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (root / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / names[label] / f"{index:03d}.png")
    return root


def write_pickle(path: Path, table: Any, protocol: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(table, protocol))
    return path


def python_2_pickle(data: np.ndarray, labels: list[int]) -> bytes:
    """What Python 2 writes for `{"data": data, "labels": labels}` with protocol 2: text is bytes."""

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    shape = b"(" + b"".join(number(side) for side in data.shape) + b"t"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85q\x05U\x01bq\x06\x87q\x07Rq\x08"
        b"(K\x01" + shape + b"cnumpy\ndtype\nq\x0aU\x02u1q\x0bK\x00K\x01\x87q\x0cRq\x0d"
        b"(K\x03U\x01|q\x0eNNN" + number(-1) + number(-1) + b"K\x00tq\x0fb\x89"
        b"T" + struct.pack("<i", data.nbytes) + data.tobytes() + b"q\x10tq\x11b"
    )
    numbers = b"]q\x12(" + b"".join(number(label) for label in labels) + b"e"
    return b"\x80\x02}q\x01(U\x04dataq\x02" + array + b"U\x06labelsq\x13" + numbers + b"u."


def test_a_folder_of_classes(tmp_path: Path):
    images, labels = pictures(6), [0, 0, 1, 1, 2, 2]
    found = read_image_set(write_folder(tmp_path, images, labels), size=32)
    assert (found.layout, found.split, found.classes) == ("image folder", "all", ["a", "b", "c"])
    np.testing.assert_array_equal(found.pictures, images)
    assert found.labels.tolist() == labels


@pytest.mark.slow
def test_pictures_of_every_size_and_kind_become_one_size(tmp_path: Path):
    write_folder(tmp_path, pictures(2), [0, 1])
    Image.new("RGBA", (80, 40), (255, 0, 0, 0)).save(tmp_path / "a" / "clear.png")
    Image.new("L", (10, 10), 7).save(tmp_path / "b" / "gray.JPG")
    (tmp_path / "b" / ".hidden.png").write_bytes(b"resource fork")
    (tmp_path / "b" / "notes.txt").write_text("not a picture")
    found = read_image_set(tmp_path, size=24)
    assert found.pictures.shape == (4, 24, 24, 3)
    assert (found.pictures[1] == 255).all()  # what is transparent is white
    assert found.skipped == []


@pytest.mark.parametrize(("split", "expected"), [("test", [4, 5]), ("train", [0, 1])])
def test_a_folder_with_splits(tmp_path: Path, split: str, expected: list[int]):
    images = pictures(6)
    for name, start in (("train", 0), ("val", 2), ("test", 4)):
        write_folder(tmp_path / name, images[start : start + 2], [0, 1])
    found = read_image_set(tmp_path, 32, split)
    assert (found.layout, found.split) == ("image folder with splits", split)
    np.testing.assert_array_equal(found.pictures, images[expected])


def test_a_class_called_train_is_a_class(tmp_path: Path):
    """CIFAR-100 has one."""
    for name in ("train", "apple"):
        write_folder(tmp_path, pictures(1), [0], [name])
    assert read_image_set(tmp_path, 32).classes == ["apple", "train"]


@pytest.mark.slow
def test_a_broken_picture_is_named_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_folder(tmp_path, pictures(4), [0, 0, 1, 1])
    (tmp_path / "a" / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    (tmp_path / "only-broken").mkdir()
    (tmp_path / "only-broken" / "[red]x.jpg").write_bytes(b"")
    found = read_image_set(tmp_path, 32)
    assert found.classes == ["a", "b"]
    assert len(found.pictures) == 3
    assert len(found.skipped) == 2
    shown = capsys.readouterr().err
    assert "a/000.png" in shown
    assert "only-broken/[red]x.jpg" in shown


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("keys", [("data", "labels"), (b"data", b"labels")], ids=["text", "bytes"])
def test_cifar_fs_pickles(tmp_path: Path, protocol: int, keys: tuple[Any, Any]):
    images = pictures(6)
    labels = [71, 71, 3, 3, 99, 99]
    write_pickle(tmp_path / "CIFAR_FS_test.pickle", {keys[0]: images, keys[1]: labels}, protocol)
    found = read_image_set(tmp_path, size=84)
    assert (found.layout, found.split) == ("CIFAR-FS pickles", "test")
    np.testing.assert_array_equal(found.pictures, images)
    assert found.classes == ["class 3", "class 71", "class 99"]
    assert found.labels.tolist() == [1, 1, 0, 0, 2, 2]


def test_old_pickles_of_python_2(tmp_path: Path):
    images, labels = pictures(4), [5, 5, 8, 8]
    raw = python_2_pickle(images, labels)
    plain = pickle.loads(raw, encoding="latin1")  # noqa: S301  our own bytes: they are a pickle indeed
    np.testing.assert_array_equal(plain["data"], images)
    (tmp_path / "CIFAR_FS_test.pickle").write_bytes(raw)
    found = read_image_set(tmp_path, 32)
    np.testing.assert_array_equal(found.pictures, images)
    assert found.labels.tolist() == [0, 0, 1, 1]


def test_cifar_100_python_version(tmp_path: Path):
    """Rows of 3,072: a color after the other; all classes in both files."""
    images, labels = pictures(4), [1, 1, 0, 0]
    rows = images.transpose(0, 3, 1, 2).reshape(4, 3072)
    table = {b"filenames": [b"x.png"] * 4, b"data": rows, b"fine_labels": labels, b"coarse_labels": [0] * 4}
    write_pickle(tmp_path / "test", table)
    write_pickle(tmp_path / "meta", {b"fine_label_names": [b"apple", b"train"]})
    found = read_image_set(tmp_path, 32)
    assert (found.layout, found.classes) == ("CIFAR-100 pickles", ["apple", "train"])
    np.testing.assert_array_equal(found.pictures, images)
    assert found.labels.tolist() == labels


def test_arrays_of_every_order_and_size_come_back(tmp_path: Path):
    table = {
        "fortran": np.asfortranarray(pictures(2, 4)),
        "big": np.arange(5, dtype=">i4"),
        "scalars": [np.int64(3), np.uint8(4)],
        "none": None,
        "truth": np.array([True, False]),
    }
    for protocol in range(6):
        found = read_pickled_table(write_pickle(tmp_path / "x", table, protocol))
        np.testing.assert_array_equal(found["fortran"], table["fortran"])
        assert found["big"].tolist() == [0, 1, 2, 3, 4]
        assert found["scalars"] == [3, 4]
        assert found["none"] is None
        assert found["truth"].tolist() == [True, False]


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("wrap", "named"),
    [
        (lambda bad: bad, "system"),
        (lambda bad: {"data": bad, "labels": [0]}, "system"),
        (lambda bad: {"data": np.array([bad, {}], dtype=object)}, "type 'O8'|system"),
        (lambda _: {"data": Call(eval, "1/0")}, "eval"),
        (lambda _: {"data": Call(np.frombuffer, b"")}, "frombuffer"),
        (lambda _: {"data": np.zeros(2, dtype=[("a", "u1")])}, "type 'V1'"),
        (lambda _: {"data": Path("x")}, "pathlib"),
        (lambda _: {"data": {1, 2}}, "set|SET"),
        (lambda _: {"data": pictures(1).astype(np.float32)}, "type 'f4'"),
    ],
    ids=["call", "value", "object array", "eval", "numpy", "record", "class", "set", "float"],
)
def test_nothing_in_a_pickle_is_run(tmp_path: Path, protocol: int, wrap: Callable[[Any], Any], named: str):
    proof = tmp_path / "it-ran"
    bad = Call(os.system, f"touch {proof}")  # noqa: TID251  what an attacker would write
    path = write_pickle(tmp_path / "CIFAR_FS_test.pickle", wrap(bad), protocol)
    with pytest.raises(UserError, match=f"(?s)CIFAR_FS_test.pickle asks for .*({named})"):
        read_image_set(tmp_path, 32)
    assert not proof.exists()
    assert path.exists()


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"(S'true'\nios\nsystem\n.", "os.system"),
        (b"\x80\x02\x82\x01.", "the operation EXT1"),
        (b"\x80\x02U\x01xQ.", "the operation BINPERSID"),
        (b"\x80\x04}\x94}b.", "damaged"),  # a state for a dictionary
        (b"\x80\x04cnumpy\nndarray\n}}\x86b.", "a state of its own"),  # and one for a function
        (b"\x80\x02r\xff\xff\xff\xff.", "damaged"),  # a memo of gigabytes
        (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.", "damaged"),  # bytes of exabytes
        (b"\x80\x02}" + b"(" * 50 + b"tq" * 10, "damaged"),
        (b"\x80\x02}" + b")\x85" * 3000 + b"K\x01s.", "damaged"),  # a key whose hash needs deep recursion
        (b"", "damaged"),
        (b"\x00", "damaged"),
        (b"]q\x00.", "holds a pickled list"),
    ],
)  # fmt: skip
def test_hand_made_pickles_are_refused(tmp_path: Path, raw: bytes, named: str):
    path = tmp_path / "x.pickle"
    path.write_bytes(raw)
    with pytest.raises(UserError, match=named):
        read_pickled_table(path)


def test_numpy_parts_that_do_not_fit_are_refused(tmp_path: Path):
    good = python_2_pickle(pictures(2, 4), [0, 1])
    for before, after in (
        (b"J\x02\x00\x00\x00J\x04", b"J\x03\x00\x00\x00J\x04"),  # one picture more than there are bytes
        (b"J\x02\x00\x00\x00J\x04", b"J\xfe\xff\xff\xffJ\x04"),  # a negative side
        (b"U\x02u1", b"U\x02u9"),
        (b"U\x01|", b"U\x01!"),
    ):
        assert before in good
        (tmp_path / "x").write_bytes(good.replace(before, after, 1))
        with pytest.raises(UserError, match=r"x (is damaged|asks for)"):
            read_pickled_table(tmp_path / "x")


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_truncated_pickle_is_damaged_wherever_it_ends(tmp_path: Path, protocol: int):
    raw = pickle.dumps({"data": pictures(2, 2), "labels": [0, 1]}, protocol)
    for end in range(len(raw)):
        (tmp_path / "x").write_bytes(raw[:end])
        with pytest.raises(UserError, match="damaged"):
            read_pickled_table(tmp_path / "x")


@pytest.mark.slow
def test_flipped_bytes_never_raise_anything_else(tmp_path: Path):
    rng = np.random.default_rng(0)
    for trial in range(400):
        raw = bytearray(pickle.dumps({"data": pictures(1, 2), "labels": [np.int64(1), 2]}, trial % 6))
        for place in rng.integers(0, len(raw), 2):
            raw[place] = rng.integers(256)
        (tmp_path / "x").write_bytes(bytes(raw))
        try:
            read_pickled_table(tmp_path / "x")
        except UserError as error:
            assert str(tmp_path / "x") in str(error)  # noqa: PT017  some flips change a pixel only


def test_a_pickle_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_pickle(tmp_path / "x", {"labels": list(range(100))})
    monkeypatch.setattr(array_pickle, "MOST_STEPS", 50)
    with pytest.raises(UserError, match="more than 50 steps"):
        read_pickled_table(path)
    monkeypatch.setattr(array_pickle, "LARGEST", 50)
    with pytest.raises(UserError, match=r"bytes; expected a pickle of at most 50"):
        read_pickled_table(path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"data": pictures(4), "labels": [0, 1, 2]}, "3 labels for 4 pictures"),
        ({"data": pictures(4), "labels": [0, 1, 2, -1]}, "no list of whole numbers"),
        ({"data": pictures(4), "labels": "0123"}, "no list of whole numbers"),
        ({"data": pictures(4)}, "no list of whole numbers"),
        ({"data": pictures(4)[..., 0], "labels": [0] * 4}, r"uint8 \(4, 32, 32\); expected pictures"),
        ({"data": pictures(4).astype(np.int64), "labels": [0] * 4}, "int64"),
        ({"data": [1, 2], "labels": [0] * 2}, "data is list"),
        ({"data": pictures(0), "labels": []}, "expected pictures"),
        ({"labels": [1]}, "data is NoneType"),
        ({"data": pictures(4), "labels": [7] * 4}, r"one class \(class 7\)"),
    ],
)
def test_tables_of_another_form_are_refused(tmp_path: Path, table: dict[str, Any], message: str):
    write_pickle(tmp_path / "CIFAR_FS_test.pickle", table, protocol=4)
    with pytest.raises(UserError, match=message):
        read_image_set(tmp_path, 32)


def test_labels_beyond_the_named_classes_are_refused(tmp_path: Path):
    write_pickle(tmp_path / "test", {b"data": pictures(2), b"fine_labels": [0, 5]})
    write_pickle(tmp_path / "meta", {b"fine_label_names": [b"apple", b"train"]})
    with pytest.raises(UserError, match="label 5, but meta names 2"):
        read_image_set(tmp_path, 32)
    write_pickle(tmp_path / "meta", {})
    with pytest.raises(UserError, match="no fine_label_names"):
        read_image_set(tmp_path, 32)


def test_folders_of_another_form_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="nowhere is not a folder"):
        read_image_set(tmp_path / "nowhere", 32)
    with pytest.raises(UserError, match=r"no pictures that can be read. Expected <class>"):
        read_image_set(tmp_path, 32)
    write_folder(tmp_path / "one", pictures(2), [0, 0])
    with pytest.raises(UserError, match=r"one class \(a\); expected 2"):
        read_image_set(tmp_path / "one", 32)
    write_folder(tmp_path / "split" / "train", pictures(2), [0, 1])
    with pytest.raises(UserError, match="has train, but no test"):
        read_image_set(tmp_path / "split", 32)
    write_pickle(tmp_path / "cifar" / "CIFAR_FS_train.pickle", {})
    with pytest.raises(UserError, match=r"CIFAR_FS_test.pickle: No such file"):
        read_image_set(tmp_path / "cifar", 32)
    with pytest.raises(UserError, match="unknown split 'tset'"):
        read_image_set(tmp_path, 32, "tset")
