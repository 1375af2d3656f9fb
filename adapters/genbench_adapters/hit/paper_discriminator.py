"""The paper's discriminator (arXiv:2106.07631), as the official trainer has it by default."""

from __future__ import annotations

import math

from torch import Tensor, nn

from genbench_adapters.hit.discriminator import (
    Judge,
    ResidualBlock,
    begin_with_weights,
    halved,
    rectified,
)


class PaperBlock(ResidualBlock):
    """Halved between its convolutions, not after them."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""
        h = rectified(self.conv_1(halved(rectified(self.conv_0(x)))))  # [N, outputs, H / 2, W / 2]
        return (h + self.skip(halved(x))) / math.sqrt(2)


class PaperDiscriminator(Judge):
    """Plain rectifiers, a 3x3 convolution of the pixels, and nothing told of the batch.

    widths: see `Trunk`; the paper's are 512 to 32x32 pixels, then 256, 128 and 64, twice as many of
    these for CelebA-HQ and FFHQ. Initial weights are Keras's: Glorot's uniform ones.
    """

    activation = staticmethod(rectified)

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__(widths, block=PaperBlock, side=3)
        begin_with_weights(self, nn.init.xavier_uniform_)
