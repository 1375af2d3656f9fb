"""Group norm, scale and shift, and SiLU in few passes over small images in half precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def activated_group_norm(x: Tensor, norm: nn.GroupNorm, condition: Tensor | None) -> Tensor:
    """silu(norm(x) * (1 + scale) + shift) of [N, C, H, W] -> the same shape and dtype.

    All in float32 and rounded once, in channels last: a norm, its weights and the condition are one
    factor and one summand for each sample and channel. Outside autocast alone.
    condition: float32 [N, 2 C, 1, 1], or none.
    """
    count, channels, height, width = x.shape
    pixels, groups = height * width, norm.num_groups
    flat = x.permute(0, 2, 3, 1).reshape(count, pixels, channels).float()  # [N, HW, C]
    # Products with ones: the library's sums over pixels, several times as fast as torch's.
    ones = flat.new_ones(1, pixels)
    sums = torch.matmul(ones, flat).view(count, groups, -1)  # [N, groups, C / groups]
    squares = torch.matmul(ones, flat * flat).view(count, groups, -1)
    size = pixels * channels // groups
    mean = sums.sum(2, keepdim=True) / size  # [N, groups, 1]
    variance = (squares.sum(2, keepdim=True) / size - mean * mean).clamp_(min=0)
    factor = (variance + norm.eps).rsqrt() * norm.weight.view(groups, -1)
    summand = norm.bias.view(groups, -1) - mean * factor
    factor, summand = factor.view(count, 1, channels), summand.view(count, 1, channels)
    if condition is not None:
        scale, shift = condition.view(count, 1, -1).chunk(2, dim=2)  # [N, 1, C] each
        factor, summand = factor * (1 + scale), summand * (1 + scale) + shift
    made = functional.silu(torch.addcmul(summand, flat, factor), inplace=True).to(x.dtype)
    return made.view(count, height, width, channels).permute(0, 3, 1, 2)
