"""Corrupted clouds as ModelNet-C publishes them.

Ren, Pan and Liu, "Benchmarking and analyzing point cloud classification under corruptions", ICML 2022. The
test shapes of ModelNet40 lie in `clean.h5`, and in `NAME_SEVERITY.h5` for seven corruptions (scale, jitter,
rotate, dropout_global, dropout_local, add_global, add_local) at severities 0 to 4. Each file has `data`
(n, points, 3), clean ones of 1,024 points, and `label` (n, 1), which numbers the classes by name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from adacross.data.formats.base import SampleRef
from adacross.data.formats.modelnet import ModelNet40
from adacross.data.shape import BrokenShapeError
from adacross.errors import UserError
from adacross.evaluation.corruptions.draws import Clouds

CLEAN = "clean"


@dataclass(frozen=True, eq=False)
class ModelNetC:
    """Files in ModelNet-C's layout, of any corruptions and severities."""

    folder: Path  # of the files
    labels: Int64[np.ndarray, " n"]  # classes of the shapes, the same in all files
    # the rows of each file, by corruption and severity; clean ones first, with severity ""
    items: dict[str, dict[str, list[SampleRef]]]

    @classmethod
    def open(cls, folder: Path, classes: Sequence[str]) -> "ModelNetC":
        """List the files of a folder, whose labels number the classes.

        Raises:
            UserError: no such files, labels of other classes, or other labels in some of them.
        """
        found = [re.fullmatch(r"(.+)_(\d+)", path.stem) for path in sorted(folder.glob("*.h5"))]
        files = [(match[1], match[2], folder / f"{match[0]}.h5") for match in found if match]
        clean = folder / f"{CLEAN}.h5"
        if not clean.is_file() or not files:
            raise UserError(
                f"{folder} has no {clean.name} with files like scale_0.h5. Give a folder of ModelNet-C."
            )
        items: dict[str, dict[str, list[SampleRef]]] = {}
        labels: list[int] = []
        for name, severity, path in [(CLEAN, "", clean), *files]:
            expected = f"but the collection has {len(classes)} classes"
            index = ModelNet40().find_rows(folder, {"test": [path]}, classes=len(classes), expected=expected)
            if index.skipped:
                raise UserError(f"{path}: {index.skipped[0]['reason']}. Use a collection of ModelNet40.")
            own = [int(item.label) for item in index.items]
            labels = labels or own
            if own != labels:
                raise UserError(f"{path} has other labels than {clean.name}; expected the same shapes.")
            items.setdefault(name, {})[severity] = index.items
        return cls(folder, np.array(labels), items)

    def clouds(self, name: str, severity: str, rows: Int64[np.ndarray, " k"]) -> Clouds:
        """Read some rows of a file: `(k, points, 3)`; one that cannot be read any more is a `UserError`."""
        items = self.items[name][severity]
        try:
            clouds = [ModelNet40().load(items[row]).points for row in rows]
        except BrokenShapeError as error:
            raise UserError(f"{items[0].path} cannot be read ({error}). Get it again.") from None
        return np.stack(clouds).astype(np.float32)
