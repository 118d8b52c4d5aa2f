"""glTF 2.0: GLB files, and .gltf files with the files beside them.

Source: Khronos Group, glTF 2.0 Specification; its sections are named below. Of its extensions those are read
that change where a surface is, or its base color; one that a file requires and that is not read is an error.
"""

import base64
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from adacross.data.formats.archives import read_bytes
from adacross.data.formats.polygons import check_corners
from adacross.data.formats.scene import Allowance, Part, beside, content_of, joined
from adacross.data.images import IMAGE_ERRORS, open_picture
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud
from adacross.data.workers.local import shortage
from adacross.errors import one_line, shortened
from adacross.io.files import LARGEST

UNIT = "m"  # section 3.4
_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_POINTS, _TRIANGLES, _STRIP, _FAN = 0, 4, 5, 6  # modes of a primitive; those between are lines
_CLAMP, _MIRROR = 33071, 33648  # how a texture goes on beyond its edge
_DRACO = "KHR_draco_mesh_compression"
_INSTANCES, _GLOSSY = "EXT_mesh_gpu_instancing", "KHR_materials_pbrSpecularGlossiness"
_PACKED = {_DRACO: "Draco", "EXT_meshopt_compression": "meshopt", "KHR_meshopt_compression": "meshopt"}
# What may be required without harm: it is read, or changes neither the surface nor its base color.
_HARMLESS = re.compile(
    rf"{_INSTANCES}|KHR_mesh_quantization|(KHR|EXT|MSFT)_(texture|materials|lights|animation|xmp)\w*|"
    r"KHR_audio\w*|KHR_interactivity|MSFT_lod"
)
_PLACING = 100  # what a placed part counts of the allowance, beside its corners: it takes as long
_HELD = 2**28  # bytes of decoded textures that are kept for the next part
_Matrix = Float64[np.ndarray, "4 4"]
_Joints = Float64[np.ndarray, "J 4 4"]
_Faces = Int64[np.ndarray, "F 3"]
_Bytes = UInt8[np.ndarray, "F 3"]
_Column = Callable[[str], np.ndarray]  # an attribute of a primitive's vertices by its name


def read_gltf(path: Path) -> Mesh | PointCloud:
    """Read a GLB or .gltf file as one mesh in meters, y up; as a cloud if it holds nothing but points.

    Its parts are the nodes of the default scene that have a mesh, by name. A face's color is the base color
    of its material, times the mean of its corners' colors, times the texel at its center, in sRGB. Buffers
    and images are looked up in the file's own folder and below; an image that cannot be read costs the color
    alone. Raises BrokenShapeError if the file is damaged, or needs something that is not read.
    """
    with content_of(path) as data:
        return read_gltf_bytes(data, path)


def read_gltf_bytes(data: bytes, path: Path) -> Mesh | PointCloud:
    """Read a GLB or .gltf file's bytes, as `read_gltf`; `path` is where files beside it are looked up."""
    if data[:4] == b"glTF":
        description, binary = _chunks(data)
    else:
        description, binary = json.loads(data.decode("utf-8-sig")), b""
    _check_readable(description)
    scene = _Scene(description, binary, path, len(data))
    parts = list(scene.parts())
    if not parts and scene.lines:
        raise BrokenShapeError("there is neither a face nor a point in it, only lines")
    return joined(parts, UNIT, [*scene.remarks, *["lines are passed over"] * scene.lines])


def _chunks(data: bytes) -> tuple[Any, bytes]:
    """Return the JSON and the binary chunk of a GLB file (section 4.4)."""
    if len(data) < 20:
        raise _truncated(f"a GLB file has at least 20 bytes, this one {len(data)}")
    version, _, length = struct.unpack("<III", data[4:16])
    if version != 2:
        raise BrokenShapeError(_other_version(f"{version}.0"))
    description = json.loads(_cut(data, 20, length).decode("utf-8-sig"))
    at, binary = 20 + length, b""
    while not binary and at + 8 <= len(data):
        length, kind = struct.unpack("<I4s", data[at : at + 8])
        binary = _cut(data, at + 8, length) if kind == b"BIN\0" else b""
        at += 8 + length
    return description, binary


def _cut(data: bytes, start: int, length: int) -> bytes:
    if start + length > len(data):
        raise _truncated(f"it promises {start + length:,} bytes, the file has {len(data):,}")
    return data[start : start + length]


def _truncated(how: str) -> BrokenShapeError:
    return BrokenShapeError(f"truncated: {how}")


def _other_version(version: str) -> str:
    return f"a glTF {version} file; glTF 2.0 is read. Convert it, for instance by export from Blender"


def _check_readable(description: Any) -> None:
    """Refuse another version than 2, and required extensions that are not read."""
    if not isinstance(description, dict):
        raise BrokenShapeError("not a glTF file (its JSON is no object)")
    version = str(description.get("asset", {}).get("version", "2.0"))
    if not version.startswith("2"):
        raise BrokenShapeError(_other_version(shortened(version)))
    for name in description.get("extensionsRequired", ()):
        if name in _PACKED:
            raise BrokenShapeError(_packed(name))
        if not _HARMLESS.fullmatch(name):
            raise BrokenShapeError(f"it requires the glTF extension {shortened(name)}, which is not read")


def _packed(extension: str) -> str:
    name = _PACKED[extension]
    return f"its meshes are compressed with {name} ({extension}), which is not read; export it without {name}"


class _Scene:
    """A glTF file of `size` bytes: its JSON, and the numbers and images that the JSON points to."""

    def __init__(self, description: dict[str, Any], binary: bytes, path: Path, size: int) -> None:
        self.description, self.binary, self.path, self.size = description, binary, path, size
        self.lines = False  # whether there are any
        self.allowance = Allowance(size)
        self.remarks: dict[str, None] = {}  # what was passed over, each once
        self._read = 0
        self._files: dict[Path, bytes] = {}
        self._buffers: dict[int, bytes] = {}
        self._accessors: dict[int, np.ndarray] = {}
        self._textures: dict[int, np.ndarray | None] = {}
        self._meshes: dict[tuple[Any, ...], list[Part]] = {}

    def parts(self) -> Iterator[Part]:
        """Yield what the default scene shows, in its frame."""
        worlds = dict(self._worlds())
        for index, world in worlds.items():
            node = self._item("nodes", index)
            if "mesh" not in node:
                continue
            weights = node.get("weights", self._item("meshes", node["mesh"]).get("weights", ()))
            name = node.get("name") or self._item("meshes", node["mesh"]).get("name") or f"part {index}"
            joints = self._joints(node["skin"], worlds) if "skin" in node else None
            transforms = [np.eye(4)] if joints is not None else self._instances(node, world)
            for part in self._mesh(node["mesh"], weights, joints):
                for number, transform in enumerate(transforms):
                    self.allowance.take(_PLACING + len(part.vertices) + part.faces.size)
                    yield replace(part.placed(transform), name=str(name), place=(index, number))
        if not self.description.get("nodes"):  # a library of meshes: nothing places them
            for index, mesh in enumerate(self.description.get("meshes", ())):
                name = str(mesh.get("name") or f"part {index}")
                for part in self._mesh(index, mesh.get("weights", ())):
                    yield replace(part, name=name, place=(index,))

    def _item(self, kind: str, index: int) -> dict[str, Any]:
        """Return one of the description's lists' entries."""
        entries = self.description.get(kind, [])
        if not 0 <= index < len(entries):
            raise BrokenShapeError(f"it points to number {index} of its {len(entries):,} {kind}")
        entry: dict[str, Any] = entries[index]
        return entry

    # -- where things are (sections 3.5 and 3.7)

    def _worlds(self) -> Iterator[tuple[int, _Matrix]]:
        """Yield the nodes of the default scene and their transforms, parents first."""
        nodes = self.description.get("nodes", [])
        if self.description.get("scenes"):
            roots = self._item("scenes", self.description.get("scene", 0)).get("nodes", [])
        else:
            inner = {child for node in nodes for child in node.get("children", ())}
            roots = [index for index in range(len(nodes)) if index not in inner]
        seen: set[int] = set()
        waiting = [(index, np.eye(4)) for index in reversed(roots)]
        while waiting:
            index, above = waiting.pop()
            if index in seen:
                raise BrokenShapeError(f"node {index} comes twice in its scene, which must be a tree")
            seen.add(index)
            node = self._item("nodes", index)
            with np.errstate(all="ignore"):  # what is not finite is named when all is joined
                world = above @ _local(node)
            yield index, world
            waiting += [(child, world) for child in reversed(node.get("children", ()))]

    def _instances(self, node: Mapping[str, Any], world: _Matrix) -> Sequence[_Matrix]:
        """Return the places of a node's mesh: its own, or those of EXT_mesh_gpu_instancing."""
        if _INSTANCES not in node.get("extensions", {}):
            return [world]
        columns = {
            name.lower(): self._numbers(place)
            for name, place in node["extensions"][_INSTANCES]["attributes"].items()
            if name in ("TRANSLATION", "ROTATION", "SCALE")
        }
        count = min((len(column) for column in columns.values()), default=1)
        self.allowance.take(_PLACING * count)
        return [world @ _local({key: column[i] for key, column in columns.items()}) for i in range(count)]

    def _joints(self, index: int, worlds: Mapping[int, _Matrix]) -> _Joints | None:
        """Return where each joint of a skin takes the mesh; None if one is not in the scene."""
        skin = self._item("skins", index)
        if not skin["joints"] or any(joint not in worlds for joint in skin["joints"]):
            return None
        found = np.stack([worlds[joint] for joint in skin["joints"]])
        if "inverseBindMatrices" in skin:
            columns = self._numbers(skin["inverseBindMatrices"])[: len(found)].reshape(-1, 4, 4)
            found = found @ columns.transpose(0, 2, 1)
        return found

    # -- meshes (section 3.7.2)

    def _mesh(self, index: int, weights: Sequence[Any], joints: _Joints | None = None) -> list[Part]:
        """Return the primitives of a mesh in its own frame; those of a mesh that many nodes show are kept."""
        key = (index, *weights)
        if joints is None and key in self._meshes:
            return self._meshes[key]
        primitives = self._item("meshes", index)["primitives"]
        found = [part for one in primitives if (part := self._primitive(one, weights, joints))]
        if joints is None:
            self._meshes[key] = found
        return found

    def _primitive(
        self, primitive: Mapping[str, Any], weights: Sequence[Any], joints: _Joints | None
    ) -> Part | None:
        attributes, mode = primitive["attributes"], primitive.get("mode", _TRIANGLES)
        if "POSITION" not in attributes:
            return None
        plain = self._item("accessors", attributes["POSITION"]).keys() & {"bufferView", "sparse"}
        if _DRACO in primitive.get("extensions", {}) and not plain:
            raise BrokenShapeError(_packed(_DRACO))
        if mode not in (_POINTS, _TRIANGLES, _STRIP, _FAN):
            self.lines = True
            return None
        stored = self._numbers(attributes["POSITION"])
        count = len(stored)
        if "indices" in primitive:
            corners = self._numbers(primitive["indices"])[:, 0].astype(np.int64)
            check_corners(corners, count)
        else:
            corners = np.arange(count)
        # Primitives often share the vertices of the whole scene; each keeps those that it uses.
        rows: Int64[np.ndarray, " V"] | slice = slice(None)
        if 2 * len(corners) < count:
            rows, corners = np.unique(corners, return_inverse=True)
        points = stored[rows].astype(np.float64)
        self.allowance.take(len(points) + len(corners))

        def column(name: str, among: Mapping[str, int] = attributes) -> np.ndarray:
            found = self._numbers(among[name])
            if len(found) != count:
                raise BrokenShapeError(f"{count:,} vertices and {len(found):,} of their {name}")
            return found[rows]

        for weight, target in zip(weights, primitive.get("targets", ()), strict=False):
            if weight and "POSITION" in target:
                points = points + weight * column("POSITION", target)
        if joints is not None and "JOINTS_0" in attributes:
            points = _skinned(points, column, joints)
        if mode == _POINTS:
            colors = _to_srgb(_linear_colors(column)) if "COLOR_0" in attributes else None
            normals = column("NORMAL").astype(np.float32) if "NORMAL" in attributes else None
            return Part("", points, np.zeros((0, 3), dtype=np.int64), colors, normals)
        faces = _triangles(corners, mode)
        return Part("", points, faces, self._colors(primitive, faces, column)) if len(faces) else None

    # -- colors (sections 3.9.2 and 3.9.3)

    def _colors(self, primitive: Mapping[str, Any], faces: _Faces, column: _Column) -> _Bytes | None:
        """Return the base color of each face, or None if neither its material nor its corners have one."""
        attributes = primitive["attributes"]
        material = self._item("materials", primitive["material"]) if "material" in primitive else {}
        base, kind = material.get("pbrMetallicRoughness", {}), "baseColor"
        if _GLOSSY in material.get("extensions", {}):
            base, kind = material["extensions"][_GLOSSY], "diffuse"
        factor, texture = f"{kind}Factor", f"{kind}Texture"
        found = []
        if factor in base:
            found.append(np.tile(np.array(base[factor], dtype=np.float64)[:3], (len(faces), 1)))
        if "COLOR_0" in attributes:
            found.append(_linear_colors(column)[faces].mean(1))
        if texture in base and (texels := self._texels(base[texture], attributes, faces, column)) is not None:
            found.append(_to_linear(texels))
        return _to_srgb(np.prod(found, axis=0)) if found else None

    def _texels(
        self, info: Mapping[str, Any], attributes: Mapping[str, int], faces: _Faces, column: _Column
    ) -> _Bytes | None:
        """Return the texel at the center of each face, or None without a texture that can be read."""
        moved = info.get("extensions", {}).get("KHR_texture_transform", {})
        place = f"TEXCOORD_{moved.get('texCoord', info.get('texCoord', 0))}"
        if place not in attributes:
            return None
        texture = self._item("textures", info["index"])
        if (pixels := self._pixels(texture)) is None:
            return None
        uv = _fractions(column(place))[faces].mean(1, dtype=np.float64)
        angle = float(moved.get("rotation", 0))
        cosine, sine = np.cos(angle), np.sin(angle)
        uv = uv * moved.get("scale", (1, 1)) @ np.array([[cosine, -sine], [sine, cosine]])
        uv = np.nan_to_num(uv + moved.get("offset", (0, 0)))
        sampler = self._item("samplers", texture["sampler"]) if "sampler" in texture else {}
        height, width = pixels.shape[:2]
        row = _wrapped(uv[:, 1], sampler.get("wrapT"), height)
        return pixels[row, _wrapped(uv[:, 0], sampler.get("wrapS"), width)]

    def _pixels(self, texture: Mapping[str, Any]) -> UInt8[np.ndarray, "h w 3"] | None:
        """Return the pixels of a texture; None, and a warning, if its image cannot be read."""
        extensions = texture.get("extensions", {})
        sources = [extensions.get("EXT_texture_webp", {}).get("source"), texture.get("source")]
        sources += [one.get("source") for one in extensions.values()]
        source = next((place for place in sources if place is not None), None)
        if source is None:
            return None
        if source not in self._textures:
            if sum(pixels.nbytes for pixels in self._textures.values() if pixels is not None) > _HELD:
                self._textures.clear()
            self._textures[source] = self._decoded(source)
        return self._textures[source]

    def _decoded(self, source: int) -> UInt8[np.ndarray, "h w 3"] | None:
        try:
            image = self._item("images", source)
            content = self._uri(image["uri"]) if "uri" in image else bytes(self._view(image["bufferView"])[0])
            return np.asarray(open_picture(content).convert("RGB"))
        except IMAGE_ERRORS as error:
            if shortage(error):  # no fault of the file
                raise
            self.remarks[f"its texture cannot be read ({one_line(error, 120)})"] = None
            return None

    # -- numbers (section 3.6)

    def _numbers(self, index: int) -> np.ndarray:
        """Return an accessor's numbers `(count, width)`, normalized integers as fractions."""
        if index not in self._accessors:
            about = self._item("accessors", index)
            count, width = int(about["count"]), _WIDTHS[about["type"]]
            kind = np.dtype(_COMPONENTS[about["componentType"]])
            if count < 0 or ("bufferView" not in about and count > self.size + self._read):
                raise BrokenShapeError(f"{count:,} numbers promised that are not in the file")
            self.allowance.take(count)
            found = np.zeros((count, width), dtype=kind)
            if "bufferView" in about:
                found = self._stored(about, count, width, kind)
            if sparse := about.get("sparse"):
                found = self._replaced(found, sparse)
            self._accessors[index] = _fractions(found) if about.get("normalized") else found
        return self._accessors[index]

    def _replaced(self, found: np.ndarray, sparse: Mapping[str, Any]) -> np.ndarray:
        """Return numbers with those in place that a sparse accessor replaces."""
        count, indices = int(sparse["count"]), sparse["indices"]
        rows = self._stored(indices, count, 1, np.dtype(_COMPONENTS[indices["componentType"]]))[:, 0]
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(found):
            raise BrokenShapeError(f"it replaces number {rows.max()} of {len(found):,}")
        found = found.copy()
        found[rows] = self._stored(sparse["values"], count, found.shape[1], found.dtype)
        return found

    def _stored(self, place: Mapping[str, Any], count: int, width: int, kind: np.dtype[Any]) -> np.ndarray:
        """Return numbers of a buffer view as they lie there, without a copy."""
        content, stride = self._view(place["bufferView"])
        start, size = int(place.get("byteOffset", 0)), width * kind.itemsize
        stride = stride or size
        if start < 0 or count < 0 or stride < size:
            raise BrokenShapeError(f"{count} numbers of {size} bytes, each {stride} after the one before")
        need = start + (count - 1) * stride + size if count else 0
        if need > len(content):
            raise _truncated(f"{count:,} numbers take {need:,} bytes, {len(content):,} are there")
        return np.ndarray((count, width), kind, content, start if count else 0, (stride, kind.itemsize))

    def _view(self, index: int) -> tuple[memoryview, int]:
        """Return the bytes of a buffer view, and the stride that it gives its numbers, 0 for none."""
        view = self._item("bufferViews", index)
        if packed := _PACKED.keys() & view.get("extensions", {}).keys():
            buffer = self._item("buffers", view["buffer"])
            if "uri" not in buffer and (view["buffer"] or not self.binary):
                raise BrokenShapeError(_packed(packed.pop()))
        content = memoryview(self._buffer(view["buffer"]))
        start, length = int(view.get("byteOffset", 0)), int(view["byteLength"])
        if start < 0 or length < 0 or start + length > len(content):
            raise _truncated(f"bytes {start:,} to {start + length:,} of {len(content):,} are asked for")
        return content[start : start + length], int(view.get("byteStride", 0))

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            buffer = self._item("buffers", index)
            content = self._uri(buffer["uri"]) if "uri" in buffer else self.binary
            if len(content) < (length := int(buffer["byteLength"])):
                raise _truncated(f"its buffer promises {length:,} bytes, {len(content):,} are there")
            self._buffers[index] = content
        return self._buffers[index]

    def _uri(self, uri: str) -> bytes:
        """Return the bytes in a data URI, or of a file beside this one."""
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2], validate=True)
        place = beside(self.path, unquote(uri))
        if place not in self._files:
            self._files[place] = read_bytes(place, LARGEST - self._read)
            self._read += len(self._files[place])
        return self._files[place]


def _skinned(
    points: Float64[np.ndarray, "V 3"], column: _Column, joints: _Joints
) -> Float64[np.ndarray, "V 3"]:
    """Move each point by its joints, up to four, in proportion to their weights."""
    numbers = column("JOINTS_0").astype(np.int64)
    shares = _fractions(column("WEIGHTS_0")).astype(np.float64)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(joints):
        raise BrokenShapeError(f"a vertex follows joint {numbers.max()} of {len(joints)}")
    total = shares.sum(1, keepdims=True)
    shares = np.divide(shares, total, where=total != 0, out=np.zeros_like(shares))
    moved = np.zeros_like(points)
    with np.errstate(all="ignore"):  # what is not finite is named when all is joined
        for number, share in zip(numbers.T, shares.T, strict=True):
            place = joints[number]
            moved += share[:, None] * ((place[:, :3, :3] @ points[:, :, None])[..., 0] + place[:, :3, 3])
    return moved


def _local(node: Mapping[str, Any]) -> _Matrix:
    """Return a node's own transform: its matrix, or scale, rotation and translation, in this order."""
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    transform = np.eye(4)
    if "rotation" in node:
        x, y, z, w = np.asarray(node["rotation"], dtype=np.float64)
        s = 2 / (x * x + y * y + z * z + w * w or 1.0)
        transform[:3, :3] = (
            (1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)),
            (s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)),
            (s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)),
        )
    if "scale" in node:
        transform[:3, :3] *= np.asarray(node["scale"], dtype=np.float64)
    if "translation" in node:
        transform[:3, 3] = node["translation"]
    return transform


def _triangles(corners: Int64[np.ndarray, " n"], mode: int) -> _Faces:
    """Return the faces of a list, a strip or a fan of triangles (section 3.7.2.1)."""
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    first, second, third = corners[:-2], corners[1:-1], corners[2:]
    if mode == _FAN:
        return np.stack([second, third, np.broadcast_to(corners[:1], third.shape)], axis=1)
    faces = np.stack([first, second, third], axis=1)
    faces[1::2, 1:] = faces[1::2, :0:-1]  # every other triangle runs the other way
    return faces


def _linear_colors(column: _Column) -> Float64[np.ndarray, "V 3"]:
    return _fractions(column("COLOR_0"))[:, :3].astype(np.float64)


def _fractions(numbers: np.ndarray) -> np.ndarray:
    """Return normalized integers as fractions, -1 to 1 or 0 to 1; others as they are (section 3.11)."""
    if numbers.dtype.kind not in "iu":
        return numbers
    return np.maximum(numbers.astype(np.float64) / np.iinfo(numbers.dtype).max, -1)


def _wrapped(along: np.ndarray, wrap: int | None, size: int) -> Int64[np.ndarray, " F"]:
    """Return the texel of a coordinate, of which 0 to 1 is the texture (section 3.8.4)."""
    if wrap == _MIRROR:
        along = 1 - np.abs(along % 2 - 1)
    elif wrap == _CLAMP:
        along = along.clip(0, 1)
    else:
        along = along % 1.0
    return np.minimum((along * size).astype(np.int64), size - 1)


def _to_linear(colors: UInt8[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    """Return sRGB bytes as linear fractions (IEC 61966-2-1)."""
    levels = np.arange(256) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)[colors]


def _to_srgb(colors: Float64[np.ndarray, "n 3"]) -> UInt8[np.ndarray, "n 3"]:
    """Return linear fractions as sRGB bytes (IEC 61966-2-1)."""
    levels = np.nan_to_num(colors).clip(0, 1)
    coded = np.where(levels <= 0.0031308, 12.92 * levels, 1.055 * levels ** (1 / 2.4) - 0.055)
    return (255 * coded).round().astype(np.uint8)
