"""The local server: addresses, images, limits."""

import socket
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adacross.console import console
from adacross.data.rendering.notebook import png
from adacross.errors import UserError, install
from adacross.search.index import SearchIndex

_FORM = 64 * 2**10  # what a form adds to its file
_PORTS = 50  # tried from the one that was asked for
_HEADERS = (  # of every answer: in no frame, of the type it says, and not for other sites
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_GONE = 499  # nginx's status of a client that left before its answer


class Guard:
    """Refuses requests of other sites and uploads that are too large.

    A page of another site can make the browser in which it is open ask any address of this machine. `Origin`
    must be the address that is asked (`Host`), and by `Sec-Fetch-Site` another site may link to the page, but
    not load it as an image, a script or a frame. Programs other than browsers send neither.
    """

    def __init__(self, app: App, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            try:
                await self.app(scope, receive, guarded)
            except RuntimeError as error:
                if str(error) != "No response returned.":  # Starlette's word for a browser that has gone
                    raise
                # NiceGUI's own middleware lies around this one and would complain in the same words.
                await guarded({"type": "http.response.start", "status": _GONE, "headers": []})
                await guarded({"type": "http.response.body", "body": b""})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # answered with 403 before it is open
        else:
            status, words = refusal
            headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
            await guarded({"type": "http.response.start", "status": status, "headers": headers})
            await guarded({"type": "http.response.body", "body": words.encode()})

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and the reason of a refusal, None for a request that may pass."""
        given: dict[bytes, bytes] = dict(scope["headers"])
        host = given.get(b"host", b"").lower()
        for name, value in scope["headers"]:
            if name == b"origin" and value.lower().partition(b"://")[2] != host:
                return 403, "expected a request of this page, not of another site."
        opened = given.get(b"sec-fetch-mode") == b"navigate" and given.get(b"sec-fetch-dest") == b"document"
        if given.get(b"sec-fetch-site") in (b"cross-site", b"same-site") and not opened:
            return 403, "expected a request of this page, not of another site."
        if scope.get("method") in ("POST", "PUT"):
            length = given.get(b"content-length", b"")
            if not length.isdigit() or int(length) > self.most:
                return 413, f"expected a file of at most {self.most // 2**20} MB."
        return None


def serve(index: SearchIndex, host: str, port: int, labels: Path | None, *, browser: bool) -> None:
    """Serve the page until Ctrl-C."""
    if find_spec("nicegui") is None:
        raise UserError(
            f"the search page needs NiceGUI, which is not installed. {install('app')}. Without it: "
            "adacross search ENCODER COLLECTION --query FILE"
        )
    from nicegui import app, ui
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import PlainTextResponse, Response

    from adacross.search.page.label_tab import LabelFile
    from adacross.search.page.layout import build_page
    from adacross.search.page.widgets import LARGEST

    label_file = LabelFile.read(labels, index) if labels else None
    free = free_port(host, port)
    address = f"http://{'localhost' if host == '0.0.0.0' else host}:{free}"
    if host in ("127.0.0.1", "localhost"):  # a foreign site must not reach the page under its own name
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    app.add_middleware(Guard, most=LARGEST + _FORM)

    @ui.page("/")
    def page() -> None:
        build_page(index, label_file)

    # By default NiceGUI builds a page for an unknown address.
    app.add_exception_handler(404, lambda request, error: PlainTextResponse("nothing is here.", 404))

    @app.get("/image/{i}")
    def image(i: int) -> Response:
        if not 0 <= i < len(index.collection):
            return Response(status_code=404)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(png(index.collection.thumbnail(i)), media_type="image/png", headers=headers)

    app.on_startup(lambda: console.print(f"{index.collection.info.name}: {address}   (Ctrl-C ends)"))
    try:
        ui.run(
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
    """Return the first free port from `first` on."""
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
