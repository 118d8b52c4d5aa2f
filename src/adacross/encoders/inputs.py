"""Specification of the clouds that an encoder was trained with, as its `config.json` has it."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from adacross.errors import UserError
from adacross.io.files import fits

MIN_POINTS, MOST_POINTS = 32, 2**20  # of a cloud


@dataclass(frozen=True)
class InputSpec:
    """Description of the clouds that an encoder expects."""

    up: str = "y"  # the axis that points up, or "any": trained on clouds in any orientation
    scale: str = "unit sphere"  # where the points lie
    points: int | None = None  # points a cloud while it was trained, 32 to 2^20; None where that is not known

    def __post_init__(self) -> None:
        if self.points is not None and not MIN_POINTS <= self.points <= MOST_POINTS:
            raise UserError(
                f"an encoder's clouds have {self.points:,} points; "
                f"expected {MIN_POINTS} to {MOST_POINTS:,}. Give other --points."
            )

    @classmethod
    def read(cls, stored: Any, source: str) -> "InputSpec":
        """Return what `config.json` says, and refuse what clouds here are not; older files say nothing."""
        kinds = {field.name: field.type for field in fields(cls)}
        if not (isinstance(stored, dict) and stored.keys() <= kinds.keys()):
            raise UserError(f"{source} has inputs {stored!r}; expected a JSON object of {', '.join(kinds)}.")
        if wrong := [name for name, value in stored.items() if not fits(value, kinds[name])]:
            raise UserError(f"{source} has inputs of a wrong type: {wrong[0]} is {stored[wrong[0]]!r}.")
        try:
            found = cls(**stored)
        except UserError as error:
            raise UserError(f"{source}: {str(error).removesuffix(' Give other --points.')}") from None
        if found.up not in (cls.up, "any") or found.scale != cls.scale:
            raise UserError(
                f"{source} says of its encoder's clouds: {found.up} up, {found.scale}; here all clouds are "
                f"{cls.up} up, {cls.scale}."
            )
        return found

    def stored(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse a shape other than a batch of clouds, `(B, N, 3)`."""
    if len(shape) != 3 or shape[2] != 3:
        single = " Of a single cloud use points[None]."
        hints = {2: single, 3: " Coordinates come last: use points.transpose(1, 2)."}
        hint = hints.get(len(shape), "") if shape[1:2] == (3,) else ""
        raise UserError(f"points have shape {shape}; expected (clouds, points, 3).{hint}")
    if shape[0] < 1:
        raise UserError(f"points have shape {shape}; expected at least 1 cloud.")
