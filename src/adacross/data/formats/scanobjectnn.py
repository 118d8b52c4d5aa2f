"""ScanObjectNN: objects cut out of scanned rooms, as the folder `h5_files/` of HDF5 files.

| variant | files | objects |
|---|---|---|
| obj_only | `main_split_nobg/*_objectdataset.h5` | without the background around them |
| obj_bg | `main_split/*_objectdataset.h5`, or `train.h5` and `test.h5` there | with it |
| pb_t25 | `main_split/*_objectdataset_augmented25_norot.h5` | with it, moved by up to a quarter |
| pb_t25_r | `main_split/*_objectdataset_augmented25rot.h5` | as pb_t25, and turned |
| pb_t50_r | `main_split/*_objectdataset_augmentedrot.h5` | moved by up to a half, and turned |
| pb_t50_rs | `main_split/*_objectdataset_augmentedrot_scale75.h5` | as pb_t50_r, and scaled |
| pb_..._nobg | the same in `main_split_nobg/` | without the background |

`*` is `training` and `test`. Each file holds `data` (n, 2048, 3), y up, `label` (n,) and `mask` (n, 2048), -1
for the background, which is not needed. The programs of CrossPoint, CrossNet and AdaCrossNet read
`main_split/train.h5` and `test.h5`, which by their place are obj_bg. The order of the 15 names is recalled
from the data set's publication (Uy et al., ICCV 2019): the files have none.
"""

from dataclasses import replace
from pathlib import Path

from adacross.data.formats.base import DatasetIndex, SampleRef
from adacross.data.formats.hdf5 import RowFormat, read_points
from adacross.data.shape import BrokenShapeError, PointCloud
from adacross.errors import UserError, one_of

CLASSES = (
    "bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table", "bed", "pillow",
    "sink", "sofa", "toilet",
)  # fmt: skip
_PAIR = ("training_objectdataset{}.h5", "test_objectdataset{}.h5")
_MOVED = {
    "pb_t25": "_augmented25_norot", "pb_t25_r": "_augmented25rot", "pb_t50_r": "_augmentedrot",
    "pb_t50_rs": "_augmentedrot_scale75",
}  # fmt: skip
# Where each variant's files lie: their folder, and pairs of training and test file, the first there counts.
FILES = {
    "obj_only": ("main_split_nobg", [[name.format("") for name in _PAIR]]),
    "obj_bg": ("main_split", [[name.format("") for name in _PAIR], ["train.h5", "test.h5"]]),
} | {
    variant + more: ("main_split" + more, [[name.format(ending) for name in _PAIR]])
    for variant, ending in _MOVED.items()
    for more in ("", "_nobg")
}
_USUAL = ("obj_only", "obj_bg", "pb_t50_rs")  # preferred to the others where no variant is chosen


class ScanObjectNN(RowFormat):
    """ScanObjectNN in HDF5 files; the variant is a name of `FILES`, None for the one that is there."""

    layout = "ScanObjectNN (h5_files with main_split, main_split_nobg)"
    keep = "cycle"  # the padding at a cloud's end is dropped

    def __init__(self, variant: str | None = None) -> None:
        self.variant = variant and one_of("variant of ScanObjectNN", variant, FILES)

    def recognise(self, folder: Path) -> bool:
        """Return whether a folder holds such files, or is one of the two folders."""
        return bool(variants(folder))

    def find(self, folder: Path) -> DatasetIndex:
        """List the objects of one variant; those whose label is none of the 15 are skipped and named."""
        found = variants(folder)
        there = ", ".join(found)
        usual = [variant for variant in found if variant in _USUAL] or list(found)
        if self.variant is None and len(usual) > 1:
            raise UserError(
                f"{folder} holds several variants of ScanObjectNN: {there}. Choose one with --variant."
            )
        variant = self.variant or usual[0]
        if variant not in found:
            place, names = FILES[variant]
            raise UserError(
                f"{folder} has no {variant} ({place}/{names[0][0]}); what is there: {there}. "
                "Add its files, or choose another --variant."
            )
        pairs = zip(("train", "test"), found[variant], strict=True)
        files = {word: [path] if path.is_file() else [] for word, path in pairs}
        index = self.find_rows(folder, files, len(CLASSES))
        there = " and ".join(path.name for path in found[variant] if path.is_file())
        missing = [f"{path.parent.name}/{path.name}" for path in found[variant] if not path.is_file()]
        note = f"ScanObjectNN, variant {variant}: {there}."
        return replace(index, classes=list(CLASSES), variant=variant, note=note, missing=missing)

    def load(self, item: SampleRef) -> PointCloud:
        """Read one row without the points that pad it, (-1, -1, -1) at its end."""
        cloud = read_points(item)
        real = (cloud != -1).any(1).nonzero()[0]
        if not len(real):
            raise BrokenShapeError("no point but padding, (-1, -1, -1)")
        return PointCloud(cloud[: real[-1] + 1])


def variants(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Return the variants of which a folder has at least one file, each with its training and test file."""
    found = {}
    for variant, (name, pairs) in FILES.items():
        place = folder if folder.name == name else folder / name
        for pair in pairs:
            paths = tuple(place / file for file in pair)
            if variant not in found and any(path.is_file() for path in paths):
                found[variant] = paths
    return found
