"""Make the pictures of the search page again: `make demo`, then

    python docs/make_search_pictures.py demo

Searches built-in shapes, with larger pictures than the demo's, by the demo's encoder.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from adacross import UserError, prepare

IMAGES = Path(__file__).parent / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PATIENCE = 180_000  # ms; drawing in software, and the map is laid out first
QUERY = "bottle"  # of the built-in classes


def main(demo: Path) -> None:
    run = demo / "run-seed0"
    if not (run / "encoder").is_dir():
        raise UserError(f"{run} has no encoder; run `make demo` first.")
    browser_path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser_path is None:
        raise UserError(f"none of {', '.join(BROWSERS)} is installed; the pictures are taken in one of them.")
    shapes = demo / "search-shapes"
    if not (shapes / "collection.json").exists():
        prepare("builtin", str(shapes), count=1320, views=1, size=176, points=1024, seed=1)
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "adacross", "search", str(run.resolve()), str(shapes.resolve())]
        process = subprocess.Popen([*command, "--no-browser"], cwd=folder, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr
            address = next(
                (word for line in process.stderr for word in line.split() if word.startswith("http")), None
            )
            if address is None:
                raise UserError("the search page could not be started.")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
                page = browser.new_page(viewport={"width": 1240, "height": 800})
                page.set_default_timeout(PATIENCE)
                page.goto(address)
                take(page)
                browser.close()
        finally:
            process.terminate()
            process.wait()
    for name in ("search", "search-map"):
        path = IMAGES / f"{name}.png"
        Image.open(path).convert("RGB").quantize(160, dither=Image.Dither.NONE).save(path, optimize=True)


def take(page: Page) -> None:
    """A search with a shape, and the map with a shape under the cursor."""
    page.wait_for_selector(".card")
    card = page.locator(".results .card", has=page.locator(f"text='{QUERY}'")).first
    card.hover()
    card.get_by_role("button", name="search with").click()
    page.wait_for_function("document.querySelector('.results h2').textContent.startsWith('Similar to')")
    page.locator(".measured").wait_for()
    page.mouse.move(620, 60)
    page.wait_for_timeout(4000)
    page.screenshot(path=IMAGES / "search.png")
    page.get_by_role("tab", name="Map").click()
    page.wait_for_selector(".map canvas")
    page.wait_for_timeout(4000)
    x, y = page.evaluate(
        "(() => { const map = document.querySelector('.map'), box = map.getBoundingClientRect(),"
        " { xaxis, yaxis } = map._fullLayout, trace = map.data[8];"
        " const x = xaxis._offset + xaxis.c2p(trace.x[0]), y = yaxis._offset + yaxis.c2p(trace.y[0]);"
        " return [box.x + x, box.y + y];"
        " })()"
    )
    page.mouse.move(x - 5, y)
    page.wait_for_timeout(300)
    page.mouse.move(x, y)
    page.locator("#hover-card").wait_for()
    page.wait_for_timeout(1500)
    page.screenshot(path=IMAGES / "search-map.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo"))
