"""The routes for other programs, and the token that strangers need."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from adacross.data.collection.collection import Collection
from adacross.search.index import SearchIndex
from adacross.search.page.api import api
from adacross.search.page.media import serve_mesh, stl, thumbnail
from adacross.search.page.server import Guard, reachable


@pytest.fixture
def client(search_index: SearchIndex) -> TestClient:
    app = FastAPI(openapi_url=None)
    app.include_router(api(search_index))
    return TestClient(app)


def test_a_shape_finds_its_neighbors(client: TestClient, search_index: SearchIndex) -> None:
    name = search_index.collection.ids[5]
    answer = client.post("/api/search", params={"shape": name, "top": 4})
    assert answer.status_code == 200, answer.text
    found = search_index.search(5, 4)
    assert [row["id"] for row in answer.json()["results"]] == list(found.ids)
    assert answer.json()["results"][0]["likeness"] in ("same", "very like", "like", "unlike")
    assert "Measured here" in answer.json()["measured"]


@pytest.mark.slow
def test_a_file_is_searched_with_and_embedded(
    client: TestClient, search_index: SearchIndex, tmp_path: Path
) -> None:
    np.save(tmp_path / "cloud.npy", search_index.cloud(6))
    sent = {"file": ("cloud.npy", (tmp_path / "cloud.npy").read_bytes())}
    answer = client.post("/api/search", files=sent, params={"top": 1})
    assert answer.json()["results"][0]["id"] == search_index.collection.ids[6]
    features = client.post("/api/embed", files=sent).json()["features"]
    assert np.linalg.norm(features) == pytest.approx(1, abs=1e-5)
    assert np.dot(features, search_index.vectors[6]) > 0.99  # read as a file: centered and scaled anew
    broken = client.post("/api/embed", files={"file": ("torn.stl", b"solid nothing")})
    assert broken.status_code == 422
    assert "torn.stl is not a shape" in broken.json()["detail"]


@pytest.mark.parametrize(
    "given", [{}, {"shape": "nothing"}, {"shape": "0", "top": 0}, {"shape": "0", "orientation": "down"}]
)
def test_what_cannot_be_searched_is_said(given: dict[str, Any], client: TestClient) -> None:
    assert client.post("/api/search", params=given).status_code == 422


def test_the_routes_describe_themselves(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/api/search", "/api/embed"}
    assert paths["/api/search"]["post"]["description"].startswith("Find the shapes nearest")


def asked(headers: dict[str, str], path: str = "/", query: str = "") -> tuple[int, dict[bytes, bytes]]:
    """Ask an app behind a guard with a token; return the status and the headers of its answer."""
    answered: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        answered.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": given}
    asyncio.run(Guard(app, most=1, token="secret")(scope, receive, send))
    return answered[0]["status"], dict(answered[0]["headers"])


def test_a_token_is_asked_for_and_kept() -> None:
    assert asked({})[0] == 401
    assert asked({}, query="token=guess")[0] == 401
    assert asked({"cookie": "adacross-token=guess"})[0] == 401
    assert asked({"authorization": "Bearer guess"})[0] == 401
    status, headers = asked({}, query="token=secret")
    assert (status, headers[b"location"]) == (303, b"/")
    cookie = headers[b"set-cookie"].decode()
    assert cookie.startswith("adacross-token=secret; ")
    assert "HttpOnly" in cookie
    assert asked({"cookie": cookie.split(";")[0]})[0] == 200
    assert asked({"authorization": "Bearer secret"}, "/api/search")[0] == 200
    assert asked({"authorization": "Bearer secret", "origin": "http://evil.example"})[0] == 403


def test_the_address_is_one_that_others_can_use() -> None:
    assert reachable("192.168.1.7") == "192.168.1.7"
    assert reachable("::1") == "[::1]"
    assert reachable("0.0.0.0") not in ("0.0.0.0", "")


def test_a_thumbnail_is_the_view_that_shows_most(toy_collection: Collection) -> None:
    import io

    from PIL import Image

    assert Image.open(io.BytesIO(thumbnail(toy_collection, 3))).size == (224, 224)


def test_a_mesh_becomes_stl_in_the_unit_sphere(tmp_path: Path) -> None:
    import trimesh

    trimesh.creation.box((1, 2, 4)).export(tmp_path / "box.obj")
    from dataclasses import asdict

    from adacross.data.formats.files import file_ref

    (tmp_path / "box.stl").write_bytes(serve_mesh({"item": asdict(file_ref(tmp_path / "box.obj", None))}))
    found = trimesh.load(tmp_path / "box.stl")
    assert np.linalg.norm(found.vertices, axis=1).max() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(sorted(found.extents / found.extents.min()), [1, 2, 4], rtol=1e-4)
    assert (
        found.extents.argmax() == 1
    )  # z of the file, which is y up, lies along y of the page, which is z up
    (tmp_path / "torn.obj").write_text("v 0 0", encoding="utf-8")
    assert serve_mesh({"item": asdict(file_ref(tmp_path / "torn.obj", None))}) == b""


def test_degenerate_triangles_are_no_error() -> None:
    assert len(stl(np.zeros((2, 3, 3)))) == 84 + 2 * 50
