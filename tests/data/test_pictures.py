"""Ready-made pictures of every mode and size, and files that are none."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from adacross.data.images import on_white, open_picture, read_views

SIDE = 16


def rendering(seed: int, width: int = SIDE, height: int = SIDE) -> Image.Image:
    """RGBA: colors in the middle, transparent black around."""
    pixels = np.zeros((height, width, 4), np.uint8)
    inner = pixels[height // 4 : -(height // 4), width // 4 : -(width // 4)]
    inner[:] = np.random.default_rng(seed).integers(0, 256, size=inner.shape)
    inner[..., 3] = 255
    return Image.fromarray(pixels)


def test_every_color_of_every_transparency_is_blended_exactly() -> None:
    color, alpha = np.indices((256, 256)).astype(np.uint8)
    exact = (alpha / 255) * color + (1 - alpha / 255) * 255
    blended = np.asarray(on_white(Image.fromarray(np.stack([color, color, color, alpha], axis=-1))))
    np.testing.assert_array_equal(blended, np.floor(exact + 0.5 + 1e-9)[..., None].repeat(3, 2))


def test_a_picture_becomes_square_with_itself_in_the_middle() -> None:
    for width, height in ((10, 4), (4, 10), (7, 7)):
        pixels = np.random.default_rng(0).integers(0, 255, size=(height, width, 3)).astype(np.uint8)
        square = np.asarray(on_white(Image.fromarray(pixels)))
        side = max(width, height)
        assert square.shape == (side, side, 3)
        top, left = (side - height) // 2, (side - width) // 2
        np.testing.assert_array_equal(square[top : top + height, left : left + width], pixels)
        assert (square == 255).all(-1).sum() == side * side - width * height


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "1"])
def test_pictures_of_other_modes(tmp_path: Path, mode: str) -> None:
    picture = rendering(0).convert(mode)
    picture.save(tmp_path / "a.png", **({"transparency": 0} if mode == "P" else {}))
    views, remarks = read_views([tmp_path / "a.png"], 1, SIDE)
    assert views is not None
    assert not remarks
    assert (
        views[0, 0, 0] == (255 if mode in ("LA", "P") else 0)
    ).all()  # black where there is no transparency
    inner = np.asarray(picture.convert("RGB"))[SIDE // 2, SIDE // 2]
    np.testing.assert_array_equal(views[0, SIDE // 2, SIDE // 2], inner)


def stored(picture: Image.Image, kind: str, **options: Any) -> Image.Image:
    sink = io.BytesIO()
    picture.save(sink, kind, **options)
    return open_picture(sink.getvalue())


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_as_its_camera_was(kind: str, turn: int) -> None:
    pixels = np.zeros((32, 16), np.uint8)
    pixels[:16, :8] = 255  # upright: the corner above left is light
    turns = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.T, 6: np.rot90(pixels), 7: np.rot90(pixels.T, 2), 8: np.rot90(pixels, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = turn
    shown = stored(Image.fromarray(np.ascontiguousarray(turns[turn])).convert("RGB"), kind, exif=exif)
    assert shown.size == (16, 32)
    np.testing.assert_allclose(np.asarray(shown.convert("L")).astype(int), pixels, atol=12)


def test_sixteen_bits_are_eight_and_a_linear_picture_is_as_screens_show_it() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(stored(Image.fromarray(values.astype(np.uint16) * 257), "PNG"), values)
    linear = PngImagePlugin.PngInfo()
    linear.add(b"gAMA", (100_000).to_bytes(4, "big"))
    expected = np.round(255 * (values / 255) ** (1 / 2.2))
    for mode in ("L", "RGBA"):
        shown = np.asarray(stored(Image.fromarray(values).convert(mode), "PNG", pnginfo=linear).convert("L"))
        np.testing.assert_array_equal(shown, expected)
    usual = PngImagePlugin.PngInfo()
    usual.add(b"gAMA", (45_455).to_bytes(4, "big"))
    np.testing.assert_array_equal(stored(Image.fromarray(values), "PNG", pnginfo=usual), values)


def test_no_more_are_opened_than_wanted(tmp_path: Path) -> None:
    for i in range(2):
        rendering(i).save(tmp_path / f"{i}.png")
    paths = [tmp_path / name for name in ("0.png", "1.png", "gone.png")]
    views, remarks = read_views(paths, 2, SIDE)
    assert views is not None
    assert not remarks
    np.testing.assert_array_equal(views, [np.asarray(on_white(rendering(i))) for i in range(2)])
    views, remarks = read_views(paths, 5, SIDE)
    assert views is not None
    assert len(remarks) == 2
    assert remarks[0].startswith("gone.png cannot be read")
    assert remarks[1] == "2 of 5 images, repeated in turn"
    np.testing.assert_array_equal(views, views[[0, 1, 0, 1, 0]])


def test_a_cut_file_is_not_half_a_picture(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size=(64, 64, 4)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    for length in (0, 4, 20, 40, len(whole) // 2, len(whole) - 100):
        (tmp_path / "a.png").write_bytes(whole[:length])
        views, remarks = read_views([tmp_path / "a.png"], 1, SIDE)
        assert views is None
        assert len(remarks) == 1
        assert str(tmp_path) not in remarks[0]
    (tmp_path / "a.png").write_bytes(whole[:500] + b"\xff" * 20 + whole[520:])
    assert read_views([tmp_path / "a.png"], 1, SIDE)[0] is None


def test_many_broken_pictures_are_counted(tmp_path: Path) -> None:
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(b"no")
    views, remarks = read_views([*sorted(tmp_path.iterdir()), tmp_path / "gone.png"], 2, SIDE)
    assert views is None
    assert [remark.split(" ")[0] for remark in remarks] == ["0.png", "1.png", "2.png", "3"]
    assert remarks[-1] == "3 more images cannot be read"


def test_no_pictures() -> None:
    assert read_views([], 2, SIDE) == (None, [])
