"""OFF, OBJ, PLY and STL as people's programs write them, each kind as a tiny file of our own."""

import codecs
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adacross.data.formats.files import read_mesh
from adacross.data.formats.polygons import MOST_CLIPPED, triangulate
from adacross.data.sampling import face_areas
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud

CORNERS = [(0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 3)]
FACES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
AREA = 1 + 1.5 + 3 + 3.5  # of that tetrahedron
L_SHAPE = [(1, 1, 0), (1, 3, 0), (0, 3, 0), (0, 0, 0), (3, 0, 0), (3, 1, 0)]  # area 5, from its inner corner


def lines(rows: Iterable[Iterable[object]], before: str = "", behind: str = "") -> str:
    return "".join(f"{before}{' '.join(map(str, row))}{behind}\n" for row in rows)


def off(header: str = "OFF", vertex: str = "", face: str = "") -> str:
    return f"{header}\n4 4 6\n{lines(CORNERS, behind=vertex)}{lines(FACES, '3 ', face)}"


OBJ = lines(CORNERS, "v ") + lines(np.array(FACES) + 1, "f ")
STL = "solid a\n" + "".join(
    "facet normal 0 0 0\nouter loop\n" + lines([CORNERS[i] for i in face], "vertex ") + "endloop\nendfacet\n"
    for face in FACES
)
XYZ = "property float x\nproperty float y\nproperty float z\n"


def ply(
    body: str | bytes,
    vertex: str = XYZ,
    face: str = "",
    kind: str = "ascii",
    extra: str = "",
    points: int = 4,
) -> bytes:
    faces = f"element face {face}" if face else ""
    head = f"ply\nformat {kind} 1.0\n{extra}element vertex {points}\n{vertex}{faces}end_header\n"
    return head.encode() + (body.encode() if isinstance(body, str) else body)


LIST = "property list uchar int vertex_indices\n"
PLY = ply(lines(CORNERS) + lines(FACES, "3 "), face="4\n" + LIST)


def stl(count: int = 4, behind: bytes = b"", name: bytes = b"ours") -> bytes:
    facets = b"".join(struct.pack("<12fH", 0, 0, 0, *(x for i in f for x in CORNERS[i]), 0) for f in FACES)
    return name.ljust(80) + struct.pack("<I", count) + facets + behind


def read(folder: Path, name: str, content: str | bytes) -> Mesh | PointCloud:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_mesh(path)


def mesh(folder: Path, name: str, content: str | bytes) -> Mesh:
    found = read(folder, name, content)
    assert isinstance(found, Mesh)
    return found


def cloud(folder: Path, name: str, content: str | bytes) -> PointCloud:
    found = read(folder, name, content)
    assert isinstance(found, PointCloud)
    return found


TEXTS = {"off": off(), "obj": OBJ, "ply": PLY.decode(), "stl": STL}
SPELLINGS = {
    "byte order mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "tabs": lambda text: text.replace(" ", "\t").encode(),
    "blank lines": lambda text: text.replace("\n", "\n \n\t\n").encode(),
    "trailing spaces": lambda text: text.replace("\n", "  \n").encode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("kind", TEXTS)
def test_text_of_every_spelling(tmp_path: Path, kind: str, spelling: str) -> None:
    found = mesh(tmp_path, f"a.{kind}", SPELLINGS[spelling](TEXTS[kind]))
    assert len(found.faces) == 4
    assert face_areas(found).sum() == pytest.approx(AREA)
    assert not found.warnings


@pytest.mark.parametrize("kind", ["off", "obj", "stl"])
def test_indents_upper_and_lower_case(tmp_path: Path, kind: str) -> None:
    for text in (
        TEXTS[kind].upper(),
        TEXTS[kind].lower(),
        "\n".join(f"  {x}" for x in TEXTS[kind].split("\n")),
    ):
        assert face_areas(mesh(tmp_path, f"a.{kind}", text)).sum() == pytest.approx(AREA)


@pytest.mark.parametrize("kind", ["off", "obj"])
def test_inline_comments(tmp_path: Path, kind: str) -> None:
    text = TEXTS[kind].replace("OFF\n", "OFF # of ours\n").replace(" 3\n", " 3 # 9 9\n")
    assert face_areas(mesh(tmp_path, f"a.{kind}", text)).sum() == pytest.approx(AREA)


@pytest.mark.parametrize("kind", TEXTS)
def test_decimal_commas_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    text = TEXTS[kind].replace("0 2 0", "0,5 2,0 0,0")
    with pytest.raises(BrokenShapeError, match=r"a decimal comma \(0,5\)"):
        read(tmp_path, f"a.{kind}", text)


WRAPPED = f"OFF\n4\n4 6\n{lines(CORNERS)}{lines(FACES, '3 ')}"
OFFS: dict[str, str | bytes] = {
    "counts on two lines": WRAPPED,
    "all on one line": WRAPPED.replace("\n", " "),
    "a number a line": WRAPPED.replace(" ", "\n"),
    "no edges": off().replace("4 4 6", "4 4"),
    "texture coordinates": off("STOFF", " 0.5 0.5"),
    "colors and texture coordinates": off("STCOFF", " 9 9 9 255 0.5 0.5"),
    "normals": off("NOFF", " 0 0 1"),
    "homogeneous": off("4OFF", " 1"),
    "wrapped, with colors": off("COFF", " 9 9 9 255").replace("4 4 6", "4\n4 6"),
    "UTF-16": off().encode("utf-16"),
}


@pytest.mark.parametrize("name", OFFS)
def test_offs(tmp_path: Path, name: str) -> None:
    assert face_areas(mesh(tmp_path, "a.off", OFFS[name])).sum() == pytest.approx(AREA)


@pytest.mark.parametrize("header", ["NCOFF", "CNOFF"])
@pytest.mark.parametrize("columns", [" 250 0 0 255 0 0 1", " 0 0 1 250 0 0 255"])
def test_vertex_colors_before_and_behind_normals(tmp_path: Path, header: str, columns: str) -> None:
    found = mesh(tmp_path, "a.off", off(header, columns))
    np.testing.assert_array_equal(found.face_colors, [[250, 0, 0]] * 4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"OFF BINARY\n\0\0\0\4\0\0\0\4", "a binary OFF file, which is not read: save it as text"),
        ("nOFF\n4\n4 4 6\n", r"points of n dimensions \(nOFF\)"),
        (off().replace("0 2 0\n", "0 2\n"), "its vertices have not three numbers each"),
        (WRAPPED + "7", "not a readable OFF file"),  # what does not come out even is not guessed
    ],
)
def test_offs_that_are_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(BrokenShapeError, match=reason):
        read(tmp_path, "a.off", content)


def concave(kind: str) -> str | bytes:
    ring = range(len(L_SHAPE))
    if kind == "off":
        return f"OFF\n6 1 0\n{lines(L_SHAPE)}6 {' '.join(map(str, ring))}\n"
    if kind == "obj":
        return lines(L_SHAPE, "v ") + f"f {' '.join(str(i + 1) for i in ring)}\n"
    return ply(lines(L_SHAPE) + f"6 {' '.join(map(str, ring))}\n", face="1\n" + LIST, points=6)


@pytest.mark.parametrize("kind", ["off", "obj", "ply"])
def test_concave_polygons(tmp_path: Path, kind: str) -> None:
    found = mesh(tmp_path, f"a.{kind}", concave(kind))
    assert face_areas(found).sum() == pytest.approx(5)


def star(corners: int, seed: int) -> tuple[np.ndarray, float]:
    """A polygon around 0 in a plane that lies anyhow, and its area."""
    rng = np.random.default_rng(seed)
    angle = (np.arange(corners) + rng.random(corners) * 0.9) * 2 * np.pi / corners
    radius = rng.uniform(0.1, 1, corners)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    turned, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    area = abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2
    return np.stack([x, y, 0 * x], axis=1) @ turned.T + 1000 * rng.random(3), area


@pytest.mark.parametrize("seed", range(20))
def test_polygons_keep_area_side_and_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stars = [star(int(corners), seed * 50 + i) for i, corners in enumerate(rng.integers(4, 30, 10))]
    vertices = np.concatenate([points for points, _ in stars])
    sizes = np.array([len(points) for points, _ in stars])
    cut = triangulate(vertices, np.arange(len(vertices)), sizes)
    assert cut.fans == 0
    assert (np.diff(cut.owners) >= 0).all()
    areas = face_areas(Mesh(vertices, cut.places))
    normals = np.cross(*np.moveaxis(np.diff(vertices[cut.places], axis=1), 1, 0))
    for polygon, (points, area) in enumerate(stars):
        mine = cut.owners == polygon
        assert areas[mine].sum() == pytest.approx(area)
        whole = np.cross(points, np.roll(points, -1, axis=0)).sum(0)
        assert (normals[mine] @ whole > -1e-9).all()


def test_polygons_that_cannot_be_clipped_are_said() -> None:
    angle = np.linspace(0, 2 * np.pi, MOST_CLIPPED + 1)
    radius = np.where(np.arange(len(angle)) % 2, 1, 0.5)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], axis=1)
    cut = triangulate(points, np.arange(len(points)), np.array([len(points)]))
    assert cut.fans == 1
    assert cut.warnings[0].startswith("1 concave polygons are cut as if they were convex")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.obj", lines(CORNERS, "v ")),
        ("a.obj", lines(CORNERS, "v ") + "p 1 2 3 4\n"),
        ("a.off", f"OFF\n4 0 0\n{lines(CORNERS)}"),
        ("a.ply", ply(lines(CORNERS))),
        ("a.ply", ply(lines(CORNERS), face="0\n" + LIST)),
    ],
)
def test_points_only(tmp_path: Path, name: str, content: str | bytes) -> None:
    np.testing.assert_array_equal(cloud(tmp_path, name, content).points, CORNERS)


@pytest.mark.parametrize("kind", ["obj", "off", "ply"])
def test_points_that_are_not_finite_are_left_out_and_said(tmp_path: Path, kind: str) -> None:
    rows = [*CORNERS, ("nan", 0, 0), (0, "-inf", 0), ("-nan(ind)", 0, 0)]
    content: dict[str, str | bytes] = {
        "obj": lines(rows, "v ", " 250 0 0"), "off": f"COFF\n7 0 0\n{lines(rows, behind=' 250 0 0')}",
        "ply": ply(lines(rows), points=7),
    }  # fmt: skip
    found = cloud(tmp_path, f"a.{kind}", content[kind])
    np.testing.assert_array_equal(found.points, CORNERS)
    assert found.warnings == ("3 of 7 points have a NaN or infinite coordinate and are left out",)
    assert (found.colors is None) == (kind == "ply")
    with pytest.raises(BrokenShapeError, match="no point is finite: each has a NaN or infinite coordinate"):
        read(tmp_path, "none.obj", "v nan 0 0\n")


def test_clouds_keep_all_their_digits(tmp_path: Path) -> None:
    exact = [[5412345.89, 0.01, 3], [5412345.9, 0.02, 4]]
    double = XYZ.replace("float", "double")
    body = struct.pack("<6d", *np.ravel(exact))
    for content in (ply(body, double, kind="binary_little_endian", points=2), ply(lines(exact), points=2)):
        np.testing.assert_array_equal(cloud(tmp_path, "a.ply", content).points, exact)
    np.testing.assert_array_equal(cloud(tmp_path, "a.obj", lines(exact, "v ")).points, exact)


@pytest.mark.parametrize("order", "<>")
def test_binary_ply_of_triangles_and_quadrilaterals(tmp_path: Path, order: str) -> None:
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1)]
    body = struct.pack(f"{order}15f", *np.ravel(corners))
    body += struct.pack(f"{order}B4iB", 4, 0, 1, 2, 3, 200) + struct.pack(f"{order}B3iB", 3, 0, 1, 4, 100)
    face = f"2\n{LIST}property uchar flags\nelement edge 1\nproperty int vertex1\nproperty int vertex2\n"
    kind = "binary_little_endian" if order == "<" else "binary_big_endian"
    found = mesh(
        tmp_path, "a.ply", ply(body + struct.pack(f"{order}2i", 0, 1), face=face, kind=kind, points=5)
    )
    np.testing.assert_array_equal(found.faces, [[0, 1, 2], [0, 2, 3], [0, 1, 4]])
    np.testing.assert_array_equal(found.vertices, corners)


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian"])
def test_ply_triangle_strips(tmp_path: Path, kind: str) -> None:
    strips = [0, 1, 2, 3, -1, 0, 3, 1, -1, 1, 1, 2]  # the last one has no triangle
    head = ply("", kind=kind).replace(
        b"end_header", b"element tristrips 1\nproperty list int int vertex_indices\nend_header"
    )
    text = lines(CORNERS) + f"{len(strips)} {' '.join(map(str, strips))}\n"
    binary = struct.pack("<12f13i", *np.ravel(CORNERS), len(strips), *strips)
    found = mesh(tmp_path, "a.ply", head + (text.encode() if kind == "ascii" else binary))
    np.testing.assert_array_equal(found.faces, [[0, 1, 2], [2, 1, 3], [0, 3, 1]])


def test_a_binary_ply_of_crlf_or_cr_lines(tmp_path: Path) -> None:
    points = np.frombuffer(b"\n\r\n\r" * 12, "<f4").reshape(-1, 3)  # whose bytes look like ends of lines
    body = points.tobytes()
    head = ply("", kind="binary_little_endian")
    for end in (b"\n", b"\r\n", b"\r"):
        found = cloud(tmp_path, "a.ply", head.replace(b"\n", end) + body)
        np.testing.assert_array_equal(found.points, points)


@pytest.mark.parametrize(
    ("type_", "values"),
    [("uchar", "0 0 250"), ("float", "0 0 .98"), ("ushort", "0 0 64250"), ("float", "0 0 250")],
)
def test_ply_vertex_colors_beside_texture_coordinates(tmp_path: Path, type_: str, values: str) -> None:
    vertex = XYZ + "property float s\nproperty float t\n"
    vertex += "".join(f"property {type_} {name}\n" for name in ("red", "green", "blue"))
    extra = "comment TextureFile gone.png\n"
    body = lines(CORNERS, behind=f" 0.5 0.5 {values}") + lines(FACES, "3 ")
    found = mesh(tmp_path, "a.ply", ply(body, vertex, "4\n" + LIST, extra=extra))
    np.testing.assert_array_equal(found.face_colors, [[0, 0, 250]] * 4)
    assert found.warnings == ("its texture gone.png is not beside it",)


def paint(folder: Path, name: str, color: tuple[int, int, int] = (250, 0, 0)) -> None:
    Image.new("RGB", (4, 4), color).save(folder / name)


def test_ply_textures_of_faces(tmp_path: Path) -> None:
    paint(tmp_path, "red.png")
    paint(tmp_path, "green one.png", (0, 250, 0))
    face = f"4\n{LIST}property list uchar float texcoord\nproperty int texnumber\n"
    extra = "comment TextureFile red.png\ncomment TextureFile green one.png\n"
    body = lines(CORNERS) + "".join(lines([f], "3 ", f" 6 0 0 1 0 1 1 {i % 2}") for i, f in enumerate(FACES))
    found = mesh(tmp_path, "a.ply", ply(body, face=face, extra=extra))
    np.testing.assert_array_equal(found.face_colors, [[250, 0, 0], [0, 250, 0]] * 2)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"ply\nformat ascii 1.0\n", "no header from ply to end_header"),
        (b"ply\nformat zip 1.0\nend_header\n", "its format is zip"),
        (b"ply\nformat ascii 1.0\nelement vertex -1\nend_header\n", "in its header: element vertex -1"),
        (PLY.replace(LIST.encode(), b"property int flags\n"), "no list of corners"),
        (PLY[:-9], "truncated: 4 faces promised, 3 there"),
    ],
)
def test_plys_that_are_refused(tmp_path: Path, head: bytes, reason: str) -> None:
    with pytest.raises(BrokenShapeError, match=reason):
        read(tmp_path, "a.ply", head)


def textured(material: str) -> str:
    faces = "vt 0.5 0.5\nusemtl m\n" + "".join(f"f {a + 1}/1 {b + 1}/1 {c + 1}/1\n" for a, b, c in FACES)
    return f"mtllib {material}\n" + lines(CORNERS, "v ") + faces


@pytest.mark.parametrize(
    "line",
    [
        "map_Kd red.png", "MAP_KD\tred.png", "map_Kd -s 1 1 1 -o 0 0 0 red.png",
        "map_Kd -clamp on -bm 1 red.png", "map_Kd -mm 0 1 -o .5 red.png", "  map_Kd  red.png  ",
        "map_Kd -blendu off -texres 512 -imfchan l red.png", 'map_Kd "red.png"', "map_Kd textures\\red.png",
        "map_Kd red.png # ours",
    ],
)  # fmt: skip
def test_mtl_options(tmp_path: Path, line: str) -> None:
    paint(tmp_path, "red.png")
    (tmp_path / "a.mtl").write_text(f"newmtl m\n{line}\n")
    found = mesh(tmp_path, "a.obj", textured("a.mtl"))
    np.testing.assert_array_equal(found.face_colors, [[250, 0, 0]] * 4)
    assert not found.warnings


def test_scale_and_offset_of_a_texture(tmp_path: Path) -> None:
    colors = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, 2)
    Image.fromarray(colors).save(tmp_path / "a.png")
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd -s 0.5 0.5 -o 0.125 0.125 a.png\n")
    found = mesh(tmp_path, "a.obj", textured("a.mtl"))
    np.testing.assert_array_equal(found.face_colors, [[9] * 3] * 4)  # row 2 from above, column 1


def test_libraries_in_several_lines_or_in_one_or_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    paint(tmp_path / "below", "red.png")
    (tmp_path / "below" / "my own.mtl").write_text("newmtl m\nmap_Kd red.png\n")
    (tmp_path / "b.mtl").write_text("newmtl other\nKd 0 1 0\n")
    for names in (
        "b.mtl\nmtllib below/my own.mtl",
        "below/my own.mtl # ours",
        "below\\my own.mtl\nmtllib b.mtl",
    ):
        found = mesh(tmp_path, "a.obj", textured(names))
        np.testing.assert_array_equal(found.face_colors, [[250, 0, 0]] * 4)
    (tmp_path / "m.mtl").write_text("newmtl m\nKd 1 0 0\n")
    np.testing.assert_array_equal(
        mesh(tmp_path, "a.obj", textured("b.mtl m.mtl")).face_colors, [[255, 0, 0]] * 4
    )


def test_vertex_colors_beside_a_material(tmp_path: Path) -> None:
    (tmp_path / "a.mtl").write_text("newmtl m\nKd 0.8 0.8 0.8\n")
    text = "mtllib a.mtl\n" + lines(CORNERS, "v ", " 0 0 1") + "usemtl m\n" + lines(np.array(FACES) + 1, "f ")
    np.testing.assert_array_equal(mesh(tmp_path, "a.obj", text).face_colors, [[0, 0, 255]] * 4)


@pytest.mark.parametrize("content", [b"DDS " + bytes(124), b"", b"\x89PNG\r\n\x1a\n", "wide", None])
def test_a_texture_that_cannot_be_used_costs_the_color(tmp_path: Path, content: bytes | str | None) -> None:
    if content == "wide":
        Image.new("L", (16384, 1)).save(tmp_path / "a.png")
    elif isinstance(content, bytes):
        (tmp_path / "a.png").write_bytes(content)
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd a.png\n")
    found = mesh(tmp_path, "a.obj", textured("a.mtl"))
    assert found.face_colors is None
    assert len(found.warnings) == 1
    assert "its texture a.png" in found.warnings[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"its materials (a.mtl) are not beside it or cannot be read"),
        (b"\0\0", r"its materials (a.mtl) are not beside it or cannot be read"),
        (b"newmtl n\n", "the files of its materials do not define m"),
    ],
)
def test_materials_that_are_missing_are_said(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "a.mtl").write_bytes(content)
    found = mesh(tmp_path, "a.obj", textured("a.mtl"))
    assert found.warnings == (said,)
    assert found.face_colors is None


@pytest.mark.parametrize(
    "face", ["f 1/1/1 2/1/1 3/1/1", "f 1//1 2//1 3//1", "f 1/ 2/ 3/", "f 1/1 2 3//1", "f -4 -3/-1 3"]
)
def test_corners_of_every_spelling(tmp_path: Path, face: str) -> None:
    text = lines(CORNERS, "v ") + f"vt 0 0\nvn 0 0 1\n{face}\nv 9 9 9\n"
    np.testing.assert_array_equal(mesh(tmp_path, "a.obj", text).faces, [[0, 1, 2]])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (stl(behind=b"\n"), ()),
        (stl(behind=b"made by us"), ("10 bytes after its last triangle are not read",)),
        (stl(name=b"solid facet of ours", behind=b"x"), ("1 bytes after its last triangle are not read",)),
        (stl(2**32 - 1), ("its header counts 4,294,967,295 triangles; all 4 that are in it are read",)),
        (stl(0), ("its header counts 0 triangles; all 4 that are in it are read",)),
        (STL.replace("solid a", "solid " + "a" * 5000), ()),
        (STL.replace("solid a", "solid möbel").encode("latin-1"), ()),
        (STL.replace("solid a", "solid a vertex of ours"), ()),
        (STL.replace("\n", " "), ()),
        (STL.encode("utf-16"), ()),
        ((STL + "endsolid a\n\n") * 2, ()),
    ],
)
def test_stls(tmp_path: Path, content: str | bytes, said: tuple[str, ...]) -> None:
    found = mesh(tmp_path, "a.stl", content)
    assert face_areas(found).sum() == pytest.approx(AREA * len(found.faces) / 4)
    assert found.warnings == said


def test_keywords_of_earlier_versions(tmp_path: Path) -> None:
    for name, text in (
        ("a.obj", OBJ.replace("\nf", "\nfo")),
        ("a.ply", PLY.decode().replace("ply", "PLY", 1)),
    ):
        assert face_areas(mesh(tmp_path, name, text)).sum() == pytest.approx(AREA)


def test_a_text_stl_that_is_cut(tmp_path: Path) -> None:
    with pytest.raises(BrokenShapeError, match="truncated: 11 corners"):
        read(tmp_path, "a.stl", STL[: STL.rindex("vertex")])
