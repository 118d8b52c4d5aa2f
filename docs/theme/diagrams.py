"""Draw the methods' diagrams: `python docs/theme/diagrams.py` writes docs/images/diagrams/*.svg.

The cloud, the picture and the depth map in them are of a built-in chair, made by the program itself.
"""

from pathlib import Path

import numpy as np
import torch
from sketch import Sketch

from adacross.data.procedural import make_mesh
from adacross.data.rendering.render import orbit, render_mesh
from adacross.data.sampling import sample_surface, unit_sphere
from adacross.data.shape import Mesh
from adacross.ops.neighbors import farthest_point_sample
from adacross.ops.projection import depth_map, fit_projection

FOLDER = Path(__file__).parents[1] / "images" / "diagrams"
CATEGORY, SEED = "armchair", 4


def shape() -> tuple[np.ndarray, np.ndarray]:
    """Points `(1024, 3)` of the chair in the unit sphere, and a picture of it `(96, 96, 3)`."""
    mesh = make_mesh(CATEGORY, SEED)
    points, center, scale = unit_sphere(sample_surface(mesh, 1024, np.random.default_rng(0)).points)
    framed = Mesh((mesh.vertices - center) / scale, mesh.faces, mesh.face_colors)
    return points, render_mesh(framed, orbit(6)[5:6], 96)[0]


def seen(points: np.ndarray, yaw: float, pitch: float = 25) -> np.ndarray:
    """Points `(n, 2)` as a parallel camera sees them, in degrees around y and from above."""
    return seen_deep(points, yaw, pitch)[:, :2]


def seen_deep(points: np.ndarray, yaw: float, pitch: float = 25) -> np.ndarray:
    """The same with their depth, `(n, 3)` float32."""
    a, b = np.radians([yaw, pitch])
    turned = points @ np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return (turned @ tilt.T).astype(np.float32)


def cloud_tower(sketch: Sketch, points: np.ndarray, y: float, gap: float, names: tuple[str, str]) -> None:
    """Two augmented clouds around `y`, one encoder for both, and their projections at x = 560."""
    rng = np.random.default_rng(1)
    for sign, yaw, scale in ((-1, 20, 44), (1, 140, 34)):
        place = y + sign * gap
        noisy = points[rng.permutation(1024)[:420]] + rng.normal(0, 0.012, (420, 3))
        sketch.dots(seen(noisy, yaw), 90, place, scale, "three")
        sketch.arrow((150, place), (210, place))
        sketch.arrow((380, place), (412, place))
        sketch.arrow((500, place), (538, place))
        sketch.text(560, place, names[sign > 0], "strong")
    sketch.text(90, y, "two augmentations", "small")
    sketch.box(212, y - gap - 34, 168, 2 * gap + 68, "three", "point encoder", "PointNet or DGCNN", "kept")
    sketch.box(414, y - gap - 34, 86, 2 * gap + 68, "three", "head", "to 256")


def picture_tower(sketch: Sketch, pixels: np.ndarray, y: float, encoder: str, name: str) -> None:
    """One picture at `y`, its ResNet, and its projection at x = 560."""
    sketch.picture(pixels, 56, y - 34, 68)
    sketch.arrow((150, y), (210, y))
    sketch.box(212, y - 30, 168, 60, "two", encoder, "thrown away afterwards")
    sketch.arrow((380, y), (412, y))
    sketch.box(414, y - 30, 86, 60, "two", "head", "to 256")
    sketch.arrow((500, y), (538, y))
    sketch.text(560, y, name, "strong")


def crosspoint(points: np.ndarray, picture: np.ndarray) -> Sketch:
    sketch = Sketch("crosspoint", 960, 380)
    cloud_tower(sketch, points, 120, 68, ("z¹", "z²"))
    picture_tower(sketch, picture, 316, "ResNet-50, color", "h")
    sketch.arrow((578, 52), (640, 52), (700, 52))
    sketch.arrow((578, 188), (660, 188), (660, 84), (700, 84))
    sketch.box(702, 34, 226, 68, "loss", "intra-modal term", "NT-Xent(z¹, z²)")
    sketch.box(612, 214, 60, 44, "plain", "mean")
    sketch.arrow((578, 52), (600, 52), (600, 120), (628, 212), dashed=True)
    sketch.arrow((572, 200), (610, 232), dashed=True)
    sketch.arrow((672, 236), (700, 254))
    sketch.arrow((578, 316), (660, 316), (700, 284))
    sketch.box(702, 232, 226, 72, "loss", "cross-modal term", "NT-Xent(mean of z¹ and z², h)")
    return sketch


def crossnet_terms(sketch: Sketch, points: np.ndarray, picture: np.ndarray) -> None:
    """Towers and both terms, 470 high: what CrossNet and AdaCrossNet share."""
    gray = np.repeat(np.round(picture @ [0.299, 0.587, 0.114])[:, :, None], 3, 2).astype(np.uint8)
    cloud_tower(sketch, points, 120, 68, ("x¹", "x²"))
    picture_tower(sketch, picture, 300, "ResNet-50, color", "yᶜ")
    picture_tower(sketch, gray, 396, "ResNet-50, gray", "yᵍ")
    sketch.arrow((578, 52), (650, 52))
    sketch.arrow((578, 188), (614, 188), (614, 84), (650, 84))
    sketch.box(652, 34, 180, 68, "loss", "intra-modal term", "NT-Xent(x¹, x²)")
    sketch.box(652, 222, 180, 112, "loss", "cross-modal term", "x¹ finds yᶜ", "x² finds yᵍ")
    sketch.arrow((578, 66), (632, 66), (632, 246), (650, 246), dashed=True)
    sketch.arrow((578, 202), (596, 202), (596, 268), (650, 268), dashed=True)
    sketch.arrow((578, 300), (650, 300))
    sketch.arrow((578, 396), (622, 396), (622, 320), (650, 320))


def crossnet(points: np.ndarray, picture: np.ndarray) -> Sketch:
    sketch = Sketch("crossnet", 960, 450)
    crossnet_terms(sketch, points, picture)
    sketch.box(886, 150, 50, 50, "plain", "+", round_=25)
    sketch.arrow((832, 68), (911, 68), (911, 148))
    sketch.arrow((832, 278), (911, 278), (911, 202))
    return sketch


def adacrossnet(points: np.ndarray, picture: np.ndarray) -> Sketch:
    sketch = Sketch("adacrossnet", 1160, 450)
    crossnet_terms(sketch, points, picture)
    for y, name, into in ((68, "L_IM", 148), (278, "L_CM", 202)):
        sketch.text(856, y - 14, name, "small")
        sketch.arrow((832, y), (1088, y), (1088, into))
        sketch.arrow((940, y), (940, 148 if y < 175 else 202), dashed=True)
        sketch.text(1066, y - 14, f"λ{name[1:]} · {name}", "small", "end")
    sketch.box(860, 150, 160, 50, "plain", "weights λ")
    sketch.text(940, 340, "each follows the change", "small")
    sketch.text(940, 358, "of its own term", "small")
    sketch.arrow((1020, 175), (1061, 175), dashed=True)
    sketch.box(1063, 150, 50, 50, "plain", "+", round_=25)
    return sketch


def groups(points: np.ndarray, count: int) -> np.ndarray:
    """`count` points spread as far as can be, `(count, 3)`."""
    return points[farthest_point_sample(torch.from_numpy(points)[None], count)[0].numpy()]


def hidden_around(points: np.ndarray, centers: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Return the points `(n,)` bool that belong to a hidden center."""
    nearest = ((points[:, None] - centers[None]) ** 2).sum(2).argmin(1)
    return ~visible[nearest]


def point_m2ae(points: np.ndarray) -> Sketch:
    sketch = Sketch("point_m2ae", 1000, 400)
    rng = np.random.default_rng(3)
    levels = [groups(points, count) for count in (512, 256, 64)]
    visible = rng.permutation(64) < 13
    masked = hidden_around(points, levels[2], visible)
    sketch.dots(seen(points[~masked], 20), 80, 110, 66, "three", 1.6)
    sketch.dots(seen(points[masked], 20), 80, 110, 66, "three hidden", 1.6)
    sketch.text(80, 200, "80 % hidden", "small")
    words = (("512 tokens", "of 16 points"), ("256 tokens", "of 8 tokens"), ("64 tokens", "of 8 tokens"))
    for level, (centers, (count, members)) in enumerate(zip(levels, words, strict=True)):
        x = 250 + 190 * level
        gone = hidden_around(centers, levels[2], visible)
        sketch.arrow((x - 104 if level else 152, 110), (x - 62, 110))
        sketch.dots(seen(centers[~gone], 20), x, 110, 56, "three", 1.6 + 0.7 * level)
        sketch.dots(seen(centers[gone], 20), x, 110, 56, "three hidden", 1.6 + 0.7 * level)
        sketch.text(x, 24, count, "strong")
        sketch.text(x, 44, members, "small")
        sketch.box(x - 60, 186, 120, 48, "three", "5 blocks", "visible only")
        sketch.arrow((x, 168), (x, 184))
        if level:
            sketch.text(x - 94, 88, "mask", "small")
            sketch.arrow((x - 74, 132), (x - 112, 132), dashed=True)
            sketch.arrow((x - 128, 210), (x - 62, 210))
    sketch.arrow((630, 234), (630, 296))
    sketch.box(570, 298, 120, 48, "plain", "decoder", "64 tokens")
    sketch.arrow((568, 322), (502, 322))
    sketch.box(380, 298, 120, 48, "plain", "decoder", "256 tokens")
    sketch.arrow((440, 234), (440, 296), dashed=True)
    sketch.text(450, 266, "skip", "small", "start")
    sketch.arrow((378, 322), (292, 322))
    sketch.box(60, 292, 230, 60, "loss", "Chamfer distance", "of the hidden groups")
    sketch.arrow((690, 210), (742, 210))
    sketch.box(744, 180, 226, 60, "three", "mean + maximum", "the feature, kept")
    return sketch


def joint_mae(points: np.ndarray) -> Sketch:
    sketch = Sketch("joint_mae", 1080, 440)
    rng = np.random.default_rng(5)
    points = seen_deep(points, 35)
    cloud = torch.from_numpy(points)[None]
    projection = fit_projection(cloud, torch.tensor([0]), 112)
    depth = (255 * depth_map(cloud, projection)[0, 0].numpy()).astype(np.uint8)
    shown = 255 * np.kron(rng.permutation(49).reshape(7, 7) < 12, np.ones((16, 16), np.uint8))
    centers = groups(points, 64)
    masked = hidden_around(points, centers, rng.permutation(64) < 16)
    sketch.dots(points[~masked], 80, 100, 62, "three", 1.6)
    sketch.dots(points[masked], 80, 100, 62, "three hidden", 1.6)
    sketch.picture(np.stack([depth, depth, depth, shown], 2), 24, 282, 112)
    for line in range(16, 112, 16):
        sketch.arrow((24 + line, 282), (24 + line, 394), tip=False, dashed=True)
        sketch.arrow((24, 282 + line), (136, 282 + line), tip=False, dashed=True)
    sketch.text(80, 186, "75 % hidden", "small")
    sketch.text(80, 414, "75 % hidden", "small")
    sketch.arrow((80, 200), (80, 278), dashed=True)
    sketch.text(90, 240, "projected", "small", "start")
    for y, kind, words in ((100, "three", "tokens of points"), (338, "two", "tokens of patches")):
        sketch.arrow((150, y), (180, y))
        sketch.box(182, y - 32, 164, 64, kind, words, "three levels")
        sketch.arrow((346, y), (378, y))
    sketch.box(380, 50, 170, 340, "plain", "joint encoder", "visible tokens of both", "locally aligned")
    sketch.arrow((550, 220), (588, 220))
    sketch.box(590, 150, 140, 140, "plain", "joint decoder", "2 shared blocks,", "then 1 of each")
    sketch.arrow((730, 190), (760, 190), (760, 100), (788, 100))
    sketch.arrow((730, 250), (760, 250), (760, 338), (788, 338))
    sketch.dots(points, 840, 100, 50, "three", 1.3)
    sketch.picture(depth, 794, 292, 92)
    sketch.arrow((894, 100), (916, 100))
    sketch.arrow((888, 338), (916, 338))
    sketch.arrow((840, 162), (840, 220), (916, 220), dashed=True)
    sketch.text(836, 236, "projected", "small", "end")
    sketch.text(836, 252, "once more", "small", "end")
    sketch.box(918, 70, 146, 60, "loss", "points term", "Chamfer distance")
    sketch.box(918, 190, 146, 60, "loss", "cross term", "squared error")
    sketch.box(918, 308, 146, 60, "loss", "depth term", "squared error")
    sketch.arrow((465, 50), (465, 26), (588, 26), dashed=True)
    sketch.text(596, 26, "kept: only the point path", "small", "start")
    return sketch


if __name__ == "__main__":
    chair, view = shape()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for drawn in (
        crosspoint(chair, view),
        crossnet(chair, view),
        adacrossnet(chair, view),
        point_m2ae(chair),
        joint_mae(chair),
    ):
        drawn.save(FOLDER)
