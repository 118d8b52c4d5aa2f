"""Meshes: closed forms, symmetries, and the two backends against each other and against brute force."""

import math

import numpy as np
import pytest
import trimesh

from adacross.data.rendering import render
from adacross.data.rendering.camera import Camera, orbit
from adacross.data.rendering.render import render_mesh
from adacross.data.rendering.shading import AMBIENT, GREY, HEADLIGHT, KEY, KEY_DIRECTION
from adacross.data.rendering.zbuffer import visible_faces
from adacross.data.shape import Mesh
from adacross.errors import UserError

BACKENDS = ("embree", "zbuffer")


def mesh_of(source: trimesh.Trimesh, colors: np.ndarray | None = None) -> Mesh:
    vertices, faces = np.asarray(source.vertices, np.float64), np.asarray(source.faces, np.int64)
    return Mesh(vertices.copy(), faces.copy(), face_colors=colors)


def box(size: float = 1.0) -> Mesh:
    return mesh_of(trimesh.creation.box(extents=(size, size * 0.8, size * 0.5)))


def sphere(radius: float = 1.0) -> Mesh:
    return mesh_of(trimesh.creation.icosphere(4, radius=radius))


def random_triangles(count: int, seed: int = 0) -> Mesh:
    rng = np.random.default_rng(seed)
    vertices = (rng.uniform(-0.5, 0.5, (count, 1, 3)) + rng.normal(scale=0.15, size=(count, 3, 3))).reshape(
        -1, 3
    )
    colors = rng.integers(0, 256, (count, 3), dtype=np.uint8)
    return Mesh(vertices, np.arange(3 * count).reshape(-1, 3), face_colors=colors)


def open_sphere() -> Mesh:
    whole = sphere(0.9)
    keep = whole.vertices[whole.faces].mean(1)[:, 1] < 0.3
    return Mesh(whole.vertices, whole.faces[keep])


def huge_triangle() -> Mesh:
    """Far larger than the picture; one corner lies behind every camera of the orbit's front half."""
    vertices = np.array([[-0.3, -0.4, -30.0], [40.0, -0.4, -30.0], [-0.3, -0.4, 60.0]])
    return Mesh(vertices, np.array([[0, 1, 2]]))


def shapes() -> dict[str, Mesh]:
    return {
        "box": box(),
        "sphere": sphere(),
        "random": random_triangles(300),
        "open": open_sphere(),
        "huge": huge_triangle(),
        "one": random_triangles(1, seed=5),
    }


def drawn(pictures: np.ndarray) -> np.ndarray:
    return (pictures < 255).any(-1)


@pytest.mark.parametrize("size", [64, 150])
@pytest.mark.parametrize("name", shapes())
def test_backends_agree_apart_from_edges(name: str, size: int) -> None:
    """At most one pixel in 200 may differ by more than rounding; in fact almost none does."""
    mesh, cameras = shapes()[name], orbit(3)
    ray, raster = (render_mesh(mesh, cameras, size, backend).astype(int) for backend in BACKENDS)
    differs = (np.abs(ray - raster) > 2).any(-1)
    assert drawn(ray).mean() > 0.005
    assert differs.mean() < 0.005


def brute_force(mesh: Mesh, camera: Camera, size: int) -> np.ndarray:
    """Möller and Trumbore's test of every ray with every triangle."""
    origin, rays = np.array(camera.position), camera.rays(size).astype(np.float64)
    best, face = np.full(len(rays), np.inf), np.full(len(rays), -1)
    for index, (a, b, c) in enumerate(mesh.vertices[mesh.faces]):
        cross = np.cross(rays, c - a)
        determinant = cross @ (b - a)
        u = cross @ (origin - a) / determinant
        q = np.cross(origin - a, b - a)
        v = rays @ q / determinant
        distance = q @ (c - a) / determinant
        nearer = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0) & (distance < best)
        best[nearer], face[nearer] = distance[nearer], index
    return face


@pytest.mark.parametrize("name", ["random", "huge", "one"])
def test_zbuffer_finds_the_very_faces_brute_force_finds(name: str) -> None:
    mesh, camera = shapes()[name], orbit(4)[0]
    expected = brute_force(mesh, camera, 40)
    found = visible_faces(mesh, camera, 40)
    assert (found != expected).mean() < 0.001
    assert len(np.unique(expected)) > 1
    pixels = np.random.default_rng(0).choice(1600, 90, replace=False)
    assert np.array_equal(visible_faces(mesh, camera, 40, pixels), found[pixels])


def test_zbuffer_in_chunks_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, camera = random_triangles(200), orbit(1)[0]
    whole = visible_faces(mesh, camera, 64)
    monkeypatch.setattr("adacross.data.rendering.zbuffer.BLOCKS", 30)
    assert np.array_equal(visible_faces(mesh, camera, 64), whole)


def test_zbuffer_leaves_no_hole_where_triangles_meet() -> None:
    """A finely tiled square whose tiles' borders pass through pixel centres."""
    camera, size = Camera((0.0, 0.0, 3.0)), 64
    reach = 3 * camera.slope
    ticks = np.linspace(-reach, reach, 2 * size + 1)  # every second one is a pixel centre
    vertices = np.stack([*np.meshgrid(ticks, ticks), np.zeros((2 * size + 1,) * 2)], -1).reshape(-1, 3)
    first = (np.arange(2 * size)[:, None] * (2 * size + 1) + np.arange(2 * size)).ravel()
    quads = first[:, None] + np.array([0, 1, 2 * size + 2, 2 * size + 1])
    mesh = Mesh(vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))
    assert (visible_faces(mesh, camera, size) >= 0).all()


def test_zbuffer_draws_nothing_for_triangles_seen_from_their_side() -> None:
    camera = Camera((0.0, 0.0, 3.0))
    edge_on = Mesh(np.array([[0.0, -0.5, -0.5], [0, 0.5, 0], [0, 0, 0.5]]), np.array([[0, 1, 2], [1, 1, 2]]))
    assert (visible_faces(edge_on, camera, 33) == -1).mean() > 0.99


@pytest.mark.parametrize("backend", BACKENDS)
def test_sphere_covers_its_closed_form_area(backend: str) -> None:
    """A sphere of radius r at distance d is a disc of radius cot-projected r / sqrt(d^2 - r^2)."""
    camera, size, radius = orbit(1)[0], 200, 0.7
    distance = math.dist(camera.position, (0, 0, 0))
    disc = radius / math.sqrt(distance**2 - radius**2) / camera.slope * size / 2
    picture = render_mesh(sphere(radius), [camera], size, backend)[0]
    soft = (255 - picture[..., 0]).clip(0, 1)  # pixels touched at all, which adds half a pixel of rim
    assert math.pi * (disc - 0.5) ** 2 < soft.sum() < math.pi * (disc + 1.0) ** 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_unit_sphere_touches_the_borders_and_is_not_cut(backend: str) -> None:
    seen = drawn(render_mesh(sphere(1.0), orbit(1), 100, backend))[0]
    assert seen[:2].any()
    assert seen[-2:].any()
    assert seen[:, :2].any()
    assert seen[:, -2:].any()
    assert not seen[0, :30].any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("winding", [1, -1])
def test_a_face_turned_to_the_camera_has_the_light_the_equation_says(backend: str, winding: int) -> None:
    """Two-sided: reversing the winding changes nothing."""
    camera = Camera((0.0, 0.0, 3.0))
    vertices = np.array([[-1.0, -1, 0], [1, -1, 0], [0, 1, 0]])
    picture = render_mesh(Mesh(vertices, np.array([[0, 1, 2]])[:, ::winding]), [camera], 33, backend)[0]
    expected = GREY * (AMBIENT + HEADLIGHT + KEY * KEY_DIRECTION[2])
    assert np.abs(picture[16, 16].astype(float) - expected).max() <= 0.5
    assert (picture[0, 0] == 255).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_face_colours_appear_where_the_faces_are(backend: str) -> None:
    source = trimesh.creation.box(extents=(1, 1, 1))
    normals = np.asarray(source.face_normals)
    colors = (np.abs(normals) * 255).round().astype(np.uint8)  # x red, y green, z blue
    picture = render_mesh(mesh_of(source, colors), [Camera((2.0, 2.0, 2.0))], 65, backend)[0].astype(int)
    inside = picture[(picture.min(-1) < 30)]
    shares = [(inside.argmax(-1) == channel).mean() for channel in range(3)]
    assert all(0.25 < share < 0.42 for share in shares)
    assert picture[15, 32].argmax() == 1  # from above one sees the top


@pytest.mark.parametrize("backend", BACKENDS)
def test_turning_the_object_is_turning_the_camera(backend: str) -> None:
    mesh, cameras = random_triangles(120), orbit(6)
    angle = 2 * math.pi / 6
    turn = np.array(
        [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    )
    turned = Mesh(mesh.vertices @ turn.T, mesh.faces, face_colors=mesh.face_colors)
    still = render_mesh(mesh, cameras, 80, backend).astype(int)
    moved = render_mesh(turned, cameras, 80, backend).astype(int)
    differs = (np.abs(np.roll(moved, -1, axis=0) - still) > 2).any(-1)
    assert differs.mean() < 0.002
    assert (still[0] != still[1]).any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_pictures_repeat_and_do_not_depend_on_the_batch(backend: str) -> None:
    mesh, cameras = random_triangles(60), orbit(4, np.random.default_rng(1))
    together = render_mesh(mesh, cameras, 140, backend)
    assert together.shape == (4, 140, 140, 3)
    assert np.array_equal(together, render_mesh(mesh, cameras, 140, backend))
    for camera, picture in zip(cameras, together, strict=True):
        assert np.array_equal(render_mesh(mesh, [camera], 140, backend)[0], picture)


def test_edges_of_large_pictures_are_as_smooth_as_a_full_supersample() -> None:
    """Refining only where neighbours differ must equal refining everywhere, up to the contrast threshold."""
    mesh, cameras = box(), orbit(1)
    fine = render_mesh(mesh, cameras, 300).astype(int)[0]
    assert len(np.unique(fine)) > 10  # three faces and white alone would be four levels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "FINE", 1000)
        everywhere = render_mesh(mesh, cameras, 300).astype(int)[0]
    assert (np.abs(fine - everywhere) > render.CONTRAST).any(-1).mean() < 0.0005


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [1, 32, 140])
def test_odd_meshes_are_drawn_without_complaint(backend: str, size: int) -> None:
    vertices = np.array([[0.0, 0, 0], [0.5, 0, 0], [1, 0, 0], [0.2, 1e-12, 0], [0, 0.5, 0.1]])
    no_faces = Mesh(vertices, np.empty((0, 3), dtype=np.int64))
    flat = Mesh(vertices, np.array([[0, 1, 2], [0, 0, 0], [0, 1, 3]]))
    tiny = Mesh(vertices * 1e-9, np.array([[0, 1, 4]]))
    for mesh in (no_faces, flat, tiny, Mesh(np.zeros((0, 3)), np.empty((0, 3), dtype=np.int64))):
        pictures = render_mesh(mesh, orbit(2), size, backend)
        assert pictures.shape == (2, size, size, 3)
        assert drawn(pictures).mean() < 0.05 or size == 1


def test_no_cameras_no_pictures() -> None:
    assert render_mesh(box(), [], 32).shape == (0, 32, 32, 3)


def test_wrong_names_and_sizes_are_user_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="at least 1"):
        render_mesh(box(), orbit(1), 0)
    with pytest.raises(UserError, match=r"'zbufer'.*Did you mean 'zbuffer'.*embree"):
        render._visibility(box(), "zbufer")
    monkeypatch.setattr(render, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install embreex.*zbuffer"):
        render_mesh(box(), orbit(1), 16, "embree")


def test_auto_takes_the_zbuffer_where_embree_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, cameras = random_triangles(50), orbit(2)
    raster = render_mesh(mesh, cameras, 48, "zbuffer")
    monkeypatch.setattr(render, "find_spec", lambda name: None)
    monkeypatch.setattr(render, "_embree", lambda mesh: pytest.fail("embree was used"))
    assert np.array_equal(render_mesh(mesh, cameras, 48), raster)
