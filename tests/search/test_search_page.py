"""The search page as its user meets it: started as typed, in a real browser, with real clicks and files."""

import csv
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import PATIENCE, launched
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect
from playwright.sync_api import TimeoutError as TimedOut
from waiting import HANGS

from adacross.data.collection.collection import Collection
from adacross.search.scale import WORDS

pytestmark = pytest.mark.slow
log = logging.getLogger(__name__)  # what pytest shows where a test fails


@dataclass
class Served:
    """A running `adacross search`."""

    address: str
    labels: Path
    process: "subprocess.Popen[str]"


@pytest.fixture(scope="module")
def served(
    own_run: Path, toy_collection: Collection, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with socket.socket() as taken:  # the page moves on to the next port
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "adacross", "search", str(own_run), str(toy_collection.folder)]
        command += ["--no-browser", "--device", "cpu", "--labels", "labels.csv"]
        command += ["--port", str(taken.getsockname()[1])]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        process = subprocess.Popen(  # NiceGUI behaves differently where it sees pytest
            command, cwd=folder, stderr=subprocess.PIPE, text=True, env=environment | {"COLUMNS": "200"}
        )
        assert process.stderr
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            raise AssertionError("".join(lines))
        assert int(found[1]) != taken.getsockname()[1]
    yield Served(found[0], folder / "labels.csv", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(HANGS) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    assert {path.name for path in folder.iterdir()} <= {"labels.csv"}  # nothing else is left behind


@dataclass
class Opened:
    """A page, and what went wrong on it."""

    page: Page
    troubles: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with launched() as browser:
        yield browser


@pytest.fixture
def opened(served: Served, browser: Browser) -> Iterator[Opened]:
    """The page, fresh; at the end nothing may have gone wrong, nor been asked for elsewhere."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.set_default_timeout(PATIENCE)
    result = Opened(page)
    page.on("console", lambda message: noted(message, result))
    page.on("load", lambda: log.warning("the page was loaded; what it had been asked is forgotten"))
    page.on("pageerror", lambda error: result.troubles.append(str(error)))
    own = re.compile(f"{served.address}|{served.address.replace('http', 'ws')}|data:|blob:")
    page.on("request", lambda request: own.match(request.url) or result.troubles.append(request.url))
    page.on("websocket", lambda one: own.match(one.url) or result.troubles.append(one.url))
    page.goto(served.address)
    page.wait_for_selector(".card")
    yield result
    page.close()
    assert result.troubles == []


def noted(message: ConsoleMessage, result: Opened) -> None:
    """Keep what went wrong, but for what Plotly says of a plot that vanishes while it is being drawn."""
    log.warning("console, %s: %s", message.type, message.text[:300])
    if message.type == "error" and not re.match(r"Error: <svg> attribute .*NaN", message.text):
        result.troubles.append(message.text)


def ids(page: Page, where: str = ".columns .card") -> list[str]:
    return page.locator(f"{where} figcaption small").all_inner_texts()


def choose(page: Page, label: str, option: str) -> None:
    """Choose an option of a list. On a busy machine Quasar may leave an open list without a place, unseen."""
    found = page.get_by_role("option", name=option, exact=True)
    for _ in range(5):
        page.get_by_label(label).click()
        with suppress(TimedOut):
            found.click(timeout=5000)
            return
    found.click()


def searched(page: Page, name: str) -> list[str]:
    """Wait for a search's results."""
    expect(page.locator(".results h2")).to_have_text(f"Similar to {name}")
    return ids(page)


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_it_opens_with_pictures_of_the_collection(opened: Opened, toy_collection: Collection) -> None:
    page = opened.page
    assert page.title() == "toy · adacross search"
    assert len(ids(page)) == 24
    assert set(ids(page)) <= set(toy_collection.ids)
    page.wait_for_function(
        "[...document.querySelectorAll('.card img')].slice(0, 10).every(i => i.naturalWidth)"
    )
    assert fits(page)


def test_a_shape_is_opened_turned_and_searched_with(opened: Opened, toy_collection: Collection) -> None:
    page = opened.page
    name = ids(page)[2]
    page.locator(".columns .card button.image").nth(2).click()
    viewer = page.locator(".viewer")
    expect(viewer.locator(".heading small")).to_have_text(name)
    plot = viewer.locator(".solid")
    plot.locator("canvas").first.wait_for()
    eye = "getElement(Number(document.querySelector('.viewer .solid').id.slice(1))).camera.position.x"
    before = page.evaluate(eye)
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 90, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    page.wait_for_function(f"Math.abs({eye} - {before}) > 0.1")
    expect(viewer.locator(".card")).to_have_count(6)
    near = ids(page, ".viewer .card")
    assert name not in near
    viewer.locator("button.image").nth(1).click()  # on to a neighbor
    expect(viewer.locator(".heading small")).to_have_text(near[1])
    viewer.get_by_text("Search with this shape").click()
    found = searched(page, near[1])
    assert len(found) == 24
    assert near[1] not in found
    viewer.wait_for(state="hidden")


def test_results_are_filtered_and_sorted(opened: Opened, toy_collection: Collection) -> None:
    page = opened.page
    asked = ids(page)[3]
    page.get_by_role("button", name=f"search with {asked}").click()
    searched(page, asked)
    values = [WORDS.index(text) for text in page.locator(".columns .card .value").all_inner_texts()]
    assert len(values) == 24
    assert values == sorted(values)
    expect(page.locator(".measured")).to_contain_text("Measured here")
    page.get_by_label("Order by").click()
    page.get_by_role("option", name="Name").click()
    page.wait_for_function(
        "(() => { const t = [...document.querySelectorAll('.columns .card small')].map(e => e.textContent);"
        " return t.length && t.join() === [...t].sort().join(); })()"
    )
    chosen = sorted(toy_collection.info.classes)[1]
    choose(page, "Classes", chosen)
    page.keyboard.press("Escape")
    expect(page.locator(".results .above small").first).to_contain_text("of 1 classes")
    assert set(page.locator(".columns .card .title").all_inner_texts()) == {chosen}
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(".columns .card")).to_have_count(24)


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    import trimesh

    path = tmp_path / "a chair.off"
    trimesh.creation.box((1, 2, 0.4)).export(path)
    return path


def test_a_mesh_is_chosen_and_a_picture_dropped(
    opened: Opened, mesh: Path, toy_collection: Collection, tmp_path: Path
) -> None:
    page = opened.page
    page.locator("input[type=file]").set_input_files(mesh)
    assert len(searched(page, "a chair.off")) == 24
    page.wait_for_selector(".query .solid canvas")
    expect(page.locator(".results .above small").first).to_contain_text("shape-to-shape search")
    Image.fromarray(toy_collection.view(5, 0)).save(tmp_path / "photo.png")
    content = list((tmp_path / "photo.png").read_bytes())
    data = page.evaluate_handle(
        "content => { const data = new DataTransfer(), bytes = new Uint8Array(content);"
        " data.items.add(new File([bytes], 'photo.png', { type: 'image/png' })); return data; }",
        content,
    )
    for event in ("dragover", "drop"):  # Quasar listens on what it lays over the field while a file hovers
        target = ".uploader" if event == "dragover" else ".uploader .q-uploader__dnd"
        page.dispatch_event(target, event, {"dataTransfer": data})
    assert len(searched(page, "photo.png")) == 24
    expect(page.locator(".results .above small").first).to_contain_text("image-to-shape search")
    page.wait_for_function("document.querySelector('.query img')?.naturalWidth === 32")


def test_broken_unknown_and_oversized_files_are_said(opened: Opened, tmp_path: Path, served: Served) -> None:
    page = opened.page
    kept = page.locator(".results h2").inner_text()
    trouble = page.get_by_role("alert").first
    for name, content, words in (
        ("broken.stl", b"solid nothing\nfacet", "broken.stl is not a shape"),
        ("notes.docx", b"words", "notes.docx is neither a shape nor an image"),
        ("torn.png", b"\x89PNG\r\n\x1a\n????", "torn.png cannot be read"),
    ):
        (tmp_path / name).write_bytes(content)
        page.locator("input[type=file]").set_input_files(tmp_path / name)
        expect(trouble).to_contain_text(words)
        expect(page.locator(".results h2")).to_have_text(kept)  # what was there stays
    with (tmp_path / "huge.ply").open("wb") as handle:
        handle.truncate(64 * 2**20 + 1)
    page.locator("input[type=file]").set_input_files(tmp_path / "huge.ply")
    expect(trouble).to_contain_text("larger than 64 MB")
    request = urllib.request.Request(
        f"{served.address}/_nicegui/client/x/upload/1", data=b"", headers={"Content-Length": str(2**30)}
    )
    with pytest.raises(urllib.error.HTTPError, match="413"):  # whoever does not ask the browser
        urllib.request.urlopen(request, timeout=HANGS)


def test_a_foreign_name_is_refused(served: Served) -> None:
    request = urllib.request.Request(served.address, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=HANGS)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{served.address}/image/100000", timeout=HANGS)


def answer(address: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what the server says."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data, given), timeout=HANGS) as found:
            return found.status, {name.lower(): value for name, value in found.headers.items()}, found.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1"])
def test_other_sites_are_refused(origin: str, served: Served) -> None:
    for path, data in (
        (SOCKET, None),
        ("/", None),
        ("/image/1", None),
        ("/_nicegui/client/x/upload/1", b"x"),
    ):
        status, headers, _ = answer(served.address + path, data, Origin=origin)
        assert status == 403
        assert "access-control-allow-origin" not in headers
    status, headers, body = answer(served.address + SOCKET, Origin=served.address)
    assert status == 200
    assert body.startswith(b"0{")
    assert headers["access-control-allow-origin"] == served.address


def test_a_socket_of_another_site_is_refused(served: Served) -> None:
    """As a browser opens it, without asking first."""
    host, port = served.address.removeprefix("http://").split(":")
    for origin, status in (("http://evil.example", b"403"), (served.address, b"101")):
        lines = (
            "GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1", f"Host: {host}:{port}",
            f"Origin: {origin}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "",
        )  # fmt: skip
        with socket.create_connection((host, int(port)), timeout=HANGS) as line:
            line.sendall("\r\n".join(lines).encode())
            assert line.recv(1000).split()[1] == status


def test_another_site_may_link_to_the_page_alone(served: Served) -> None:
    """What browsers say of an image, a frame and a script of another site; and of a link there."""
    for mode, kind, status in (
        ("no-cors", "image", 403), ("no-cors", "script", 403), ("navigate", "iframe", 403),
        ("cors", "empty", 403), ("navigate", "document", 200),
    ):  # fmt: skip
        for site in ("cross-site", "same-site"):
            said = {"Sec_Fetch_Site": site, "Sec_Fetch_Mode": mode, "Sec_Fetch_Dest": kind}
            assert answer(served.address, **said)[0] == status
    own = {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}
    assert answer(f"{served.address}/image/1", **own)[0] == 200


def test_every_answer_forbids_frames_and_guesses(served: Served) -> None:
    for path in ("/", "/image/1", "/image/100000", "/nothing", "/favicon.ico", SOCKET):
        _, headers, _ = answer(served.address + path)
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"] == "frame-ancestors 'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_unknown_paths_build_no_page(served: Served) -> None:
    for path in ("/nothing", "/nothing/at/all", "/_nicegui/nothing", "/docs", "/index.html", "/image/"):
        status, headers, body = answer(served.address + path)
        assert (status, len(body) < 100) == (404, True), path
        assert headers["content-type"].startswith("text/plain")


def test_pages_that_have_gone_are_given_back(own_run: Path, toy_collection: Collection) -> None:
    child = Path(__file__).with_name("page_child.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, str(child), str(toy_collection.folder), str(own_run)],
        env=environment, capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "5 0"


def test_the_map_shows_and_opens_shapes(opened: Opened, toy_collection: Collection) -> None:
    page = opened.page
    page.get_by_role("tab", name="Map").click()
    page.wait_for_selector(".map canvas")
    page.wait_for_function("document.querySelector('.map')._fullLayout?._plots?.xy")
    count = page.evaluate("document.querySelector('.map').data.reduce((n, t) => n + t.customdata.length, 0)")
    assert count == len(toy_collection)
    card = page.locator("#hover-card")
    for _ in range(PATIENCE // 1000):  # the map may still be growing, or drawing, when the pointer comes
        x, y = page.evaluate(
            "(() => { const map = document.querySelector('.map'), box = map.getBoundingClientRect(),"
            " { xaxis, yaxis } = map._fullLayout, t = map.data[3];"
            " return [box.x + xaxis._offset + xaxis.c2p(t.x[0]), box.y + yaxis._offset + yaxis.c2p(t.y[0])];"
            " })()"
        )
        page.mouse.move(x - 4, y)
        page.wait_for_timeout(100)  # Plotly looks at the pointer at most every 50 ms
        page.mouse.move(x, y)
        page.wait_for_timeout(500)
        if card.is_visible():
            break
    card.wait_for()
    assert card.inner_text().strip() in toy_collection.info.classes
    page.mouse.click(x, y)
    page.locator(".viewer .heading small").wait_for()
    assert page.locator(".viewer .heading small").inner_text() in toy_collection.ids
    page.get_by_role("button", name="close").click()
    page.locator(".viewer").wait_for(state="hidden")
    assert fits(page)


def labeled(served: Served) -> dict[str, str]:
    with served.labels.open(newline="") as handle:
        return {row["id"]: row["class"] for row in csv.DictReader(handle)}


def test_labels_are_given_confirmed_and_taken_back(opened: Opened, served: Served) -> None:
    page = opened.page
    page.get_by_role("tab", name="Label").click()
    cards = page.locator(".labeling .grid > .card")
    expect(cards).to_have_count(12)
    names = ids(page, ".labeling .grid > .card")
    given = {}
    for place, kind in ((0, "thing"), (1, "other thing")):  # classes that nobody knew
        box = cards.nth(place).get_by_role("combobox")
        box.fill(kind)
        box.press("Enter")
        expect(cards.nth(place).locator(".title").first).to_have_text(f"✓ {kind}")
        given[names[place]] = kind
        assert labeled(served) == given
    expect(page.locator(".labeling h2")).to_have_text("2 of 220 shapes labeled, 2 classes")
    cards.nth(1).get_by_role("button", name="undo other thing").click()
    expect(page.locator(".labeling h2")).to_have_text("1 of 220 shapes labeled, 1 classes")
    assert labeled(served) == {names[0]: "thing"}
    box = cards.last.get_by_role("combobox")
    box.fill("other thing")
    box.press("Enter")
    expect(page.locator(".labeling h2")).to_contain_text("2 of 220")
    page.get_by_text("Suggest more").click()
    confirm = page.locator(".labeling button.confirm")
    expect(confirm).to_have_count(12)
    first = cards.first
    proposed, name = first.locator(".title").inner_text(), first.locator("small").inner_text()
    assert proposed in ("thing", "other thing")
    assert re.fullmatch(r"\d+ %", first.locator(".value").inner_text())
    confirm.first.click()
    expect(page.locator(".labeling h2")).to_contain_text("3 of 220")
    assert labeled(served)[name] == proposed
    assert fits(page)


def test_a_name_finds_and_more_are_shown(opened: Opened, toy_collection: Collection) -> None:
    page = opened.page
    page.get_by_role("button", name="Show more").scroll_into_view_if_needed()  # as who reads on
    page.wait_for_function("document.querySelectorAll('.columns .card').length >= 48")
    wanted = [name for name in toy_collection.ids if "chair" in name]
    page.get_by_label("Name, part number or class").fill("CHAIR")
    expect(page.locator(".results .above small").first).to_contain_text(f"{len(wanted)} shapes")
    assert sorted(ids(page)) == sorted(wanted)
    page.get_by_label("Name, part number or class").fill("no such part")
    expect(page.locator(".results .grid")).to_contain_text("No shape is like that")


def test_several_are_selected_labeled_and_saved(opened: Opened, served: Served) -> None:
    page = opened.page
    chosen = ids(page)[3:5]
    for name in chosen:
        page.get_by_role("button", name=f"select {name}").click()
    bar = page.get_by_role("region", name="Selected shapes")
    expect(bar).to_contain_text("2 selected")
    with page.expect_download() as saved:
        bar.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(saved.value.path().read_text(encoding="utf-8").splitlines()))
    assert [row["id"] for row in rows] == chosen
    bar.get_by_role("combobox").fill("chosen thing")
    bar.get_by_role("combobox").press("Enter")
    bar.get_by_role("button", name="Label").click()
    expect(bar).to_be_hidden()
    assert [labeled(served)[name] for name in chosen] == ["chosen thing"] * 2


def test_the_lasso_selects(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("tab", name="Map").click()
    page.wait_for_selector(".map canvas")
    page.get_by_role("button", name="Select with the lasso").click()
    page.wait_for_function("document.querySelector('.map')._fullLayout?.dragmode === 'lasso'")
    box = page.locator(".map .nsewdrag").bounding_box()
    assert box
    corners = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99), (0.01, 0.02)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()
    expect(page.get_by_role("region", name="Selected shapes")).to_contain_text("220 selected")
    page.get_by_role("button", name="clear the selection").click()
    expect(page.get_by_role("region", name="Selected shapes")).to_be_hidden()


def test_the_map_has_colors_by_cluster(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("tab", name="Map").click()
    page.wait_for_selector(".map canvas")
    page.get_by_label("Color by").click()
    page.get_by_role("option", name="Cluster").click()
    page.wait_for_function("document.querySelector('.map')?.data?.some(t => t.name === 'cluster 1')")


def test_duplicates_are_found(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("tab", name="Duplicates").click()
    page.get_by_role("button", name="Find copies").click()
    expect(page.locator(".duplicates .note")).to_contain_text("among 220 shapes")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(scheme: Literal["light", "dark"], opened: Opened) -> None:
    """axe-core finds no violation of WCAG 2.1 A and AA, nor of its best practices."""
    page = opened.page
    page.emulate_media(color_scheme=scheme)
    late: list[Route] = []  # a request that waits until the end

    def keep(route: Route) -> None:
        late.append(route)

    page.route("**/late", keep)
    page.evaluate("const late = new XMLHttpRequest(); late.open('GET', '/late'); late.send()")
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    for tab, sign in (("Map", ".map canvas"), ("Duplicates", ".duplicates"), ("Label", ".labeling .card"),
                      ("Search", ".columns .card")):  # fmt: skip
        page.get_by_role("tab", name=tab).click()
        page.locator(sign).first.wait_for()
        found = Axe().run(page, options=rules)
        assert not found.violations_count, f"{tab}: {found.generate_report()}"
    page.locator(".columns .card button.image").first.click()
    page.locator(".viewer .near .card").first.wait_for()
    found = Axe().run(page, options=rules)
    assert not found.violations_count, found.generate_report()
    late[0].fulfill(body="")


def test_the_tab_key_reaches_the_files(opened: Opened) -> None:
    page = opened.page
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.ariaLabel") == "Choose files to search with":
            return
    raise AssertionError("the Tab key passes by")


def test_a_narrow_window_is_enough(opened: Opened) -> None:
    page = opened.page
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
