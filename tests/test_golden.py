"""Numbers of the papers' released programs (float64, random weights): outputs, gradients, running statistics.

Every file in `tests/golden`, or in the folder that ADACROSS_GOLDEN names, is run; sizes come from the file. A
file of a kind without a test fails.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.encoders import load_official, load_official_segmentation
from adacross.encoders.released.names import block_name, encoder_name
from adacross.losses.nt_xent import nt_xent
from adacross.losses.weighting import AdaCrossNetWeighting
from adacross.methods import PointM2AEMethod
from adacross.methods.crossnet import averaged_terms, stacked_terms
from adacross.methods.point_m2ae import MaskedClouds
from adacross.nn.point_tokens import visible_levels
from adacross.nn.transformer import Block

Numbers = dict[str, np.ndarray]
FOLDER = Path(os.environ.get("ADACROSS_GOLDEN", Path(__file__).parent / "golden"))
FILES = sorted(FOLDER.glob("*.npz"))


def agree(found: torch.Tensor, expected: np.ndarray, tolerance: float, what: str) -> None:
    """Largest error relative to the largest value."""
    assert tuple(found.shape) == expected.shape, what
    error = np.abs(found.detach().numpy() - expected).max() / max(np.abs(expected).max(), 1e-300)
    assert error <= tolerance, f"{what}: relative error {error:.1e}"


# Released layer -> ours, beside what the numbers in the names tell.
HEAD_PLACES = ["label", "join", "layers.0", "layers.1"]
DGCNN_PLACES = [
    *(f"encoder.edges.{name}" for name in ("0.first", "0.second", "1.first", "1.second", "2")),
    "encoder.last",
    *(f"segmentation.{name}" for name in HEAD_PLACES),
]
TRANSFORM_PLACES = {
    "conv1": "edges.first",
    "conv2": "edges.second",
    "conv3": "points",
    "bn1": "edges.first",
    "bn2": "edges.second",
    "bn3": "dense.0",
    "bn4": "dense.1",
}
STN_PLACES = ["layers.0", "layers.1", "last", "dense.0", "dense.1"]


def our_name(released: str, kind: str) -> str:
    """`conv3.0.weight`, `bn3.bias`, `inv_head.0.bias` -> where it is in our encoder and heads."""
    if released.startswith("inv_head."):
        return released.replace("inv_head", "head")
    layer, _, tensor = released.rpartition(".")
    is_norm = "bn" in layer or layer.endswith(".1")
    part = f"{'norm' if is_norm else 'linear'}.{tensor}"
    net, _, layer = layer.removesuffix(".0").removesuffix(".1").rpartition(".")
    number = int("".join(filter(str.isdigit, layer)))
    if net == "transform_net":
        return f"encoder.transform.{TRANSFORM_PLACES[layer]}.{part}"
    if net:
        transform = {"stn": "transform", "fstn": "feature_transform"}[net]
        return f"encoder.{transform}.{STN_PLACES[number - 1]}.{part}"
    if layer in ("conv11", "convs4"):
        return f"segmentation.last.{tensor}"
    if layer.startswith(("convs", "bns")):
        place = f"segmentation.{HEAD_PLACES[number]}"
    elif kind in ("dgcnn-partseg", "dgcnn-semseg"):
        place = DGCNN_PLACES[number - 1]
    elif number == 5:
        place = "encoder.last"
    else:
        place = f"encoder.{'edges' if kind == 'dgcnn' else 'layers'}.{number - 1}"
    return f"{place}.{part}"


M2AE_PLACES = {
    "token_prop.0.fuse.net.0": "reconstruct.propagate.fuse.linear",
    "token_prop.0.fuse.net.1": "reconstruct.propagate.fuse.norm",
    "token_prop.0.extraction.operation.0.net1.0": "reconstruct.propagate.inner.linear",
    "token_prop.0.extraction.operation.0.net1.1": "reconstruct.propagate.inner.norm",
    "token_prop.0.extraction.operation.0.net2.0": "reconstruct.propagate.outer.linear",
    "token_prop.0.extraction.operation.0.net2.1": "reconstruct.propagate.outer.norm",
    "decoder_norm": "reconstruct.norm",
    "rec_head": "reconstruct.head",
}
M2AE_STAGES = {
    "h_decoder.0.": "stack.",
    "h_decoder.1.": "reconstruct.stack.",
    "decoder_pos_embeds.0.": "position.",
    "decoder_pos_embeds.1.": "reconstruct.position.",
}


def m2ae_name(released: str) -> str:
    """A name in Point-M2AE's released program -> in our method."""
    if released.startswith("h_encoder."):
        return f"encoder.{encoder_name(released.removeprefix('h_encoder.'))}"
    for theirs, ours in M2AE_STAGES.items():
        if released.startswith(theirs):
            return ours + block_name(released.removeprefix(theirs))
    layer, _, tensor = released.rpartition(".")
    return f"{M2AE_PLACES[layer]}.{tensor}" if layer else released


def released_file(numbers: Numbers, tmp_path: Path) -> tuple[Path, int]:
    """The file's state dict as it was released, and its k."""
    state = {key[6:]: torch.from_numpy(value) for key, value in numbers.items() if key.startswith("state/")}
    torch.save(state, tmp_path / "released.pth")
    return tmp_path / "released.pth", int(numbers.get("input/k", 20))


def cloud(numbers: Numbers) -> torch.Tensor:
    return torch.from_numpy(numbers["input/points"]).transpose(1, 2).contiguous().requires_grad_()


def check_gradients(numbers: Numbers, networks: torch.nn.Module, kind: str, points: torch.Tensor) -> None:
    """Gradients after backward, running statistics after one training step; what was unused keeps its own."""
    agree(points.grad.transpose(1, 2), numbers["grad/points"], 1e-8, "grad/points")
    parameters, buffers = dict(networks.named_parameters()), dict(networks.named_buffers())
    for key, expected in numbers.items():
        part, _, name = key.partition("/")
        if part == "grad" and name != "points":
            agree(parameters[our_name(name, kind)].grad.reshape(expected.shape), expected, 1e-8, key)
        elif part == "after":
            ours = buffers.get(our_name(name, kind), torch.from_numpy(numbers[f"state/{name}"]))
            agree(ours, expected, 1e-8, key)


def check_encoder(numbers: Numbers, tmp_path: Path) -> None:
    """Encoder and projection head: evaluation, then one training step."""
    encoder, head = load_official(*released_file(numbers, tmp_path))
    assert head is not None
    networks = torch.nn.ModuleDict({"encoder": encoder, "head": head}).double()
    points = cloud(numbers)
    for mode in ("eval", "train"):
        networks.train(mode == "train")
        feature = encoder(points)
        projection = head(feature)
        agree(feature, numbers[f"{mode}/feature"], 1e-8, f"{mode}/feature")
        agree(projection, numbers[f"{mode}/projection"], 1e-8, f"{mode}/projection")
    scalar = (feature * torch.from_numpy(numbers["cotangent/feature"])).sum()
    (scalar + (projection * torch.from_numpy(numbers["cotangent/projection"])).sum()).backward()
    check_gradients(numbers, networks, encoder.kind, points)


def check_segmentation(numbers: Numbers, tmp_path: Path) -> None:
    """Encoder and part segmentation head: evaluation, then one training step without dropout."""
    encoder, head = load_official_segmentation(*released_file(numbers, tmp_path))
    networks = torch.nn.ModuleDict({"encoder": encoder, "segmentation": head}).double()
    points, category = cloud(numbers), torch.from_numpy(numbers["input/category_onehot"]).argmax(1)
    key = "log_probabilities" if encoder.kind == "pointnet-partseg" else "logits"
    for mode in ("eval", "train"):
        networks.train(mode == "train")
        for module in networks.modules():
            if isinstance(module, torch.nn.Dropout):
                module.eval()
        scores = head(*encoder.both_features(points), category)
        if key == "logits":
            found = scores.transpose(1, 2)
        else:  # the released program shows its rows (B, N, parts) under the shape (B, parts, N)
            found = scores.log_softmax(2).reshape(len(scores), -1, scores.shape[1])
        agree(found, numbers[f"{mode}/{key}"], 1e-8, f"{mode}/{key}")
    (found * torch.from_numpy(numbers[f"cotangent/{key}"])).sum().backward()
    check_gradients(numbers, networks, encoder.kind, points)


def check_losses(numbers: Numbers, _: Path) -> None:
    """NT-Xent, each method's terms, and AdaCrossNet's weights."""
    names = ("point_view_1", "point_view_2", "image_rgb", "image_gray")
    one, two, rgb, gray = (torch.from_numpy(numbers[f"input/{name}"]) for name in names)
    temperatures = [
        key.split("/")[1] for key in numbers if key.startswith("ntxent/") and key.endswith("/value")
    ]
    assert temperatures
    for text in temperatures:
        view = one.clone().requires_grad_()
        value = nt_xent(view, two, float(text.removeprefix("t=")))
        agree(value, numbers[f"ntxent/{text}/value"], 1e-12, f"value at {text}")
        (grad,) = torch.autograd.grad(value, view)
        agree(grad, numbers[f"ntxent/{text}/grad_view_1"], 1e-12, f"gradient at {text}")

    mean = (one + two) / 2
    imid, cmid = nt_xent(one, two, 0.1), nt_xent(mean, rgb, 0.1)
    terms = stacked_terms(one, two, rgb, gray, 0.2, negatives="released")
    joint = averaged_terms(one, two, {"rgb": rgb, "gray": gray}, 0.2)
    found = {
        "crosspoint/imid": imid,
        "crosspoint/cmid": cmid,
        "crosspoint/total": imid + cmid,
        "adacrossnet/intra": terms["intra"],
        "adacrossnet/cross": terms["cross"],
        "crossnet/joint": joint["intra"],
        "crossnet/joint_cross_per_unit_alpha": joint["cross_rgb"] + joint["cross_gray"],
    }
    for key, value in found.items():
        agree(value, numbers[key], 1e-12, key)

    weighting = AdaCrossNetWeighting()
    pairs = zip(numbers["adacrossnet/series_intra"], numbers["adacrossnet/series_cross"], strict=True)
    weights = [weighting.update({"intra": float(a), "cross": float(b)}) for a, b in pairs]
    agree(
        torch.tensor([[step["intra"], step["cross"]] for step in weights], dtype=torch.float64),
        numbers["adacrossnet/weights"],
        1e-12,
        "adacrossnet/weights",
    )


def check_point_m2ae(numbers: Numbers, tmp_path: Path) -> None:
    """Groups, masks, the feature, and the loss of masked groups with its gradients."""
    path, _ = released_file(numbers, tmp_path)
    counts = [numbers[f"group{level}/center"].shape[1] for level in range(3)]
    neighbors = [numbers[f"group{level}/neighborhood"].shape[2] for level in range(3)]
    encoder, projection = load_official(path, groups=tuple(counts), neighbors=tuple(neighbors), heads=6)
    assert projection is None
    width = numbers["state/rec_head.weight"].shape[0] // 3
    method = PointM2AEMethod(encoder, decoder_depth=1, group_points=width, embed_masked=True)
    own = method.state_dict()
    released = {
        ours: torch.from_numpy(value).reshape(own[ours].shape)
        for key, value in numbers.items()
        if key.startswith("state/") and (ours := m2ae_name(key.removeprefix("state/")))
    }
    missing = [name for name in own if name not in released and not name.endswith("num_batches_tracked")]
    assert not missing
    method.load_state_dict(own | released)
    method.double()
    for module in method.modules():
        if isinstance(module, Block):
            module.drop_path = 0.0
    points = torch.from_numpy(numbers["input/points"])

    levels, below = encoder.group(points), points.shape[1]
    for level, groups in enumerate(levels):
        first = torch.arange(len(points))[:, None, None] * below  # the released index runs over the batch
        index = torch.from_numpy(numbers[f"group{level}/flat_index"].astype(np.int64))
        theirs, order = (index.view(groups.neighbors.shape) - first).sort(dim=2)
        ours, own_order = groups.neighbors.sort(dim=2)  # a group has no order
        assert torch.equal(ours, theirs), level
        agree(groups.centers, numbers[f"group{level}/center"], 1e-12, f"centers of level {level}")
        hood = torch.from_numpy(numbers[f"group{level}/neighborhood"])
        expected = hood.gather(2, order[..., None].expand_as(hood))
        found = groups.offsets.gather(2, own_order[..., None].expand_as(hood))
        agree(found, expected.numpy(), 1e-12, f"neighborhoods of level {level}")
        below = counts[level]
    visible = torch.from_numpy(~numbers["input/top_level_mask"])
    for level, seen in enumerate(visible_levels(levels, visible)):
        assert torch.equal(~seen, torch.from_numpy(numbers[f"mask/level{level}"])), level

    agree(encoder.eval()(points), numbers["eval/feature"], 1e-8, "eval/feature")
    batch = MaskedClouds(points, visible)
    for mode in ("eval", "train"):
        loss = method.train(mode == "train").losses(batch)["points"]
        agree(loss, numbers[f"{mode}/masked_loss"], 1e-8, f"{mode}/masked_loss")
    loss.backward()
    parameters = dict(method.named_parameters())
    for key, expected in numbers.items():
        if key.startswith("grad/"):
            gradient = parameters[m2ae_name(key.removeprefix("grad/"))].grad
            agree(gradient.reshape(expected.shape), expected, 1e-8, key)


CHECKS: dict[str, Callable[[Numbers, Path], None]] = {
    "dgcnn_cls": check_encoder,
    "dgcnn_partseg_pretrain": check_encoder,
    "dgcnn_semseg_pretrain": check_encoder,
    "dgcnn_partseg": check_segmentation,
    "pointnet_cls": check_encoder,
    "pointnet_partseg": check_segmentation,
    "losses": check_losses,
    "point_m2ae": check_point_m2ae,
}


def kind_of(name: str) -> str:
    """The kind whose name the file's begins with: other files of a kind carry a suffix."""
    kinds = [kind for kind in CHECKS if name == kind or name.startswith((f"{kind}_", f"{kind}-", f"{kind}."))]
    return max(kinds, key=len, default="")


def test_there_are_files():
    assert FILES, f"no .npz in {FOLDER}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file(path, tmp_path):
    kind = kind_of(path.stem)
    assert kind, f"{path} is of no kind that has a test here; known kinds: {', '.join(CHECKS)}"
    with np.load(path) as file:
        CHECKS[kind](dict(file), tmp_path)
