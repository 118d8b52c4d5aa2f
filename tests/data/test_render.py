"""Meshes: closed forms, symmetries, and kernels and NumPy against each other and against brute force."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import trimesh

from adacross.data.procedural import make_mesh
from adacross.data.rendering.camera import Camera, orbit
from adacross.data.rendering.plain import nearest_faces
from adacross.data.rendering.render import render_mesh
from adacross.data.rendering.shading import AMBIENT, GREY, HEADLIGHT, KEY, KEY_DIRECTION, lights_of, shade
from adacross.data.shape import Mesh
from adacross.errors import UserError
from adacross.version import KERNELS

FORMS = pytest.mark.parametrize("form", ["1", "0"], ids=["kernels", "numpy"], indirect=True)


@pytest.fixture(autouse=True)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Draw by kernels, or by NumPy where a test asks for both."""
    chosen = str(getattr(request, "param", "1"))
    monkeypatch.setenv(KERNELS, chosen)
    return chosen


def both(draw: Callable[[], np.ndarray]) -> list[np.ndarray]:
    """Pictures by kernels and by NumPy."""
    pictures = []
    for form in ("1", "0"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(KERNELS, form)
            pictures.append(draw().astype(int))
    return pictures


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


def built_in(category: str, seed: int = 1) -> Mesh:
    """A built-in shape in the unit sphere."""
    mesh = make_mesh(category, seed)
    vertices = mesh.vertices - (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    return Mesh(vertices / np.linalg.norm(vertices, axis=1).max(), mesh.faces, mesh.face_colors)


def drawn(pictures: np.ndarray) -> np.ndarray:
    return (pictures < 255).any(-1)


@pytest.mark.parametrize("size", [1, 2, 63, 64, 150])
@pytest.mark.parametrize("name", shapes())
def test_kernels_draw_what_numpy_draws(name: str, size: int) -> None:
    """Only samples that lie on an edge to the last digit may differ."""
    ours, plain = both(lambda: render_mesh(shapes()[name], orbit(3), size))
    assert drawn(plain).mean() > 0.005 or size < 3
    assert (np.abs(ours - plain) > 1).any(-1).mean() < 2e-4


@pytest.mark.parametrize(
    "category", ["airplane", "bench", "gear", "lamp", "mug", "spring", "teapot", "wrench"]
)
def test_kernels_draw_built_in_shapes_as_numpy_does(category: str) -> None:
    mesh = built_in(category)
    ours, plain = both(lambda: render_mesh(mesh, orbit(4), 96))
    assert drawn(plain).mean() > 0.01
    assert (np.abs(ours - plain) > 1).any(-1).mean() < 2e-4


def rays(camera: Camera, size: int) -> np.ndarray:
    """Directions `(size * size, 3)` through the centers of pixels."""
    steps = ((np.arange(size) + 0.5) / size * 2 - 1) * camera.slope
    x, y = np.meshgrid(steps, -steps)
    return np.stack([x, y, np.full_like(x, -1)], axis=-1).reshape(-1, 3) @ camera.rotation


def brute_force(mesh: Mesh, camera: Camera, size: int) -> np.ndarray:
    """Möller and Trumbore's test of every ray with every triangle."""
    origin, directions = np.array(camera.position), rays(camera, size)
    best, face = np.full(len(directions), np.inf), np.full(len(directions), -1)
    for index, (a, b, c) in enumerate(mesh.vertices[mesh.faces]):
        cross = np.cross(directions, c - a)
        determinant = cross @ (b - a)
        u = cross @ (origin - a) / determinant
        q = np.cross(origin - a, b - a)
        v = directions @ q / determinant
        distance = q @ (c - a) / determinant
        nearer = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0) & (distance < best)
        best[nearer], face[nearer] = distance[nearer], index
    return face.reshape(size, size)


def seen_faces(mesh: Mesh, camera: Camera, size: int) -> np.ndarray:
    return nearest_faces(camera.projection(size), mesh.vertices, mesh.faces, size)


@pytest.mark.parametrize("name", ["random", "huge", "one"])
def test_each_sample_sees_the_face_that_brute_force_finds(name: str) -> None:
    mesh, camera = shapes()[name], orbit(4)[0]
    expected = brute_force(mesh, camera, 40)
    assert (seen_faces(mesh, camera, 40) != expected).mean() < 0.001
    assert len(np.unique(expected)) > 1


def test_numpy_finds_the_same_faces_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, camera = random_triangles(200), orbit(1)[0]
    whole = seen_faces(mesh, camera, 64)
    monkeypatch.setattr("adacross.data.rendering.plain.AT_ONCE", 300)
    assert np.array_equal(seen_faces(mesh, camera, 64), whole)


@FORMS
def test_no_hole_is_left_where_triangles_meet(form: str) -> None:
    """A finely tiled square whose tiles' borders pass through samples."""
    camera, size = Camera((0.0, 0.0, 3.0)), 32
    reach = 3 * camera.slope
    ticks = np.linspace(-reach, reach, 4 * size + 1)  # every second one is a sample
    vertices = np.stack([*np.meshgrid(ticks, ticks), np.zeros((4 * size + 1,) * 2)], -1).reshape(-1, 3)
    first = (np.arange(4 * size)[:, None] * (4 * size + 1) + np.arange(4 * size)).ravel()
    quads = first[:, None] + np.array([0, 1, 4 * size + 2, 4 * size + 1])
    mesh = Mesh(vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))
    assert (seen_faces(mesh, camera, 2 * size) >= 0).all()
    picture = render_mesh(mesh, [camera], size)
    assert (picture == picture[0, 0, 0]).all()
    assert drawn(picture).all()


@FORMS
@pytest.mark.parametrize("name", ["icosphere", "capsule"])
def test_nothing_behind_a_watertight_surface_shines_through(name: str, form: str) -> None:
    """Faces that the camera sees are black, those turned away white: inside of the outline all is black."""
    source = {
        "icosphere": lambda: trimesh.creation.icosphere(5, radius=0.9),
        "capsule": lambda: trimesh.creation.capsule(0.8, 0.4, count=[48, 48]),
    }[name]()
    camera, mesh = orbit(3)[1], mesh_of(source)
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    away = np.einsum("fd,fd->f", np.cross(b - a, c - a), np.array(camera.position) - a) <= 0
    colors = np.where(away[:, None], 255, 0).astype(np.uint8).repeat(3, axis=1)
    seen = drawn(render_mesh(mesh, [camera], 128))[0]
    picture = render_mesh(Mesh(mesh.vertices, mesh.faces, colors), [camera], 128)[0, :, :, 0]
    inside = np.min([np.roll(seen, (i, j), (0, 1)) for i in (-3, 0, 3) for j in (-3, 0, 3)], axis=0)
    assert (picture[inside] == 0).all()
    assert inside.mean() > 0.05


@FORMS
def test_nothing_is_drawn_for_triangles_seen_from_their_side(form: str) -> None:
    camera = Camera((0.0, 0.0, 3.0))
    edge_on = Mesh(np.array([[0.0, -0.5, -0.5], [0, 0.5, 0], [0, 0, 0.5]]), np.array([[0, 1, 2], [1, 1, 2]]))
    assert (seen_faces(edge_on, camera, 33) == -1).mean() > 0.99
    assert drawn(render_mesh(edge_on, [camera], 33)).mean() < 0.01


@FORMS
def test_sphere_covers_its_closed_form_area(form: str) -> None:
    """A sphere of radius r at distance d is a disc of radius cot-projected r / sqrt(d^2 - r^2)."""
    camera, size, radius = orbit(1)[0], 200, 0.7
    distance = math.dist(camera.position, (0, 0, 0))
    disc = radius / math.sqrt(distance**2 - radius**2) / camera.slope * size / 2
    picture = render_mesh(sphere(radius), [camera], size)[0]
    soft = (255 - picture[..., 0]).clip(0, 1)  # pixels touched at all, which adds half a pixel of rim
    assert math.pi * (disc - 0.5) ** 2 < soft.sum() < math.pi * (disc + 1.0) ** 2


@FORMS
def test_unit_sphere_touches_the_borders_and_is_not_cut(form: str) -> None:
    seen = drawn(render_mesh(sphere(1.0), orbit(1), 100))[0]
    assert seen[:2].any()
    assert seen[-2:].any()
    assert seen[:, :2].any()
    assert seen[:, -2:].any()
    assert not seen[0, :30].any()


@FORMS
@pytest.mark.parametrize("winding", [1, -1])
def test_a_face_turned_to_the_camera_has_the_light_the_equation_says(form: str, winding: int) -> None:
    """Two-sided: reversing the winding changes nothing."""
    camera = Camera((0.0, 0.0, 3.0))
    vertices = np.array([[-1.0, -1, 0], [1, -1, 0], [0, 1, 0]])
    picture = render_mesh(Mesh(vertices, np.array([[0, 1, 2]])[:, ::winding]), [camera], 33)[0]
    expected = GREY * (AMBIENT + HEADLIGHT + KEY * KEY_DIRECTION[2])
    assert np.abs(picture[16, 16].astype(float) - expected).max() <= 0.5
    assert (picture[0, 0] == 255).all()


@FORMS
def test_face_colors_appear_where_the_faces_are(form: str) -> None:
    source = trimesh.creation.box(extents=(1, 1, 1))
    normals = np.asarray(source.face_normals)
    colors = (np.abs(normals) * 255).round().astype(np.uint8)  # x red, y green, z blue
    picture = render_mesh(mesh_of(source, colors), [Camera((2.0, 2.0, 2.0))], 65)[0].astype(int)
    inside = picture[(picture.min(-1) < 30)]
    shares = [(inside.argmax(-1) == channel).mean() for channel in range(3)]
    assert all(0.25 < share < 0.42 for share in shares)
    assert picture[15, 32].argmax() == 1  # from above one sees the top


@FORMS
def test_turning_the_object_is_turning_the_camera(form: str) -> None:
    mesh, cameras = random_triangles(120), orbit(6)
    angle = 2 * math.pi / 6
    turn = np.array(
        [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    )
    turned = Mesh(mesh.vertices @ turn.T, mesh.faces, face_colors=mesh.face_colors)
    still = render_mesh(mesh, cameras, 80).astype(int)
    moved = render_mesh(turned, cameras, 80).astype(int)
    differs = (np.abs(np.roll(moved, -1, axis=0) - still) > 2).any(-1)
    assert differs.mean() < 0.002
    assert (still[0] != still[1]).any()


@FORMS
def test_pictures_repeat_and_do_not_depend_on_the_batch(form: str) -> None:
    mesh, cameras = random_triangles(60), orbit(4, np.random.default_rng(1))
    together = render_mesh(mesh, cameras, 140)
    assert together.shape == (4, 140, 140, 3)
    assert np.array_equal(together, render_mesh(mesh, cameras, 140))
    for camera, picture in zip(cameras, together, strict=True):
        assert np.array_equal(render_mesh(mesh, [camera], 140)[0], picture)


@FORMS
def test_a_pixel_is_the_mean_of_its_four_samples(form: str) -> None:
    """Drawn at twice the size, where a picture of one color a face has no mixed pixels but at edges."""
    mesh, camera, size = box(), orbit(1)[0], 90
    owner = seen_faces(mesh, camera, 2 * size)
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    gray = np.full((len(mesh.faces), 3), GREY, np.uint8)
    colors = np.append(shade(gray, np.cross(b - a, c - a), a, lights_of(camera)), [[255.0] * 3], axis=0)
    expected = colors[owner].reshape(size, 2, size, 2, 3).mean((1, 3))
    assert np.abs(render_mesh(mesh, [camera], size)[0] - expected).max() <= 0.51


@FORMS
@pytest.mark.parametrize("size", [1, 32, 140])
def test_odd_meshes_are_drawn_without_complaint(form: str, size: int) -> None:
    vertices = np.array([[0.0, 0, 0], [0.5, 0, 0], [1, 0, 0], [0.2, 1e-12, 0], [0, 0.5, 0.1]])
    no_faces = Mesh(vertices, np.empty((0, 3), dtype=np.int64))
    flat = Mesh(vertices, np.array([[0, 1, 2], [0, 0, 0], [0, 1, 3]]))
    tiny = Mesh(vertices * 1e-9, np.array([[0, 1, 4]]))
    for mesh in (no_faces, flat, tiny, Mesh(np.zeros((0, 3)), np.empty((0, 3), dtype=np.int64))):
        pictures = render_mesh(mesh, orbit(2), size)
        assert pictures.shape == (2, size, size, 3)
        assert drawn(pictures).mean() < 0.05 or size == 1


def test_no_cameras_no_pictures() -> None:
    assert render_mesh(box(), [], 32).shape == (0, 32, 32, 3)


def test_wrong_sizes_and_indices_are_refused() -> None:
    with pytest.raises(UserError, match="at least 1"):
        render_mesh(box(), orbit(1), 0)
    for corner in (-1, 3):
        with pytest.raises(IndexError, match="of 3"):
            render_mesh(Mesh(np.eye(3), np.array([[0, 1, corner]])), orbit(1), 16)


@FORMS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 1e30, 1e12])
def test_corners_without_a_place_harm_no_other_face(value: float, form: str) -> None:
    mesh = sphere(0.8)
    vertices = np.concatenate([mesh.vertices, [[value, 0, 0], [0, value, value]]])
    count = len(mesh.vertices)
    broken = np.array([[0, 1, count], [2, count, count + 1]])
    pictures = render_mesh(Mesh(vertices, np.concatenate([mesh.faces, broken])), orbit(2), 40)
    if not np.isfinite(value) or value > 1e100:
        assert np.array_equal(pictures, render_mesh(mesh, orbit(2), 40))


def test_threads_draw_the_same_pictures() -> None:
    mesh, cameras, before = random_triangles(60), orbit(5), torch.get_num_threads()
    alone = render_mesh(mesh, cameras, 50)
    try:
        torch.set_num_threads(3)
        assert np.array_equal(render_mesh(mesh, cameras, 50), alone)
    finally:
        torch.set_num_threads(before)
