"""Make the documentation's pictures again: `make demo`, then `make pictures`.

Takes the demo's report and collection, and a vault of known copies, and writes docs/images/. Given the folder
of a Joint-MAE run, whose report has been written, it makes that method's picture, too:

    python docs/make_pictures.py demo runs/joint-mae
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import sync_playwright

from adacross import UserError, find_duplicates, inspect

IMAGES = Path(__file__).parent / "images"
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(demo: Path, joint_mae: Path | None) -> None:
    report = demo / "run-seed0" / "report.html"
    if not report.exists():
        raise UserError(f"{report} does not exist; run `make demo` first.")
    browser_path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser_path is None:
        raise UserError(f"none of {', '.join(BROWSERS)} is installed; the pictures are taken in one of them.")
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.goto(report.resolve().as_uri())
        page.wait_for_timeout(3000)
        page.screenshot(path=IMAGES / "report.png")
        for section in ("training", "neighbors"):
            page.locator(f"#{section}").scroll_into_view_if_needed()
            page.wait_for_timeout(2500)
            page.screenshot(path=IMAGES / f"report-{section}.png")
        with TemporaryDirectory() as folder:
            vault, copies = Path(folder) / "vault", Path(folder) / "copies.html"
            words = [sys.executable, BENCHMARKS / "duplicates.py", "--parts", "16", "--vault", vault]
            subprocess.run(words, check=True)
            find_duplicates(vault, page=str(copies))
            page.goto(copies.as_uri())
            page.screenshot(path=IMAGES / "duplicates.png")
        if joint_mae is not None:
            page.goto((joint_mae / "report.html").resolve().as_uri())
            page.add_style_tag(content="nav { position: static !important }")  # it would lie over the section
            page.wait_for_timeout(3000)
            page.locator("#completed").screenshot(path=IMAGES / "joint-mae.png")
        browser.close()
    inspect(str(demo / "shapes"), sheet=str(IMAGES / "shapes.png"), overwrite=True)
    taken = [
        "report",
        "report-training",
        "report-neighbors",
        "shapes",
        "duplicates",
        *(["joint-mae"] if joint_mae else []),
    ]
    for path in (IMAGES / f"{name}.png" for name in taken):  # a quarter of the bytes, no visible difference
        Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:]] or [Path("demo")]
    main(folders[0], folders[1] if len(folders) > 1 else None)
