"""The local server: addresses, pictures, limits."""

import socket
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adacross.console import console
from adacross.errors import UserError
from adacross.search.drawing import png, shape_picture
from adacross.search.index import SearchIndex

LARGEST = 64 * 2**20  # bytes of an uploaded file
_FORM = 64 * 2**10  # what a form adds to its file
_PORTS = 50  # tried from the one that was asked for

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class LimitUploads:
    """Refuses requests that bring more than a file may have, before anybody reads them.

    The browser refuses such files first; this holds for whatever does not ask the browser.
    """

    def __init__(self, app: App, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "http" and scope["method"] in ("POST", "PUT"):
            length = dict(scope["headers"]).get(b"content-length", b"")
            if not length.isdigit() or int(length) > self.most:
                text = f"expected a file of at most {self.most // 2**20} MB.".encode()
                headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
                await send({"type": "http.response.start", "status": 413, "headers": headers})
                await send({"type": "http.response.body", "body": text})
                return
        await self.app(scope, receive, send)


def serve(index: SearchIndex, *, host: str, port: int, labels: Path | None, browser: bool) -> None:
    """Show the page until Ctrl-C.

    Args:
        index: what is searched.
        host: address to listen at.
        port: first port to try.
        labels: the CSV file of the part "Label".
        browser: whether to open the page.

    Raises:
        UserError: the extra `app` is not installed, or no port is free.
    """
    if find_spec("nicegui") is None:
        raise UserError(
            "the search page needs NiceGUI: pip install 'adacross[app]'. Without it: "
            "adacross search COLLECTION ENCODER --query FILE"
        )
    from nicegui import app, ui
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import Response

    from adacross.search.page.frame import build_page
    from adacross.search.page.labels import Labels

    kept = Labels.read(labels, index) if labels else None
    free = free_port(host, port)
    address = f"http://{'localhost' if host == '0.0.0.0' else host}:{free}"
    if host in ("127.0.0.1", "localhost"):  # a foreign site must not reach the page under its own name
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    app.add_middleware(LimitUploads, most=LARGEST + _FORM)

    @app.get("/picture/{i}")
    def picture(i: int) -> Response:
        if not 0 <= i < len(index.collection):
            return Response(status_code=404)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(png(shape_picture(index.collection, i)), media_type="image/png", headers=headers)

    app.on_startup(lambda: console.print(f"{index.collection.info.name}: {address}   (Ctrl-C ends)"))
    try:
        ui.run(
            lambda: build_page(index, kept),
            host=host,
            port=free,
            title=f"{index.collection.info.name} · adacross search",
            favicon=str(Path(__file__).with_name("favicon.svg")),
            show=browser,
            reload=False,
            tailwind=False,
            show_welcome_message=False,
            reconnect_timeout=60,  # drawing may keep a slow browser from answering
        )
    except KeyboardInterrupt:
        return


def free_port(host: str, first: int) -> int:
    """The first port from `first` on that nobody listens at.

    Raises:
        UserError: none is free, or the address is none of this machine's.
    """
    reason: OSError | None = None
    for port in range(first, min(first + _PORTS, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return port
            except OSError as error:
                reason = error
    raise UserError(f"nothing can listen at {host}, ports {first} to {first + _PORTS - 1}: {reason}.")
