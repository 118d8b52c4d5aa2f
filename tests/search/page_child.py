"""Builds pages of a collection, lets them go, and says how many are left: `page_child.py COLLECTION RUN`."""

import asyncio
import gc
import os
import sys
from functools import partial
from pathlib import Path

os.environ["NICEGUI_USER_SIMULATION"] = "true"  # `ui.run` sets everything up and does not listen

import httpx
from nicegui import app, core, ui
from nicegui.client import Client

from adacross.search.index import SearchIndex
from adacross.search.page.label_tab import LabelFile
from adacross.search.page.layout import build_page
from adacross.search.page.search_tab import SearchTab


async def visit(pages: int) -> tuple[int, int]:
    """Pages that are there after some visits, and parts of them that are kept when they have gone."""
    core.loop = asyncio.get_running_loop()
    app.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as browser:
        for _ in range(pages):
            assert (await browser.get("/")).status_code == 200
    built = len(Client.instances)
    Client.prune_instances(client_age_threshold=0)  # what NiceGUI does with pages that nobody looks at
    gc.collect()
    return built, sum(type(one) is SearchTab for one in gc.get_objects())


index = SearchIndex(sys.argv[1], sys.argv[2], device="cpu")
labels = LabelFile.read(Path("labels.csv"), index)
ui.page("/")(partial(build_page, index, labels))
ui.run(storage_secret="any", reload=False)
sys.stdout.write("{} {}\n".format(*asyncio.run(visit(5))))
