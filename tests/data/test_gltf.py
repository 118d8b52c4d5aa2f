"""GLB and glTF files as their specification has them, each written here."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from gltf_files import BOX, BOX_FACES, SQUARE, Gltf, box_glb
from PIL import Image

from adacross.data.formats.files import read_file, read_shape
from adacross.data.formats.gltf import read_gltf
from adacross.data.sampling import face_areas
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud
from adacross.errors import UserError


def read(folder: Path, file: Gltf | bytes | str, name: str = "a.glb") -> Mesh:
    found = shape(folder, file, name)
    assert isinstance(found, Mesh)
    return found


def shape(folder: Path, file: Gltf | bytes | str, name: str = "a.glb") -> Mesh | PointCloud:
    content = file.glb() if isinstance(file, Gltf) else file
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_file(path)


def bounds(mesh: Mesh) -> list[list[float]]:
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    return [corners.min(0).round(6).tolist(), corners.max(0).round(6).tolist()]


def volume(mesh: Mesh) -> float:
    """Signed: negative if the faces look inwards."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def square(**more: Any) -> Gltf:
    file = Gltf()
    file.node(mesh=file.mesh(SQUARE, np.array([0, 1, 2, 0, 2, 3], dtype=np.uint8), **more))
    return file


def colors(folder: Path, file: Gltf) -> list[list[int]] | None:
    found = read(folder, file).face_colors
    return None if found is None else np.unique(found, axis=0).tolist()


def test_a_box(tmp_path: Path) -> None:
    mesh = read(tmp_path, box_glb())
    assert bounds(mesh) == [[0, 0, 0], [2, 4, 6]]
    assert volume(mesh) == pytest.approx(48)
    assert (mesh.face_colors, mesh.warnings, mesh.unit) == (None, (), "m")
    assert mesh.part_names == ("part 0",)


def test_what_trimesh_writes_comes_back(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    box = trimesh.creation.box()
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[255, 0, 0, 255])
    box.visual = trimesh.visual.TextureVisuals(material=material)
    scene.add_geometry(box, node_name="box", transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    ball = trimesh.creation.icosphere(1)
    ball.visual.vertex_colors = [0, 255, 0, 255]
    scene.add_geometry(ball, node_name="ball")
    mesh = read(tmp_path, scene.export(file_type="glb"))
    assert mesh.face_parts is not None
    assert mesh.face_colors is not None
    red = mesh.face_parts == mesh.part_names.index("box")
    assert red.sum() == 12
    assert (mesh.face_colors[red] == [255, 0, 0]).all()
    assert (mesh.face_colors[~red] == [0, 255, 0]).all()
    center = mesh.vertices[mesh.faces].mean(1)
    np.testing.assert_allclose(center[red].mean(0), [5, 0, 0], atol=1e-6)
    assert np.linalg.norm(center[~red], axis=1).max() < 1


@pytest.mark.parametrize(
    ("mode", "indices", "faces"),
    [
        (4, [0, 1, 2, 0, 2, 3], 2),
        (4, [0, 1, 2, 0, 2, 3, 1], 2),  # what is over is no triangle
        (5, [0, 1, 3, 2], 2),
        (6, [0, 1, 2, 3], 2),
        (6, None, 2),
    ],
)
def test_lists_strips_and_fans(tmp_path: Path, mode: int, indices: list[int] | None, faces: int) -> None:
    file = Gltf()
    corners = None if indices is None else np.array(indices, dtype=np.uint16)
    file.node(mesh=file.mesh(SQUARE, corners, mode))
    mesh = read(tmp_path, file)
    assert len(mesh.faces) == faces
    assert face_areas(mesh).sum() == pytest.approx(1)
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def test_too_few_corners_for_a_triangle_are_no_points(tmp_path: Path) -> None:
    for mode in (4, 5, 6):
        file = Gltf()
        file.node(mesh=file.mesh(SQUARE, np.array([0, 1], dtype=np.uint16), mode))
        with pytest.raises(BrokenShapeError, match="neither a face nor a point"):
            read(tmp_path, file)


def test_a_sparse_accessor_replaces_numbers(tmp_path: Path) -> None:
    file = Gltf()
    points = BOX.copy()
    points[7] = 0
    mesh = file.mesh(points, BOX_FACES)
    rows, values = file.view(np.array([7], dtype=np.uint16).tobytes()), file.view(BOX[7].tobytes())
    sparse = {
        "count": 1,
        "indices": {"bufferView": rows, "componentType": 5123},
        "values": {"bufferView": values},
    }
    file.description["accessors"][0]["sparse"] = sparse
    file.node(mesh=mesh)
    assert bounds(read(tmp_path, file)) == [[0, 0, 0], [2, 4, 6]]
    sparse["count"] = 2
    with pytest.raises(BrokenShapeError, match=r"truncated: 2 numbers take 4 bytes, 2 are there"):
        read(tmp_path, file)


def test_a_sparse_accessor_of_zeros(tmp_path: Path) -> None:
    file = Gltf()
    mesh = file.mesh(BOX, BOX_FACES)
    rows = file.view(np.arange(1, 8, dtype=np.uint16).tobytes())
    values = file.view(BOX[1:].tobytes())
    file.description["accessors"][0]["sparse"] = {
        "count": 7,
        "indices": {"bufferView": rows, "componentType": 5123},
        "values": {"bufferView": values},
    }
    del file.description["accessors"][0]["bufferView"]
    file.node(mesh=mesh)
    assert bounds(read(tmp_path, file)) == [[0, 0, 0], [2, 4, 6]]


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("normalized", [True, False])
def test_quantized_positions_beside_plain_ones(tmp_path: Path, kind: Any, normalized: bool) -> None:
    most = np.iinfo(kind).max
    file = Gltf(extensionsRequired=["KHR_mesh_quantization"])
    whole = (BOX / 6 * most).round().astype(kind) if normalized else BOX.astype(kind)
    packed = file.mesh(whole, BOX_FACES)
    if normalized:
        file.description["accessors"][0]["normalized"] = True
    file.node(mesh=packed, scale=[6, 6, 6] if normalized else [1, 1, 1])
    file.node(mesh=file.mesh(BOX, BOX_FACES), translation=[10, 0, 0])
    mesh = read(tmp_path, file)
    np.testing.assert_allclose(bounds(mesh), [[0, 0, 0], [12, 4, 6]], atol=0.03)
    assert face_areas(mesh).sum() == pytest.approx(176, rel=0.02)


def test_nodes_in_nodes_with_every_kind_of_transform(tmp_path: Path) -> None:
    file = Gltf()
    mesh = file.mesh(BOX, BOX_FACES)
    half = np.sqrt(0.5)
    inner = file.node(top=False, mesh=mesh, rotation=[0, 0, half, half])  # a quarter turn about z
    middle = file.node(top=False, children=[inner], scale=[2, 1, 1])
    columns = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 10, 0, 0, 1]  # mirrored in z, moved along x
    file.node(children=[middle], matrix=columns)
    found = read(tmp_path, file)
    assert bounds(found) == [[2, 0, -6], [10, 2, 0]]
    assert volume(found) == pytest.approx(96)  # the mirror does not turn it inside out


def test_the_default_scene_counts(tmp_path: Path) -> None:
    file = box_glb()
    file.description["scenes"] += [{"nodes": [file.node(top=False, mesh=0, translation=[5, 0, 0])]}]
    assert bounds(read(tmp_path, file))[0] == [0, 0, 0]
    file.description["scene"] = 1
    assert bounds(read(tmp_path, file))[0] == [5, 0, 0]
    del file.description["scenes"]
    assert len(read(tmp_path, file).faces) == 24
    file.description["nodes"] = []
    assert len(read(tmp_path, file).faces) == 12


def test_parts_have_their_nodes_names(tmp_path: Path) -> None:
    file = Gltf()
    mesh = file.mesh(BOX, BOX_FACES)
    file.description["meshes"][0]["name"] = "bolt"
    file.node(mesh=mesh)
    file.node(mesh=mesh, translation=[5, 0, 0])
    file.node(mesh=mesh, name="nut", translation=[9, 0, 0])
    found = read(tmp_path, file)
    assert found.part_names == ("bolt", "nut")
    assert found.face_parts is not None
    assert found.face_parts.tolist() == [0] * 24 + [1] * 12


def test_instances(tmp_path: Path) -> None:
    file = Gltf(extensionsRequired=["EXT_mesh_gpu_instancing"])
    mesh = file.mesh(BOX, BOX_FACES)
    where = file.array(np.array([(0, 0, 0), (10, 0, 0), (20, 0, 0)], dtype=np.float32))
    size = file.array(np.array([(1, 1, 1), (1, 1, 1), (2, 1, 1)], dtype=np.float32))
    instances = {"attributes": {"TRANSLATION": where, "SCALE": size}}
    file.node(mesh=mesh, extensions={"EXT_mesh_gpu_instancing": instances}, translation=[1, 0, 0])
    found = read(tmp_path, file)
    assert len(found.faces) == 36
    assert bounds(found) == [[1, 0, 0], [25, 4, 6]]


def test_instances_without_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adacross.data.formats.scene.MOST_PLACED", 10_000)
    file = Gltf()
    mesh = file.mesh(BOX, BOX_FACES)
    where = file.array(np.zeros((3000, 3), dtype=np.float32))
    file.node(mesh=mesh, extensions={"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": where}}})
    with pytest.raises(BrokenShapeError, match="are to be placed, more than the 10,000 that a file of"):
        read(tmp_path, file)


def test_morph_targets_count_by_their_weights(tmp_path: Path) -> None:
    file = box_glb()
    target = file.array(np.tile(np.array([8, 0, 0], dtype=np.float32), (8, 1)))
    file.description["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": target}]
    assert bounds(read(tmp_path, file))[0] == [0, 0, 0]
    file.description["meshes"][0]["weights"] = [0.5]
    assert bounds(read(tmp_path, file))[0] == [4, 0, 0]
    file.description["nodes"][0]["weights"] = [1]
    assert bounds(read(tmp_path, file))[0] == [8, 0, 0]


def test_a_skin_stands_where_its_joints_do(tmp_path: Path) -> None:
    file = Gltf()
    upper = (BOX[:, 2] > 0).astype(np.uint8)
    joints = np.stack([upper, upper * 0, upper * 0, upper * 0], axis=1)
    weights = np.tile(np.array([255, 0, 0, 0], dtype=np.uint8), (8, 1))
    mesh = file.mesh(BOX, BOX_FACES, JOINTS_0=joints, WEIGHTS_0=weights)
    file.description["accessors"][2]["normalized"] = True
    inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse[1, 3, 2] = -6  # columns: the second joint's rest is 6 above
    bound = file.array(inverse.reshape(2, 16))
    lower = file.node()
    top = file.node(translation=[0, 0, 10])
    file.description["skins"] = [{"joints": [lower, top], "inverseBindMatrices": bound}]
    file.node(mesh=mesh, skin=0, translation=[100, 0, 0])  # of a node with a skin this counts for nothing
    assert bounds(read(tmp_path, file)) == [[0, 0, 0], [2, 4, 10]]


def test_primitives_that_share_vertices_keep_their_own(tmp_path: Path) -> None:
    file = box_glb()
    primitive = file.description["meshes"][0]["primitives"][0]
    one = file.array(np.array([1, 3, 7], dtype=np.uint32))
    file.description["meshes"][0]["primitives"] += [{"attributes": primitive["attributes"], "indices": one}]
    found = read(tmp_path, file)
    assert len(found.vertices) == 8 + 3
    assert found.vertices[found.faces[-1]].tolist() == [[2, 0, 0], [2, 4, 0], [2, 4, 6]]


def test_points_alone_are_a_cloud(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    green = np.tile(np.array([0, 65535, 0], dtype=np.uint16), (50, 1))
    up = np.tile(np.array([0, 0, 1], dtype=np.float32), (50, 1))
    file = Gltf()
    file.node(
        mesh=file.mesh(points, mode=0, COLOR_0=green, NORMAL=up), rotation=[0, 1, 0, 0], scale=[2, 2, 1]
    )
    cloud = shape(tmp_path, file)
    assert isinstance(cloud, PointCloud)
    np.testing.assert_allclose(cloud.points, points * [-2, 2, -1], atol=1e-6)
    assert cloud.colors is not None
    assert cloud.normals is not None
    assert (cloud.colors == [0, 255, 0]).all()
    np.testing.assert_allclose(cloud.normals, np.tile([0, 0, -1], (50, 1)), atol=1e-6)


def test_loose_points_and_lines_beside_faces_are_said(tmp_path: Path) -> None:
    file = box_glb()
    file.node(mesh=file.mesh(BOX, mode=0))
    file.node(mesh=file.mesh(BOX, mode=1))
    found = read(tmp_path, file)
    assert len(found.faces) == 12
    assert found.warnings == (
        "lines are passed over",
        "8 loose points beside the faces are passed over",
    )
    lines = Gltf()
    lines.node(mesh=lines.mesh(BOX, mode=3))
    with pytest.raises(BrokenShapeError, match="neither a face nor a point in it, only lines"):
        read(tmp_path, lines)


# -- colors


def paint(file: Gltf, material: dict[str, Any]) -> Gltf:
    file.description["materials"] = [material]
    for mesh in file.description["meshes"]:
        mesh["primitives"][0]["material"] = 0
    return file


def textured(file: Gltf, content: bytes, **about: Any) -> Gltf:
    info = {"index": 0} | about
    paint(file, {"pbrMetallicRoughness": {"baseColorTexture": info}})
    file.description["textures"] = [{"source": 0}]
    file.description["images"] = [{"bufferView": file.view(content), "mimeType": "image/png"}]
    return file


def png(pixels: Any) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(np.array(pixels, dtype=np.uint8)).save(sink, "PNG")
    return sink.getvalue()


def test_factors_are_linear_and_colors_srgb(tmp_path: Path) -> None:
    def factor(*rgba: float) -> dict[str, Any]:
        return {"pbrMetallicRoughness": {"baseColorFactor": list(rgba)}}

    assert colors(tmp_path, square()) is None
    assert colors(tmp_path, paint(square(), {"pbrMetallicRoughness": {"metallicFactor": 0}})) is None
    assert colors(tmp_path, paint(square(), factor(0.5, 0, 1, 1))) == [[188, 0, 255]]
    half = np.tile(np.array([0.5, 1, 1, 1], dtype=np.float32), (4, 1))
    assert colors(tmp_path, square(COLOR_0=half)) == [[188, 255, 255]]
    assert colors(tmp_path, paint(square(COLOR_0=half), factor(0.5, 0.5, 0, 1))) == [[137, 188, 0]]
    assert colors(tmp_path, paint(square(COLOR_0=half), {})) == [[188, 255, 255]]
    old = {"KHR_materials_pbrSpecularGlossiness": {"diffuseFactor": [1, 0, 0, 1]}}
    assert colors(tmp_path, paint(square(), {"extensions": old})) == [[255, 0, 0]]


def test_a_texture_is_taken_at_the_center_of_a_face(tmp_path: Path) -> None:
    picture = png([[(9, 99, 200), (1, 2, 3)], [(4, 5, 6), (7, 8, 9)]])
    uv = np.tile(np.array([0.2, 0.2], dtype=np.float32), (4, 1))
    assert colors(tmp_path, textured(square(TEXCOORD_0=uv), picture)) == [[9, 99, 200]]
    assert colors(tmp_path, textured(square(TEXCOORD_0=uv + 7), picture)) == [[9, 99, 200]]  # it repeats
    packed = (uv * 65535).astype(np.uint16)
    assert colors(tmp_path, textured(square(TEXCOORD_0=packed), picture)) == [[9, 99, 200]]
    assert colors(tmp_path, textured(square(TEXCOORD_1=uv), picture, texCoord=1)) == [[9, 99, 200]]
    assert colors(tmp_path, textured(square(TEXCOORD_1=uv), picture)) is None
    moved = {"KHR_texture_transform": {"offset": [0.5, 0], "scale": [0.5, 0.5]}}
    assert colors(tmp_path, textured(square(TEXCOORD_0=uv), picture, extensions=moved)) == [[1, 2, 3]]
    turned = {"KHR_texture_transform": {"rotation": np.pi / 2}}  # (u, v) becomes (v, -u)
    corner = np.tile(np.array([0.2, 0.7], dtype=np.float32), (4, 1))
    assert colors(tmp_path, textured(square(TEXCOORD_0=corner), picture, extensions=turned)) == [[7, 8, 9]]


@pytest.mark.parametrize(("wrap", "expected"), [(10497, [9, 9, 9]), (33071, [7, 7, 7]), (33648, [7, 7, 7])])
def test_a_texture_goes_on_as_its_sampler_says(tmp_path: Path, wrap: int, expected: list[int]) -> None:
    uv = np.tile(np.array([1.2, 0.5], dtype=np.float32), (4, 1))
    file = textured(square(TEXCOORD_0=uv), png([[(9, 9, 9), (7, 7, 7)]]))
    file.description["samplers"] = [{"wrapS": wrap}]
    file.description["textures"][0]["sampler"] = 0
    assert colors(tmp_path, file) == [expected]


@pytest.mark.parametrize("content", [b"DDS |" + bytes(80), b"", b"\x89PNG\r\n\x1a\n" + bytes(20)])
def test_a_texture_that_cannot_be_read_costs_the_color_alone(tmp_path: Path, content: bytes) -> None:
    uv = np.zeros((4, 2), dtype=np.float32)
    found = read(tmp_path, textured(square(TEXCOORD_0=uv), content))
    assert found.face_colors is None
    (warning,) = found.warnings
    assert warning.startswith("its texture cannot be read")


def test_a_texture_in_a_missing_file_costs_the_color_alone(tmp_path: Path) -> None:
    file = textured(square(TEXCOORD_0=np.zeros((4, 2), dtype=np.float32)), b"")
    file.description["images"] = [{"uri": "skin.png"}]
    assert read(tmp_path, file).warnings == ("its texture cannot be read (skin.png is not in its folder)",)
    (tmp_path / "skin.png").write_bytes(png([[(1, 2, 3)]]))
    assert colors(tmp_path, file) == [[1, 2, 3]]


# -- files beside a .gltf


def test_a_gltf_with_its_numbers_inside_or_beside_it(tmp_path: Path) -> None:
    file = box_glb()
    assert bounds(read(tmp_path, file.gltf(), "a.gltf")) == [[0, 0, 0], [2, 4, 6]]
    assert bounds(read(tmp_path, "\ufeff" + file.gltf(), "b.GLTF")) == [[0, 0, 0], [2, 4, 6]]
    for uri in ("numbers.bin", "my%20data/the%20numbers.bin", "C:\\somebody\\numbers.bin"):
        name = uri.replace("%20", " ").rpartition("\\")[2]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(file.binary)
        assert bounds(read(tmp_path, file.gltf(uri), "a.gltf")) == [[0, 0, 0], [2, 4, 6]]


@pytest.mark.parametrize(
    "uri", ["../secret.bin", "%2e%2e/secret.bin", "link.bin", "http://127.0.0.1:9/secret.bin", "gone.bin"]
)
def test_a_gltf_takes_nothing_from_outside_its_folder(tmp_path: Path, uri: str) -> None:
    file = box_glb()
    (tmp_path / "secret.bin").write_bytes(file.binary)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(BrokenShapeError, match=r"not a readable GLTF file .*is not in its folder"):
        read(tmp_path, file.gltf(uri), "in/a.gltf")


def test_the_content_counts_not_the_ending(tmp_path: Path) -> None:
    assert bounds(read(tmp_path, box_glb().gltf(), "a.glb")) == [[0, 0, 0], [2, 4, 6]]
    assert bounds(read(tmp_path, box_glb().glb(), "a.gltf")) == [[0, 0, 0], [2, 4, 6]]


# -- what is refused


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"extensionsRequired": ["KHR_draco_mesh_compression"]},
            "compressed with Draco .*; export it without",
        ),
        ({"extensionsRequired": ["EXT_meshopt_compression"]}, "compressed with meshopt"),
        ({"extensionsRequired": ["XYZ_voxels"]}, "requires the glTF extension XYZ_voxels, which is not read"),
        ({"asset": {"version": "1.0"}}, "a glTF 1.0 file; glTF 2.0 is read. Convert it"),
        ({"scene": 3}, "points to number 3 of its 1 scenes"),
        ({"nodes": [{"mesh": 8}]}, "points to number 8 of its 1 meshes"),
        ({"nodes": [{"mesh": 0, "children": [0]}]}, "node 0 comes twice in its scene"),
        ({"nodes": []}, "points to number 0 of its 0 nodes"),
        ({"nodes": [{}]}, "neither a face nor a point in it"),
        ({"nodes": [{"mesh": 0, "scale": [1, float("nan"), 1]}]}, "NaN or infinite"),
        ({"meshes": [[]]}, "not a readable GLB file"),
        ({"buffers": [{"byteLength": 10**12}]}, "truncated: its buffer promises 1,000,000,000,000 bytes"),
    ],
)
def test_what_is_refused_says_why(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    file = box_glb()
    file.description |= change
    with pytest.raises(BrokenShapeError, match=reason):
        read(tmp_path, file)


@pytest.mark.parametrize(
    "name", ["KHR_texture_basisu", "KHR_materials_unlit", "EXT_texture_webp", "KHR_lights_punctual"]
)
def test_extensions_that_leave_the_surface_alone(tmp_path: Path, name: str) -> None:
    file = box_glb()
    file.description["extensionsRequired"] = [name]
    assert len(read(tmp_path, file).faces) == 12


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"count": 10**9}, "truncated: 1,000,000,000 numbers take 12,000,000,000 bytes|corners and points"),
        ({"count": -1}, "numbers promised that are not in the file"),
        ({"byteOffset": -4}, "numbers of 12 bytes"),
        ({"byteOffset": 10**12}, "truncated"),
        ({"bufferView": 9}, "points to number 9 of its 2 bufferViews"),
        ({"componentType": 7}, "not a readable GLB file"),
        ({"type": "VEC9"}, "not a readable GLB file"),
        ({"count": 7}, "a face points to vertex 7, but there are only 7"),
    ],
)
def test_accessors_that_promise_too_much(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    file = box_glb()
    file.description["accessors"][0] |= change
    with pytest.raises(BrokenShapeError, match=reason):
        read(tmp_path, file)


def test_numbers_that_overlap(tmp_path: Path) -> None:
    file = box_glb()
    file.description["bufferViews"][0]["byteStride"] = 1
    with pytest.raises(BrokenShapeError, match="numbers of 12 bytes, each 1 after the one before"):
        read(tmp_path, file)


def test_draco_without_a_fallback(tmp_path: Path) -> None:
    file = box_glb()
    primitive = file.description["meshes"][0]["primitives"][0]
    primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    assert len(read(tmp_path, file).faces) == 12  # its plain numbers are there, too
    del file.description["accessors"][0]["bufferView"]
    with pytest.raises(BrokenShapeError, match="Draco"):
        read(tmp_path, file)


def test_torn_and_other_files(tmp_path: Path) -> None:
    whole = box_glb().glb()
    for content, reason in (
        (b"", "the file is empty"),
        (b"hello\nworld\n", "not a readable GLB file"),
        (b"glTF\2", "truncated: a GLB file has at least 20 bytes"),
        (whole[:-40], "truncated: it promises"),
        (whole[:200], "truncated: it promises"),
        (b"[1]", "its JSON is no object"),
        (struct.pack("<4sIIII", b"glTF", 1, 40, 20, 0) + b"{}" * 10, r"a glTF 1\.0 file; glTF 2\.0 is read"),
    ):
        with pytest.raises(BrokenShapeError, match=reason):
            read(tmp_path, content)
    with pytest.raises(BrokenShapeError, match="No such file"):
        read_gltf(tmp_path / "gone.glb")
    with pytest.raises(UserError, match=r"a\.glb is not a shape: a glTF 1"):
        read_shape(tmp_path / "a.glb")


def test_a_file_read_again_and_again_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = box_glb()
    (tmp_path / "n.bin").write_bytes(file.binary)
    text = json.loads(file.gltf("n.bin"))
    text["buffers"] *= 50
    for index, view in enumerate(text["bufferViews"]):
        view["buffer"] = index
    for index, buffer in enumerate(text["buffers"]):
        text["buffers"][index] = buffer | {"uri": "./" * index + "n.bin"}
    monkeypatch.setattr("adacross.data.formats.gltf.LARGEST", len(file.binary) + 1)
    assert len(read(tmp_path, json.dumps(text), "a.gltf").faces) == 12
