"""CrossNet's variants against their equations, written out from projections."""

import subprocess
import sys

import pytest
import torch
from contrastive import agree, batch, built, by_definition

from adacross.encoders import PointNet, ResNet
from adacross.errors import UserError
from adacross.methods import Batch, CrossModal, CrossNet
from adacross.methods.crossnet import stacked_terms


def projected(method: CrossModal, given: Batch) -> dict[str, torch.Tensor]:
    """Each cloud and each picture through its own tower, one at a time."""
    x1, x2 = (method.embed_clouds(cloud) for cloud in given.clouds)
    pictures = {"rgb": given.rgb, "gray": given.gray}
    return {"x1": x1, "x2": x2, **{name: tower(pictures[name]) for name, tower in method.towers.items()}}


@pytest.mark.parametrize("name", ["crossnet", "adacrossnet"])
@pytest.mark.parametrize("options", [{}, {"negatives": "others"}, {"negatives": "released"}], ids=str)
def test_con_pairs_cloud_one_with_color_and_cloud_two_with_gray(name: str, options: dict[str, str]):
    """If nothing is said, other vectors of the same object are no negatives."""
    given, method = batch(), built(name, **options)
    at = projected(method, given)
    clouds, pictures = torch.cat([at["x1"], at["x2"]]), torch.cat([at["rgb"], at["gray"]])
    objects = None if options == {"negatives": "released"} else [*range(6), *range(6)]
    agree(
        method.losses(given),
        {
            "intra": by_definition(at["x1"], at["x2"], 0.2),
            "cross": by_definition(clouds, pictures, 0.2, objects),
        },
    )


@pytest.mark.parametrize(
    ("variant", "seen"), [("joint", {"rgb", "gray"}), ("color", {"rgb"}), ("gray", {"gray"})]
)
def test_the_other_variants_compare_the_clouds_mean_with_each_picture(variant: str, seen: set[str]):
    given, method = batch(), built("crossnet", variant=variant)
    at = projected(method, given)
    mean = (at["x1"] + at["x2"]) / 2
    cross = {f"cross_{name}": by_definition(mean, at[name], 0.1) for name in seen}
    agree(method.losses(given), {"intra": by_definition(at["x1"], at["x2"], 0.1), **cross})


@pytest.mark.parametrize("variant", ["con", "joint"])
def test_a_temperature_that_is_given_is_used(variant: str):
    given, method = batch(), built("crossnet", variant=variant, temperature=0.5)
    at = projected(method, given)
    agree({"intra": method.losses(given)["intra"]}, {"intra": by_definition(at["x1"], at["x2"], 0.5)})


@pytest.mark.parametrize(
    ("variant", "towers"),
    [("con", {"rgb", "gray"}), ("joint", {"rgb", "gray"}), ("color", {"rgb"}), ("gray", {"gray"})],
)
def test_only_the_towers_that_a_variant_needs_exist(variant: str, towers: set[str]):
    """The released programs for one kind of picture build, train nothing of, and save the other ResNet."""
    for method in (
        built("crossnet", variant=variant),
        CrossNet(PointNet(width=32), ResNet(18, 3, 8), ResNet(18, 1, 8), variant),
    ):
        owners = {name.split(".")[0] for name in method.state_dict()}
        assert owners == {"encoder", "point_head", "towers"}
        assert {name.split(".")[1] for name in method.state_dict() if name.startswith("towers")} == towers


@pytest.mark.parametrize(
    ("variant", "rgb", "gray", "missing"),
    [
        ("con", True, False, "gray"),
        ("con", False, True, "rgb"),
        ("joint", False, False, "rgb and gray"),
        ("color", False, True, "rgb"),
        ("gray", True, False, "gray"),
    ],
)
def test_a_missing_tower_is_refused(variant: str, rgb: bool, gray: bool, missing: str):
    with pytest.raises(UserError, match=rf"variant '{variant}' looks at {missing} pictures"):
        CrossNet(
            PointNet(width=32), ResNet(18, 3, 8) if rgb else None, ResNet(18, 1, 8) if gray else None, variant
        )


def test_masking_leaves_the_other_vectors_of_the_object_out():
    """With an object's four vectors equal the released term cannot fall below ln 3; the other one can."""
    vectors = 50 * torch.eye(8)
    released = stacked_terms(vectors, vectors, vectors, vectors, 0.05, "released")
    others = stacked_terms(vectors, vectors, vectors, vectors, 0.05)
    assert released["cross"].item() == pytest.approx(torch.tensor(3.0).log().item(), abs=1e-4)
    assert others["cross"].item() == pytest.approx(0, abs=1e-4)
    assert torch.equal(released["intra"], others["intra"])


@pytest.mark.slow
def test_unknown_words_are_refused_with_the_valid_ones():
    """As plain Python, where no type checker of the tests stands in front."""
    program = """
from adacross.encoders import PointNet
from adacross.errors import UserError
from adacross.methods import ImageTowerConfig, build_method
for options in ({"variant": "colour"}, {"negatives": "all"}):
    try:
        tower = ImageTowerConfig("resnet18", {"width": 8}, False, 32)
        build_method("crossnet", PointNet(width=32), tower, None, **options)
    except UserError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "unknown variant 'colour'. Did you mean 'color'? Valid: con, joint, color, gray.",
        "unknown negatives 'all'. Valid: others, released.",
    ]
