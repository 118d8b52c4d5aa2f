"""S3DIS as blocks: `indoor3d_sem_seg_hdf5_data/`, rooms cut into columns of one meter by one meter.

`ply_data_all_*.h5` hold `data` (n, 4096, 9), of which x, y and z are used, z up and in meters (x and y from
the block's middle, as we recall), and `label` (n, 4096), what each point is. `all_files.txt` lists the files
in order. `room_filelist.txt` has one line a block, through all files: its room, `Area_1_conferenceRoom_1`.
The order of the 13 names is recalled from the data set's publication (Armeni et al., CVPR 2016), for the
files have none.
"""

from collections import Counter
from pathlib import Path

from adacross.data.formats.base import DatasetIndex, SampleRef
from adacross.data.formats.hdf5 import RowFormat, files_of, read_labels, read_points
from adacross.data.formats.text import lines_of
from adacross.data.shape import BrokenShapeError, PointCloud
from adacross.errors import UserError

PARTS = (
    "ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair", "sofa", "bookcase",
    "board", "clutter",
)  # fmt: skip
TEST_AREA = "Area_5"  # set aside in nearly all papers; another area can be chosen by the blocks' ids
_FILES, _LISTING, _ROOMS = "ply_data_all_*.h5", "all_files.txt", "room_filelist.txt"


class S3DIS(RowFormat):
    """S3DIS in HDF5 files of blocks; z is up."""

    layout = "S3DIS in blocks (ply_data_all_*.h5, room_filelist.txt)"
    up = "z"
    channels = 9
    point_labels = "label"

    def recognise(self, folder: Path) -> bool:
        return any(folder.glob(_FILES)) or (folder / _ROOMS).is_file()

    def find(self, folder: Path) -> DatasetIndex:
        """List the blocks, named by room and place in it; those of `TEST_AREA` are for testing."""
        files = files_of(folder, _FILES, _LISTING)
        rooms = lines_of(folder / _ROOMS)
        if not files or not rooms:
            raise UserError(
                f"{folder} has no {_ROOMS if files else _FILES}. Give the whole folder, as a rule called "
                f"indoor3d_sem_seg_hdf5_data: {_FILES}, {_LISTING} and {_ROOMS}."
            )
        sizes, points, skipped = self.sizes(folder, files)
        # Of one unreadable file the number of blocks follows from the list of rooms; of several it does not.
        rest = len(rooms) - sum(sizes.values())
        if rest and not (len(skipped) == 1 and rest > 0):
            names = ", ".join(entry["name"] for entry in skipped)
            broken = f", and {names} cannot be read" if skipped else ""
            raise UserError(
                f"{folder / _ROOMS} has {len(rooms):,} lines, but the files hold {len(rooms) - rest:,} "
                f"blocks{broken}. One line a block says which room it is of. Give the whole folder with all "
                "its files."
            )
        items: list[SampleRef] = []
        counts: Counter[str] = Counter()
        blocks = ((path, row) for path in files for row in range(sizes.get(path, rest)))
        for (path, row), room in zip(blocks, rooms, strict=True):
            name = f"{room}/{counts[room]:05d}"
            counts[room] += 1
            if path in sizes:
                tested = room.startswith(f"{TEST_AREA}_")
                items.append(SampleRef(name, str(path), row, split="test" if tested else "train"))
        missing = [] if (folder / _LISTING).is_file() else [_LISTING]
        return DatasetIndex(items, parts=list(PARTS), points=points, missing=missing, skipped=skipped)

    def load(self, item: SampleRef) -> PointCloud:
        """Read one block and what its points are."""
        labels = read_labels(item, self.point_labels)
        wrong = labels[(labels < 0) | (labels >= len(PARTS))]
        if len(wrong):
            raise BrokenShapeError(f"a point has label {wrong[0]}, expected 0 to {len(PARTS) - 1}")
        return PointCloud(read_points(item), part=labels, part_names=PARTS)
