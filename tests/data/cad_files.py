"""STEP files written entity by entity: boxes, alone or as the parts of an assembly."""

from collections.abc import Mapping, Sequence
from math import hypot

Corner = tuple[float, ...]
UNITS = {
    "mm": ["( LENGTH_UNIT() NAMED_UNIT(*) SI_UNIT(.MILLI.,.METRE.) )"],
    "m": ["( LENGTH_UNIT() NAMED_UNIT(*) SI_UNIT($,.METRE.) )"],
    "in": [
        "( LENGTH_UNIT() NAMED_UNIT(*) SI_UNIT(.MILLI.,.METRE.) )",
        "LENGTH_MEASURE_WITH_UNIT(LENGTH_MEASURE(25.4),{0})",
        "DIMENSIONAL_EXPONENTS(1.,0.,0.,0.,0.,0.,0.)",
        "( CONVERSION_BASED_UNIT('INCH',{1}) LENGTH_UNIT() NAMED_UNIT({2}) )",
    ],
}
SIDES = ((4, 6, 2, 0), (3, 7, 5, 1), (1, 5, 4, 0), (6, 7, 3, 2), (2, 3, 1, 0), (5, 7, 6, 4))


class Step:
    """A STEP file (ISO 10303-21, AP214) that grows by entities."""

    def __init__(self, unit: str = "mm") -> None:
        self.lines: list[str] = []
        context = self.add("APPLICATION_CONTEXT('core data')")
        self.add(f"APPLICATION_PROTOCOL_DEFINITION('is','automotive_design',2000,{context})")
        self.product_context = self.add(f"PRODUCT_CONTEXT('',{context},'mechanical')")
        self.design_context = self.add(f"PRODUCT_DEFINITION_CONTEXT('part definition',{context},'design')")
        made: list[str] = []
        for entity in UNITS[unit]:
            made.append(self.add(entity.format(*made)))
        angle = self.add("( NAMED_UNIT(*) PLANE_ANGLE_UNIT() SI_UNIT($,.RADIAN.) )")
        solid = self.add("( NAMED_UNIT(*) SI_UNIT($,.STERADIAN.) SOLID_ANGLE_UNIT() )")
        close = self.add(
            f"UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-6),{made[-1]},'distance_accuracy_value','')"
        )
        self.context = self.add(
            f"( GEOMETRIC_REPRESENTATION_CONTEXT(3) GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT(({close})) "
            f"GLOBAL_UNIT_ASSIGNED_CONTEXT(({made[-1]},{angle},{solid})) REPRESENTATION_CONTEXT('','3D') )"
        )

    def add(self, entity: str) -> str:
        """Add an entity and return how others name it."""
        self.lines.append(f"#{len(self.lines) + 1}={entity};")
        return f"#{len(self.lines)}"

    def triple(self, kind: str, numbers: Sequence[float]) -> str:
        return self.add(f"{kind}('',({','.join(f'{float(number):.6f}' for number in numbers)}))")

    def axes(
        self, at: Sequence[float], z: Sequence[float] = (0, 0, 1), x: Sequence[float] = (1, 0, 0)
    ) -> str:
        point, along, across = (
            self.triple("CARTESIAN_POINT", at),
            self.triple("DIRECTION", z),
            self.triple("DIRECTION", x),
        )
        return self.add(f"AXIS2_PLACEMENT_3D('',{point},{along},{across})")

    def product(self, name: str, item: str, kind: str) -> tuple[str, str]:
        """Add a product and its representation; return its definition and that representation."""
        product = self.add(f"PRODUCT('{name}','{name}','',({self.product_context}))")
        formation = self.add(f"PRODUCT_DEFINITION_FORMATION('','',{product})")
        definition = self.add(f"PRODUCT_DEFINITION('design','',{formation},{self.design_context})")
        shape = self.add(f"PRODUCT_DEFINITION_SHAPE('','',{definition})")
        representation = self.add(f"{kind}('{name}',({item}),{self.context})")
        self.add(f"SHAPE_DEFINITION_REPRESENTATION({shape},{representation})")
        return definition, representation

    def box(self, size: Corner, color: Corner | None = None) -> tuple[str, str]:
        """Add a solid from the origin; return the items of its representation and the axes among them."""
        corners = [(x, y, z) for z in (0, size[2]) for y in (0, size[1]) for x in (0, size[0])]
        return self.solid(corners, SIDES, color)

    def solid(
        self, corners: Sequence[Corner], sides: Sequence[Sequence[int]], color: Corner | None = None
    ) -> tuple[str, str]:
        """Add a solid of flat sides; return as `box`."""
        points = [self.triple("CARTESIAN_POINT", corner) for corner in corners]
        vertices = [self.add(f"VERTEX_POINT('',{point})") for point in points]
        edges: dict[tuple[int, int], str] = {}
        faces = []
        for side in sides:
            loop = []
            for a, b in zip(side, (*side[1:], side[0]), strict=True):
                key = (min(a, b), max(a, b))
                if key not in edges:
                    along = [q - p for p, q in zip(corners[key[0]], corners[key[1]], strict=True)]
                    length = hypot(*along)
                    direction = self.triple("DIRECTION", [step / length for step in along])
                    vector = self.add(f"VECTOR('',{direction},1.)")
                    line = self.add(f"LINE('',{points[key[0]]},{vector})")
                    edges[key] = self.add(f"EDGE_CURVE('',{vertices[key[0]]},{vertices[key[1]]},{line},.T.)")
                loop.append(self.add(f"ORIENTED_EDGE('',*,*,{edges[key]},.{'T' if key == (a, b) else 'F'}.)"))
            around = self.add(f"EDGE_LOOP('',({','.join(loop)}))")
            bound = self.add(f"FACE_OUTER_BOUND('',{around},.T.)")
            at, beside, across_it = (corners[i] for i in side[:3])
            u = [q - p for p, q in zip(at, beside, strict=True)]
            v = [q - p for p, q in zip(beside, across_it, strict=True)]
            normal = (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
            length, across = hypot(*normal), hypot(*u)
            axes = self.axes(at, [n / length for n in normal], [n / across for n in u])
            plane = self.add(f"PLANE('',{axes})")
            faces.append(self.add(f"ADVANCED_FACE('',({bound}),{plane},.T.)"))
        shell = self.add(f"CLOSED_SHELL('',({','.join(faces)}))")
        solid = self.add(f"MANIFOLD_SOLID_BREP('',{shell})")
        if color is not None:
            rgb = self.add(f"COLOUR_RGB('',{','.join(f'{one:.6f}' for one in color)})")
            fill = self.add(f"FILL_AREA_STYLE_COLOUR('',{rgb})")
            filled = self.add(f"FILL_AREA_STYLE('',({fill}))")
            area = self.add(f"SURFACE_STYLE_FILL_AREA({filled})")
            side_style = self.add(f"SURFACE_SIDE_STYLE('',({area}))")
            usage = self.add(f"SURFACE_STYLE_USAGE(.BOTH.,{side_style})")
            style = self.add(f"PRESENTATION_STYLE_ASSIGNMENT(({usage}))")
            styled = self.add(f"STYLED_ITEM('color',({style}),{solid})")
            self.add(f"MECHANICAL_DESIGN_GEOMETRIC_PRESENTATION_REPRESENTATION('',({styled}),{self.context})")
        return solid, self.axes((0, 0, 0))

    def text(self) -> str:
        body = "\n".join(self.lines)
        return (
            "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION((''),'2;1');\n"
            "FILE_NAME('box','2026-01-01T00:00:00',(''),(''),'','','');\n"
            "FILE_SCHEMA(('AUTOMOTIVE_DESIGN { 1 0 10303 214 1 1 1 1 }'));\nENDSEC;\nDATA;\n"
            f"{body}\nENDSEC;\nEND-ISO-10303-21;\n"
        )


def step_box(
    size: Corner = (2, 4, 6), name: str = "block", unit: str = "mm", color: Corner | None = None
) -> str:
    """Return a STEP file of one box from the origin."""
    file = Step(unit)
    solid, axes = file.box(size, color)
    file.product(name, f"{axes},{solid}", "ADVANCED_BREP_SHAPE_REPRESENTATION")
    return file.text()


def step_solid(corners: Sequence[Corner], sides: Sequence[Sequence[int]]) -> str:
    """Return a STEP file of one solid of flat sides."""
    file = Step()
    solid, axes = file.solid(corners, sides)
    file.product("solid", f"{axes},{solid}", "ADVANCED_BREP_SHAPE_REPRESENTATION")
    return file.text()


def step_assembly(parts: Mapping[str, tuple[Corner, Sequence[Corner]]]) -> str:
    """Return a STEP file of boxes by name: the size of each, and all the places where it stands."""
    file = Step()
    made = {}
    for name, (size, _) in parts.items():
        solid, axes = file.box(size)
        made[name] = (*file.product(name, f"{axes},{solid}", "ADVANCED_BREP_SHAPE_REPRESENTATION"), axes)
    places = {name: [file.axes(at) for at in where] for name, (_, where) in parts.items()}
    every = ",".join([file.axes((0, 0, 0)), *(axes for found in places.values() for axes in found)])
    whole, frame = file.product("assembly", every, "SHAPE_REPRESENTATION")
    for name, found in places.items():
        definition, representation, origin = made[name]
        for number, axes in enumerate(found):
            usage = file.add(f"NEXT_ASSEMBLY_USAGE_OCCURRENCE('{number}','{name}','',{whole},{definition},$)")
            shape = file.add(f"PRODUCT_DEFINITION_SHAPE('','',{usage})")
            move = file.add(f"ITEM_DEFINED_TRANSFORMATION('','',{origin},{axes})")
            relation = file.add(
                f"( REPRESENTATION_RELATIONSHIP('','',{representation},{frame}) "
                f"REPRESENTATION_RELATIONSHIP_WITH_TRANSFORMATION({move}) "
                "SHAPE_REPRESENTATION_RELATIONSHIP() )"
            )
            file.add(f"CONTEXT_DEPENDENT_SHAPE_REPRESENTATION({relation},{shape})")
    return file.text()


def iges_square(side: float, unit: int) -> str:
    """Return an IGES 5.3 file of one ruled surface between two lines; `unit` is its flag (2: mm)."""
    text = [
        "1H,",
        "1H;",
        "1Ha",
        "5Ha.igs",
        "1Ha",
        "1Ha",
        "32",
        "38",
        "6",
        "308",
        "15",
        "1Ha",
        "1.",
        str(unit),
    ]
    text += ["2HXX", "1", "0.1", "15H20260101.000000", "1.E-6", "100.", "1Ha", "1Ha", "11", "0"]
    parameters = [f"110,0.,0.,0.,{side}.,0.,0.;", f"110,0.,{side}.,0.,{side}.,{side}.,0.;", "118,1,3,0,0;"]
    lines = ["a".ljust(72) + "S0000001"]
    whole = ",".join(text) + ";"
    pieces = [whole[at : at + 72] for at in range(0, len(whole), 72)]
    lines += [piece.ljust(72) + f"G{number:7d}" for number, piece in enumerate(pieces, 1)]
    for number, entry in enumerate(parameters, 1):
        kind, form = entry[:3], 1 if entry.startswith("118") else 0
        status = "00000000" if kind == "118" else "00010000"
        first = [kind, number, 0, 0, 0, 0, 0, 0]
        lines.append("".join(f"{value:>8}" for value in first) + status + f"D{2 * number - 1:7d}")
        lines.append(
            "".join(f"{value:>8}" for value in (kind, 0, 0, 1, form)) + " " * 32 + f"D{2 * number:7d}"
        )
    for number, entry in enumerate(parameters, 1):
        lines.append(entry.ljust(64) + f"{2 * number - 1:8d}P{number:7d}")
    counts = f"S0000001G{len(pieces):07d}D{2 * len(parameters):07d}P{len(parameters):07d}"
    lines.append(counts.ljust(72) + "T0000001")
    return "\n".join(lines) + "\n"
