"""3MF: a ZIP archive of XML, in which a plate of several objects is one shape of several parts.

Source: 3MF Consortium, 3D Manufacturing Format Core Specification 1.3, with the colors of its Materials and
Properties Extension and the further model files of its Production Extension.
"""

import io
import re
import zipfile
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

import numpy as np
from jaxtyping import Float64

from adacross.data.formats.polygons import GRAY, check_corners
from adacross.data.formats.scene import Allowance, Part, content_of, joined
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud
from adacross.errors import shortened

UNITS = {"micron": "um", "millimeter": "mm", "centimeter": "cm", "inch": "in", "foot": "ft", "meter": "m"}
_MOST_UNPACKED = 2**26  # bytes of a small file's models; XML packs to a tenth or so
_MOST_PACKED = 50  # bytes of a model for each that it takes in the archive
_PLACING = 1000  # what a component counts of the allowance: it takes as long as so many corners
_START = re.compile(rb"""<Relationship\s[^>]*?Target\s*=\s*["']/?([^"']+\.model)["']""", re.IGNORECASE)
_SOLID = ("model", "surface")  # kinds of objects that are the shape; others support it while it is printed
_Key = tuple[str, str]  # file in the archive, id of a resource in it
_Placed = tuple[_Key, Float64[np.ndarray, "4 4"]]  # object, and where it stands


@dataclass
class _Object:
    """An object of a model file: a mesh, or the objects that it puts together."""

    name: str
    kind: str
    palette: str  # id of the colors of triangles that name none
    color: str
    vertices: "array[float]" = field(default_factory=lambda: array("d"))
    faces: "array[int]" = field(default_factory=lambda: array("q"))
    colors: list[tuple[str, str]] = field(default_factory=list)  # of each triangle: palette, color in it
    components: list[_Placed] = field(default_factory=list)


def read_3mf(path: Path) -> Mesh | PointCloud:
    """Read a 3MF file as one mesh in the file's own unit, z up; its parts are the objects of the build.

    Colors of triangles and of base materials are kept, those of textures are not. Raises BrokenShapeError if
    the file is damaged, or nothing is to be built.
    """
    with (
        content_of(path, zipfile.BadZipFile, zipfile.LargeZipFile, ExpatError) as data,
        zipfile.ZipFile(io.BytesIO(data)) as archive,
    ):
        package = _Package(archive, len(data))
        return joined(package.parts(), UNITS.get(package.unit, ""), package.warnings)


class _Package:
    """The models of an archive: the first, and those that the objects of others are in."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.unit = "millimeter"
        self.warnings: list[str] = []
        self.objects: dict[_Key, _Object] = {}
        self.palettes: dict[_Key, list[str]] = {}
        self.build: list[_Placed] = []
        self._archive, self._size = archive, size
        self._members = {name.lower(): name for name in archive.namelist()}
        self._left = max(_MOST_UNPACKED, _MOST_PACKED * size)
        models = [self._first()]
        for name in models:  # which grows by the models that one refers to
            models += sorted(self._read(name, first=name == models[0]) - {*models})

    def _read(self, model: str, first: bool) -> set[str]:
        """Read a model file, and return the names of others that it refers to."""
        others: set[str] = set()
        one = _Object("", "", "", "")
        palette: list[str] = []

        def placed(named: Mapping[str, str]) -> _Placed:
            path = next((value for key, value in named.items() if key.rpartition(" ")[2] == "path"), "")
            path = path.lstrip("/")
            if path:
                others.add(path)
            place = np.eye(4)
            if "transform" in named:  # twelve numbers, which multiply row vectors
                place[:3] = np.array(named["transform"].split(), dtype=np.float64).reshape(4, 3).T
            return (path or model, named["objectid"]), place

        def start(tag: str, named: Mapping[str, str]) -> None:
            nonlocal one, palette
            match tag.rpartition(" ")[2]:
                case "vertex":
                    one.vertices.extend((float(named["x"]), float(named["y"]), float(named["z"])))
                case "triangle":
                    one.faces.extend((int(named["v1"]), int(named["v2"]), int(named["v3"])))
                    one.colors.append((named.get("pid", ""), named.get("p1", "")))
                case "component":
                    one.components.append(placed(named))
                case "object":
                    name, kind = named.get("name", ""), named.get("type", "model")
                    one = _Object(name, kind, named.get("pid", ""), named.get("pindex", ""))
                    self.objects[model, named["id"]] = one
                case "basematerials" | "colorgroup":
                    palette = self.palettes[model, named["id"]] = []
                case "base" | "color":
                    palette.append(named.get("displaycolor", named.get("color", "")))
                case "item" if first:
                    self.build.append(placed(named))
                case "model" if first:
                    self.unit = named.get("unit", "millimeter")

        def entity(*_: Any) -> None:
            raise BrokenShapeError("its XML declares entities, which 3MF does not allow")

        parser = ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = start
        parser.EntityDeclHandler = entity
        parser.Parse(self._member(model), True)
        return others

    def parts(self) -> list[Part]:
        """Return what is to be built, each object's mesh where it stands."""
        allowance = Allowance(self._size)
        found: list[Part] = []
        meshes: dict[_Key, Part] = {}
        support: set[_Key] = set()
        waiting = [(key, where, "") for key, where in reversed(self.build)]
        while waiting:
            key, world, above = waiting.pop()
            allowance.take(_PLACING)
            one = self._object(key)
            if one.kind not in _SOLID:
                support.add(key)
                continue
            name = one.name or above or f"object {key[1]}"
            if one.faces:
                mesh = meshes[key] = meshes.get(key) or self._mesh(key, one)
                allowance.take(len(mesh.vertices) + mesh.faces.size)
                found.append(replace(mesh.placed(world), name=name, place=(len(found),)))
            waiting += [(inner, world @ where, name) for inner, where in reversed(one.components)]
        if support:
            said = f"{len(support):,} objects that only support others in print are passed over"
            self.warnings.append(said)
        return found

    def _object(self, key: _Key) -> _Object:
        if key not in self.objects:
            raise BrokenShapeError(f"there is no object {shortened(key[1])} in {shortened(key[0])}")
        return self.objects[key]

    def _mesh(self, key: _Key, one: _Object) -> Part:
        vertices = np.array(one.vertices, dtype=np.float64).reshape(-1, 3)
        faces = np.array(one.faces, dtype=np.int64).reshape(-1, 3)
        check_corners(faces, len(vertices))
        named = [(palette or one.palette, color or one.color) for palette, color in one.colors]
        rgb = {pair: self._rgb(key[0], *pair) for pair in set(named)}
        if all(color is None for color in rgb.values()):
            return Part(one.name, vertices, faces)
        colors = np.array([GRAY if rgb[pair] is None else rgb[pair] for pair in named], dtype=np.uint8)
        return Part(one.name, vertices, faces, colors)

    def _rgb(self, file: str, palette: str, color: str) -> tuple[int, ...] | None:
        """Return a color "#RRGGBB" or "#RRGGBBAA" of a palette, or None."""
        known = self.palettes.get((file, palette), [])
        code = known[int(color or 0)] if (color or "0").isdigit() and int(color or 0) < len(known) else ""
        return tuple(bytes.fromhex(code[1:7])) if re.fullmatch(r"#[0-9a-fA-F]{6,8}", code) else None

    def _first(self) -> str:
        """Return the name of the model that the archive begins with."""
        if "_rels/.rels" in self._members and (start := _START.search(self._member("_rels/.rels"))):
            return start[1].decode("utf-8", "replace")
        found = sorted(name for name in self._members.values() if name.lower().endswith(".model"))
        if not found:
            raise BrokenShapeError("not a 3MF file (a ZIP archive without a model in it)")
        return found[0]

    def _member(self, name: str) -> bytes:
        """Return a file of the archive, whose parts unpack to a multiple of the archive's size at most."""
        if name.lower() not in self._members:
            raise BrokenShapeError(f"there is no {shortened(name)} in it")
        with self._archive.open(self._members[name.lower()]) as file:
            content = file.read(self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise BrokenShapeError("its models unpack to more than a file of its size may hold")
        return content
