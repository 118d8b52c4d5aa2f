"""Clouds as other programs write them: text in every spelling, NumPy files, PCD, LAS and LAZ."""

import doctest
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from layout_files import POINTS as POINTS_OF_A_ROW
from layout_files import write, write_hdf5

import adacross
from adacross.data import sampling
from adacross.data.collection.prepare import prepare
from adacross.data.formats import format_of, index_source
from adacross.data.formats.base import as_points
from adacross.data.formats.files import CLOUDS, looks_like_a_cloud
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud
from adacross.errors import UserError

POINTS = np.random.default_rng(0).normal(size=(20, 3)).round(6)
FAR = np.array([512345.67, 5412345.89, 300.0])


def rows(separator: str = " ", points: np.ndarray = POINTS, before: str = "", after: str = "") -> list[str]:
    return [before + separator.join(f"{value:.6f}" for value in row) + after for row in points]


def joined(*lines: str | list[str], end: str = "\n") -> str:
    return end.join(line for one in lines for line in ([one] if isinstance(one, str) else one)) + end


def quoted(separator: str, point: str = ".") -> list[str]:
    return [separator.join(f'"{value}"'.replace(".", point) for value in row) for row in POINTS]


def numbered(lines: list[str], separator: str, first: int = 0) -> list[str]:
    return [f"{i}{separator}{line}" for i, line in enumerate(lines, first)]


TEXTS: dict[str, str | bytes] = {
    "spaces": joined(rows()),
    "several spaces, indented": joined(rows("   ", before="  ")),
    "tabs": joined(rows("\t")),
    "tabs, indented": joined(rows("\t", before="\t")),
    "tabs and spaces": joined(rows(" \t")),
    "commas": joined(rows(",")),
    "commas and spaces": joined(rows(", ")),
    "semicolons": joined(rows("; ")),
    "a separator at the end": joined(rows(",", after=",")),
    "CR": joined(rows(), end="\r"),
    "CRLF and blank lines": joined(rows(), end="\r\n\r\n"),
    "CloudCompare": joined("//X Y Z R G B", "20", rows(after=" 1 2 3")),
    "CloudCompare, commas": joined("//X,Y,Z,Scalar field", rows(",", after=",0.5")),
    "PTS": joined("20", rows(after=" -1000 128 128 128")),
    "PTS of two scans": joined("12", rows()[:12], "8", rows()[12:]),
    "comments": joined("# exported", "# x y z", rows()[:9], "% more", rows()[9:]),
    "comments behind the points": joined(rows(",", after="  # seen once")),
    "a title": joined("Exported on Monday by hand", rows()),
    "pandas": joined("x,y,z", rows(",")),
    "pandas with an index": joined(",x,y,z", numbered(rows(","), ",")),
    "pandas with an index, tabs": joined("\tx\ty\tz", numbered(rows("\t"), "\t")),
    "pandas with an index, semicolons": joined(";x;y;z", numbered(rows(";"), ";")),
    "pandas of an array": joined(",0,1,2", numbered(rows(","), ",")),
    "pandas of an array without an index": joined("0,1,2", rows(",")),
    "an index without names": joined(numbered(rows(), " ", 1)),
    "R": joined('"x" "y" "z"', numbered(rows(), " ", 1)),
    "PowerShell": ("#TYPE A.B\r\n" + joined('"x","y","z"', quoted(","), end="\r\n")).encode("utf-16"),
    "PowerShell in German": joined('"x";"y";"z"', quoted(";", ",")),
    "PowerShell in German, commas": joined('"x","y","z"', quoted(",", ",")),
    "PowerShell, a table": joined(" x  y  z", " -  -  -", rows("  ")),
    "Excel in German": joined("sep=;", "X;Y;Z", [line.replace(".", ",") for line in rows(";")]),
    "Excel in German, tabs": joined([line.replace(".", ",") for line in rows("\t")]),
    "ParaView": joined('"Points:0","Points:1","Points:2"', rows(",")),
    "units": joined("X [mm];Y [mm];Z [mm]", rows(";")),
    "other order": joined("i,z,y,x", rows(",", POINTS[:, ::-1], before="7,")),
    "surveyors' names": joined("id,Easting,Northing,Height", rows(",", before="p,")),
    "words behind": joined(rows(after=" chair")),
    "five columns": joined(rows(after=" 1 2")),
    "nine columns": joined(rows(after=" 128 128 128 0 0 1")),
    "twelve columns with names": joined("x y z a b c d e f g h i", rows(after=" 1" * 9)),
    "UTF-8 with a mark": joined("x,y,z", rows(",")).encode("utf-8-sig"),
    "UTF-16, big end first": b"\xfe\xff" + joined(rows()).encode("utf-16-be"),
    "UTF-16 without a mark": joined(rows()).encode("utf-16-le"),
    "Latin-1": "x;y;z;Größe\n".encode("latin-1") + joined(rows(";", after=";1")).encode(),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_as_programs_write_it(tmp_path: Path, name: str):
    content = TEXTS[name]
    for ending in ("txt", "csv"):  # the ending says nothing about what separates the numbers
        path = tmp_path / f"a.{ending}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        np.testing.assert_allclose(adacross.read_shape(path).points, POINTS, atol=1e-9)
        assert looks_like_a_cloud(path)


@pytest.mark.parametrize(
    "missing", ["nan nan nan", "-nan(ind) 0 0", "1.#QNAN 0 0", "inf 0 0", "NA NA NA", "1e300 0 0"]
)
def test_points_that_are_not_finite_are_left_out(tmp_path: Path, missing: str):
    for place in (0, 7, 20):
        (tmp_path / "a.xyz").write_text(joined(rows()[:place], missing, rows()[place:]))
        found = adacross.read_shape(tmp_path / "a.xyz")
        np.testing.assert_allclose(found.points, POINTS, atol=1e-9)
        assert found.warnings == ("1 of 21 points have a NaN or infinite coordinate and are left out",)
    (tmp_path / "a.csv").write_text(joined(",x,y,z", numbered(rows(","), ","), "20,,,"))
    assert len(adacross.read_shape(tmp_path / "a.csv").points) == 20
    np.save(tmp_path / "a.npy", np.vstack([POINTS, [np.nan, 0, 0]]))
    assert len(adacross.read_shape(tmp_path / "a.npy").points) == 20


def test_what_is_passed_over_is_said(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text(joined("My own title", numbered(rows(after=" 9"), " ")))
    assert adacross.read_shape(path).warnings == (
        "the line 'My own title' is passed over",
        "its first column counts the points and is passed over",
        "only x, y and z of its 4 columns are read",
    )


REFUSED = {
    "decimal commas": (joined([x.replace(".", ",") for x in rows()]), "decimal commas between spaces"),
    "decimal commas further down": ("0 0 0\n1 1,5 2\n", "decimal commas between spaces"),
    "two columns": ("1 2\n3 4\n", "2 numbers a line, expected 3 to 9"),
    "twelve columns": (joined(rows(after=" 1" * 9)), "12 numbers a line, expected 3 to 9, or a line"),
    "other names": (joined("lat,lon,score", rows(",")), "its columns are called lat, lon, score. Call three"),
    "a molecule": (joined("20", "water", rows(before="C ")), "found the line 'C 0.12"),
    "too few": (joined("21", rows()), "truncated: 21 points promised, 20 there"),
    "cut": (joined(rows(after=" 1 2 3"), "1 2 3"), "truncated: 3 numbers in its last line, 6 in the first"),
    "a word": (joined(rows(), "oops", rows()), "found the line 'oops'"),
    "a grid": ("ncols 3\nnrows 2\nxllcorner 0\n1 2 3\n1 2 3\n", "found the line 'ncols 3'"),
    "names alone": ("x,y,z\n", "found the line 'x,y,z'"),
    "blank": (" \n\n", "the file is empty"),
    "binary": (b"1 2 3\n\0\0\0\0" * 9, "binary data where text belongs"),
    "a long line": ("1 " * 60_000, "a line of more than 100,000 characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_text_that_is_no_cloud(tmp_path: Path, name: str):
    content, said = REFUSED[name]
    path = tmp_path / "a.asc"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as raised:
        adacross.read_shape(path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_notes_among_clouds_are_none(tmp_path: Path):
    (tmp_path / "a.xyz").write_text(joined(rows()))
    np.savez(tmp_path / "b.npz", POINTS)
    for name, content in {
        "calib.txt": "1 0 0 0\n0 1 0 0\n0 0 1 0\n",
        "labels.csv": "0,1,2\n1,1,2\n",
        "readme.txt": "20 clouds",
        "empty.txt": "",
        "scores.csv": joined("name,a,b,c", rows(",", before="x,")),
    }.items():
        (tmp_path / name).write_text(content)
    found = index_source(str(tmp_path))
    assert [Path(item.path).name for item in found.items] == ["a.xyz", "b.npz"]


@pytest.mark.parametrize(
    ("array", "transposed"),
    [
        (POINTS, False),
        (POINTS.T, True),
        (np.vstack([POINTS.T, np.ones(20)]), True),
        (POINTS[None], False),
        (POINTS.T[None], True),
        (POINTS[:, None], False),
        (POINTS.astype(">f8"), False),
        (np.asfortranarray(np.hstack([POINTS, POINTS])), False),
    ],
)
def test_arrays_in_any_order(tmp_path: Path, array: np.ndarray, transposed: bool):
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", labels=np.arange(20), points=array)
    for name in ("a.npy", "a.npz"):
        found = adacross.read_shape(tmp_path / name)
        np.testing.assert_array_equal(found.points, POINTS)
        assert found.points.dtype == np.float64
        assert [("transposed" in warning) for warning in found.warnings] == [True] * transposed


def test_arrays_that_are_no_clouds(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros((12, 500)))
    with pytest.raises(UserError, match=r"\(12, 500\), expected \(N, 3\); is it transposed\?"):
        adacross.read_shape(tmp_path / "a.npy")
    with pytest.raises(BrokenShapeError, match="is it transposed"):
        as_points(POINTS.T)
    np.savez(tmp_path / "a.npz", first=POINTS, second=POINTS)
    with pytest.raises(UserError, match="arrays first, second; call the one of the points `points`"):
        adacross.read_shape(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme", "nothing")
    with pytest.raises(UserError, match="there is no array in it"):
        adacross.read_shape(tmp_path / "a.npz")


def npz_of(name: str, content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return sink.getvalue()


def test_an_archive_that_unpacks_to_much_more_is_not_unpacked(tmp_path: Path):
    (tmp_path / "a.npz").write_bytes(npz_of("points.npy", bytes(2**24)))
    with pytest.raises(UserError, match="16,777,216 bytes packed into"):
        adacross.read_shape(tmp_path / "a.npz")
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 3), }".ljust(117) + b"\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(96)
    (tmp_path / "a.npz").write_bytes(npz_of("points.npy", array))
    with pytest.raises(UserError, match=r"an array of float64 \(1000000000, 3\) in 224 bytes"):
        adacross.read_shape(tmp_path / "a.npz")


COLORS = np.random.default_rng(1).integers(0, 256, (20, 3), dtype=np.uint8)


def lzf(data: bytes) -> bytes:
    """Packed by an obvious program: three or more equal bytes refer back, all else stands as it is."""
    made, place = bytearray(), 0
    while place < len(data):
        run = 1
        while place and run < 200 and data[place + run - 1 : place + run] == data[place - 1 : place]:
            run += 1
        run -= 1
        if run >= 3:
            length = run - 2
            made += bytes([length << 5, 0]) if length < 7 else bytes([7 << 5, length - 7, 0])
            place += run
        else:
            made += b"\0" + data[place : place + 1]
            place += 1
    return bytes(made)


def pcd(storage: str, points: np.ndarray = POINTS, count: int = 20) -> bytes:
    """A file with padding before the coordinates and colors behind them."""
    bits = COLORS.astype("<u4") @ np.array([1 << 16, 1 << 8, 1], "<u4")
    header = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS _ x y z rgb\nSIZE 1 8 8 8 4\nTYPE U F F F U\nCOUNT 3 1 1 1 1\n"
        f"WIDTH {count}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\nDATA {storage}\n"
    ).encode()
    if storage == "ascii":
        lines = [f"0 0 0 {x!r} {y!r} {z!r} {c}\n" for (x, y, z), c in zip(points.tolist(), bits, strict=True)]
        return header + "".join(lines).encode()
    table = np.zeros(
        len(points), [("pad", "u1", 3), ("x", "<f8"), ("y", "<f8"), ("z", "<f8"), ("rgb", "<u4")]
    )
    for i, axis in enumerate("xyz"):
        table[axis] = points[:, i]
    table["rgb"] = bits
    if storage == "binary":
        return header + table.tobytes()
    columns = b"".join(np.ascontiguousarray(table[name]).tobytes() for name in table.dtype.names)
    packed = lzf(columns)
    return header + struct.pack("<II", len(packed), len(columns)) + packed


@pytest.mark.parametrize("storage", ["ascii", "binary", "binary_compressed"])
def test_pcd(tmp_path: Path, storage: str):
    path = tmp_path / "a.pcd"
    path.write_bytes(pcd(storage, POINTS + FAR))
    found = adacross.read_shape(path)
    np.testing.assert_array_equal(found.points, POINTS + FAR)
    np.testing.assert_array_equal(found.colors, COLORS)
    holes = POINTS.copy()
    holes[3] = np.nan
    path.write_bytes(pcd(storage, holes))
    assert len(adacross.read_shape(path).points) == 19
    whole = pcd(storage)
    path.write_bytes(whole[:-40])
    with pytest.raises(UserError, match="truncated"):
        adacross.read_shape(path)
    path.write_bytes(pcd(storage, count=10**9))
    with pytest.raises(UserError, match="truncated: 1,000,000,000 points"):
        adacross.read_shape(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b"_ x y z", b"_ u v w"), "its fields are _ u v w rgb; there is no x, y, z"),
        ((b"DATA ascii", b"DATA zip"), "DATA zip, expected ascii"),
        ((b"SIZE 1", b"SIZE 3"), "not a PCD file"),
        ((b"TYPE U F", b"TYPE U"), "not a PCD file"),
        ((b"COUNT 3", b"COUNT 99999"), "20 points with 100,003"),
        ((b"COUNT 3", b"COUNT -1"), "a PCD header of"),
        ((b"POINTS 20", b"POINTS 0"), "a PCD header of 0 points"),
        ((b"# .PCD", b"DATA ascii\n"), "not a PCD file"),
    ],
)
def test_pcd_that_is_none(tmp_path: Path, change: tuple[bytes, bytes], said: str):
    (tmp_path / "a.pcd").write_bytes(pcd("ascii").replace(*change))
    with pytest.raises(UserError, match=said):
        adacross.read_shape(tmp_path / "a.pcd")


def test_lzf_goes_back_further_and_is_checked(tmp_path: Path):
    whole = pcd("binary_compressed", np.zeros_like(POINTS) + np.arange(3))
    (tmp_path / "a.pcd").write_bytes(whole)
    np.testing.assert_array_equal(adacross.read_shape(tmp_path / "a.pcd").points[7], [0, 1, 2])
    start = whole.index(b"compressed\n") + len("compressed\n") + 8
    (tmp_path / "a.pcd").write_bytes(
        whole[:start] + b"\x3f\xff" + whole[start + 2 :]
    )  # back before the start
    with pytest.raises(UserError, match="its compressed points are damaged"):
        adacross.read_shape(tmp_path / "a.pcd")


def las(path: Path, points: np.ndarray = POINTS, colors: np.ndarray | None = None) -> bytes:
    import laspy

    header = laspy.LasHeader(point_format=0 if colors is None else 7, version="1.4")
    header.offsets, header.scales = points.min(0), [1e-6] * 3
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = points.T
    if colors is not None:
        cloud.red, cloud.green, cloud.blue = colors.T
    cloud.write(path)
    return path.read_bytes()


@pytest.mark.parametrize("ending", ["las", "laz"])
def test_las_and_laz(tmp_path: Path, ending: str):
    path = tmp_path / f"a.{ending}"
    las(path, POINTS + FAR, COLORS.astype(np.uint16) * 257)
    found = adacross.read_shape(path)
    np.testing.assert_allclose(found.points - FAR, POINTS, atol=1e-6)
    np.testing.assert_array_equal(found.colors, COLORS)
    whole = las(path)
    assert adacross.read_shape(path).colors is None
    assert index_source(str(tmp_path)).items[0].up == "z"
    for damaged in (
        whole[:300],
        b"LAXX" + whole[4:],
        whole[:100] + b"\xff" * 4 + whole[104:],  # records before the points
        whole[:247] + struct.pack("<Q", 2**40) + whole[255:],  # points
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"is not a shape: (truncated|not a LAS|not a readable)"):
            adacross.read_shape(path)


def test_laz_that_promises_chunks_that_are_not_there(tmp_path: Path):
    whole = las(tmp_path / "a.laz")
    (start,) = struct.unpack_from("<I", whole, 96)
    (table,) = struct.unpack_from("<q", whole, start)
    for damaged in (
        whole[: table + 4] + b"\xff" * 4 + whole[table + 8 :],
        whole[:start] + struct.pack("<q", 2**50) + whole[start + 8 :],
    ):
        (tmp_path / "a.laz").write_bytes(damaged)
        with pytest.raises(UserError, match=r"damaged: .* chunks of points"):
            adacross.read_shape(tmp_path / "a.laz")


def test_laspy_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    las(tmp_path / "a.las")
    monkeypatch.setitem(__import__("sys").modules, "laspy", None)
    with pytest.raises(UserError, match=r"LAS and LAZ files need laspy\. .*\[clouds\]"):
        adacross.read_shape(tmp_path / "a.las")


def test_digits_far_from_the_origin_reach_the_unit_sphere(tmp_path: Path):
    x, y, z = np.meshgrid(np.arange(12) / 10, np.arange(3) / 10, np.arange(12) / 10)
    grid = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    np.savetxt(tmp_path / "a.xyz", grid + FAR, fmt="%.2f")
    np.save(tmp_path / "b.npy", grid + FAR)
    (tmp_path / "c.pcd").write_bytes(pcd("binary", POINTS + FAR))
    found = prepare(str(tmp_path), str(tmp_path / "c"), views=0, points=len(grid), workers=1)
    for i, name in enumerate("ab"):
        points = adacross.sample_points(adacross.read_shape(next(tmp_path.glob(f"{name}.*"))), len(grid))
        for cloud in (points, found[i].points):
            assert [len(np.unique(cloud[:, axis].round(5))) for axis in range(3)] == [12, 3, 12]


def test_points_of_a_mesh_far_from_the_origin_take_all_values():
    vertices = np.array([[0, 0, 0], [2, 0, 0], [0, 4, 6]]) + FAR
    near = Mesh(vertices - FAR, np.array([[0, 1, 2]]))
    points = adacross.sample_points(Mesh(vertices, near.faces), 1000)
    np.testing.assert_allclose(points, adacross.sample_points(near, 1000), atol=1e-6)
    assert len(np.unique(points[:, 1])) > 900


def test_sample_points():
    cloud = PointCloud(POINTS)
    few, many = adacross.sample_points(cloud, 8), adacross.sample_points(cloud, 50)
    assert (few.dtype, few.shape, len(np.unique(few, axis=0))) == (np.float32, (8, 3), 8)
    assert (many.shape, len(np.unique(many[:20], axis=0)), len(np.unique(many, axis=0))) == ((50, 3), 20, 20)
    np.testing.assert_allclose(many.mean(0), 0, atol=1e-6)
    assert np.linalg.norm(many, axis=1).max() == pytest.approx(1)
    np.testing.assert_array_equal(many, adacross.sample_points(cloud, 50))
    assert not np.array_equal(many, adacross.sample_points(cloud, 50, seed=1))
    with pytest.raises(UserError, match="count is 0; expected at least 1"):
        adacross.sample_points(cloud, 0)
    with pytest.raises(UserError, match="all points coincide"):
        adacross.sample_points(PointCloud(np.ones((5, 3))), 8)
    with pytest.raises(UserError, match="no face has an area"):
        adacross.sample_points(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), 8)
    with pytest.raises(UserError, match="there is no point in it"):
        adacross.sample_points(PointCloud(np.zeros((0, 3))), 8)
    assert doctest.testmod(sampling).failed == 0


def test_hdf5_files_as_an_tao_hands_them_out(tmp_path: Path):
    for word, labels in (("train", [[1], [0], [3]]), ("val", [[1]]), ("test", [[0], [1]])):
        shape = (len(labels), POINTS_OF_A_ROW, 3)
        write_hdf5(tmp_path, f"{word}0.h5", data=np.random.default_rng(0).normal(size=shape), label=labels)
    write(tmp_path, "train0_id2name.json", '["chair", "bed", "sofa"]')
    write(tmp_path, "train0_id2file.json", '["a", "b", "c"]')
    found = index_source(str(tmp_path))
    assert (found.format, found.points, found.missing) == ("antao", POINTS_OF_A_ROW, [])
    assert found.classes == ["bed", "chair", "02", "sofa"]
    assert [item.split for item in found.items] == ["train"] * 4 + ["test"] * 2
    assert [item.label for item in found.items] == [1, 0, 3, 1, 0, 1]
    write(tmp_path, "train0_id2name.json", '["chair", "bed", "chair"]')
    assert index_source(str(tmp_path)).classes == ["00", "01", "02", "03"]
    write(tmp_path, "train0_id2name.json", '{"0": "chair"}')
    with pytest.raises(UserError, match=r"train0_id2name\.json is not a list of names"):
        index_source(str(tmp_path))


def test_hdf5_rows_with_normals_and_digits(tmp_path: Path):
    data = np.random.default_rng(0).normal(size=(2, POINTS_OF_A_ROW, 6)) + 5e6
    for word in ("train", "test"):
        write_hdf5(tmp_path, f"ply_data_{word}0.h5", data=data, label=[0, 0])
    found = index_source(str(tmp_path))
    np.testing.assert_array_equal(format_of(found.format).load(found.items[1]).points, data[1, :, :3])
    write_hdf5(tmp_path, "ply_data_train0.h5", data=data.transpose(0, 2, 1), label=[0, 0])
    write_hdf5(tmp_path, "ply_data_test0.h5", data=data[:, :, :2], label=[0, 0])
    with pytest.raises(UserError, match=r"shape \(2, 6, 16\), expected .* or give files whose `data` is"):
        index_source(str(tmp_path))


def test_every_ending_is_one_of_a_shape():
    assert {".asc", ".csv", ".las", ".laz", ".npy", ".npz", ".pcd", ".pts", ".txt", ".xyz"} == set(CLOUDS)
