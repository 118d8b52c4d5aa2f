"""Released files: read as they are, refused when anything does not fit. Values: test_golden.py."""

from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.encoders import (
    DGCNN,
    DGCNNPartSeg,
    DGCNNSemSeg,
    PartSegHead,
    PointNet,
    PointNetPartSeg,
    PointNetPartSegHead,
    ResNet,
    load_official,
    load_official_image,
    load_official_segmentation,
)
from adacross.errors import UserError
from adacross.nn.heads import ImageProjection

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = {"linear": "conv", "norm": "bn"}
STN = [
    ("layers.0", "conv1", "bn1"),
    ("layers.1", "conv2", "bn2"),
    ("last", "conv3", "bn3"),
    ("dense.0", "fc1", "bn4"),
    ("dense.1", "fc2", "bn5"),
]


def released(name: str) -> dict[str, torch.Tensor]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key[6:]: torch.from_numpy(file[key]) for key in file if key.startswith("state/")}


def saved(state, path: Path) -> Path:
    torch.save(state, path)
    return path


@pytest.mark.parametrize(("name", "kind"), [("dgcnn_cls", DGCNN), ("pointnet_cls", PointNet)])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_both_encoders_and_their_heads(name, kind, prefix, tmp_path):
    state = {prefix + key: tensor for key, tensor in released(name).items()}
    encoder, head = load_official(saved(state, tmp_path / "best.pth"), k=12)
    assert type(encoder) is kind
    assert not encoder.training
    assert head is not None
    assert not head.training
    points = torch.randn(2, 40, 3)
    assert head(encoder(points)).shape == (2, 256)
    assert torch.equal(
        encoder.last.linear.weight, next(v for k, v in state.items() if "conv5" in k and v.ndim == 3)[:, :, 0]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dgcnn_partseg_pretrain", DGCNNPartSeg),
        ("dgcnn_semseg_pretrain", DGCNNSemSeg),
        ("dgcnn_partseg", DGCNNPartSeg),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_segmentation_encoders_and_their_heads(name, kind, prefix, tmp_path):
    path = saved({prefix + key: tensor for key, tensor in released(name).items()}, tmp_path / "best.pth")
    encoder, projection = load_official(path, k=12)
    assert type(encoder) is kind
    assert projection is not None
    assert encoder.options["k"] == 12
    assert projection(encoder(torch.randn(2, 40, 3))).shape == (2, 256)
    if name.endswith("_pretrain"):
        with pytest.raises(UserError, match=f"{encoder.kind}' encoder without a segmentation head"):
            load_official_segmentation(path)
        return
    encoder, head = load_official_segmentation(path, k=12)
    assert isinstance(head, PartSegHead)
    assert not encoder.training
    assert not head.training
    assert head(*encoder.both_features(torch.randn(2, 40, 3)), torch.tensor([0, 15])).shape == (2, 40, 50)


def renamed(state, places):
    """Our names to released ones."""
    pairs = ((name.rpartition("."), tensor) for name, tensor in state.items() if "num_batches" not in name)
    return {f"{places[layer]}.{part}": tensor for (layer, _, part), tensor in pairs}


def test_pointnet_part_segmentation(tmp_path):
    """A small one of ours under the released names; the real file, where present, is in test_golden.py."""
    encoder, head = PointNetPartSeg(width=24), PointNetPartSegHead(24, categories=5, parts=9)
    places = {f"layers.{i}.{part}": f"{name}{i + 1}" for i in range(4) for part, name in NAMES.items()}
    places |= {"last.linear": "conv5", "last.norm": "bn5"}
    for ours, theirs in (("transform", "stn"), ("feature_transform", "fstn")):
        for place, product, norm in STN:
            places[f"{ours}.{place}.linear"] = f"{theirs}.{product}"
            places[f"{ours}.{place}.norm"] = f"{theirs}.{norm}"
        places[f"{ours}.matrix"] = f"{theirs}.fc3"
    state = renamed(encoder.state_dict(), places)
    for i, place in enumerate(("join", "layers.0", "layers.1"), 1):
        state |= renamed(
            {k: v for k, v in head.state_dict().items() if k.startswith(f"{place}.")},
            {f"{place}.linear": f"convs{i}", f"{place}.norm": f"bns{i}"},
        )
    state |= {"convs4.weight": head.last.weight, "convs4.bias": head.last.bias}
    state = {
        name: tensor.detach()[..., None] if "conv" in name and tensor.ndim == 2 else tensor.detach()
        for name, tensor in state.items()
    }
    loaded, loaded_head = load_official_segmentation(saved(state, tmp_path / "best.pth"))
    points, category = torch.randn(2, 40, 3), torch.tensor([0, 4])
    expected = head.eval()(*encoder.eval().both_features(points), category)
    assert torch.equal(loaded_head(*loaded.both_features(points), category), expected)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "channels"), [(18, 1), (50, 3)])
@pytest.mark.parametrize(("prefix", "head"), [("", "inv_head."), ("resnet.", "head."), ("module.net.", "")])
def test_image_encoders_of_any_prefix(depth, channels, prefix, head, tmp_path, capsys):
    """Small heads: released ones differ in width only."""
    network, projection = ResNet(depth, channels), ImageProjection(512 if depth == 18 else 2048, 8, 6)
    state = {prefix + name: tensor for name, tensor in network.state_dict().items()}
    state[f"{prefix}fc.weight"] = torch.zeros(10, network.dim)
    if head:
        state |= {head + name: tensor for name, tensor in projection.state_dict().items()}
    path = saved(state, tmp_path / "image.pth")
    loaded, loaded_projection = load_official_image(path)
    assert isinstance(load_official(path)[0], ResNet)
    said = capsys.readouterr().err.splitlines()
    notes = ", with a projection head" if head else ""
    assert said == [f"{path}: released ResNet-{depth}, {network.dim} features{notes}"] * 2
    assert (loaded.dim, loaded.channels, loaded.training) == (network.dim, channels, False)
    pictures = torch.randn(2, channels, 32, 32)
    assert torch.equal(loaded(pictures), network.eval()(pictures))
    if not head:
        assert loaded_projection is None
        return
    features = torch.randn(3, network.dim)
    assert torch.equal(loaded_projection(features), projection.eval()(features))


@pytest.mark.slow
def test_image_encoders_that_do_not_fit(tmp_path):
    state = ResNet(18).state_dict()
    with pytest.raises(UserError, match="not an image encoder with torchvision's names"):
        load_official_image(saved(released("pointnet_cls"), tmp_path / "points.pth"))
    with pytest.raises(UserError, match="extra is unknown"):
        load_official_image(saved(state | {"extra": torch.zeros(1)}, tmp_path / "more.pth"))


@pytest.mark.slow
def test_what_was_found_and_left_out_is_said(tmp_path, capsys):
    heads = "with a projection head, with a segmentation head"
    for name, said in (
        ("dgcnn_cls", "released dgcnn, 128 features, with a projection head"),
        ("dgcnn_partseg", f"released dgcnn-partseg, 1024 features, {heads}, left out"),
        ("point_m2ae", "released point-m2ae, 96 features, 53 tensors of its decoder left out"),
    ):
        path = saved(released(name), tmp_path / f"{name}.pth")
        load_official(path)
        assert capsys.readouterr().err == f"{path}: {said}\n"


def test_k_is_the_callers(tmp_path):
    path = saved(released("dgcnn_cls"), tmp_path / "best.pth")
    encoders = [load_official(path)[0], load_official(path, k=15)[0]]
    assert [encoder.options["k"] for encoder in encoders if isinstance(encoder, DGCNN)] == [20, 15]


def test_counters_of_batches_are_read_where_present(tmp_path):
    state = released("pointnet_cls") | {"bn1.num_batches_tracked": torch.tensor(7)}
    encoder, _ = load_official(saved(state, tmp_path / "best.pth"))
    assert int(encoder.layers[0].norm.num_batches_tracked) == 7


def test_without_a_head(tmp_path):
    state = {
        key: tensor for key, tensor in released("pointnet_cls").items() if not key.startswith("inv_head")
    }
    assert load_official(saved(state, tmp_path / "best.pth"))[1] is None


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("dgcnn_cls", lambda state: state.pop("conv3.0.weight"), "edges.2.linear.weight is missing"),
        (
            "dgcnn_cls",
            lambda state: state["bn2.bias"].add_(1),
            "bn2.bias and conv2.1.bias should be the same",
        ),
        ("dgcnn_cls", lambda state: state.update(extra=torch.zeros(1)), "extra is unknown"),
        (
            "pointnet_cls",
            lambda state: state.update({"conv2.weight": torch.zeros(9, 9, 1)}),
            r"is \(9, 9\), expected",
        ),
        ("pointnet_cls", lambda state: state.pop("inv_head.3.bias"), "3.bias is missing"),
        ("pointnet_cls", lambda state: state.pop("inv_head.0.weight"), "projection head of another form"),
        ("pointnet_cls", lambda state: state.pop("conv1.weight"), "is not a released DGCNN, PointNet"),
        ("dgcnn_partseg", lambda state: state.pop("conv9.0.weight"), "layers.0.linear.weight is missing"),
        (
            "dgcnn_partseg",
            lambda state: state.pop("conv11.weight"),
            "incomplete segmentation head: conv11.weight is missing",
        ),
        (
            "dgcnn_partseg",
            lambda state: state["bn9.bias"].add_(1),
            "bn9.bias and conv9.1.bias should be the same",
        ),
        (
            "dgcnn_partseg_pretrain",
            lambda state: state.pop("conv6.0.weight"),
            "incomplete released encoder: conv6.0.weight is missing",
        ),
        (
            "dgcnn_partseg_pretrain",
            lambda state: state["transform_net.bn2.weight"].add_(1),
            "transform_net.bn2.weight and transform_net.conv2.1.weight should be the same",
        ),
        (
            "dgcnn_semseg_pretrain",
            lambda state: state.update({"conv7.0.weight": torch.zeros(512, 1216, 1)}),
            "conv7.0.weight is unknown",
        ),
    ],
)
def test_what_does_not_fit_is_named(name, change, message, tmp_path):
    state = released(name)
    change(state)
    with pytest.raises(UserError, match=message):
        load_official(saved(state, tmp_path / "best.pth"))


class Payload:
    """A class of ours inside a file is code; reading it must not run."""


@pytest.mark.parametrize(
    "content", [Payload(), {"conv1.weight": Payload()}, [torch.zeros(2)], {}, {"epoch": 3}]
)
def test_anything_but_a_state_dict_is_refused(content, tmp_path):
    with pytest.raises(UserError, match="holds no plain tensors"):
        load_official(saved(content, tmp_path / "model.pth"))


def test_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_official(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("not weights")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name in ("text.pth", "empty.pth", "."):
        with pytest.raises(UserError, match="holds no plain tensors"):
            load_official(tmp_path / name)
