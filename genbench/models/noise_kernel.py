"""The normals and uniforms of `noise` in one kernel of a CUDA device, with the same bits.

Written in Triton; imported only where that is installed. Every operation stands as in the plain
path, in the same order, and none may be contracted into a fused multiply-add, which would round
once where the plain path rounds twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from math import prod
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from genbench.models import philox

# What the compiler must be told; the plain path's operations are rounded one by one.
EXACT = {"enable_fp_fusion": False}
_LARGEST = 256  # blocks of the generator, of four numbers each, in one program
MOST = 4 * _LARGEST * 65_535  # numbers of a sample and step: CUDA counts no more along a grid

_M0, _M1 = (tl.constexpr(word) for word in philox.MULTIPLIERS)
_W0, _W1 = (tl.constexpr(word) for word in philox.WEYL)
_MASK = tl.constexpr(philox.MASK)
_CENTRE_OVER, _CENTRE_UNDER = (tl.constexpr(part) for part in philox.CENTRE)
_TAIL_OVER, _TAIL_UNDER = (tl.constexpr(part) for part in philox.TAIL)
_SERIES = tl.constexpr(philox.SERIES)


@triton.jit
def _polynomial(coefficients: tl.constexpr, last: tl.constexpr, x):
    total = x * coefficients[last]
    total = total + coefficients[last - 1]
    for place in tl.static_range(last - 1):
        total = total * x
        total = total + coefficients[last - 2 - place]
    return total


@triton.jit
def _log(x):
    bits = x.to(tl.int64, bitcast=True)
    # As torch.frexp of a positive normal number: mantissa in [0.5, 1).
    mantissa = ((bits & 0x000FFFFFFFFFFFFF) | 0x3FE0000000000000).to(tl.float64, bitcast=True)
    exponent = (bits >> 52) - 1022
    small = mantissa < 0.7071067811865476
    mantissa = tl.where(small, mantissa * 2.0, mantissa)
    power = exponent.to(tl.float64) - small.to(tl.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    series = _polynomial(_SERIES, 11, s * s)
    return (s * 2.0) * series + power * 0.6931471805599453


@triton.jit
def _inverse_normal(words):
    u = (words.to(tl.float64) + 0.5) * 2.3283064365386963e-10  # 2**-32
    q = u - 0.5
    mirrored = (words ^ _MASK).to(tl.float64) * 2.3283064365386963e-10 + 1.1641532182693481e-10
    tail = tl.where(u < mirrored, u, mirrored)
    r = 0.180625 - q * q
    centre = q * (_polynomial(_CENTRE_OVER, 7, r) / _polynomial(_CENTRE_UNDER, 7, r))
    r = tl.sqrt(-_log(tail)) - 1.6
    outer = _polynomial(_TAIL_OVER, 7, r) / _polynomial(_TAIL_UNDER, 7, r)
    return tl.where(tl.abs(q) <= 0.425, centre, tl.where(q < 0, -outer, outer))


# As they are: of a 1 Triton would make a constant, and of every multiple of 16 a kernel of its own.
_PLAIN = ("low_key", "high_key", "first", "steps", "purpose", "count")


@triton.jit(do_not_specialize=_PLAIN)
def drawn(
    out, indices, low_key, high_key, first, steps, purpose, count,
    held: tl.constexpr, normal: tl.constexpr, blocks: tl.constexpr,
):  # fmt: skip
    """Row (n, s) of `out`, float32 [N, steps, count], from 4 blocks program_id(1) on. first: the
    number of step 0, or where the device holds it."""
    if held:
        first = tl.load(first)
    row = tl.program_id(0)
    index = tl.load(indices + row // steps).to(tl.uint64)
    block = tl.program_id(1) * blocks + tl.arange(0, blocks)
    w0 = block.to(tl.uint64)
    w1 = (first + row % steps).to(tl.uint64)
    w2 = index & _MASK
    w3 = (index >> 32) | (purpose.to(tl.uint64) << 16)
    low, high = low_key.to(tl.uint64), high_key.to(tl.uint64)
    for _ in tl.static_range(10):
        left, right = w0 * _M0, w2 * _M1
        w0 = (right >> 32) ^ w1 ^ low
        w1 = right & _MASK
        w2 = (left >> 32) ^ w3 ^ high
        w3 = left & _MASK
        low, high = (low + _W0) & _MASK, (high + _W1) & _MASK
    # [blocks, 2, 2] -> in the order w0, w1, w2, w3 of every block.
    words = tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), [4 * blocks])
    if normal:
        numbers = _inverse_normal(words).to(tl.float32)
    else:
        numbers = (words >> 8).to(tl.float32) * 5.960464477539063e-08  # 2**-24
    place = tl.program_id(1) * (4 * blocks) + tl.arange(0, 4 * blocks)
    tl.store(out + row.to(tl.int64) * count + place, numbers, mask=place < count)


def normals(seed: int, indices: Tensor, steps: range | Tensor, shape: Sequence[int]) -> Tensor:
    """Standard normal float32 [N, steps, *shape] of samples int64 [N], on their device. steps:
    numbers in a row, or one as int64 [1] there."""
    return _launched(seed, indices, steps, shape, philox.PURPOSES["normal"])


def uniforms(seed: int, indices: Tensor, steps: range | Tensor, shape: Sequence[int]) -> Tensor:
    """Uniform float32 [N, steps, *shape] in [0, 1), as `normals`."""
    return _launched(seed, indices, steps, shape, philox.PURPOSES["uniform"])


def _launched(
    seed: int, indices: Tensor, steps: range | Tensor, shape: Sequence[int], purpose: int
) -> Tensor:
    count = prod(shape)
    out = torch.empty(
        (len(indices), len(steps), *shape), dtype=torch.float32, device=indices.device
    )
    if not out.numel():
        return out
    groups = (count + 3) // 4
    blocks = min(_LARGEST, max(16, triton.next_power_of_2(groups)))
    grid = (len(indices) * len(steps), triton.cdiv(groups, blocks))
    on: Any = torch.cuda.device(indices.device) if indices.is_cuda else nullcontext()
    with on:
        drawn[grid](
            out, indices.contiguous(), seed & philox.MASK, seed >> 32,
            steps.start if isinstance(steps, range) else steps, len(steps), purpose, count,
            held=not isinstance(steps, range), normal=purpose == philox.PURPOSES["normal"],
            blocks=blocks,
            **(EXACT if indices.is_cuda else {}),
        )  # fmt: skip
    return out
