"""STEP and IGES: solids of computer-aided design, which cascadio (Open CASCADE) turns into triangles."""

import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Literal

from adacross.data.formats.base import optional
from adacross.data.formats.gltf import read_gltf_bytes
from adacross.data.formats.scene import content_of
from adacross.data.shape import BrokenShapeError, Mesh, PointCloud

# Deflection of a chord as a share of its edge, and angle in radians between neighbors on a curve: a circle
# becomes 21 chords, and the number of triangles does not depend on the unit.
LINEAR, ANGULAR = 0.01, 0.3
MOST_PLACED_PARTS = 100_000  # of an assembly, whose parts may be assemblies that come many times
_MILLIMETERS = {  # of a unit; cascadio writes those of STEP in meters, those of IGES in millimeters
    "mm": 1.0, "cm": 10.0, "m": 1000.0, "km": 1e6, "um": 1e-3, "in": 25.4, "ft": 304.8, "mi": 1609344.0,
    "mil": 0.0254, "uin": 2.54e-5,
}  # fmt: skip
_SI_PREFIXES = {"$": "m", ".MILLI.": "mm", ".CENTI.": "cm", ".KILO.": "km", ".MICRO.": "um"}
_STEP_NAMES = {"INCH": "in", "FOOT": "ft", "MILE": "mi", "MIL": "mil"}
_IGES_FLAGS = {
    "1": "in", "4": "ft", "5": "mi", "6": "m", "7": "km", "8": "mil", "9": "um", "10": "cm", "11": "uin",
}  # fmt: skip
_UNITS = re.compile(r"GLOBAL_UNIT_ASSIGNED_CONTEXT\s*\(\s*\(([^)]*)\)")
_SI_UNIT = re.compile(r"SI_UNIT\s*\(\s*(\$|\.\w+\.)\s*,\s*\.METRE\.\s*\)")
_OTHER_UNIT = re.compile(r"CONVERSION_BASED_UNIT\s*\(\s*'([^']*)'")
_LONG_NUMBER = re.compile(r"\d{101}")
_TEXT = r"\s*(?:'(?:[^']|'')*'|\$)\s*,"  # of STEP, an argument
_USAGE = re.compile(rf"NEXT_ASSEMBLY_USAGE_OCCURRENCE\s*\({_TEXT}{_TEXT}{_TEXT}\s*#(\d+)\s*,\s*#(\d+)")


def read_cad(path: Path) -> Mesh | PointCloud:
    """Read a STEP or IGES file as one mesh in the file's own unit, z up.

    Its parts are the products of the assembly, by name; each keeps its color. Raises BrokenShapeError if the
    file is damaged or holds no surface, or without cascadio. Some damage ends the process: Open CASCADE is
    compiled, and trusts its input; `prepare`, `inspect` and `embed` read in processes of their own.
    """
    with content_of(path) as content:
        start = content.find(b"ISO-10303-21", 0, 1000)  # a byte order mark or blank lines may come first
        data = content[max(start, 0) :]
        text = data.decode("latin-1")
        if _LONG_NUMBER.search(text):  # Open CASCADE takes it for infinite, and may not come back
            raise BrokenShapeError("a number of more than 100 digits in it")
        kind: Literal["step", "iges"]
        if start >= 0:
            _check_assembly(text)
            kind, unit, scale = "step", step_unit(text), _MILLIMETERS["m"]
        elif text[72:73] == "S":  # the column in which IGES names its sections, of which this one comes first
            kind, unit, scale = "iges", iges_unit(text), _MILLIMETERS["mm"]
        else:
            raise BrokenShapeError("neither a STEP file (ISO-10303-21) nor an IGES file")
        converted = _converted(data, kind)
        if not converted:
            torn = kind == "step" and "END-ISO-10303-21" not in text
            reason = "truncated: END-ISO-10303-21 is missing" if torn else "there is no shape in it"
            raise BrokenShapeError(f"not a readable {kind.upper()} file ({reason})")
        mesh = read_gltf_bytes(converted, path)
    if isinstance(mesh, PointCloud):
        return mesh
    return replace(mesh, vertices=mesh.vertices * (scale / _MILLIMETERS[unit]), unit=unit)


def step_unit(text: str) -> str:
    """Return the unit of length that a STEP file's first context names; "mm" for none that is known."""
    context = _UNITS.search(text)
    for number in re.findall(r"#(\d+)", context[1] if context else ""):
        entity = re.search(rf"#{number}\s*=([^;]*);", text)
        if entity is None or "LENGTH_UNIT" not in entity[1]:
            continue
        if other := _OTHER_UNIT.search(entity[1]):
            return _STEP_NAMES.get(other[1].strip().upper(), "mm")
        if metric := _SI_UNIT.search(entity[1]):
            return _SI_PREFIXES.get(metric[1], "mm")
    return "mm"


def iges_unit(text: str) -> str:
    """Return an IGES file's unit, the 14th parameter of its global section; "mm" for none that is known."""
    rest = "".join(line[:72].ljust(72) for line in text.splitlines() if line[72:73] == "G")
    values: list[str] = []
    while rest and len(values) < 14:
        rest = rest.lstrip()
        if counted := re.match(r"(\d+)H", rest):  # a text of so many characters, whatever they are
            end = counted.end() + int(counted[1])
            values.append(rest[counted.end() : end])
            rest = rest[end:].lstrip()[1:]
        else:
            value, _, rest = rest.partition(",")
            values.append(value.strip())
    return _IGES_FLAGS.get(values[13], "mm") if len(values) == 14 else "mm"


def _check_assembly(text: str) -> None:
    """Refuse an assembly of few bytes whose parts stand in it very often."""
    inner: defaultdict[str, list[str]] = defaultdict(list)
    for whole, part in _USAGE.findall(text):
        inner[whole].append(part)
    placed: dict[str, int] = {}
    try:
        for product in TopologicalSorter(inner).static_order():
            placed[product] = sum(placed[part] for part in inner.get(product, ())) or 1
    except CycleError:
        raise BrokenShapeError("an assembly in it holds itself") from None
    if (most := max(placed.values(), default=0)) > MOST_PLACED_PARTS:
        raise BrokenShapeError(
            f"its assembly places {most:,} parts, more than the {MOST_PLACED_PARTS:,} that one may have"
        )


def _converted(data: bytes, kind: Literal["step", "iges"]) -> bytes:
    """Return a CAD file as GLB, nothing if that fails; what Open CASCADE says is not shown."""
    cascadio = optional("cascadio", "STEP and IGES files are read by cascadio, which is not installed", "cad")
    with _silent():
        found: bytes = cascadio.load(
            data, kind, tol_linear=LINEAR, tol_angular=ANGULAR, tol_relative=True, use_parallel=False
        )
    return found


@contextmanager
def _silent() -> Iterator[None]:
    """Send what a compiled library writes to standard output and error to nowhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)
