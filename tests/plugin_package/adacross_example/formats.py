"""Clouds in `.xyzc` files: x, y, z and a color a line; the folder is the class."""

from pathlib import Path

import numpy as np

from adacross import Format, PointCloud, SampleRef


class ColoredText(Format):
    """A folder of `<class>/<name>.xyzc` files."""

    layout = "colored clouds (<class>/<name>.xyzc)"
    up = "z"

    def recognise(self, folder: Path) -> bool:
        return any(folder.glob("*/*.xyzc"))

    def find(self, folder: Path) -> list[SampleRef]:
        paths = sorted(folder.glob("*/*.xyzc"))
        return [
            SampleRef(f"{path.parent.name}/{path.stem}", str(path), label=path.parent.name) for path in paths
        ]

    def load(self, item: SampleRef) -> PointCloud:
        rows = np.loadtxt(item.path, ndmin=2)
        return PointCloud(rows[:, :3].astype(np.float32), colors=rows[:, 3:6].astype(np.uint8))
