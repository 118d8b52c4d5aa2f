"""glTF files of a few numbers: arrays become accessors, the rest of the description is written out."""

import base64
import json
import struct
from typing import Any

import numpy as np

_COMPONENTS = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
BOX = np.array([(x, y, z) for z in (0, 6) for y in (0, 4) for x in (0, 2)], dtype=np.float32)
BOX_FACES = np.array(
    [(0, 2, 3), (0, 3, 1), (4, 5, 7), (4, 7, 6), (0, 1, 5), (0, 5, 4), (2, 6, 7), (2, 7, 3), (0, 4, 6),
     (0, 6, 2), (1, 3, 7), (1, 7, 5)], dtype=np.uint16,
)  # fmt: skip
SQUARE = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], dtype=np.float32)


class Gltf:
    """A glTF file that grows by arrays; `description` is free to be changed."""

    def __init__(self, **more: Any) -> None:
        self.binary = b""
        self.description: dict[str, Any] = {
            "asset": {"version": "2.0"}, "bufferViews": [], "accessors": [], "meshes": [], "nodes": [],
            "scenes": [{"nodes": []}],
        } | more  # fmt: skip

    def view(self, content: bytes, **more: Any) -> int:
        self.binary += bytes(-len(self.binary) % 4)
        self.description["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content)} | more
        )
        self.binary += content
        return len(self.description["bufferViews"]) - 1

    def array(self, values: np.ndarray, **more: Any) -> int:
        """Add an accessor of an array `(n,)` or `(n, width)`; rows are padded to 4 bytes."""
        table = values.reshape(len(values), -1)
        width, size = table.shape[1], table.shape[1] * table.itemsize
        pad = -size % 4 if width > 1 else 0
        rows = [row.tobytes() + bytes(pad) for row in table]
        view = self.view(b"".join(rows), **({"byteStride": size + pad} if pad else {}))
        about = {"bufferView": view, "componentType": _COMPONENTS[values.dtype.name], "count": len(table)}
        self.description["accessors"].append(about | {"type": _TYPES[width]} | more)
        return len(self.description["accessors"]) - 1

    def mesh(self, points: np.ndarray, faces: np.ndarray | None = None, mode: int = 4, **more: Any) -> int:
        """Add a mesh of one primitive; arrays among `more` are attributes."""
        attributes = {"POSITION": self.array(points)}
        for name in [name for name in more if isinstance(more[name], np.ndarray)]:
            attributes[name] = self.array(more.pop(name))
        primitive = {"attributes": attributes, "mode": mode} | more
        if faces is not None:
            primitive["indices"] = self.array(faces.reshape(-1))
        self.description["meshes"].append({"primitives": [primitive]})
        return len(self.description["meshes"]) - 1

    def node(self, top: bool = True, **node: Any) -> int:
        self.description["nodes"].append(node)
        if top:
            self.description["scenes"][0]["nodes"].append(len(self.description["nodes"]) - 1)
        return len(self.description["nodes"]) - 1

    def glb(self, version: int = 2) -> bytes:
        self.description.setdefault("buffers", [{"byteLength": len(self.binary)}])
        chunks = ((b"JSON", json.dumps(self.description).encode(), b" "), (b"BIN\0", self.binary, b"\0"))
        body = b""
        for kind, content, filler in chunks:
            padded = content + filler * (-len(content) % 4)
            body += struct.pack("<I4s", len(padded), kind) + padded
        return struct.pack("<4sII", b"glTF", version, 12 + len(body)) + body

    def gltf(self, uri: str = "") -> str:
        """Return the description as text, the numbers in it, or in the file `uri` beside it."""
        uri = uri or "data:application/octet-stream;base64," + base64.b64encode(self.binary).decode()
        return json.dumps(self.description | {"buffers": [{"byteLength": len(self.binary), "uri": uri}]})


def box_glb() -> Gltf:
    """A box (0, 0, 0) to (2, 4, 6) as the mesh of one node."""
    file = Gltf()
    file.node(mesh=file.mesh(BOX, BOX_FACES))
    return file
