"""ResNets have torchvision's names and shapes, and its values block by block."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from adacross.encoders import ResNet
from adacross.errors import UserError
from adacross.nn import resnet
from adacross.nn.resnet import _Conv3x3

# torchvision 0.10 to 0.28, without fc: parameters, and some names with their shapes.
PARAMETERS = {18: 11_689_512 - 513_000, 50: 25_557_032 - 2_049_000}
NAMES = {
    18: {
        "conv1.weight": (64, 3, 7, 7),
        "layer1.0.conv1.weight": (64, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer2.0.downsample.1.running_var": (128,),
        "layer4.1.bn2.weight": (512,),
    },
    50: {
        "bn1.num_batches_tracked": (),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.2.conv3.weight": (256, 64, 1, 1),
        "layer3.5.conv2.weight": (256, 256, 3, 3),
        "layer4.2.bn3.bias": (2048,),
    },
}


@pytest.mark.parametrize("depth", [18, 50])
def test_names_shapes_and_size_are_torchvisions(depth):
    network = ResNet(depth)
    state = network.state_dict()
    assert {name: tuple(state[name].shape) for name in NAMES[depth]} == NAMES[depth]
    assert len(state) == {18: 122 - 2, 50: 320 - 2}[depth]
    assert sum(tensor.numel() for tensor in network.parameters()) == PARAMETERS[depth]


@pytest.mark.parametrize(("depth", "dim"), [(18, 512), (50, 2048)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_any_size(depth, dim, channels):
    network = ResNet(depth, channels)
    assert network.dim == dim
    assert network.conv1.weight.shape == (64, channels, 7, 7)
    for size in ((32, 32), (64, 47)):
        features = network(torch.randn(2, channels, *size))
        assert features.shape == (2, dim)
        assert torch.isfinite(features).all()


def test_resnet_18_is_the_papers_network():
    """The same weights through the architecture written out, operation by operation."""
    torch.manual_seed(0)
    network = ResNet(18).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    state = network.state_dict()

    def conv_bn(x, conv, bn, stride, padding):
        x = nn.functional.conv2d(x, state[f"{conv}.weight"], stride=stride, padding=padding)
        mean, var = state[f"{bn}.running_mean"], state[f"{bn}.running_var"]
        x = (x - mean[:, None, None]) / (var + 1e-5).sqrt()[:, None, None]
        return x * state[f"{bn}.weight"][:, None, None] + state[f"{bn}.bias"][:, None, None]

    pictures = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    x = nn.functional.max_pool2d(conv_bn(pictures, "conv1", "bn1", 2, 3).relu(), 3, 2, 1)
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            y = conv_bn(x, f"{name}.conv1", f"{name}.bn1", stride, 1).relu()
            y = conv_bn(y, f"{name}.conv2", f"{name}.bn2", 1, 1)
            if stride == 2:
                x = conv_bn(x, f"{name}.downsample.0", f"{name}.downsample.1", 2, 0)
            x = (x + y).relu()
    torch.testing.assert_close(network(pictures), x.mean((2, 3)), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("size", "stride"),
    [((1, 1), 1), ((1, 1), 2), ((2, 2), 2), ((1, 2), 2), ((2, 1), 2), ((2, 2), 1), ((1, 3), 1)],
)
def test_a_convolution_of_small_maps_is_the_same(size: tuple[int, int], stride: int):
    convolution = _Conv3x3(5, 7, stride).double()
    x = torch.randn(4, 5, *size, dtype=torch.float64, requires_grad=True)
    results = []
    for forward in (_Conv3x3.forward, nn.Conv2d.forward):
        y = forward(convolution, x)
        results.append((y, *torch.autograd.grad(y.square().sum(), [x, convolution.weight])))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_small_pictures_give_the_same_in_every_order_of_memory(
    depth: int, order: torch.memory_format, monkeypatch: pytest.MonkeyPatch
):
    network = ResNet(depth, 3, 16).double().eval()
    pictures = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    found = network.to(memory_format=order)(pictures)
    monkeypatch.setattr(_Conv3x3, "forward", nn.Conv2d.forward)
    monkeypatch.setattr(resnet, "_fastest_order", lambda x, stage: x.contiguous())
    expected = network.to(memory_format=torch.contiguous_format)(pictures)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_refusals():
    with pytest.raises(UserError, match=r"images have shape .*expected .images, 3, height, width"):
        ResNet(18)(torch.zeros(2, 1, 64, 64))
    with pytest.raises(UserError, match="32 pixels"):
        ResNet(18)(torch.zeros(2, 3, 16, 64))
    with pytest.raises(UserError, match="channels"):
        ResNet(18, channels=0)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["channels_last", "contiguous_format"])
@pytest.mark.parametrize(
    ("depth", "channels", "width", "size"),
    [(18, 3, 8, 224), (18, 1, 4, 224), (50, 3, 2, 224), (18, 3, 12, 448)],
)
def test_the_gradient_of_a_narrow_network_does_not_end_the_process(
    depth: int, channels: int, width: int, size: int, order: str
):
    """oneDNN wrote past a buffer in shortcuts' gradients on CPUs with AVX-512; a signal ended the child."""
    program = (
        "import torch\nfrom adacross.encoders import ResNet\n"
        f"network = ResNet({depth}, {channels}, {width}).to(memory_format=torch.{order}).train()\n"
        f"network(torch.randn(4, {channels}, {size}, {size})).square().sum().backward()\n"
        "assert all(each.grad.isfinite().all() for each in network.parameters())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("depth", [18, 50])
def test_a_narrow_networks_shortcuts_are_strided_convolutions(depth: int):
    network = ResNet(depth, 3, 8).double()
    for name, module in network.named_modules():
        if name.endswith("downsample.0"):
            x = torch.randn(2, module.in_channels, 9, 12, dtype=torch.float64)
            expected = nn.functional.conv2d(x, module.weight, stride=module.stride)
            torch.testing.assert_close(module(x), expected, rtol=1e-12, atol=1e-12)
