"""The paper's discriminator (arXiv:2106.07631), as the official trainer has it by default."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from genbench_adapters.hit.discriminator import Judge, halved

_SLOPE = 0.2  # of the leaky rectifiers


def _rectified(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, _SLOPE)


class PaperBlock(nn.Module):
    """Two convolutions with a smoothed halving between them, beside a 1x1 skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_0 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv_1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""
        h = _rectified(self.conv_1(halved(_rectified(self.conv_0(x)))))
        return (h + self.skip(halved(x))) / math.sqrt(2)


class PaperDiscriminator(Judge):
    """Images [N, 3, R, R] in [-1, 1] -> logits [N], positive for real.

    widths: see `Trunk`; the paper's are 512 to 32x32 pixels, then 256, 128 and 64, twice as many of
    these for CelebA-HQ and FFHQ. Initial weights are Keras's (Glorot's uniform ones, no bias).
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__(widths, PaperBlock, side=3)
        self.last = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.dense = nn.Linear(widths[-1] * 16, widths[-1])
        self.score = nn.Linear(widths[-1], 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def stem(self, images: Tensor) -> Tensor:
        """[N, C, R, R] of images."""
        return _rectified(self.from_rgb(images))

    def judged(self, x: Tensor) -> Tensor:
        """Logits [N] of features [N, C, 4, 4]."""
        x = _rectified(self.dense(_rectified(self.last(x)).flatten(1)))
        logits: Tensor = self.score(x)[:, 0]
        return logits
