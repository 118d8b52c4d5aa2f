"""The report as a reader meets it: in a browser, from a file, without a network."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from chromium import PATIENCE, launched
from made_up import made
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from adacross.evaluation.result import PRETRAINED, Score
from adacross.report import render, write_report
from adacross.report.run import RunData

pytestmark = pytest.mark.slow
CONTRAST = """() => {
  const parse = (text) => { // color-mix is computed as "color(srgb r g b)" with parts up to 1
    const parts = text.match(/[\\d.]+/g).map(Number), scale = text.startsWith("color(") ? 255 : 1;
    return [...parts.slice(0, 3).map((part) => part * scale), parts[3] ?? 1];
  };
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
    if (!own || node.closest("script, style, title") || !node.getClientRects().length) continue;
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

    def listen(message: ConsoleMessage) -> None:
        result.troubles.extend([message.text] if message.type == "error" else [])

    def ask(request: Request) -> None:
        result.troubles.extend([] if re.match("file:|data:|blob:", request.url) else [request.url])

    page.on("console", listen)
    page.on("pageerror", lambda error: result.troubles.append(str(error)))
    page.on("request", ask)
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    yield result
    context.close()


@pytest.fixture(scope="module")
def report(full_run: RunData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    few = [Score.of(PRETRAINED, "accuracy", [1, 0, 1, 1], labels=f"{share} %") for share in (1, 10, 100)]
    results = (*full_run.results, made("fine-tune", few))
    path.write_text(render(replace(full_run, results=results)), encoding="utf-8")
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


def colored(image: np.ndarray) -> np.ndarray:
    """Pixels that belong to points of a cloud; everything else is gray."""
    return np.ptp(image, axis=2) > 60


def drawn(page: Page, selector: str) -> np.ndarray:
    """Pixels of a cloud once it is drawn whole, after the page is laid out."""
    before = pixels(page, selector)
    for _ in range(PATIENCE // 200):
        page.wait_for_timeout(200)
        image = pixels(page, selector)
        if colored(image).sum() > 500 and np.array_equal(image, before):
            return image
        before = image
    raise AssertionError(f"{selector} is never drawn")


def changed(page: Page, selector: str, before: np.ndarray) -> np.ndarray:
    """Pixels of a cloud once it looks otherwise than before."""
    for _ in range(PATIENCE // 50):
        image = pixels(page, selector)
        if (np.abs(image - before).max(axis=2) > 60).mean() > 0.01:
            return image
        page.wait_for_timeout(50)
    raise AssertionError(f"{selector} looks as it did before")


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_it_opens_without_error_or_request(desktop: Opened) -> None:
    assert desktop.troubles == []
    assert desktop.page.title() == "AdaCrossNet · PointNet · toy"
    assert fits(desktop.page)
    blank = desktop.page.evaluate("[...document.images].filter((i) => i.complete && !i.naturalWidth).length")
    assert blank == 0


def visible_lines(page: Page) -> int:
    """Curves of the losses that are drawn, raw ones and smoothed ones."""
    lines = "[...document.querySelectorAll('#training figure:first-child svg g path')]"
    return int(page.evaluate(f"{lines}.filter((line) => getComputedStyle(line).display !== 'none').length"))


def test_smoothing_can_be_switched_off(desktop: Opened) -> None:
    assert visible_lines(desktop.page) == 6
    desktop.page.locator("#smooth").uncheck()
    assert visible_lines(desktop.page) == 3
    desktop.page.locator("#smooth").check()


def test_pointing_at_a_curve_shows_its_values(desktop: Opened, full_run: RunData) -> None:
    page, card = desktop.page, desktop.page.locator("#hover-card")
    plot = page.locator("#training svg[data-window]").nth(3)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    for y in range(10, 60):  # scrolling hides the card, and may end late
        page.mouse.move(box["x"] + box["width"] - 1, box["y"] + y)
        page.wait_for_timeout(100)
        if card.is_visible():
            break
    name, value = card.locator("div").inner_text().split(": ")
    assert name == "learning rate"
    assert float(value) == pytest.approx(full_run.log.values["lr"][-1], abs=2e-6)
    assert float(card.locator("small").inner_text()) == full_run.log.steps[-1]
    page.mouse.move(2, 2)
    card.wait_for(state="hidden")


def test_pointing_at_the_map_shows_the_shape(desktop: Opened, full_run: RunData) -> None:
    page, card = desktop.page, desktop.page.locator("#hover-card")
    assert full_run.collection
    page.locator("#map-plot").scroll_into_view_if_needed()
    assert not card.is_visible()
    dot = page.locator("#map-plot use").first
    box = dot.bounding_box()
    assert box
    for shift in (-2, 2) * 50:  # scrolling hides the card, and may end late
        page.mouse.move(box["x"] + box["width"] / 2 + shift, box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
        if card.is_visible():
            break
    assert card.locator("small").inner_text() in full_run.collection.ids
    assert card.locator("div").inner_text() in full_run.collection.info.classes
    until(page, "document.querySelector('#hover-card img').naturalWidth > 0")
    page.mouse.move(2, 2)
    card.wait_for(state="hidden")


def test_a_class_can_be_picked_on_the_map(desktop: Opened) -> None:
    page, chip = desktop.page, desktop.page.locator(".chips button").nth(3)
    groups = page.locator("#map-plot .group").count()
    chip.click()
    assert chip.get_attribute("aria-pressed") == "true"
    assert page.locator("#map-plot .group.faded").count() == groups - 1
    chip.click()
    assert page.locator("#map-plot .group.faded").count() == 0
    page.locator("#labels").uncheck()
    assert not page.locator("#map-plot text").first.is_visible()
    page.locator("#labels").check()
    assert page.locator("#map-plot text").first.is_visible()


def test_a_cloud_turns_under_the_mouse_and_is_upright(desktop: Opened) -> None:
    page, scene = desktop.page, desktop.page.locator("#scene-0")
    scene.scroll_into_view_if_needed()
    first = drawn(page, "#scene-0")
    rows, columns = np.nonzero(colored(first))
    red, blue = (first[rows, columns, channel] for channel in (0, 2))
    low, high = rows[blue > red + 60], rows[red > blue - 20]
    assert high.mean() < low.mean() - 20  # high points are yellow or green, and above
    box = scene.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y, steps=4)
    page.mouse.up()
    turned = changed(page, "#scene-0", first)
    scene.focus()
    page.keyboard.press("ArrowUp")
    tilted = changed(page, "#scene-0", turned)
    page.mouse.wheel(0, -300)  # it has the focus
    zoomed = changed(page, "#scene-0", tilted)
    assert colored(zoomed).sum() > 1.2 * colored(tilted).sum()
    page.locator('input[value="part"]').check()
    changed(page, "#scene-0", zoomed)
    assert page.locator(".part-names").first.is_visible()


def test_a_page_without_scripts_is_readable(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(report.as_uri())
    for selector in (
        "#training path.curve",
        "#map-plot use",
        "#map-plot text",
        "#scene-0 img",
        ".dot-rows circle",
    ):
        assert page.locator(selector).first.is_visible()
    assert not page.locator("#smooth").is_visible()
    context.close()


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
        line = "getComputedStyle(document.querySelector('#training .c1 path')).stroke"
        assert page.evaluate(line) == "rgb(29, 93, 159)"  # figures follow the theme
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
        images = page.locator(".completion").first.locator("img").all()
        boxes = [box for image in images if (box := image.bounding_box())]
        assert len(boxes) == 7
        assert len({round(box["y"]) for box in boxes}) == rows
        assert [box["x"] for box in boxes[:3]] == sorted(box["x"] for box in boxes[:3])
        assert [box["x"] for box in boxes[3:]] == sorted(box["x"] for box in boxes[3:])
        assert all(box["width"] == pytest.approx(box["height"], abs=1) and box["width"] > 70 for box in boxes)
        page.locator(".completion img").last.scroll_into_view_if_needed()
        until(page, "[...document.querySelectorAll('.completion img')].pop().naturalWidth === 160")
        assert visible_lines(page) == 8
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
