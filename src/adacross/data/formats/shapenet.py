"""ShapeNet with ready-made images, as CrossPoint, CrossNet and AdaCrossNet read it; and ShapeNet-55's lists.

`ShapeNet/<synset>/<id>.ply` is a shape, `ShapeNetRendering/<synset>/<id>/rendering/*.png` are its images.
The published set has the 13 categories and 24 images of 137 x 137 RGBA of 3D-R2N2 (Choy et al., ECCV 2016).

Three known deviations from the released programs. They drop the transparency of an image, so that its
background is whatever color lies hidden under alpha 0; here images are put on white, as rendered ones are.
They draw from all images of a shape; here the first `views` are kept (`--views 24` keeps them all). They
resize images to 224 when they train; here `prepare` resizes to `--size` (137 keeps the pixels as they are)
and pre-training to its own `image_size`.
"""

import os
from dataclasses import replace
from pathlib import Path

from adacross.data.formats.archives import read_head
from adacross.data.formats.base import (
    DatasetIndex,
    Format,
    RawSample,
    SampleRef,
    Skipped,
    as_sample,
    fingerprint_of,
    median_of,
)
from adacross.data.formats.files import files_below, read_file
from adacross.data.formats.ply import ply_counts
from adacross.data.formats.text import Listed, find_listed, lines_of
from adacross.data.shape import Mesh, PointCloud, Split
from adacross.errors import UserError

SHAPES, IMAGES, CLOUDS = "ShapeNet", "ShapeNetRendering", "shapenet_pc"
# The 55 categories of ShapeNetCore: WordNet 3.0 noun offsets and the names they usually go by.
SYNSETS = {
    "02691156": "airplane", "02747177": "trash bin", "02773838": "bag", "02801938": "basket",
    "02808440": "bathtub", "02818832": "bed", "02828884": "bench", "02843684": "birdhouse",
    "02871439": "bookshelf", "02876657": "bottle", "02880940": "bowl", "02924116": "bus",
    "02933112": "cabinet", "02942699": "camera", "02946921": "can", "02954340": "cap", "02958343": "car",
    "02992529": "cellphone", "03001627": "chair", "03046257": "clock", "03085013": "keyboard",
    "03207941": "dishwasher", "03211117": "display", "03261776": "earphone", "03325088": "faucet",
    "03337140": "file cabinet", "03467517": "guitar", "03513137": "helmet", "03593526": "jar",
    "03624134": "knife", "03636649": "lamp", "03642806": "laptop", "03691459": "loudspeaker",
    "03710193": "mailbox", "03759954": "microphone", "03761084": "microwave", "03790512": "motorbike",
    "03797390": "mug", "03928116": "piano", "03938244": "pillow", "03948459": "pistol",
    "03991062": "flowerpot", "04004475": "printer", "04074963": "remote", "04090263": "rifle",
    "04099429": "rocket", "04225987": "skateboard", "04256520": "sofa", "04330267": "stove",
    "04379243": "table", "04401088": "telephone", "04460130": "tower", "04468005": "train",
    "04530566": "watercraft", "04554684": "washer",
}  # fmt: skip
_HEAD = 4096  # bytes of a PLY file that hold its header


class ShapeNet(Format):
    """PLY files by synset, with images beside them."""

    layout = "ShapeNet with images (ShapeNet/<synset>/<id>.ply beside ShapeNetRendering)"
    keep = "first"

    def recognise(self, folder: Path) -> bool:
        """Return whether a folder holds both folders, or is the `ShapeNet` beside a `ShapeNetRendering`."""
        plys = _root(folder).joinpath(SHAPES).glob("*/*.[pP][lL][yY]")
        return any(not path.name.startswith(".") for path in plys)

    def find(self, folder: Path) -> DatasetIndex:
        """List the PLY files, in the order of their paths, and count their points and images.

        A synset is a class, by its usual name (`SYNSETS`) or its own. There is no split, as published.
        `points` and `images` are what at least half of them have, if any.
        """
        root = _root(folder)
        items: list[SampleRef] = []
        skipped: Skipped = []
        counts: list[int] = []
        for path in sorted(files_below(root / SHAPES), key=lambda path: path.relative_to(root).as_posix()):
            if len(path.relative_to(root / SHAPES).parts) != 2 or path.suffix.lower() != ".ply":
                reason = f"not where a shape belongs: {SHAPES}/<synset>/<id>.ply"
                skipped.append({"name": path.relative_to(root).as_posix(), "reason": reason})
                continue
            images = images_of(path)
            counts.append(len(images))
            label = SYNSETS.get(path.parent.name, path.parent.name)
            place = path.relative_to(root / SHAPES).as_posix()
            items.append(SampleRef(place, str(path), label=label, fingerprint=fingerprint_of(path, *images)))
        bare = counts.count(0)
        note = f"{bare:,} of {len(items):,} shapes have no image in {IMAGES}; theirs are rendered."
        paths = [Path(item.path) for item in items]
        points = median_of([count for path in paths if (count := _points(path))])
        most = median_of([count for count in counts if count])
        skipped += _without_shape(root, paths)
        found = DatasetIndex(items, points=points, images=most, note=note if bare else "", skipped=skipped)
        return replace(found, location=str(root))

    def load(self, item: SampleRef) -> RawSample:
        """Read one PLY file, a cloud or a mesh, and list its images."""
        path = Path(item.path)
        found = read_file(path)
        images = images_of(path)
        warnings = found.warnings
        if not images:
            place = f"{IMAGES}/{path.parent.name}/{path.stem}/rendering"
            warnings += (f"no PNG file in {place}; its images are rendered",)
        return replace(as_sample(found), images=images, warnings=warnings)


class ShapeNet55(Format):
    """Clouds in NumPy files, and lists of their names (Yu et al., PoinTr, ICCV 2021; Point-BERT, Point-MAE).

    `shapenet_pc/<synset>-<id>.npy` is a shape. `train.txt` and `test.txt` name its file, a line each; they
    lie beside that folder, or in `ShapeNet-55` or `ShapeNet-34` there.
    """

    layout = f"ShapeNet-55 (train.txt and test.txt that name the clouds in {CLOUDS}/<synset>-<id>.npy)"

    def recognise(self, folder: Path) -> bool:
        """Return whether there are clouds and a list of them."""
        return self._lists(folder) is not None

    def find(self, folder: Path) -> DatasetIndex:
        """List the shapes of both lists; those that are in none are counted."""
        lists = self._lists(folder)
        if lists is None:
            raise UserError(f"{folder} has no {CLOUDS} with train.txt and test.txt beside it.")
        root = _beside(folder, CLOUDS)

        def entry(name: str, split: Split) -> Listed:
            synset = name.split("-", maxsplit=1)[0]
            label = SYNSETS.get(synset, synset)
            return Listed(name.removesuffix(".npy"), f"{CLOUDS}/{name}", f"{split}.txt", split, label)

        splits: tuple[Split, Split] = ("train", "test")
        entries = [entry(line, split) for split in splits for line in lines_of(lists / f"{split}.txt")]
        found = find_listed(root, entries, "no class")
        rest = sum(1 for _ in (root / CLOUDS).glob("[!.]*.npy")) - len(found.items)
        note = f"{lists.relative_to(root) / 'train.txt'} and test.txt give the split."
        note += f" Not read: {rest:,} clouds that neither names." if rest else ""
        return replace(found, location=str(root), note=note, unread={".npy": rest} if rest else {})

    def load(self, item: SampleRef) -> Mesh | PointCloud:
        return read_file(Path(item.path))

    def _lists(self, folder: Path) -> Path | None:
        """Return the folder with the lists of the clouds in a folder or beside it."""
        root = _beside(folder, CLOUDS)
        if not (root / CLOUDS).is_dir():
            return None
        places = dict.fromkeys([folder, root, root / "ShapeNet-55", root / "ShapeNet-34"])
        return next((place for place in places if (place / "train.txt").is_file()), None)


def images_of(path: Path) -> tuple[Path, ...]:
    """Return the visible PNG files of the shape in a PLY file, by name; none where the folder is missing."""
    folder = path.parents[2] / IMAGES / path.parent.name / path.stem / "rendering"
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.lower().endswith(".png")]
    except OSError:
        return ()
    return tuple(folder / name for name in sorted(names) if not name.startswith("."))


def _root(folder: Path) -> Path:
    """Return the folder that holds both; the one given, unless that is `ShapeNet` itself."""
    beside = folder.name == SHAPES and (folder.parent / IMAGES).is_dir()
    return folder.parent if beside and not (folder / SHAPES).is_dir() else folder


def _beside(folder: Path, name: str) -> Path:
    """Return the folder that holds a folder of a name: the one given, or its parent."""
    return folder.parent if not (folder / name).is_dir() and (folder.parent / name).is_dir() else folder


def _points(path: Path) -> int:
    """Return the points of a cloud by its header; 0 for a mesh, or a file that is not as it should be."""
    try:
        counts = ply_counts(read_head(path, _HEAD))
    except OSError:
        return 0
    return 0 if counts.get("face") else counts.get("vertex", 0)


def _without_shape(root: Path, paths: list[Path]) -> Skipped:
    """Name the synsets in which images have no shape: one entry each, for there may be thousands."""
    shapes = {(path.parent.name, path.stem) for path in paths}
    skipped = []
    for folder in sorted((root / IMAGES).glob("[!.]*")):
        if not folder.is_dir():
            continue
        owners = [place.name for place in folder.glob("[!.]*") if place.is_dir()]
        lone = sorted(name for name in owners if (folder.name, name) not in shapes)
        if lone:
            some = ", ".join(lone[:3]) + ", ..." * (len(lone) > 3)
            reason = f"images of {len(lone):,} without a PLY file in {SHAPES}/{folder.name} ({some})"
            skipped.append({"name": f"{IMAGES}/{folder.name}", "reason": reason})
    return skipped
