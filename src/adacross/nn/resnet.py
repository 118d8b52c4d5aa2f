"""ResNet-18 and ResNet-50: He et al. 2016, arXiv 1512.03385, with torchvision's parameter names."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adacross.errors import UserError
from adacross.nn.batch_norm import BatchNorm2d


class _Conv3x3(nn.Conv2d):
    """A 3x3 convolution with padding 1; where one pixel comes out, a product with the taps that see a pixel.

    Small images end in maps of one pixel, where eight of nine taps see only padding.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        height, width = x.shape[2:]
        if max(height, width) > self.stride[0]:
            return super().forward(x)
        taps = self.weight[:, :, 1 : 1 + height, 1 : 1 + width]
        return nn.functional.linear(x.flatten(1), taps.flatten(1))[:, :, None, None]


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet-18)."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _Conv3x3(inputs, planes, stride)
        self.bn1 = BatchNorm2d(planes)
        self.conv2 = _Conv3x3(planes, planes, 1)
        self.bn2 = BatchNorm2d(planes)
        self.downsample = _shortcut(inputs, planes, stride)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        y = nn.functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y)) + (x if self.downsample is None else self.downsample(x))
        return nn.functional.relu(y, inplace=True)


class _Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride, as torchvision), 1x1 convolutions and a shortcut (ResNet-50)."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = BatchNorm2d(planes)
        self.conv2 = _Conv3x3(planes, planes, stride)
        self.bn2 = BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = BatchNorm2d(4 * planes)
        self.downsample = _shortcut(inputs, 4 * planes, stride)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        y = nn.functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = nn.functional.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x))
        return nn.functional.relu(y, inplace=True)


_Block = type[_BasicBlock] | type[_Bottleneck]
_ARCHITECTURES: dict[int, tuple[_Block, tuple[int, ...]]] = {
    18: (_BasicBlock, (2, 2, 2, 2)),
    50: (_Bottleneck, (3, 4, 6, 3)),
}


# Channels below which oneDNN's gradient of a strided 1x1 convolution writes past its buffer on a CPU with
# AVX-512 (oneDNN 3.12, jit_1x1 backward_weights, float32, channels last), which ends the process.
_VECTOR = 16


class _Subsampled(nn.Conv2d):
    """A strided 1x1 convolution, computed without the stride on the pixels that it reads: the same values."""

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        down, right = self.stride
        return nn.functional.conv2d(x[:, :, ::down, ::right], self.weight)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """A strided 1x1 convolution where the block changes its input's shape."""
    if stride == 1 and inputs == outputs:
        return None
    # Everywhere else oneDNN's own stride is faster by up to a third.
    convolution = _Subsampled if inputs < _VECTOR else nn.Conv2d
    return nn.Sequential(convolution(inputs, outputs, 1, stride, bias=False), BatchNorm2d(outputs))


def _stage(block: _Block, inputs: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    """Blocks of one resolution; the first has the stride."""
    width = planes * block.expansion
    return nn.Sequential(block(inputs, planes, stride), *(block(width, planes, 1) for _ in range(blocks - 1)))


def _fastest_order(x: Float[Tensor, "B C H W"], stage: nn.Module) -> Float[Tensor, "B C H W"]:
    """Maps in the order of memory that a stage's convolutions are fastest in.

    That is channels last. The exception is a CPU where the stage's largest weight outweighs the maps: oneDNN
    rearranges weights at every pass, and does so faster where neither is channels last.
    """
    largest = max(stage.parameters(), key=Tensor.numel)
    plain = x.device.type == "cpu" and largest.is_contiguous() and largest.numel() > x.numel()
    return x.contiguous(memory_format=torch.contiguous_format if plain else torch.channels_last)


class ResNet(nn.Module):
    """Images `(B, channels, H, W)` to `(B, dim)`: torchvision's network with its last layer left out.

    Weights start as torchvision's do (He's normal, fan out) and have its names, so its files load after
    `fc.*` is dropped. For one channel the first convolution is 1-64, 7x7, stride 2, without bias.

    Args:
        depth: 18 (dim 512) or 50 (dim 2,048).
        channels: 3 for RGB, 1 for gray.
        width: channels of the first stage, 64 in the paper; every later stage has twice as many.
    """

    def __init__(self, depth: Literal[18, 50] = 50, channels: int = 3, width: int = 64) -> None:
        if depth not in _ARCHITECTURES:
            raise UserError(f"ResNet's depth is {depth}; expected 18 or 50.")
        if channels < 1 or width < 1:
            raise UserError(
                f"ResNet has {channels} channels and width {width}; expected 3 (RGB) or 1 (gray), and 64."
            )
        super().__init__()
        block, blocks = _ARCHITECTURES[depth]
        self.depth, self.channels = depth, channels
        self.dim = 8 * width * block.expansion
        self.conv1 = nn.Conv2d(channels, width, 7, 2, padding=3, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.layer1 = _stage(block, width, width, blocks[0], 1)
        self.layer2 = _stage(block, width * block.expansion, 2 * width, blocks[1], 2)
        self.layer3 = _stage(block, 2 * width * block.expansion, 4 * width, blocks[2], 2)
        self.layer4 = _stage(block, 4 * width * block.expansion, 8 * width, blocks[3], 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
        """Pooled features `(B, dim)` of images `(B, channels, H, W)`, any size from 32 pixels."""
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[1] != self.channels or min(shape[2:]) < 32:
            raise UserError(
                f"images have shape {shape}; expected (images, {self.channels}, height, width), "
                "32 pixels or more."
            )
        x = images.contiguous(memory_format=torch.channels_last)
        x = nn.functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = nn.functional.max_pool2d(x, 3, 2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(_fastest_order(x, stage))
        return torch.mean(x, (2, 3))


def resnet18(channels: int = 3, width: int = 64) -> ResNet:
    """ResNet-18 with fresh weights; see `ResNet`."""
    return ResNet(18, channels, width)


def resnet50(channels: int = 3, width: int = 64) -> ResNet:
    """ResNet-50 with fresh weights; see `ResNet`."""
    return ResNet(50, channels, width)
