"""Groups of copies as rows: for the terminal, as CSV, as a data frame, in a notebook."""

from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from adacross.console import Table, csv_text, html_table, words
from adacross.errors import shortened
from adacross.io.files import write_whole

if TYPE_CHECKING:
    from rich.console import RenderableType

Relation = Literal["reference", "identical", "rescaled", "mirrored", "near"]
RELATIONS: tuple[Relation, ...] = ("reference", "identical", "rescaled", "mirrored", "near")
_UNITS = {
    25.4: "inches and millimeters",
    1000.0: "meters and millimeters",
    10.0: "centimeters and millimeters",
}
_CLOSE = 1e-3  # relative difference of a factor from that of two units
_NOTHING = 1e-3  # percent of the diagonal that is rounding
_LISTED = 20  # groups that the terminal shows


@dataclass(frozen=True)
class Copy:
    """A member of a group.

    Attributes:
        group: number of the group, 1 for the one with the best evidence.
        id: of the shape.
        relation: to `reference`: identical (the same surface, perhaps moved, rotated or remeshed),
            rescaled, mirrored, or near; of the group's first member: reference.
        factor: size of the shape divided by the reference's.
        distance_percent: largest distance between the two surfaces, once aligned and of one size, in percent
            of the diagonal of the bounding box.
        reference: id of the shape that it was compared with.
    """

    group: int
    id: str
    relation: Relation
    factor: float
    distance_percent: float
    reference: str

    @property
    def unit(self) -> str:
        """Return the units whose ratio the factor is, in words; "" for none."""
        larger = max(self.factor, 1 / self.factor) if self.factor > 0 else 0.0
        return next((name for times, name in _UNITS.items() if abs(larger / times - 1) < _CLOSE), "")

    def evidence(self) -> str:
        """Return factor and distance in words; "" for a group's first member."""
        if self.relation == "reference":
            return ""
        size = "" if self.relation == "identical" else f"x {self.factor:.4g}"
        unit = f" ({self.unit})" if self.unit else ""
        apart = "0" if self.distance_percent < _NOTHING else f"{self.distance_percent:.2g}"
        return ", ".join(filter(None, [size + unit, f"{apart} % apart"]))


@dataclass(frozen=True)
class Duplicates:
    """Result of `find_duplicates`.

    Attributes:
        copies: the members of all groups, the best evidence first.
        shapes: number of shapes that were compared.
        skipped: name and reason of those that could not be read.
    """

    copies: list[Copy]
    shapes: int
    skipped: list[tuple[str, str]]

    @property
    def groups(self) -> list[list[Copy]]:
        """Return the members group by group."""
        found: dict[int, list[Copy]] = {}
        for copy in self.copies:
            found.setdefault(copy.group, []).append(copy)
        return list(found.values())

    def to_dataframe(self) -> Any:
        """Return the rows as a pandas `DataFrame`; ImportError without pandas."""
        import pandas as pd

        return pd.DataFrame([asdict(copy) for copy in self.copies], columns=_COLUMNS)

    def to_csv(self, path: Path) -> None:
        """Write the rows."""
        rows = (
            asdict(copy)
            | {"factor": f"{copy.factor:.6g}", "distance_percent": f"{copy.distance_percent:.4g}"}
            for copy in self.copies
        )
        write_whole(path, csv_text(rows, _COLUMNS), newline="")

    def summary(self) -> str:
        """Return a sentence: how many shapes, groups and copies of each kind."""
        kinds = [copy.relation for copy in self.copies]
        counts = ", ".join(f"{kinds.count(kind):,} {kind}" for kind in RELATIONS[1:] if kind in kinds)
        groups = f"{len(self.groups):,} group{'s' * (len(self.groups) != 1)} of copies"
        return f"{groups} among {self.shapes:,} shapes{': ' + counts if counts else ''}."

    def table(self) -> "RenderableType":
        """Render the groups with the best evidence, and what was skipped."""
        from rich.console import Group

        table = Table(*_SHOWN)
        for copy in (copy for group in self.groups[:_LISTED] for copy in group):
            table.add_row(str(copy.group), shortened(copy.id), copy.relation, copy.evidence())
        more = len(self.groups) - _LISTED
        lines = [self.summary()]
        lines += [f"{more:,} more groups: write all of them with --output copies.csv."] if more > 0 else []
        lines += [f"{name} was skipped: {reason}" for name, reason in self.skipped[:_LISTED]]
        lines += [f"... and {len(self.skipped) - _LISTED:,} more"] if len(self.skipped) > _LISTED else []
        return Group(*([table] if self.copies else []), *map(words, lines))

    def _repr_html_(self) -> str:
        """Render the rows as a table, for notebooks."""
        lines = [(copy.group, copy.id, copy.relation, copy.evidence()) for copy in self.copies[:200]]
        return f"<p>{escape(self.summary())}</p>{html_table(_SHOWN, lines)}"


_COLUMNS = [field.name for field in fields(Copy)]
_SHOWN = ("group", "shape", "relation", "evidence")
