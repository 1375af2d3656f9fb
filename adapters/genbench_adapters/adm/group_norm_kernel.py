"""Group norm, scale and shift, and SiLU in one kernel of a CUDA device, in Triton.

Imported only where that is installed. Pixels are read twice and written once, in half precision;
sums are float32, and the result is rounded once. A program takes a group of a sample, and adds up
in an order of its own: the same bits every time, whatever the batch.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

DTYPES = (torch.float16, torch.bfloat16)
_AT_ONCE = 8192  # numbers that a program holds
_WARPS = 8


@triton.jit
def _added(left, right):
    return left + right


@triton.jit(do_not_specialize=("pixels",))
def fused_group_norm(
    x, weight, bias, condition, out, pixels, epsilon,
    channels: tl.constexpr, width: tl.constexpr, lanes: tl.constexpr, tile: tl.constexpr,
    conditioned: tl.constexpr,
):  # fmt: skip
    """Group program_id(1) of sample program_id(0) of x and out [N, pixels, channels]: channels of
    a group `width`, in `lanes`, a power of two; `tile` pixels at a time. weight and bias
    [channels]; condition [N, 2 channels]."""
    sample = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, lanes)
    inside = lane < width
    channel = tl.program_id(1) * width + lane
    x += sample * pixels * channels
    out += sample * pixels * channels
    # Mean and squared deviations of the tiles so far; each tile's are joined to them (Chan, Golub
    # and LeVeque 1979). Sums of squares would lose a small deviation from a large mean.
    count, mean, squares = 0.0, 0.0, 0.0
    for start in range(0, pixels, tile):
        place = start + tl.arange(0, tile)
        mask = (place < pixels)[:, None] & inside[None, :]
        values = tl.load(x + place[:, None] * channels + channel[None, :], mask=mask, other=0.0)
        values = values.to(tl.float32)
        more = (tl.minimum(pixels - start, tile) * width).to(tl.float32)
        part = tl.reduce(values, None, _added) / more
        apart, away = part - mean, tl.where(mask, values - part, 0.0)
        share = more / (count + more)
        squares += tl.reduce(away * away, None, _added) + apart * apart * (count * share)
        mean += apart * share
        count += more
    factor = tl.load(weight + channel, mask=inside, other=0.0).to(tl.float32)
    summand = tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)
    factor = factor / tl.sqrt(squares / count + epsilon)
    if conditioned:
        condition += sample * 2 * channels + channel
        scale = 1.0 + tl.load(condition, mask=inside, other=0.0).to(tl.float32)
        shift = tl.load(condition + channels, mask=inside, other=0.0).to(tl.float32)
        factor, summand = factor * scale, summand * scale + shift
    for start in range(0, pixels, tile):
        place = start + tl.arange(0, tile)
        mask = (place < pixels)[:, None] & inside[None, :]
        offset = place[:, None] * channels + channel[None, :]
        values = tl.load(x + offset, mask=mask, other=0.0).to(tl.float32)
        made = (values - mean) * factor[None, :] + summand[None, :]
        made = made / (1.0 + tl.exp(-made))  # SiLU
        tl.store(out + offset, made.to(out.dtype.element_ty), mask=mask)


def activated_group_norm(x: Tensor, norm: nn.GroupNorm, condition: Tensor | None) -> Tensor:
    """silu(norm(x) * (1 + scale) + shift) of [N, C, H, W] -> the same shape and dtype, in channels
    last. condition: [N, 2 C, 1, 1], or none. Gives no gradient."""
    x = x.contiguous(memory_format=torch.channels_last)
    out = torch.empty_like(x, memory_format=torch.channels_last)
    if not x.numel():
        return out
    count, channels, height, width = x.shape
    each = channels // norm.num_groups
    lanes = triton.next_power_of_2(each)
    tile = max(1, min(triton.next_power_of_2(height * width), _AT_ONCE // lanes))
    on: Any = torch.cuda.device(x.device) if x.is_cuda else nullcontext()
    with on:
        fused_group_norm[count, norm.num_groups](
            x, norm.weight, norm.bias, x if condition is None else condition.contiguous(), out,
            height * width, norm.eps, channels=channels, width=each, lanes=lanes, tile=tile,
            conditioned=condition is not None, num_warps=_WARPS,
        )  # fmt: skip
    return out
