"""Released files: read as they are, refused when anything does not fit. Values: test_golden.py."""

from pathlib import Path

import numpy as np
import pytest
import torch

from adacross.encoders import DGCNN, PointNet, load_official
from adacross.errors import UserError

GOLDEN = Path(__file__).parents[1] / "golden"


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
        ("pointnet_cls", lambda state: state.pop("conv1.weight"), "is no released DGCNN or PointNet"),
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
