"""Nearest upsampling and the 3x3 convolution after it as four 2x2 convolutions of the small image.

Each output pixel of one phase (row and column even or odd) sees only 2x2 different input pixels, so
the nine taps add up to four: 4/9 of the multiplications, the same sums in another order.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Which of the 2 input rows each of the 3 taps reads, in even and in odd output rows:
# [phase, input row, tap].
_TAPS = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])


def phase_kernels(weight: Tensor) -> Tensor:
    """Kernels [2, 2, out, in, 2, 2] by row and column phase, of a weight [out, in, 3, 3]."""
    wide = weight.to(torch.promote_types(weight.dtype, torch.float32))  # sums round once
    taps = _TAPS.to(wide)
    # r, c: phases of row and column; o, i: channels; k, l: the 2x2 kernel; a, b: the 3x3 one.
    kernels = torch.einsum("rka,clb,oiab->rcoikl", taps, taps, wide)  # [2, 2, out, in, 2, 2]
    return kernels.to(weight.dtype)


def upsampled_convolution(x: Tensor, kernels: Tensor, bias: Tensor | None) -> Tensor:
    """[N, in, H, W] -> [N, out, 2 H, 2 W], as nearest upsampling, padding by one, 3x3 kernel.

    kernels: of `phase_kernels`, in the dtype of x. bias: [out].
    """
    count, _, height, width = x.shape
    padded = functional.pad(x, (1, 1, 1, 1))  # [N, in, H + 2, W + 2]
    out = torch.empty(
        (count, kernels.shape[2], 2 * height, 2 * width),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )
    for row in (0, 1):
        for column in (0, 1):
            # [N, in, H + 1, W + 1] -> [N, out, H, W] of this phase.
            window = padded[:, :, row : row + height + 1, column : column + width + 1]
            out[:, :, row::2, column::2] = functional.conv2d(window, kernels[row, column], bias)
    return out
