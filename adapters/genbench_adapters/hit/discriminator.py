"""What judges images in training: residual networks of StyleGAN2's kind (arXiv:1912.04958)."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench_adapters.training.minibatch_deviation import deviation

_SLOPE = 0.2  # of the leaky rectifiers


def rectified(x: Tensor) -> Tensor:
    """Leaky rectifiers, [N, ...] -> the same shape."""
    return functional.leaky_relu(x, _SLOPE)


def active(x: Tensor) -> Tensor:
    """Leaky rectifiers that keep the variance, [N, ...] -> the same shape."""
    return rectified(x) * math.sqrt(2)


def halved(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H / 2, W / 2], smoothed with (1, 3, 3, 1).

    Three means of neighbours: CPUs do them several times faster in half precision than the same
    convolution of every channel.
    """
    # Sides of H + 1, then of H again.
    x = functional.avg_pool2d(functional.avg_pool2d(x, 2, 1, padding=1), 2, 1)
    return functional.avg_pool2d(x, 2)


def begin_with_weights(network: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Initial weights [out, in, ...] as `draw` fills each in place, and no biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            draw(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def unit_variance(weight: Tensor) -> None:
    """Fill a weight [out, in, ...] so that layers keep the variance; PyTorch's own divide it by 3
    at each."""
    nn.init.normal_(weight, std=weight[0].numel() ** -0.5)


class ResidualBlock(nn.Module):
    """Two convolutions and a smoothed halving beside a 1x1 skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_0 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv_1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""
        h = active(self.conv_1(active(self.conv_0(x))))  # [N, outputs, H, W]
        return (halved(h) + self.skip(halved(x))) / math.sqrt(2)


class Trunk(nn.Module):
    """Images [N, 3, R, R] in [-1, 1] -> features, by blocks that halve: what the discriminator and
    the encoder begin with.

    widths: channels at full size and after each halving; the last stage must be 4x4 pixels. block:
    a kind of residual block. side: of the convolution of the pixels.
    """

    activation = staticmethod(active)

    def __init__(
        self, widths: tuple[int, ...], block: type[nn.Module] = ResidualBlock, side: int = 1
    ) -> None:
        super().__init__()
        self.from_rgb = nn.Conv2d(3, widths[0], side, padding=side // 2)
        self.blocks = nn.Sequential(*(block(*pair) for pair in pairwise(widths)))

    def features(self, images: Tensor) -> Tensor:
        """[N, C, 4, 4] of images [N, 3, R, R] in [-1, 1]: the last of `levels`."""
        return self.levels(images)[-1]

    def levels(self, images: Tensor) -> list[Tensor]:
        """Features of images [N, 3, R, R] in [-1, 1] after each block, the largest first:
        [N, C, R / 2, R / 2] to [N, C, 4, 4]."""
        features, levels = self.activation(self.from_rgb(images)), []  # [N, widths[0], R, R]
        for block in self.blocks:
            features = block(features)
            levels.append(features)
        return levels


class Judge(Trunk):
    """Images [N, 3, R, R] in [-1, 1] -> logits [N], positive for real.

    widths, block, side: see `Trunk`. told: channels that are judged beside the features.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        block: type[nn.Module] = ResidualBlock,
        side: int = 1,
        told: int = 0,
    ) -> None:
        super().__init__(widths, block, side)
        self.last = nn.Conv2d(widths[-1] + told, widths[-1], 3, padding=1)
        self.dense = nn.Linear(widths[-1] * 16, widths[-1])
        self.score = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N] of images."""
        return self.judged(self.features(images))

    def judged(self, x: Tensor) -> Tensor:
        """Logits [N] of features [N, C + told, 4, 4]."""
        x = self.activation(self.last(x)).flatten(1)  # [N, 16 C]
        logits: Tensor = self.score(self.activation(self.dense(x)))[:, 0]  # [N, C] -> [N]
        return logits


class Discriminator(Judge):
    """For small networks and batches: layers that keep the variance, and the batch's deviation.

    widths: see `Trunk`.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__(widths, told=1)
        begin_with_weights(self, unit_variance)

    def judged(self, x: Tensor) -> Tensor:
        """Logits [N] of features [N, C, 4, 4]."""
        return super().judged(torch.cat([x, deviation(x)], dim=1))  # of [N, C + 1, 4, 4]
