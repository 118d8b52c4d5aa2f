"""The local server: addresses, images, limits."""

import os
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from adacross.console import console
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


LOOPBACK = ("127.0.0.1", "localhost", "::1")
_COOKIE = "adacross-token"


class Guard:
    """Refuses requests of other sites, without the token if there is one, and uploads that are too large.

    A page of another site can make the browser in which it is open ask any address of this machine. `Origin`
    must be the address that is asked (`Host`), and by `Sec-Fetch-Site` another site may link to the page, but
    not load it as an image, a script or a frame. Programs other than browsers send neither.

    The token is part of the address that is opened first (`?token=`), which sets a cookie; programs send it
    as `Authorization: Bearer`.
    """

    def __init__(self, app: App, most: int, token: str = "") -> None:
        self.app = app
        self.most = most
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None and self._brings_token(scope):
            cookie = f"{_COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Lax".encode()
            headers = [(b"location", scope["path"].encode()), (b"set-cookie", cookie)]
            await guarded({"type": "http.response.start", "status": 303, "headers": headers})
            await guarded({"type": "http.response.body", "body": b""})
        elif refusal is None:
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
        if self.token and not (self._brings_token(scope) or self._knows_token(given)):
            return 401, "expected the token: open the address that `adacross search` printed."
        if scope.get("method") in ("POST", "PUT"):
            length = given.get(b"content-length", b"")
            if not length.isdigit() or int(length) > self.most:
                return 413, f"expected a file of at most {self.most // 2**20} MB."
        return None

    def _brings_token(self, scope: Scope) -> bool:
        """Return whether the token is in the address."""
        if not self.token or scope["type"] != "http" or scope.get("method") != "GET":
            return False
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        return secrets.compare_digest(given.encode(), self.token.encode())

    def _knows_token(self, given: dict[bytes, bytes]) -> bool:
        """Return whether the token is in the headers."""
        try:
            cookies = SimpleCookie(given.get(b"cookie", b"").decode("latin-1"))
        except CookieError:
            return False
        sent = [cookies[_COOKIE].value.encode()] if _COOKIE in cookies else []
        sent.append(given.get(b"authorization", b"").removeprefix(b"Bearer "))
        return any(secrets.compare_digest(one, self.token.encode()) for one in sent)


def serve(
    index: SearchIndex, host: str, port: int, labels: Path, *, browser: bool = True, api: bool = False
) -> None:
    """Serve the page, and with `api` the routes for programs, until Ctrl-C."""
    if find_spec("nicegui") is None:
        raise UserError(
            f"the search page needs NiceGUI, which is not installed. {install('app')}. Without it: "
            "adacross search ENCODER COLLECTION --query FILE"
        )
    from nicegui import app, ui
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import FileResponse, PlainTextResponse, Response

    from adacross.search.page import media
    from adacross.search.page.api import api as routes
    from adacross.search.page.label_tab import LabelFile
    from adacross.search.page.layout import build_page
    from adacross.search.page.widgets import LARGEST

    label_file = LabelFile.read(labels, index)
    free = free_port(host, port)
    token = "" if host in LOOPBACK else os.environ.get("ADACROSS_TOKEN") or secrets.token_urlsafe(16)
    if not token:  # a foreign site must not reach the page under its own name
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    app.add_middleware(Guard, most=LARGEST + _FORM, token=token)
    count, files = len(index), index.collection.files()
    kept = {"Cache-Control": "private, max-age=3600"}
    thumbnail = lru_cache(maxsize=4096)(media.thumbnail)

    @ui.page("/")
    def page() -> None:
        build_page(index, label_file)

    # By default NiceGUI builds a page for an unknown address.
    app.add_exception_handler(404, lambda request, error: PlainTextResponse("nothing is here.", 404))

    @app.get("/image/{i}")
    def image(i: int) -> Response:
        if not 0 <= i < count:
            return Response(status_code=404)
        return Response(thumbnail(index.collection, i), media_type="image/png", headers=kept)

    @app.get("/mesh/{i}")
    def mesh(i: int) -> Response:
        content = media.mesh(file) if 0 <= i < count and (file := files[i]) else None
        if content is None:
            return Response(status_code=404)
        return Response(content, media_type="model/stl", headers=kept)

    @app.get("/file/{i}")
    def source_file(i: int) -> Response:
        file = files[i] if 0 <= i < count else None
        if file is None or not file.is_file():
            return Response(status_code=404)
        return FileResponse(file, media_type="application/octet-stream", filename=file.name)

    if api:
        app.include_router(routes(index))
    # Quasar's bar at the top of a page that waits has no accessible name.
    app.config.quasar_config["loadingBar"] = {"skipHijack": True}
    app.on_startup(lambda: _announce(index.collection.info.name, host, free, token, api))
    try:
        ui.run(
            host=host,
            port=free,
            title=f"{index.collection.info.name} · adacross search",
            favicon=str(Path(__file__).with_name("favicon.svg")),
            dark=None,  # as the system is
            language="en-US",
            show=browser and (f"/?token={token}" if token else True),
            reload=False,
            tailwind=False,
            show_welcome_message=False,
            reconnect_timeout=60,  # drawing may keep a slow browser from answering
        )
    except KeyboardInterrupt:
        return


def _announce(name: str, host: str, port: int, token: str, api: bool) -> None:
    """Print the address of the page: to those who are not at this machine, the one that they can use."""
    address = f"http://{reachable(host)}:{port}"
    console.print(f"{name}: {address}{f'/?token={token}' if token else ''}   (Ctrl-C ends)", soft_wrap=True)
    if api:
        needed = f" with the header Authorization: Bearer {token}" if token else ""
        console.print(f"for programs: POST {address}/api/search and /api/embed{needed}", soft_wrap=True)
        console.print(f"described in {address}/openapi.json", soft_wrap=True)


def reachable(host: str) -> str:
    """Return the address under which others reach a server that listens at `host`."""
    if host not in ("0.0.0.0", "::", ""):
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address of no machine: nothing is sent, a route is chosen
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


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
