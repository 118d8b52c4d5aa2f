"""The guard before the search page, without a browser."""

import asyncio
from typing import Any

import pytest

from adacross.search.page.server import Guard


def ask(error: Exception) -> list[dict[str, Any]]:
    """Send one request to an app that fails with `error`; return what was answered."""
    answered: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    async def send(message: Any) -> None:
        answered.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    asyncio.run(Guard(app, most=1)({"type": "http", "method": "GET", "headers": []}, receive, send))
    return answered


def test_a_browser_that_goes_before_its_answer_is_no_error():
    """An answer is given all the same: the middleware around the guard prints a traceback without one."""
    start, body = ask(RuntimeError("No response returned."))
    assert (start["type"], start["status"]) == ("http.response.start", 499)
    assert (body["type"], body["body"]) == ("http.response.body", b"")


@pytest.mark.parametrize("error", [RuntimeError("a fault of ours"), KeyError("No response returned.")])
def test_other_errors_are_not_swallowed(error: Exception):
    with pytest.raises(type(error)):
        ask(error)
