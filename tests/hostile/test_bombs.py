"""What is refused at once, before anything is unpacked, drawn or put in place."""

from collections.abc import Iterator
from pathlib import Path

import bombs
import h5py
import numpy as np
import pytest
from PIL import Image

from adacross.data import images as pictures
from adacross.data import isolated
from adacross.data.collection.inspect import inspect
from adacross.data.formats import hdf5
from adacross.data.formats.base import SampleRef
from adacross.data.formats.gltf import read_gltf
from adacross.data.formats.scene import MOST_PLACED
from adacross.data.image_set import read_pickled_table
from adacross.data.images import MOST_SCANS, open_picture
from adacross.data.isolated import find_apart, views_apart
from adacross.data.shape import BrokenShapeError
from adacross.data.workers.local import WorkerCrash
from adacross.errors import UserError
from adacross.search.query import read_query


@pytest.mark.parametrize("bomb", [bombs.nodes_that_share_a_mesh, bombs.primitives_that_share_their_numbers])
def test_meshes_that_are_placed_too_often(bomb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read_gltf(bomb(tmp_path, 1)).faces) == 100 * bombs.FACES
    with pytest.raises(BrokenShapeError, match=rf"more than the {MOST_PLACED:,} that a file of"):
        read_gltf(bomb(tmp_path, 20))


def test_a_large_mesh_that_nobody_shares_is_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adacross.data.formats.scene.MOST_PLACED", 10)
    monkeypatch.setattr(bombs, "FACES", 40)
    (tmp_path / "whole").mkdir()
    path = bombs._glb(tmp_path, lambda description: None)
    assert len(read_gltf(path).faces) == 40


def test_a_jpeg_has_a_hundred_scans_at_most() -> None:
    ordinary = bombs.scans(1, 32)
    written = pictures._scans(ordinary)
    assert 5 < written < 15
    assert pictures._scans(bombs.scans(3, 32)) == written + 2
    open_picture(bombs.scans(MOST_SCANS - written + 1, 32))
    with pytest.raises(ValueError, match="a JPEG of more than 100 scans"):
        open_picture(bombs.scans(MOST_SCANS - written + 2, 32))


def test_marks_in_a_jpegs_comments_are_no_scans() -> None:
    ordinary = bombs.scans(1, 32)
    comment = b"\xff\xda\x00\x00" * 5000
    whole = ordinary[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + ordinary[2:]
    assert pictures._scans(whole) == pictures._scans(ordinary)
    assert pictures._scans(whole + comment) == pictures._scans(ordinary)  # what follows the end is no picture
    assert open_picture(whole).size == (32, 32)


def test_a_smaller_side_bounds_a_picture_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = bombs.scans(1, 32)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="32 x 32 pixels, more than 16 along a side"):
        open_picture(picture, 16)


@pytest.mark.slow
def test_rows_that_were_never_written_are_not_read(tmp_path: Path) -> None:
    for bomb, reason in (
        (bombs.labels_never_written, "shape .* but only 0 bytes in the file"),
        (bombs.clouds_of_packed_zeros, "shape .* but only .* bytes in the file"),
        (bombs.one_chunk_of_zeros, "shape .* but only .* bytes in the file"),
    ):
        with pytest.raises(UserError, match=reason):
            find_apart(str(bomb(tmp_path, 1).parent))


def test_large_rows_are_read_few_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clouds = np.random.default_rng(0).normal(size=(200, 8, 3)).astype("f4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = clouds
    for held, rows in ((2**26, 64), (8 * 12 * 5, 5), (1, 1)):
        monkeypatch.setattr(hdf5, "_HELD", held)
        hdf5._at_once.cache_clear()
        hdf5._block.cache_clear()
        assert hdf5._at_once(str(tmp_path / "a.h5"), "data") == rows
        for row in (0, 64, 199, 3):
            item = SampleRef("a", str(tmp_path / "a.h5"), row)
            np.testing.assert_array_equal(hdf5.read_points(item), clouds[row])


def test_pictures_are_decoded_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no")
    monkeypatch.setattr(pictures, "open_picture", lambda *_: pytest.fail("decoded here"))
    picture = read_query(tmp_path / "a.png", points=8, size=16).image
    assert picture is not None
    assert picture.shape == (16, 16, 3)
    assert tuple(picture[8, 8]) == (255, 0, 0)
    found = {place: (view is None, said) for place, view, said in views_apart([tmp_path / "b.png"], 16)}
    assert found == {0: (True, "b.png cannot be read (no picture: none of PNG, JPEG, WEBP, BMP)")}


def test_text_in_a_pickle_does_not_become_bytes_again_and_again(tmp_path: Path) -> None:
    text = b"\x80\x02}(U\x01tX" + (1000).to_bytes(4, "little") + b"a" * 1000 + b"q\x01"
    encoded = b"c_codecs\nencode\nh\x01U\x06latin1\x86R"
    (tmp_path / "a.pickle").write_bytes(text + b"".join(b"U\x01%d" % i + encoded for i in range(3)) + b"u.")
    table = read_pickled_table(tmp_path / "a.pickle")
    assert table == {"t": "a" * 1000} | dict.fromkeys("012", b"a" * 1000)
    assert table["0"] is table["1"] is table["2"]


def died(*_: object) -> Iterator[tuple[int, WorkerCrash]]:
    yield 0, WorkerCrash("reading it took longer than 60 s")


def test_a_picture_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.png")
    monkeypatch.setattr(isolated, "each", died)
    with pytest.raises(UserError, match=r"a.png cannot be read \(reading it took longer than 60 s\)"):
        read_query(tmp_path / "a.png", points=8, size=16)


def test_inspect_opens_no_file_of_shapes_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    monkeypatch.setattr(isolated, "index_source", lambda **_: pytest.fail("looked at here"))
    monkeypatch.setattr(isolated, "format_of", lambda _: pytest.fail("read here"))
    assert inspect(str(tmp_path)).kind == "files"


def test_a_source_that_ends_its_reader_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "each", died)
    with pytest.raises(UserError, match=r"cannot look through .*: reading it took longer than 60 s"):
        find_apart(str(tmp_path))
