"""Meshes and pictures that somebody made to do harm, by the reader they are made for."""

import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from seed_files import CORNERS, glb_binary, glb_of, gltf

SECRET = "../../outside/secret.txt"  # from a file's own folder to the one that must not be read
CORNERS_TEXT = "".join(f"{x} {y} {z}\n" for x, y, z in CORNERS)


def png(width: int, height: int, rows: bytes = b"", kind: int = 0, extra: bytes = b"") -> bytes:
    """A picture that says it has so many pixels, of one bit each."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8 if kind else 1, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A picture with 20 MB of text that take 20 kB."""
    packed = b"k\0\0" + zlib.compress(bytes(2 * 10**7))
    chunk = (
        struct.pack(">I", len(packed)) + b"zTXt" + packed + struct.pack(">I", zlib.crc32(b"zTXt" + packed))
    )
    return png(8, 8, bytes(16), extra=chunk)


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
(../executed) (w) file closefile
%%EOF
"""


@cache
def pictures() -> dict[str, bytes]:
    """Pictures that are too large, none, or programs."""
    return {
        "a billion pixels, declared": png(32_000, 32_000),
        "400 million pixels, packed": png(20_000, 20_000, bytes(2501 * 20_000)),
        "thin, and a square of 3 billion": png(60_000, 1, bytes(7501)),
        "no pixels": png(0, 0),
        "negative size": png(2**32 - 1, 2**32 - 1),
        "text of 20 MB": text_bomb(),
        "PostScript, which is a program": EPS,
        "another format by another name": b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00;",
        "a web page": b"<html><script>alert(1)</script></html>",
    }


def off(counts: str, faces: str = "3 0 1 2\n", corners: str = CORNERS_TEXT) -> bytes:
    return f"OFF\n{counts}\n{corners}{faces}".encode()


def obj(lines: str) -> bytes:
    return ("".join(f"v {x} {y} {z}\n" for x, y, z in CORNERS) + lines).encode()


MESHES: dict[str, dict[str, bytes]] = {
    "OFF": {
        "a billion faces": off("8 1000000000 0"),
        "a billion points": off("1000000000 1 0"),
        "fewer than no points": off("-8 -1 0"),
        "a face of a billion corners": off("8 1 0", "1000000000 0 1 2\n"),
        "a face of fewer than no corners": off("8 1 0", "-3 0 1 2\n"),
        "a face of 100,000 corners": off("8 1 0", "100000 " + "0 1 2 3 " * 25_000 + "\n"),
        "a face that turns back 20,000 times": off("8 1 0", f"80000 {'0 4 6 2 ' * 20_000}\n"),
        "a star of 4,000 corners": off(
            "4000 1 0",
            f"4000 {' '.join(map(str, range(4000)))}\n",
            "".join(f"{i * i % 97 * (1 + i % 2)} {i * 7 % 89} {i % 3 / 1000}\n" for i in range(4000)),
        ),
        "a face a line of one number": off("8 100000 0", "3\n0\n1\n2\n" * 100_000),
        "one point": off("1 1 0", "3 0 0 0\n", "1 2 3\n"),
        "no points": off("0 0 0", "", ""),
        "no area": off("8 1 0", "3 0 0 0\n"),
        "all on a line": off("3 1 0", "3 0 1 2\n", "0 0 0\n1 1 1\n2 2 2\n"),
        "NaN": off("8 1 0", corners=CORNERS_TEXT.replace("1", "nan")),
        "infinite": off("8 1 0", corners=CORNERS_TEXT.replace("1", "inf")),
        "beyond float32": off("8 1 0", corners=CORNERS_TEXT.replace("1", "1e60")),
        "nearly beyond float64": off("8 1 0", corners=CORNERS_TEXT.replace("1", "1e308")),
        "as small as can be": off("8 1 0", corners=CORNERS_TEXT.replace("1", "1e-320").replace("2", "0")),
        "far away": off("8 1 0", corners=CORNERS_TEXT.replace("0", "1e15")),
        "faces beyond int64": off("8 1 0", f"3 0 1 {2**70}\n"),
        "colors beyond float64": off("8 1 0", "3 0 1 2 1e999 nan -1e999\n"),
        "UTF-16": off("8 1 0").decode().encode("utf-16"),
    },
    "OBJ": {
        "a corner beyond all": obj("f 1 2 1000000000\n"),
        "a corner before all": obj("f -1 -2 -1000000000\n"),
        "corner 0": obj("f 0 1 2\n"),
        "a face of 20,000 corners": obj("f " + "1 2 3 4 " * 5_000 + "\n"),
        "10,000 materials": obj("".join(f"usemtl m{i}\nf 1 2 3\n" for i in range(10_000))),
        "materials of another folder": f"mtllib {SECRET}\n".encode() + obj("usemtl skin\nf 1 2 3\n"),
        "materials of the system": b"mtllib /etc/passwd\nmtllib /dev/zero\n" + obj("usemtl x\nf 1 2 3\n"),
        "materials that are itself": b"mtllib a.obj\n" * 100 + obj("usemtl x\nf 1 2 3\n"),
        "materials of a long name": b"mtllib " + b"x" * 10_000 + b"\n" + obj("f 1 2 3\n"),
        "NaN": obj("v nan nan nan\nf 1 2 9\n"),
        "a face that turns back 5,000 times": obj("f " + "1 5 7 3 " * 5_000 + "\n"),
        "10,000 files of materials": b"".join(b"mtllib %d.mtl\n" % i for i in range(10_000))
        + obj("f 1 2 3\n"),
        "100,000 corners with a slash here and there": obj("f 1/ 2//3 4/5/6\n" * 33_000),
        "a slash too many": obj("f 1/2/3/4 1/2/3/4 1/2\n"),
        "a comma": obj("v 0,5 1 2\nf 1 2 3\n"),
        "no area": obj("f 1 1 1\n"),
        "no faces": obj(""),
        "a million spaces": obj("f" + " " * 10**6 + "1 2 3\n"),
    },
    "OBJ's materials": {
        "a texture of another folder": f"newmtl skin\nmap_Kd {SECRET}\n".encode(),
        "10,000 textures that are not there": b"".join(
            b"newmtl m%d\nmap_Kd -s 1 %d.png\n" % (i, i) for i in range(10_000)
        ),
        "options without an end": b"newmtl skin\nmap_Kd " + b"-s 1 1 1 " * 50_000 + b"\n",
        "an option of 100,000 digits": b"newmtl skin\nmap_Kd -o " + b"1" * 100_000 + b" skin.png\n",
        "a texture of the system": b"newmtl skin\nmap_Kd /dev/zero\n",
        "colors that are none": b"newmtl skin\nKd nan inf -1e999\n",
        "colors of two numbers": b"newmtl skin\nKd 0.5 0.5\n",
    },
    "STL, text": {
        "no corner": b"solid x\nfacet normal 0 0 1\nouter loop\nendloop\nendfacet\nendsolid x\n",
        "a name of a million letters": b"solid " + b"x" * 10**6 + b"\nfacet normal 0 0 1\nvertex 0 0 0\n",
        "half a triangle": b"solid x\nfacet normal 0 0 1\nvertex 0 0 0\nvertex 1 0 0\n",
        "10,000 empty solids": b"solid x\nfacet\nendsolid x\n" * 10_000,
        "NaN": b"solid x\nfacet normal 0 0 1\nouter loop\n"
        + b"vertex nan nan nan\n" * 3
        + b"endloop\nendfacet\nendsolid x\n",
    },
    "STL, binary": {
        "4 billion triangles": bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(100),
        "no triangle": bytes(84),
        "an unknown number of triangles, half a one": bytes(80) + b"\xff" * 4 + bytes(20),
        "NaN": bytes(80) + struct.pack("<I", 1) + b"\xff" * 50,
        "infinite": bytes(80) + struct.pack("<I12fH", 1, *[float("inf")] * 12, 0),
        "no area": bytes(80) + struct.pack("<I12fH", 1, *[1.0] * 12, 0),
    },
}


def ply(kind: str, elements: str, body: bytes) -> bytes:
    return f"ply\nformat {kind} 1.0\n{elements}end_header\n".encode() + body


def plys(kind: str) -> dict[str, bytes]:
    """Headers that promise what is not there, in text or binary."""
    text = kind == "ascii"
    points = CORNERS_TEXT.encode() if text else np.array(CORNERS, dtype="<f4").tobytes()
    corner = "property float x\nproperty float y\nproperty float z\n"
    face = "element face 1\nproperty list int int vertex_indices\n"
    vertex = f"element vertex 8\n{corner}"

    def listed(count: int) -> bytes:
        return f"{count} 0 1 2\n".encode() if text else struct.pack("<i3i", count, 0, 1, 2)

    return {
        "a billion faces": ply(kind, vertex + face.replace("1", "1000000000", 1), points + listed(3)),
        "a billion points": ply(kind, vertex.replace("8", "1000000000") + face, points + listed(3)),
        "a quintillion points": ply(kind, vertex.replace("8", "9" * 18) + face, points + listed(3)),
        "fewer than no points": ply(kind, vertex.replace("8", "-8") + face, points + listed(3)),
        "fewer than no faces": ply(kind, vertex + face.replace("1", "-1", 1), points + listed(3)),
        "a face of 2 billion corners": ply(kind, vertex + face, points + listed(2**31 - 1)),
        "a face of fewer than no corners": ply(kind, vertex + face, points + listed(-3)),
        "no corners": ply(kind, vertex + face, points + listed(0)),
        "two lists of points": ply(kind, vertex + vertex + face, points * 2 + listed(3)),
        "2,000 properties": ply(
            kind, vertex + "".join(f"property float p{i}\n" for i in range(2000)) + face, points + listed(3)
        ),
        "a billion lists of nothing": ply(
            kind, vertex + face.replace("1", "1000000000", 1), points + (b"0\n" if text else bytes(4)) * 1000
        ),
        "a billion rows of nothing": ply(
            kind, "element nothing 1000000000\n" + vertex + face, points + listed(3)
        ),
        "1,000 lists a row": ply(
            kind,
            vertex + face + "".join(f"property list int int l{i}\n" for i in range(1000)),
            points + listed(3),
        ),
        "strips of one corner": ply(kind, vertex + face.replace("face", "tristrips"), points + listed(3)),
        "20,000 textures": ply(
            kind,
            "".join(f"comment TextureFile {i}.png\n" for i in range(20_000))
            + vertex
            + face
            + "property list int float texcoord\n",
            points + listed(3) + (b"6 0 0 0 0 0 0\n" if text else struct.pack("<i6f", 6, *[0.0] * 6)),
        ),
        "an unknown type": ply(kind, vertex.replace("float x", "object x") + face, points + listed(3)),
        "a list in a point": ply(kind, vertex + "property list int int x\n" + face, points + listed(3)),
        "a texture of another folder": ply(
            kind, f"comment TextureFile {SECRET}\n" + vertex + face, points + listed(3)
        ),
        "nothing": ply(kind, "", b""),
        "no end": ply(kind, vertex + face, b"").replace(b"end_header", b""),
        "NaN": ply(kind, vertex + face, points.replace(b"1", b"nan") if text else b"\xff" * 96 + listed(3)),
    }


def changed(change: Callable[[dict[str, Any]], Any], binary: bytes | None = None) -> bytes:
    """The whole GLB with something else in its description."""
    description = gltf()
    change(description)
    return glb_of(description, binary)


def texture(content: bytes, extension: bool = False) -> bytes:
    """A GLB with another picture."""
    description = gltf()
    description["bufferViews"][3]["byteLength"] = len(content)
    if extension:
        description["materials"] = [
            {
                "extensions": {
                    "KHR_materials_pbrSpecularGlossiness": {
                        "diffuseTexture": {"index": 0},
                        "specularGlossinessTexture": {"index": 0},
                    }
                }
            }
        ]
    binary = glb_binary()[: description["bufferViews"][3]["byteOffset"]] + content
    description["buffers"][0]["byteLength"] = len(binary)
    return glb_of(description, binary)


def glbs() -> dict[str, bytes]:
    """Descriptions that promise what is not there, or point elsewhere."""
    return (
        {
            "a billion points": changed(lambda d: d["accessors"][0].update(count=10**9)),
            "a billion points out of nothing": changed(
                lambda d: (d["accessors"][0].update(count=10**9), d["accessors"][0].pop("bufferView"))
            ),
            "fewer than no points": changed(lambda d: d["accessors"][0].update(count=-8)),
            "a view beyond the end": changed(lambda d: d["bufferViews"][0].update(byteOffset=10**12)),
            "a view before the start": changed(lambda d: d["bufferViews"][0].update(byteOffset=-50)),
            "an accessor that is not there": changed(
                lambda d: d["meshes"][0]["primitives"][0].update(indices=99)
            ),
            "an accessor before the first": changed(
                lambda d: d["meshes"][0]["primitives"][0].update(indices=-1)
            ),
            "a node within itself": changed(lambda d: d["nodes"][0].update(children=[0])),
            "two nodes within each other": changed(
                lambda d: (d["nodes"][0].update(children=[1]), d["nodes"][1].update(children=[0]))
            ),
            "5,000 nodes, each in the one before": changed(
                lambda d: d.update(
                    nodes=[{"children": [i + 1]} for i in range(5000)] + [{"mesh": 0}],
                    scenes=[{"nodes": [0]}],
                )
            ),
            "3,000 copies": changed(
                lambda d: d.update(nodes=[{"mesh": 0}] * 3000, scenes=[{"nodes": list(range(3000))}])
            ),
            "a matrix of NaN": changed(
                lambda d: d["nodes"][0].update(matrix=[float("nan")] * 16, translation=None)
            ),
            "a scale beyond float64": changed(lambda d: d["nodes"][0].update(scale=[1e200, 1e200, 1e200])),
            "a buffer in another folder": changed(lambda d: d["buffers"][0].update(uri=SECRET)),
            "a buffer in the system": changed(lambda d: d["buffers"][0].update(uri="/etc/passwd")),
            "a buffer by its address": changed(lambda d: d["buffers"][0].update(uri="file:///etc/passwd")),
            "a buffer on the network": changed(
                lambda d: d["buffers"][0].update(uri="http://127.0.0.1:9/x.bin")
            ),
            "a buffer that is itself": changed(lambda d: d["buffers"][0].update(uri="a.glb")),
            "a buffer that is no base64": changed(lambda d: d["buffers"][0].update(uri="data:;base64,%%%")),
            "a buffer of a terabyte": changed(lambda d: d["buffers"][0].update(byteLength=10**12)),
            "a picture in another folder": changed(lambda d: d["images"].__setitem__(0, {"uri": SECRET})),
            "a packed mesh": changed(
                lambda d: d["meshes"][0]["primitives"][0].update(
                    extensions={
                        "KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}
                    }
                )
            ),
            "lists where names belong": changed(lambda d: d.update(nodes={"a": 1}, meshes=[[]], scene=[])),
            "nothing in it": glb_of({}),
            "a description nested 50,000 deep": glb_of(b"[" * 50_000),
            "a number of 5,000 digits": glb_of(b'{"scene":' + b"9" * 5000 + b"}"),
            "4 GB of description": glb_of(gltf())[:12] + struct.pack("<I4s", 2**32 - 1, b"JSON") + b"{}",
        }
        | {f"texture: {name}": texture(content) for name, content in pictures().items()}
        | {
            "a shining texture in PostScript": texture(EPS, extension=True),
        }
    )
