"""The report as a reader meets it: in a browser, from a file, without a network."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from chromium import PATIENCE, launched
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Locator, Page

from adacross.report import RunData, render, write_report

pytestmark = pytest.mark.slow
CONTRAST = """() => {
  const parse = (text) => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color[3] > 0.99) return color;
    }
    return [255, 255, 255, 1];
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    const drawn = node.closest("script, style, .heatmaplayer, .barlayer");
    if (!own || drawn || !node.getClientRects().length) continue;
    const style = getComputedStyle(node);
    const a = light(parse(node instanceof SVGElement ? style.fill : style.color)), b = light(ground(node));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${node.tagName} ${node.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return low;
}"""


@dataclass
class Opened:
    """A page, and what went wrong on it."""

    page: Page
    troubles: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@contextmanager
def opened(browser: Browser, file: Path, *, width: int = 1280, dark: bool = False) -> Iterator[Opened]:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",  # no smooth scrolling: what was measured stays where it was
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    result = Opened(page)
    page.on("console", lambda message: message.type == "error" and result.troubles.append(message.text))
    page.on("pageerror", lambda error: result.troubles.append(str(error)))
    page.on(
        "request",
        lambda request: re.match("file:|data:|blob:", request.url) or result.troubles.append(request.url),
    )
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    yield result
    context.close()


@pytest.fixture(scope="module")
def report(full_run: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(full_run), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def desktop(browser: Browser, report: Path) -> Iterator[Opened]:
    """One page for all tests on a large screen; at the end nothing may have gone wrong on it."""
    with opened(browser, report) as found:
        yield found
        assert found.troubles == []


def pixels(page: Page, selector: str) -> np.ndarray:
    shot = page.locator(selector).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(np.int64)


def until(page: Page, expression: str) -> None:
    """Wait until a JavaScript expression holds; Playwright's own wait needs eval, which the page forbids."""
    for _ in range(PATIENCE // 50):
        if page.evaluate(f"Boolean({expression})"):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {expression}")


def at_rest(page: Page, target: Locator) -> FloatRect:
    """Where `target` is once the page has stopped moving: plots above it may still be growing."""
    before = None
    for _ in range(PATIENCE // 200):
        box = target.bounding_box()
        if box and box == before:
            return box
        before = box
        page.wait_for_timeout(200)
    raise AssertionError(f"{target} never comes to rest")


def colored(image: np.ndarray) -> np.ndarray:
    """Pixels that belong to points of a cloud; everything else is gray."""
    return np.ptp(image, axis=2) > 60


def drawn(page: Page, selector: str) -> np.ndarray:
    """Pixels of a cloud once it is drawn whole: WebGL draws after the page is laid out."""
    before = pixels(page, selector)
    for _ in range(PATIENCE // 200):
        page.wait_for_timeout(200)
        image = pixels(page, selector)
        if colored(image).sum() > 500 and np.array_equal(image, before):
            return image
        before = image
    raise AssertionError(f"{selector} is never drawn")


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_it_opens_without_error_or_request(desktop: Opened) -> None:
    assert desktop.troubles == []
    assert desktop.page.title() == "AdaCrossNet · DGCNN · shapes"
    assert fits(desktop.page)


def test_every_plot_is_drawn(desktop: Opened) -> None:
    page = desktop.page
    assert page.locator("#map-plot .points path.point").count() == 120
    assert page.locator("#map-plot .annotation").count() == 12
    assert page.locator("#curve-loss .scatterlayer .js-line").count() == 6  # raw and smoothed
    for name, lines in (("weights", 2), ("monitor", 2), ("lr", 1)):
        assert page.locator(f"#curve-{name} .scatterlayer .js-line").count() == lines
    assert page.locator("#confusion-plot .heatmaplayer image").count() == 1
    assert page.locator("#confusion-plot .bars path").count() == 12
    blank = page.evaluate("[...document.images].filter((i) => i.complete && !i.naturalWidth).length")
    assert blank == 0


def test_smoothing_can_be_switched_off(desktop: Opened) -> None:
    desktop.page.locator("#smooth").uncheck()
    until(desktop.page, "document.querySelectorAll('#curve-loss .scatterlayer .js-line').length === 3")
    desktop.page.locator("#smooth").check()
    until(desktop.page, "document.querySelectorAll('#curve-loss .scatterlayer .js-line').length === 6")


def test_pointing_at_the_map_shows_the_shape(desktop: Opened, full_run: RunData) -> None:
    page = desktop.page
    assert full_run.embedding
    page.locator("#map-plot").scroll_into_view_if_needed()
    card = page.locator("#hover-card")
    assert not card.is_visible()
    for _ in range(PATIENCE // 1000):  # a plot that is still being laid out does not hear the pointer
        box = at_rest(page, page.locator("#map-plot .points path.point").first)
        page.mouse.move(box["x"] + box["width"] / 2 - 3, box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)  # Plotly looks at the pointer at most every 50 ms
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(900)
        if card.is_visible():
            break
    card.wait_for(state="visible")
    assert card.locator("small").inner_text() in {shape.id for shape in full_run.embedding.cards}
    assert card.locator("div").inner_text() == "armchair"
    until(page, "document.querySelector('#hover-card img').naturalWidth === 112")
    page.mouse.move(2, 2)
    card.wait_for(state="hidden")


def test_a_class_can_be_picked_on_the_map(desktop: Opened) -> None:
    chip = desktop.page.locator(".chips button").nth(3)
    points = "[...document.querySelectorAll('#map-plot .points path.point')]"
    faded = f"{points}.filter((point) => point.style.opacity < 0.5).length"
    chip.click()
    assert chip.get_attribute("aria-pressed") == "true"
    until(desktop.page, f"{faded} === 110")
    chip.click()
    until(desktop.page, f"{faded} === 0")


def test_a_cloud_turns_under_the_mouse_and_is_upright(desktop: Opened) -> None:
    page = desktop.page
    page.locator("#scene-0").scroll_into_view_if_needed()
    page.wait_for_selector("#scene-0 canvas")
    eye = "JSON.stringify(document.getElementById('scene-0')._fullLayout.scene._scene.getCamera().eye)"
    until(page, "document.getElementById('scene-0')._fullLayout?.scene?._scene")
    before, first = page.evaluate(eye), drawn(page, "#scene-0")
    rows, columns = np.nonzero(colored(first))
    red, blue = (first[rows, columns, channel] for channel in (0, 2))
    assert (
        rows[red > blue + 60].mean() < rows[blue > red + 60].mean() - 30
    )  # high points are yellow, and above
    box = page.locator("#scene-0").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y, steps=4)
    page.mouse.up()
    until(page, f"{eye} !== '{before}'")
    for _ in range(PATIENCE // 50):
        if (np.abs(pixels(page, "#scene-0") - first).max(axis=2) > 60).mean() > 0.01:
            break
        page.wait_for_timeout(50)
    else:
        raise AssertionError("the cloud looks as it did before it was turned")
    page.locator('input[value="part"]').check()
    until(page, "Array.isArray(document.getElementById('scene-0').data[0].marker.color)")
    assert page.evaluate("new Set(document.getElementById('scene-0').data[0].marker.color).size") == 3


def test_light_text_has_contrast(desktop: Opened) -> None:
    assert desktop.page.evaluate(CONTRAST) == []


def test_paper_is_light_even_for_a_dark_screen(browser: Browser, report: Path) -> None:
    with opened(browser, report, width=390, dark=True) as found:
        page = found.page
        background = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(background) == "rgb(19, 20, 22)"
        assert page.evaluate(CONTRAST) == []
        assert fits(page)
        assert not page.locator("#labels").is_checked()  # no room for names on a telephone
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate(background) == "rgb(253, 253, 251)"
        assert not page.locator("nav").is_visible()
        page.emulate_media(media="screen", color_scheme="light")
        tick = "getComputedStyle(document.querySelector('#curve-lr .xtick text')).fill"
        until(page, f"{tick} === 'rgb(90, 94, 101)'")  # the plots follow the theme
        assert found.troubles == []


@pytest.mark.parametrize(("width", "dark", "rows"), [(1280, False, 1), (1280, True, 1), (390, True, 2)])
def test_masked_and_completed_shapes_stand_side_by_side(
    browser: Browser, masked_run: Path, tmp_path: Path, width: int, dark: bool, rows: int
) -> None:
    path = write_report(masked_run, output=tmp_path / "masked.html")
    with opened(browser, path, width=width, dark=dark) as found:
        page = found.page
        assert page.title() == "Joint-MAE · Point-M2AE · toy"
        assert page.locator('nav a[href="#completed"]').inner_text() == "Masked reconstruction"
        assert page.locator(".completion").count() == 6
        boxes = [at_rest(page, image) for image in page.locator(".completion").first.locator("img").all()]
        assert len(boxes) == 7
        assert len({round(box["y"]) for box in boxes}) == rows
        assert [box["x"] for box in boxes[:3]] == sorted(box["x"] for box in boxes[:3])
        assert [box["x"] for box in boxes[3:]] == sorted(box["x"] for box in boxes[3:])
        assert all(box["width"] == pytest.approx(box["height"], abs=1) and box["width"] > 70 for box in boxes)
        page.locator(".completion img").last.scroll_into_view_if_needed()
        until(page, "[...document.querySelectorAll('.completion img')].pop().naturalWidth === 160")
        assert page.locator("#curve-loss .scatterlayer .js-line").count() == 8  # raw and smoothed
        assert page.locator("#curve-monitor .legendtext").text_content() == "probe accuracy"
        assert fits(page)
        assert page.evaluate(CONTRAST) == []
        assert found.troubles == []


@pytest.mark.parametrize("width", [390, 1280])
def test_a_report_of_almost_nothing_opens(
    browser: Browser, bare_run: RunData, tmp_path: Path, width: int
) -> None:
    path = tmp_path / "bare.html"
    path.write_text(render(bare_run), encoding="utf-8")
    with opened(browser, path, width=width) as found:
        assert fits(found.page)
        assert "adacross evaluate linear runs/bare gone" in found.page.locator("main").inner_text()
        assert found.page.evaluate(CONTRAST) == []
        assert found.troubles == []
