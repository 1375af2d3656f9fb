"""Group norm, scale and shift, and SiLU in one pass on a CPU: a C++ kernel for bfloat16.

Imported only where a C++ compiler is; the first call compiles.
"""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genbench.runtime.native import compiled, has_compiler

if not has_compiler():
    raise ImportError("there is no C++ compiler")

DTYPES = (torch.bfloat16,)
_MULTIPLE = 32  # of channels


def activated_group_norm(x: Tensor, norm: nn.GroupNorm, condition: Tensor | None) -> Tensor:
    """silu(norm(x) * (1 + scale) + shift) of bfloat16 [N, C, H, W] -> the same, in channels last.

    Sums and all between in float32 or float64, rounded once; the same bits on any number of
    threads. condition: [N, 2 C, 1, 1], or none. Raises ValueError where C is no multiple of 32, and
    where norm or condition are of other shapes.
    """
    count, channels, height, width = x.shape
    if channels % _MULTIPLE:
        raise ValueError(f"{channels} channels are no multiple of {_MULTIPLE}")
    told = None if condition is None else tuple(condition.shape)
    if norm.num_channels != channels or told not in (None, (count, 2 * channels, 1, 1)):
        raise ValueError(f"{norm} and a condition {told} are not of images {tuple(x.shape)}")
    x = x.contiguous(memory_format=torch.channels_last)
    made = torch.empty_like(x)
    if not x.numel():
        return made
    weight, bias = norm.weight.float().contiguous(), norm.bias.float().contiguous()
    values = None if condition is None else condition.float().contiguous()

    def share(first: int, last: int) -> None:
        work = torch.empty(2 * channels, dtype=torch.float32)
        of_values = None if values is None else values[first:last].data_ptr()
        _function()(
            x[first:last].data_ptr(), made[first:last].data_ptr(), weight.data_ptr(),
            bias.data_ptr(), of_values, work.data_ptr(),
            last - first, height * width, channels, norm.num_groups, norm.eps,
        )  # fmt: skip

    with torch.profiler.record_function("group_norm_native"):
        shares = min(torch.get_num_threads(), count)
        if shares < 2:
            share(0, count)
        else:
            ends = pairwise(count * number // shares for number in range(shares + 1))
            for done in [_pool(os.getpid()).submit(share, first, last) for first, last in ends]:
                done.result()
    return made


@cache
def _function() -> Any:
    function = compiled(Path(__file__).with_suffix(".cpp")).activated_group_norm
    pointers, counts = [ctypes.c_void_p] * 6, [ctypes.c_int64] * 4
    function.restype, function.argtypes = None, [*pointers, *counts, ctypes.c_double]
    return function


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Threads of this process: a fork has none of its parent's."""
    return ThreadPoolExecutor(os.cpu_count())
