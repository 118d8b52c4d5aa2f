"""Folders one too high or too low, and folders that nobody knows."""

from pathlib import Path

import numpy as np
import pytest
from layout_files import clouds, inspected, look, write, write_hdf5
from PIL import Image

from adacross.data.formats import FORMATS, format_of
from adacross.errors import UserError

SYNSET = "02691156"


def write_layouts(root: Path) -> dict[str, Path]:
    """One folder of each layout, as small as can be; where there are any, a folder in it or above it."""
    write_hdf5(root, "modelnet/ply_data_test0.h5", data=clouds(0, 1), label=[0])
    write(root, "text/modelnet40_train.txt", "bed_1\n")
    write(root, "text/bed/bed_1.txt", "0,0,0,0,0,1\n1,0,0,0,0,1\n")
    write_hdf5(root, "scan/main_split/test_objectdataset.h5", data=clouds(0, 1), label=[0])
    write(root, f"part/{SYNSET}/a.txt", "0 0 0 1\n1 0 0 2\n")
    write(root, "part/synsetoffset2category.txt", f"Airplane {SYNSET}\n")
    write(root, "part/train_test_split/shuffled_train_file_list.json", f'["shape_data/{SYNSET}/a"]')
    write_hdf5(
        root,
        "rows/ply_data_train0.h5",
        data=clouds(0, 1),
        label=[0],
        pid=np.zeros((1, clouds(0, 1).shape[1])),
    )
    write_hdf5(root, "rooms/ply_data_all_0.h5", data=clouds(0, 1, 5, 9), label=np.zeros((1, 5)))
    write(root, "rooms/room_filelist.txt", "Area_5_office_1\n")
    return {
        "modelnet": root / "modelnet",
        "text": root / "text" / "bed",
        "scan": root / "scan" / "main_split",
        "part": root / "part" / "train_test_split",
        "rows": root / "rows",
        "rooms": root / "rooms",
    }


KINDS = {
    "modelnet": "modelnet40",
    "text": "modelnet_text",
    "scan": "scanobjectnn",
    "part": "shapenetpart",
    "rows": "shapenetpart",
    "rooms": "s3dis",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_every_layout_is_told_from_every_other(tmp_path: Path, name: str) -> None:
    write_layouts(tmp_path)
    kind, text = inspected(tmp_path / name)
    assert kind == KINDS[name]
    assert FORMATS[look(tmp_path / name).format].layout in text
    assert "1 of 1" in text


def test_one_folder_too_low(tmp_path: Path) -> None:
    folders = write_layouts(tmp_path)
    for name in ("text", "part"):
        with pytest.raises(UserError, match=rf"holds no shapes.* Did you mean {tmp_path / name}\?"):
            look(folders[name])
    assert look(folders["scan"]).format == "scanobjectnn"


def test_one_folder_too_high(tmp_path: Path) -> None:
    write_layouts(tmp_path)
    with pytest.raises(UserError, match=rf"Did you mean {tmp_path / 'modelnet'} or {tmp_path / 'part'} or"):
        look(tmp_path)
    write(tmp_path, "meshes/a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    kind, text = inspected(tmp_path)
    assert kind == "files"
    assert (
        f"note only files of single shapes are read; data of another layout is in {tmp_path / 'modelnet'}"
        in text
    )


def test_a_folder_that_nobody_knows_lists_the_layouts(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "nowhere"):
        with pytest.raises(UserError) as caught:
            look(tmp_path / folder)
        for layout in (made.layout for made in FORMATS.values()):
            assert layout in str(caught.value)
        assert "Did you mean" not in str(caught.value)


def test_every_format_is_described_and_found_by_its_name() -> None:
    for name, made in FORMATS.items():
        assert made.layout
        assert type(format_of(name)) is made


def test_built_in_shapes_have_their_own_variants() -> None:
    with pytest.raises(UserError, match="unknown variant of the built-in shapes 'modelnet10'"):
        look(Path("builtin"), "modelnet10")
    assert look(Path("builtin")).variant == "clean"
    assert inspected(Path("builtin"))[0] == "builtin"


def test_a_folder_of_labeled_pictures_is_recognized(tmp_path: Path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(2):
            picture = Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
            picture.save(tmp_path / name / f"{number}.png")
    (tmp_path / "dog" / "9.png").write_bytes(b"no picture")
    kind, text = inspected(tmp_path)
    assert kind == "pictures"
    for word in ("4 of 2 classes", "cat, dog", "evaluate images", "9.png"):
        assert word in text
