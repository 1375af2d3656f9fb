"""The discriminator HiT is trained with: a residual one of StyleGAN2's kind (arXiv:1912.04958)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

_SLOPE = 0.2  # of the leaky rectifiers


def _active(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, _SLOPE) * math.sqrt(2)


class Blur(nn.Module):
    """Halves the sides after smoothing with (1, 3, 3, 1)."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4).clone()
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H / 2, W / 2]."""
        kernel = self.kernel.to(x.dtype)
        return functional.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class ResidualBlock(nn.Module):
    """Two convolutions and a smoothed halving beside a 1x1 skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_0 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv_1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.blur_in, self.blur = Blur(inputs), Blur(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""
        h = _active(self.conv_1(_active(self.conv_0(x))))
        return (self.blur(h) + self.skip(self.blur_in(x))) / math.sqrt(2)


class Discriminator(nn.Module):
    """Images [N, 3, R, R] in [-1, 1] -> logits [N], positive for real.

    widths: channels at full size and after each halving; the last stage must be 4x4 pixels.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.from_rgb = nn.Conv2d(3, widths[0], 1)
        self.blocks = nn.Sequential(*(ResidualBlock(*pair) for pair in pairwise(widths)))
        self.last = nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1)
        self.dense = nn.Linear(widths[-1] * 16, widths[-1])
        self.score = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N]."""
        x = self.blocks(_active(self.from_rgb(images)))
        # The deviation over the batch, one more channel: a batch without variety gives itself away.
        spread = torch.sqrt(x.var(dim=0, correction=0) + 1e-8).mean()
        x = torch.cat([x, spread.expand(len(x), 1, *x.shape[2:])], dim=1)
        x = _active(self.dense(_active(self.last(x)).flatten(1)))
        return self.score(x)[:, 0]
