"""The BigGAN-deep discriminator (arXiv:1809.11096, appendix B.2): bottlenecks and a projection.

Narrow ones may have plain residual blocks instead, and see the deviation over the batch.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench_adapters.biggan_deep.network import SNConv2d, SNLinear
from genbench_adapters.training.minibatch_deviation import deviation


class DiscBlock(nn.Module):
    """The generator's bottleneck without norms; the skip gains channels by a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, *, down: bool, reduction: int) -> None:
        super().__init__()
        middle = outputs // reduction
        self.down = down
        self.conv_0 = SNConv2d(inputs, middle, 1)
        self.conv_1 = SNConv2d(middle, middle, 3)
        self.conv_2 = SNConv2d(middle, middle, 3)
        self.conv_3 = SNConv2d(middle, outputs, 1)
        self.gain = SNConv2d(inputs, outputs - inputs, 1) if outputs > inputs else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H, W], both sides halved where the block goes down."""
        h = self.conv_0(functional.relu(x))  # [N, outputs / reduction, H, W]
        h = self.conv_1(functional.relu(h))
        h = functional.relu(self.conv_2(functional.relu(h)))
        if self.down:
            h, x = functional.avg_pool2d(h, 2), functional.avg_pool2d(x, 2)  # H / 2, W / 2
        if self.gain is not None:
            x = torch.cat([x, self.gain(x)], dim=1)  # inputs -> outputs channels
        return x + self.conv_3(h)  # [N, outputs, H', W']


class PlainBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 skip: BigGAN's own block (appendix B.1), always halving."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_0 = SNConv2d(inputs, inputs, 3)
        self.conv_1 = SNConv2d(inputs, outputs, 3)
        self.skip = SNConv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""
        h = self.conv_1(functional.relu(self.conv_0(functional.relu(x))))  # [N, outputs, H, W]
        halved: Tensor = functional.avg_pool2d(h, 2) + self.skip(functional.avg_pool2d(x, 2))
        return halved


class Discriminator(nn.Module):
    """Images [N, 3, R, R] in [-1, 1] and labels int64 [N] -> logits [N], positive for real.

    widths: channels after the first convolution and after each block that halves the sides; a
    block that keeps them follows each of those. reduction: of the channels within a block; the
    paper's 4 leaves narrow networks too few. 0: plain blocks, halving only, and a last convolution
    that sees the deviation over the batch.
    """

    def __init__(self, widths: tuple[int, ...], classes: int, *, reduction: int = 4) -> None:
        super().__init__()
        self.first = SNConv2d(3, widths[0], 3)
        blocks: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            if reduction:
                blocks += [
                    DiscBlock(inputs, outputs, down=True, reduction=reduction),
                    DiscBlock(outputs, outputs, down=False, reduction=reduction),
                ]
            else:
                blocks.append(PlainBlock(inputs, outputs))
        self.blocks = nn.Sequential(*blocks)
        self.mixed = None if reduction else SNConv2d(widths[-1] + 1, widths[-1], 3)
        self.score = SNLinear(widths[-1], 1)
        self.embed = SNLinear(classes, widths[-1], bias=False)  # projection: arXiv:1802.05637

    def forward(self, images: Tensor, labels: Tensor, parts: int = 1) -> Tensor:
        """Logits [N] of images [N, 3, R, R] in [-1, 1] and labels int64 [N]. parts: batches side by
        side, each of its own deviation."""
        return self.judged(self.features(images), labels, parts)

    def features(self, images: Tensor) -> Tensor:
        """[N, widths[-1], 4, 4] (or whatever side is left), 0 or more, of images [N, 3, R, R]."""
        return functional.relu(self.blocks(self.first(images)))

    def judged(self, x: Tensor, labels: Tensor, parts: int = 1) -> Tensor:
        """Logits [N] of features [N, C, 4, 4] and labels int64 [N]. parts: see `forward`."""
        if self.mixed is not None:
            # [N, C + 1, 4, 4] -> [N, C, 4, 4].
            x = functional.relu(self.mixed(torch.cat([x, deviation(x, parts)], dim=1)))
        pooled = x.sum(dim=(2, 3))  # [N, C]
        classes = self.embed.weight().T[labels]  # [N, C]
        logits: Tensor = self.score(pooled)[:, 0] + (pooled * classes).sum(dim=1)
        return logits
