"""The Hugging Face hub as far as huggingface_hub asks for it, in memory, on this machine."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

LFS = (".parquet", ".safetensors")


@dataclass
class Repository:
    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0

    @property
    def sha(self) -> str:
        return hashlib.sha1(str(self.commits).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Hub:
    """Repositories by "models/owner/name" and "datasets/owner/name"; `asked` lists requests."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    server = make_server("127.0.0.1", 0, _app(hub), threaded=True)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _app(hub: Hub) -> Flask:
    app = Flask("hub")

    @app.before_request
    def note():
        hub.asked.append(f"{request.method} {request.path}")
        known = request.method == "PUT" or request.headers.get("Authorization") == "Bearer good"
        return None if known else refused()

    def refused():
        return Response("no", 401, headers={"X-Error-Message": "Invalid credentials"})

    def there(kind: str, owner: str, name: str) -> Repository | None:
        return hub.repositories.get(f"{kind}/{owner}/{name}")

    def missing():
        return Response("no", 404, headers={"X-Error-Code": "RepoNotFound", "X-Error-Message": "not found"})

    @app.get("/api/whoami-v2")
    def whoami():
        return jsonify(name="owner", type="user", orgs=[])

    @app.post("/api/validate-yaml")
    def validate():
        return jsonify(errors=[], warnings=[])

    @app.post("/api/repos/create")
    def create():
        asked = request.get_json()
        owner, name = asked.get("organization") or "owner", asked["name"].rpartition("/")[2]
        kind = f"{asked.get('type', 'model')}s"
        url = f"{hub.url}/{'datasets/' if kind == 'datasets' else ''}{owner}/{name}"
        if f"{kind}/{owner}/{name}" in hub.repositories:
            return jsonify(error="exists", url=url), 409
        hub.repositories[f"{kind}/{owner}/{name}"] = Repository(
            bool(asked.get("private")) or asked.get("visibility") == "private"
        )
        return jsonify(url=url, name=f"{owner}/{name}")

    @app.get("/api/<kind>/<owner>/<name>")
    @app.get("/api/<kind>/<owner>/<name>/revision/<revision>")
    def info(kind, owner, name, revision="main"):
        if (found := there(kind, owner, name)) is None:
            return missing()
        files = [{"rfilename": path} for path in sorted(found.files)]
        return jsonify(
            id=f"{owner}/{name}",
            sha=found.sha,
            private=found.private,
            siblings=files,
            tags=[],
            downloads=0,
            likes=0,
        )

    @app.get("/api/<kind>/<owner>/<name>/tree/<revision>")
    @app.get("/api/<kind>/<owner>/<name>/tree/<revision>/<path:below>")
    def tree(kind, owner, name, revision, below=""):
        if (found := there(kind, owner, name)) is None:
            return missing()
        return jsonify(
            [_entry(path, data) for path, data in sorted(found.files.items()) if path.startswith(below)]
        )

    @app.post("/api/<kind>/<owner>/<name>/preupload/<revision>")
    def preupload(kind, owner, name, revision):
        paths = [one["path"] for one in request.get_json()["files"]]
        modes = [
            {"path": path, "uploadMode": "lfs" if path.endswith(LFS) else "regular", "shouldIgnore": False}
            for path in paths
        ]
        return jsonify(files=modes)

    @app.post("/<owner>/<name>.git/info/lfs/objects/batch")
    @app.post("/<kind>/<owner>/<name>.git/info/lfs/objects/batch")
    def batch(owner, name, kind="models"):
        objects = [
            {**one, "actions": {"upload": {"href": f"{hub.url}/lfs/{one['oid']}"}}}
            for one in request.get_json()["objects"]
        ]
        return jsonify(transfer="basic", objects=objects)

    @app.put("/lfs/<oid>")
    def put(oid):
        data = request.get_data()
        if hashlib.sha256(data).hexdigest() != oid:
            return Response("wrong digest", 400)
        hub.blobs[oid] = data
        return ""

    @app.post("/api/<kind>/<owner>/<name>/commit/<revision>")
    def commit(kind, owner, name, revision):
        if (found := there(kind, owner, name)) is None:
            return missing()
        for line in request.get_data().splitlines():
            one = json.loads(line)
            value = one["value"]
            match one["key"]:
                case "file":
                    found.files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    found.files[value["path"]] = hub.blobs[value["oid"]]
                case "deletedFile":
                    del found.files[value["path"]]
        found.commits += 1
        return jsonify(
            success=True, commitOid=found.sha, commitUrl=f"{hub.url}/{owner}/{name}/commit/{found.sha}"
        )

    @app.get("/<owner>/<name>/resolve/<revision>/<path:path>")
    @app.get("/<kind>/<owner>/<name>/resolve/<revision>/<path:path>")
    def resolve(owner, name, revision, path, kind="models"):
        if (found := there(kind, owner, name)) is None:
            return missing()
        if path not in found.files:
            return Response("no", 404, headers={"X-Error-Code": "EntryNotFound"})
        data = found.files[path]
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": found.sha}
        return Response(data, headers=headers, mimetype="application/octet-stream")

    return app


def _entry(path: str, data: bytes) -> dict:
    digest = hashlib.sha256(data).hexdigest()
    entry = {"type": "file", "path": path, "size": len(data), "oid": digest[:40]}
    return (
        entry | {"lfs": {"oid": digest, "size": len(data), "pointerSize": 130}}
        if path.endswith(LFS)
        else entry
    )
