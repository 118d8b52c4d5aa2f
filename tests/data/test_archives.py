"""ZIP and TAR archives as sources: the same shapes as unpacked, and nothing that harms."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from gltf_files import box_glb
from layout_files import inspected
from PIL import Image

from adacross.data.collection.prepare import prepare
from adacross.data.collection.sample import load_shape
from adacross.data.formats import archives, index_source
from adacross.data.formats.archives import read_bytes, stem
from adacross.data.formats.files import read_shape
from adacross.data.isolated import find_apart
from adacross.errors import UserError

TRIANGLE = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
KINDS = ["zip", "tar", "tar.gz", "tgz"]
Content = dict[str, bytes | str]


def pack(path: Path, content: Content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            raw = data.encode() if isinstance(data, str) else data
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return path


def shapes(folder: Path) -> Path:
    """One shape of each way to read: text, bytes, a map, a ZIP in the archive, files beside it."""
    (folder / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    np.save(folder / "map.npy", rng.normal(size=(40, 3)))
    np.savez_compressed(folder / "packed.npz", points=rng.normal(size=(40, 3)))
    np.savetxt(folder / "text.xyz", rng.normal(size=(40, 3)))
    trimesh.creation.box((1, 2, 3)).export(folder / "deep" / "box.stl")
    Image.new("RGB", (4, 4), (10, 200, 30)).save(folder / "deep" / "green.png")
    (folder / "deep" / "a.mtl").write_text("newmtl m\nmap_Kd green.png\n")
    (folder / "deep" / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nusemtl m\nf 1/1 2/1 3/1\n"
    )
    plain, apart = box_glb(), box_glb()
    (folder / "deep" / "c.glb").write_bytes(plain.glb())
    (folder / "deep" / "d.gltf").write_text(apart.gltf("numbers.bin"))
    (folder / "deep" / "numbers.bin").write_bytes(apart.binary)
    return folder


def content_of(folder: Path) -> Content:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def reasons(path: Path) -> dict[str, str]:
    """Why the shapes of a source cannot be read, by id."""
    found = {}
    for item in index_source(str(path)).items:
        try:
            read_shape(item.path)
        except UserError as error:
            found[item.id] = str(error)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_holds_the_same_shapes_as_its_folder(kind: str, tmp_path: Path) -> None:
    folder = shapes(tmp_path / "in")
    source = index_source(str(folder))
    packed = pack(tmp_path / f"parts.{kind}", content_of(folder))
    found = index_source(str(packed))
    assert found.location == str(packed)
    assert len(found.items) == 7
    assert [item.id for item in found.items] == [item.id for item in source.items]
    for item, twin in zip(source.items, found.items, strict=True):
        assert (item.up, item.label, item.split) == (twin.up, twin.label, twin.split)
        whole, same = read_shape(item.path), read_shape(twin.path)
        assert vars(whole).keys() == vars(same).keys()
        for name, value in vars(whole).items():
            np.testing.assert_array_equal(value, vars(same)[name])
    assert read_shape(packed / "deep" / "a.obj").face_colors.tolist() == [[10, 200, 30]]
    assert load_shape(packed / "deep" / "box.stl", points=9).points.shape == (9, 3)
    assert index_source(str(packed / "deep" / "box.stl")).items[0].id == "box.stl"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_collections_of_an_archive_and_its_folder_are_equal(kind: str, tmp_path: Path) -> None:
    folder = shapes(tmp_path / "in")
    packed = pack(tmp_path / f"in.{kind}", content_of(folder))
    options = {"points": 16, "views": 1, "size": 16, "workers": 2, "up": "y"}
    whole, same = (
        prepare(str(source), str(tmp_path / f"c{i}"), **options) for i, source in enumerate((folder, packed))
    )
    assert whole.info.count == 7
    assert (tmp_path / "c0" / "data-00000-of-00001.arrow").read_bytes() == (
        tmp_path / "c1" / "data-00000-of-00001.arrow"
    ).read_bytes()
    pack(packed, content_of(folder) | {"new.off": TRIANGLE, "text.xyz": "0 0 0\n1 2 3\n" * 9})
    again = prepare(str(packed), str(tmp_path / "c1"), update=True, **options)
    assert again.info.count == 8
    assert {again.ids[i] for i in again.indices("test")} >= {same.ids[i] for i in same.indices("test")}


@pytest.mark.parametrize("kind", KINDS)
def test_archives_in_a_folder_are_folders(kind: str, tmp_path: Path) -> None:
    for split, count in (("Train", 3), ("test", 2)):
        for name in ("chair", "table"):
            content = {f"{number}.off": TRIANGLE for number in range(count)}
            pack(tmp_path / "in" / split / f"{name}.{kind}", content | {"inner.zip": b"PK"})
    found = index_source(str(tmp_path / "in"))
    assert found.classes == ["chair", "table"]
    assert found.items[0].id == f"Train/chair.{kind}/0.off"
    assert [item.split for item in found.items] == ["train"] * 6 + ["test"] * 4
    assert "Not read: 4 .zip (" in found.note
    assert found.unread == {".zip": 4}
    pack(tmp_path / "sides" / f"train.{kind}", {"0.off": TRIANGLE})
    pack(tmp_path / "sides" / f"test.{kind}", {"1.off": TRIANGLE})
    assert [item.split for item in index_source(str(tmp_path / "sides")).items] == ["test", "train"]


@pytest.mark.parametrize("place", [".", "parts"])
def test_an_archive_that_is_unpacked_beside_is_passed_over(place: str, tmp_path: Path) -> None:
    content: Content = {f"deep/{number}.off": TRIANGLE for number in range(3)}
    pack(tmp_path / "parts.zip", content)
    (tmp_path / place / "deep").mkdir(parents=True)
    for name, data in content.items():
        (tmp_path / place / name).write_text(str(data))
    found = index_source(str(tmp_path))
    assert len(found.items) == 3
    assert found.unread == {".zip": 1}


def test_what_is_hidden_or_a_folder_is_no_shape(tmp_path: Path) -> None:
    content: Content = {"__MACOSX/._a.stl": b"x", ".git/b.stl": b"x", "c.stl/": b"", "./d\\e.off": TRIANGLE}
    assert [item.id for item in index_source(str(pack(tmp_path / "a.zip", content))).items] == ["d/e.off"]


def test_endings() -> None:
    assert [*map(stem, ("a.ZIP", "a.tar.gz", "a.b.tgz", "a.gz", "zip", ".zip"))] == [
        "a", "a", "a.b", "a.gz", "zip", "",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_lead_out_are_named_and_not_read(kind: str, tmp_path: Path) -> None:
    (tmp_path / "evil.off").write_text(TRIANGLE)
    names = ("../evil.off", "a/../../evil.off", "C:\\evil.off", f"{tmp_path}/evil.off")
    packed = pack(tmp_path / "in" / f"a.{kind}", dict.fromkeys(names, "OFF") | {"b.off": TRIANGLE})
    found = reasons(packed)
    assert len(found) == 4
    assert sum("its name leads out of the archive" in reason for reason in found.values()) == 3
    assert f"{tmp_path}/evil.off".lstrip("/") in found  # an absolute name is one within


def test_links_are_named_and_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.off"
    secret.write_text(TRIANGLE)
    link = zipfile.ZipInfo("link.off")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, str(secret))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (
            ("sym.off", tarfile.SYMTYPE),
            ("hard.off", tarfile.LNKTYPE),
            ("pipe.off", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(secret)
            archive.addfile(member)
    assert "a link, which is not followed" in reasons(tmp_path / "a.zip")["link.off"]
    assert len(reasons(tmp_path / "a.tar")) == 3
    for reason in reasons(tmp_path / "a.tar").values():
        assert "a link, which is not followed" in reason
    obj = "mtllib ../secret.mtl\n" + "v 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n"
    (tmp_path / "secret.mtl").write_text("newmtl m\nKd 1 0 0\n")
    assert read_shape(pack(tmp_path / "b.zip", {"a.obj": obj}) / "a.obj").face_colors is None


def test_what_is_encrypted_or_packed_strangely_is_named(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.off": TRIANGLE, "b.off": TRIANGLE})
    raw = path.read_bytes()
    at = raw.index(b"PK\1\2")
    path.write_bytes(raw[: at + 8] + b"\1" + raw[at + 9 :])
    assert reasons(path)["a.off"].endswith("a.off is not a shape: encrypted.")
    path.write_bytes(raw[: at + 10] + struct.pack("<H", 97) + raw[at + 12 :])
    assert "damaged in its archive (That compression method is not supported)" in reasons(path)["a.off"]
    assert "b.off" not in reasons(path)


@pytest.mark.parametrize(
    "damage",
    [
        ("zip", lambda raw: b"PK"),
        ("zip", lambda raw: raw[:-30]),
        ("tar", lambda raw: b""),
        ("tar", lambda raw: raw[:600]),
        ("tar", lambda raw: b"x" * 2000),
        ("tgz", lambda raw: raw[:-40]),
        ("tgz", lambda raw: b"\x1f\x8b" + raw[2:12] + b"\xff" * 40),
        ("tgz", lambda raw: zlib.compress(b"")),
    ],
)
def test_a_damaged_archive_is_named(damage: tuple[str, Callable[[bytes], bytes]], tmp_path: Path) -> None:
    kind, change = damage
    path = pack(tmp_path / f"parts.{kind}", {f"{n}.off": TRIANGLE + f"# {n}" * 999 for n in range(9)})
    path.write_bytes(change(path.read_bytes()))
    assert not archives.is_file(path / "0.off")
    with pytest.raises(UserError, match=rf"parts\.{kind} is not a source: not a readable archive"):
        index_source(str(path))
    (tmp_path / "a.off").write_text(TRIANGLE)  # beside others it is no more than a file that is not read
    assert [item.id for item in index_source(str(tmp_path)).items] == ["a.off"]


def test_a_damaged_file_in_a_sound_archive_is_named(tmp_path: Path) -> None:
    path = pack(tmp_path / "parts.zip", {"a.off": TRIANGLE, "b.off": TRIANGLE})
    raw = bytearray(path.read_bytes())
    raw[45] ^= 255
    path.write_bytes(raw)
    assert [*reasons(path)] == ["a.off"]


@pytest.mark.parametrize("kind", KINDS)
def test_archives_that_unpack_to_very_much_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_SMALL", 2**16)
    path = pack(tmp_path / f"a.{kind}", {f"{n}.xyz": b" " * 2**18 for n in range(20)})
    if kind == "tar":
        assert len(index_source(str(pack(path, {"a.off": TRIANGLE}))).items) == 1
        return
    with pytest.raises(UserError, match=r"out of proportion to its"):
        index_source(str(path))


def test_zip_files_whose_members_share_their_bytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_SMALL", 2**10)
    path = pack(tmp_path / "a.zip", {"a.off": TRIANGLE * 999})
    raw = path.read_bytes()
    start = raw.index(b"PK\1\2")
    entry, end = raw[start : raw.index(b"PK\5\6")], raw[raw.index(b"PK\5\6") :]
    count = 2000
    entries = b"".join(entry.replace(b"a.off", f"{n:05d}".encode()) for n in range(count))
    end = end[:8] + struct.pack("<HHII", count, count, len(entries), start) + end[20:]
    path.write_bytes(raw[:start] + entries + end)
    with pytest.raises(UserError, match="out of proportion"):
        index_source(str(path))


def test_a_gzip_file_is_read_at_any_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_BLOCK", 1000)
    monkeypatch.setattr(archives, "_PIECE", 77)
    rng = np.random.default_rng(0)
    content = {f"{n}.bin": rng.bytes(int(rng.integers(0, 3000))) + b"\0" * 300 for n in range(20)}
    whole = pack(tmp_path / "a.tgz", content)
    raw = pack(tmp_path / "a.tar", content).read_bytes()
    halves = tmp_path / "halves.tar.gz"  # two streams, one behind the other
    with halves.open("wb") as file:
        for half in (raw[:7000], raw[7000:]):
            packer = zlib.compressobj(wbits=31)
            file.write(packer.compress(half) + packer.flush())
    for archive in (whole, halves):
        for name in rng.permutation([*content, *content]):
            assert read_bytes(archive / name) == content[name]


def test_a_bar_for_what_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.zip does not exist"):
        index_source(str(tmp_path / "a.zip"))
    (tmp_path / "b.zip").mkdir()  # a folder of such a name
    (tmp_path / "b.zip" / "a.off").write_text(TRIANGLE)
    assert len(index_source(str(tmp_path / "b.zip")).items) == 1
    path = pack(tmp_path / "set.zip", {"ply_data_train0.h5": b"x", "a.txt": "notes"})
    with pytest.raises(UserError, match=r"set\.zip holds no shapes.*Data sets are read unpacked"):
        find_apart(str(path))
    with pytest.raises(UserError, match=r"set\.zip is a file, not a folder"):
        index_source(str(path), format="modelnet40")


@pytest.mark.slow
def test_inspect_reads_an_archive(tmp_path: Path) -> None:
    found, said = inspected(pack(tmp_path / "a.zip", {"a.off": TRIANGLE, "b.off": "OFF"}))
    assert found == "files"
    assert "1 of 2 files that were read" in said
    assert "b.off" in said
