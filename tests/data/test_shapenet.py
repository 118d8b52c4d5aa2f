"""ShapeNet with ready-made pictures: a few real files of the layout, and everything that goes wrong."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image
from rich.console import Console, RenderableType

from adacross.cli import main
from adacross.data.collection import prepare as prepare_module
from adacross.data.collection.collection import Collection
from adacross.data.collection.description import CollectionInfo
from adacross.data.collection.inspect import inspect
from adacross.data.collection.prepare import prepare
from adacross.data.collection.sample import serve_sample
from adacross.data.formats import format_of, index_source
from adacross.data.formats.base import DatasetIndex
from adacross.data.formats.files import read_mesh
from adacross.data.formats.ply import ply_counts
from adacross.data.formats.shapenet import SYNSETS
from adacross.data.shape import BrokenShapeError, PointCloud

PLANE, CHAIR, UNKNOWN = "02691156", "03001627", "09999999"
POINTS, SIDE, PICTURES = 24, 20, 3
SMALL: dict[str, Any] = {"points": POINTS, "views": PICTURES, "size": SIDE, "workers": 1}


def cloud_of(seed: int, count: int = POINTS) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def ply(points: np.ndarray, *, text: bool = False, colors: np.ndarray | None = None) -> bytes:
    """A cloud as PLY, byte by byte."""
    names = ["property float x", "property float y", "property float z"]
    if colors is not None:
        names += [f"property uchar {name}" for name in ("red", "green", "blue")]
    kind = "ascii" if text else "binary_little_endian"
    head = ["ply", f"format {kind} 1.0", f"element vertex {len(points)}", *names, "end_header", ""]
    if text:
        body = "".join(" ".join(f"{value:.9g}" for value in point) + "\n" for point in points).encode()
    else:
        extra = np.zeros((len(points), 0), np.uint8) if colors is None else colors
        rows = zip(points.astype("<f4"), extra, strict=True)
        body = b"".join(point.tobytes() + color.tobytes() for point, color in rows)
    return "\n".join(head).encode() + body


def pixels_of(seed: int, width: int = SIDE, height: int = SIDE) -> np.ndarray:
    """RGBA like a rendering: colors in the middle, a soft rim, transparent black around."""
    pixels = np.zeros((height, width, 4), np.uint8)
    inner = pixels[height // 4 : -(height // 4), width // 4 : -(width // 4)]
    inner[..., :3] = np.random.default_rng(seed).integers(0, 256, size=inner[..., :3].shape)
    inner[..., 3] = 255
    inner[0, :, 3] = 100
    return pixels


def png(pixels: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def on_white(pixels: np.ndarray) -> np.ndarray:
    """The slow and obvious way."""
    alpha = pixels[..., 3:] / 255
    return np.floor(alpha * pixels[..., :3] + (1 - alpha) * 255 + 0.5).astype(np.uint8)


def write(root: Path, name: str, content: bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_pictures(root: Path, shape: str, seed: int, count: int = PICTURES, side: int = SIDE) -> None:
    folder = f"ShapeNetRendering/{shape}/rendering"
    for i in range(count):
        write(root, f"{folder}/{i:02d}.png", png(pixels_of(100 * seed + i, side, side)))
    write(root, f"{folder}/rendering_metadata.txt", b"71.7 25.6 0 0.7 25")
    write(root, f"{folder}/renderings.txt", b"00.png\n01.png\n")
    write(root, f"{folder}/._00.png", b"what an archive of another system leaves")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five whole shapes: clouds of both kinds, a mesh, three synsets."""
    root = tmp_path / "data"
    write(root, f"ShapeNet/{PLANE}/a1.ply", ply(cloud_of(1)))
    write(root, f"ShapeNet/{PLANE}/a2.ply", ply(cloud_of(2), text=True))
    write(root, f"ShapeNet/{CHAIR}/c1.PLY", ply(cloud_of(3, POINTS + 9)))
    write(root, f"ShapeNet/{CHAIR}/c2.ply", trimesh.creation.box(extents=(1, 8, 2)).export(file_type="ply"))
    write(root, f"ShapeNet/{UNKNOWN}/u.v1.ply", ply(cloud_of(5)))
    names = (f"{PLANE}/a1", f"{PLANE}/a2", f"{CHAIR}/c1", f"{CHAIR}/c2", f"{UNKNOWN}/u.v1")
    for seed, name in enumerate(names, 1):
        write_pictures(root, name, seed)
    return root


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the work of the worker processes here, which is faster."""

    def each(
        function: str, requests: list[dict[str, Any]], workers: int, _: float
    ) -> Iterator[tuple[int, bytes]]:
        for number, request in enumerate(requests):
            yield number, serve_sample(json.loads(json.dumps(request)))

    monkeypatch.setattr(prepare_module, "each", each)


def source_of(folder: Path) -> DatasetIndex:
    return index_source(str(folder))


def prepared(root: Path, **options: Any) -> tuple[Collection, CollectionInfo, dict[str, str], dict[str, str]]:
    """Prepare; also return the skipped shapes and the remarks, by name."""
    folder = root.parent / "collection"
    info = prepare(str(root), str(folder), overwrite=True, **SMALL | options).info
    assert CollectionInfo.read(folder) == info
    skipped, remarks = ({e["name"]: e["reason"] for e in said} for said in (info.skipped, info.warnings))
    return Collection.open(folder), info, skipped, remarks


def text_of(table: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=220)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above


@pytest.mark.slow
def test_typed_as_in_the_help(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line through a worker process, with nothing set aside for testing."""
    folder = root.parent / "collection"
    given = ["--views", "3", "--size", str(SIDE), "--points", str(POINTS), "--test-fraction", "0"]
    assert main(["prepare", str(root), str(folder), "--workers", "1", *given]) == 0
    assert "with warnings" not in capsys.readouterr().out
    collection = Collection.open(folder)
    info = collection.info
    assert (info.format, info.source, info.source_up) == ("shapenet", str(root.resolve()), "y")
    assert (info.count, info.views, info.view_size, info.points) == (5, PICTURES, SIDE, POINTS)
    assert info.splits == {"train": 5, "test": 0}
    assert info.classes == ["09999999", "airplane", "chair"]
    assert collection.ids == [
        f"{PLANE}/a1.ply",
        f"{PLANE}/a2.ply",
        f"{CHAIR}/c1.PLY",
        f"{CHAIR}/c2.ply",
        f"{UNKNOWN}/u.v1.ply",
    ]
    assert collection.labels.tolist() == [1, 1, 2, 2, 0]
    assert not info.skipped
    assert not info.warnings
    for i, seed in enumerate((1, 2, 3, 4, 5)):
        wanted = np.stack([on_white(pixels_of(100 * seed + view)) for view in range(PICTURES)])
        np.testing.assert_array_equal(collection[i].views, wanted)
        assert (wanted[:, 0, 0] == 255).all()  # black before: what lay hidden under alpha 0
    for i, seed in ((0, 1), (1, 2), (4, 5)):
        cloud = cloud_of(seed) - cloud_of(seed).mean(0)
        cloud /= np.linalg.norm(cloud, axis=1).max()
        np.testing.assert_allclose(collection[i].points, cloud, atol=1e-6)
    first = cloud_of(3, POINTS + 9)[:POINTS]
    first -= first.mean(0)
    np.testing.assert_allclose(collection[2].points, first / np.linalg.norm(first, axis=1).max(), atol=1e-6)
    assert np.ptp(collection[3].points, axis=0).argmax() == 1  # the box is high: y is up


def test_pictures_are_resized_after_they_are_put_on_white(root: Path, in_process: None) -> None:
    collection, *_ = prepared(root, size=16)
    for i, seed in enumerate((1, 2, 3, 4, 5)):
        whole = Image.fromarray(on_white(pixels_of(100 * seed + 2)))
        wanted = np.asarray(whole.resize((16, 16), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(collection.view(i, 2), wanted)


def test_first_pictures_by_name(root: Path, in_process: None) -> None:
    collection, info, *_ = prepared(root, views=2)
    assert info.views == 2
    np.testing.assert_array_equal(collection.view(1, 1), on_white(pixels_of(201)))


def test_usual_split_and_other_axes(root: Path, in_process: None) -> None:
    collection, info, *_ = prepared(root, test_fraction=0.4, up="z")
    assert info.splits == {"train": 3, "test": 2}
    assert info.source_up == "z"
    assert np.ptp(collection[3].points, axis=0).argmax() == 2  # its y became -z


def test_parent_or_shapenet_itself(root: Path) -> None:
    for folder in (root, root / "ShapeNet"):
        source = source_of(folder)
        assert (source.format, source.location, len(source.items)) == ("shapenet", str(root.resolve()), 5)
    assert source_of(root / "ShapeNet" / PLANE).format == "files"
    (root / "ShapeNetRendering").rename(root / "elsewhere")
    assert source_of(root).format == "shapenet"
    assert source_of(root / "ShapeNet").format == "files"


def test_names_of_all_55_categories() -> None:
    assert len(SYNSETS) == len(set(SYNSETS.values())) == 55
    assert all(re.fullmatch(r"0\d{7}", synset) for synset in SYNSETS)
    assert list(SYNSETS) == sorted(SYNSETS)


def test_fewer_pictures_than_asked_for(
    root: Path, in_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """What most shapes have decides; a shape with fewer repeats its own."""
    (root / f"ShapeNetRendering/{CHAIR}/c1/rendering/01.png").unlink()
    collection, info, skipped, remarks = prepared(root, views=9)
    assert "the source has 3 images a shape, fewer than the 9 asked for" in capsys.readouterr().err
    assert info.views == 3
    assert not skipped
    assert remarks == {f"{CHAIR}/c1.PLY": "2 of 3 images, repeated in turn"}
    wanted = [on_white(pixels_of(seed)) for seed in (300, 302, 300)]
    np.testing.assert_array_equal(collection[2].views, wanted)


def test_shapes_without_pictures_are_drawn(
    root: Path, in_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (root / f"ShapeNetRendering/{PLANE}/a1/rendering").glob("*.png"):
        path.unlink()
    (root / f"ShapeNetRendering/{CHAIR}").rename(root / "away")
    collection, info, skipped, remarks = prepared(root)
    said = capsys.readouterr().err
    assert "3 of 5 shapes have no image in ShapeNetRendering" in said
    assert not skipped
    assert remarks == {
        f"{name}{end}": f"no PNG file in ShapeNetRendering/{name}/rendering; its images are rendered"
        for name, end in ((f"{PLANE}/a1", ".ply"), (f"{CHAIR}/c1", ".PLY"), (f"{CHAIR}/c2", ".ply"))
    }
    for i in (0, 2, 3):
        assert collection[i].views.shape == (PICTURES, SIDE, SIDE, 3)
        assert (collection[i].views < 250).any(axis=(1, 2, 3)).all()
    text = text_of(info.table())
    assert "included with warnings: 3" in text
    assert "its images are rendered" in text


def test_no_pictures_at_all(root: Path, in_process: None) -> None:
    (root / "ShapeNetRendering").rename(root / "away")
    _, info, skipped, remarks = prepared(root, views=4)
    assert (info.count, info.views, len(remarks)) == (5, 4, 5)
    assert not skipped


def test_broken_pictures_give_way_to_the_next(root: Path, in_process: None) -> None:
    folder = root / f"ShapeNetRendering/{PLANE}/a1/rendering"
    whole = (folder / "00.png").read_bytes()
    (folder / "00.png").write_bytes(whole[: len(whole) // 2])
    (root / f"ShapeNetRendering/{PLANE}/a2/rendering/01.png").write_bytes(b"")
    for i in range(PICTURES):
        (root / f"ShapeNetRendering/{UNKNOWN}/u.v1/rendering/{i:02d}.png").write_bytes(b"not a picture")
    collection, info, skipped, remarks = prepared(root, views=2)
    assert info.count == 5
    assert not skipped
    assert remarks.keys() == {f"{PLANE}/a1.ply", f"{PLANE}/a2.ply", f"{UNKNOWN}/u.v1.ply"}
    assert remarks[f"{PLANE}/a1.ply"].startswith("00.png cannot be read (")
    assert "rendered" not in remarks[f"{PLANE}/a1.ply"]
    assert remarks[f"{UNKNOWN}/u.v1.ply"].endswith("; its images are rendered")
    assert str(root) not in "".join(remarks.values())
    np.testing.assert_array_equal(collection[0].views, [on_white(pixels_of(101)), on_white(pixels_of(102))])
    np.testing.assert_array_equal(collection[1].views, [on_white(pixels_of(200)), on_white(pixels_of(202))])
    assert (collection[4].views < 250).any()


def test_pictures_of_another_size(root: Path, in_process: None) -> None:
    """A wide one is made square with white above and below, so nothing is distorted."""
    wide = pixels_of(7, 2 * SIDE, SIDE)
    wide[..., 3] = 255
    write(root, f"ShapeNetRendering/{PLANE}/a1/rendering/01.png", png(wide))
    collection, _, skipped, remarks = prepared(root)
    assert not skipped
    assert remarks == {f"{PLANE}/a1.ply": "its images have sides from 20 to 40 pixels; all are resized"}
    square = np.full((2 * SIDE, 2 * SIDE, 3), 255, np.uint8)
    square[SIDE // 2 : -SIDE // 2] = wide[..., :3]
    wanted = Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(collection.view(0, 1), np.asarray(wanted))
    np.testing.assert_array_equal(collection.view(0, 0), on_white(pixels_of(100)))


BROKEN = {
    "empty.ply": (b"", "the file is empty"),
    "text.ply": (b"not a cloud", "not a readable PLY file"),
    "cut.ply": (ply(cloud_of(8))[:-5], "truncated: 24 points promised, 23 there"),
    "short.ply": (ply(cloud_of(8), text=True).rsplit(b"\n", 4)[0] + b"\n", "truncated: 24 points promised"),
    "none.ply": (ply(cloud_of(8, 0)), "there is neither a face nor a point in it"),
    "few.ply": (ply(cloud_of(8, 3)), r"3 points, fewer than the 24 of the collection \(--points 3 would"),
    "nan.ply": (
        ply(np.where(np.eye(POINTS, 3) > 0, np.nan, cloud_of(8))),
        "21 points, fewer than the 24 of the collection",
    ),
    "one.ply": (ply(np.ones((POINTS, 3), np.float32)), "all points coincide"),
}


def test_broken_shapes_are_named_and_the_others_are_whole(root: Path, in_process: None) -> None:
    for i, (name, (content, _)) in enumerate(BROKEN.items()):
        write(root, f"ShapeNet/{CHAIR}/{name}", content)
        write_pictures(root, f"{CHAIR}/{Path(name).stem}", 10 + i)
    (root / f"ShapeNet/{CHAIR}/link.ply").symlink_to(root / "nowhere.ply")
    collection, info, skipped, remarks = prepared(root)
    assert info.count == 5
    assert info.points == POINTS  # a cloud of 3 points decides for itself alone
    assert skipped.keys() == {f"{CHAIR}/{name}" for name in (*BROKEN, "link.ply")}
    for name, (_, reason) in BROKEN.items():
        assert re.match(reason, skipped[f"{CHAIR}/{name}"]), skipped[f"{CHAIR}/{name}"]
    assert not remarks
    np.testing.assert_array_equal(collection.view(4, 0), on_white(pixels_of(500)))


def test_files_elsewhere_and_pictures_alone_are_named(root: Path, in_process: None) -> None:
    write(root, "ShapeNet/loose.ply", ply(cloud_of(1)))
    write(root, f"ShapeNet/{PLANE}/deep/model.ply", ply(cloud_of(1)))
    write(root, f"ShapeNet/{PLANE}/a3.obj", b"v 0 0 0\n")
    write(root, f"ShapeNet/{PLANE}/.hidden.ply", b"")
    for name in ("w1", "w2", "w3", "w4"):
        write_pictures(root, f"{PLANE}/{name}", 1, count=1)
    _, info, skipped, _ = prepared(root)
    assert info.count == 5
    assert skipped.pop(f"ShapeNetRendering/{PLANE}") == (
        f"images of 4 without a PLY file in ShapeNet/{PLANE} (w1, w2, w3, ...)"
    )
    assert skipped == dict.fromkeys(
        ("ShapeNet/loose.ply", f"ShapeNet/{PLANE}/deep/model.ply", f"ShapeNet/{PLANE}/a3.obj"),
        "not where a shape belongs: ShapeNet/<synset>/<id>.ply",
    )


def test_fewer_points_than_asked_for(
    root: Path, in_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    collection, info, skipped, _ = prepared(root, points=100)
    assert "the source has 24 points a shape, fewer than the 100 asked for" in capsys.readouterr().err
    assert info.points == POINTS
    assert collection[3].points.shape == (POINTS, 3)  # of the mesh, too
    assert not skipped


def test_a_changed_picture_is_noticed(root: Path) -> None:
    before = [item.fingerprint for item in source_of(root).items]
    write(root, f"ShapeNetRendering/{PLANE}/a2/rendering/02.png", b"changed")
    after = [item.fingerprint for item in source_of(root).items]
    assert [i for i in range(5) if before[i] != after[i]] == [1]


def test_inspect(root: Path) -> None:
    write(root, f"ShapeNet/{CHAIR}/cut.ply", ply(cloud_of(8))[:-5])
    write_pictures(root, f"{CHAIR}/cut", 9)
    (root / f"ShapeNetRendering/{PLANE}/a1").rename(root / "away")
    (root / f"ShapeNetRendering/{PLANE}/a2/rendering/02.png").write_bytes(b"no picture")
    found = inspect(str(root))
    assert found.kind == "shapenet"
    text = text_of(found.table())
    for expected in (
        "shapes      6",
        "09999999 1, airplane 2, chair 3",
        "1 shapes with none, 5 shapes with 3",
        f"{POINTS} a shape",
        "5 of 6 files",
        f"{CHAIR}/cut.ply",
        f"no PNG file in ShapeNetRendering/{PLANE}/a1/rendering",
        "02.png cannot be read",
        f"adacross prepare {root}",
    ):
        assert expected in text


def test_clouds_keep_order_duplicates_and_colors(tmp_path: Path) -> None:
    points = cloud_of(0)
    points[5] = points[3]
    colors = np.random.default_rng(1).integers(0, 256, size=(POINTS, 3)).astype(np.uint8)
    found = read_mesh(write(tmp_path, "a.ply", ply(points, colors=colors)))
    assert isinstance(found, PointCloud)
    np.testing.assert_array_equal(found.points, points)
    np.testing.assert_array_equal(found.colors, colors)
    plain = read_mesh(write(tmp_path, "b.ply", ply(points, text=True)))
    assert isinstance(plain, PointCloud)
    np.testing.assert_array_equal(plain.points.astype(np.float32), points)
    assert plain.colors is None


def test_colored_clouds_are_drawn_in_color(root: Path, in_process: None) -> None:
    red = np.tile(np.array([[250, 0, 0]], np.uint8), (POINTS, 1))
    write(root, f"ShapeNet/{PLANE}/a1.ply", ply(cloud_of(1), colors=red))
    (root / f"ShapeNetRendering/{PLANE}/a1").rename(root / "away")
    drawn = prepared(root)[0][0].views.reshape(-1, 3)
    ink = drawn[(drawn != 255).any(1)].astype(int)
    assert (ink[:, 0] > ink[:, 1]).mean() > 0.9


def test_headers() -> None:
    head = b"ply\nformat ascii 1.0\ncomment element face 9\nelement vertex 12\nproperty float x\n"
    assert ply_counts(head + b"element face 3\nend_header\n1 2 3") == {"vertex": 12, "face": 3}
    assert ply_counts(head + b"element face many\nend_header\n") == {"vertex": 12}
    assert ply_counts(head) == {}
    assert ply_counts(b"\x89PNG") == {}


def test_reading_alone_says_why_not(root: Path) -> None:
    item = source_of(root).items[0]
    with pytest.raises(BrokenShapeError, match="24 points, fewer than the 25"):
        format_of("shapenet").sample(item, 25, np.random.default_rng(0))
    Path(item.path).unlink()
    with pytest.raises(BrokenShapeError, match="No such file"):
        format_of("shapenet").sample(item, 5, np.random.default_rng(0))


@pytest.mark.parametrize("lists", ["", "ShapeNet-55/"])
def test_lists_of_clouds_give_the_split(tmp_path: Path, lists: str) -> None:
    names = [f"{synset}-{number}.npy" for synset in ("02691156", "02691157") for number in range(3)]
    (tmp_path / "shapenet_pc").mkdir()
    for name in names:
        np.save(tmp_path / "shapenet_pc" / name, np.random.default_rng(0).normal(size=(20, 3)))
    (tmp_path / lists).mkdir(exist_ok=True)
    (tmp_path / lists / "train.txt").write_text("\n".join([*names[:3], "../out.npy"]))
    (tmp_path / lists / "test.txt").write_text(f"{names[4]}\n{names[0]}\n")
    for folder in (tmp_path, tmp_path / "shapenet_pc", tmp_path / lists):
        found = index_source(str(folder))
        assert (found.format, found.location) == ("shapenet55", str(tmp_path))
        assert [item.split for item in found.items] == ["train"] * 3 + ["test"]
        assert found.classes == ["02691157", "airplane"]
        assert found.note == (
            f"{lists}train.txt and test.txt give the split. Not read: 2 clouds that neither names."
        )
        reasons = [entry["reason"] for entry in found.skipped]
        assert reasons == ["shapenet_pc/../out.npy is not there", "named twice; its first place counts"]
    loaded = format_of(found.format).sample(found.items[0], 8, np.random.default_rng(0))
    assert loaded.cloud is not None
    assert loaded.cloud.points.shape == (8, 3)
