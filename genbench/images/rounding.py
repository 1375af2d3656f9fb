"""Images in [-1, 1] as 8-bit ones, in the roundings of the official codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import isfinite
from typing import Literal, get_args

import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError

Rounding = Literal["truncate", "nearest", "floor256"]
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # taken as images
_FAR = 10  # widths of a range beyond which it must be another's

# By thread: where `to_uint8` leaves which images are finite; None: it asks at once.
_LEFT: ContextVar[list[Tensor] | None] = ContextVar("_LEFT", default=None)


@contextmanager
def finiteness_left() -> Iterator[list[Tensor]]:
    """Within, `to_uint8` does not ask whether images are finite, an answer for which the host would
    wait for a GPU: it leaves bool [N] a call in the list, for `check_finite` when the images
    themselves have been waited for."""
    left: list[Tensor] = []
    before = _LEFT.set(left)
    try:
        yield left
    finally:
        _LEFT.reset(before)


def check_finite(finite: Sequence[Tensor]) -> None:
    """Raise GenbenchError where an image is not; bool [N] of calls on N images each."""
    count = sum(len(each) for each in finite)
    bad = count - sum(int(each.sum()) for each in finite)
    if bad:
        raise GenbenchError(
            f"{bad} of {count} images hold NaN or infinity: check the weights and the dtype "
            "(float16 overflows where bfloat16 and float32 do not)"
        )


def check_dense(x: Tensor) -> None:
    """Raise GenbenchError for images [N, 3, H, W] that are sparse or nested tensors."""
    if x.is_nested or x.layout != torch.strided:
        kind = "nested" if x.is_nested else str(x.layout).removeprefix("torch.")
        raise GenbenchError(f"images come as a {kind} tensor: make it dense (to_dense())")


def check_range(x: Tensor, low: float, high: float, asked: str) -> None:
    """Raise GenbenchError for images, float [N, 3, H, W], that reach further beyond low … high than
    ten of its widths: they are of another range. asked: what the range was given as, for the
    message. NaN and infinity pass: `to_uint8` tells of them."""
    least, most = torch.stack(torch.aminmax(x)).tolist()
    if isfinite(least) and isfinite(most) and is_far_beyond(least, most, low, high):
        raise GenbenchError(
            f"images reach from {least:.3g} to {most:.3g}, far beyond {asked} ({low:g}, {high:g}): "
            "perhaps {} ({}, {})".format(asked, *likely_range(least, most))
        )


def is_far_beyond(least: float, most: float, low: float, high: float) -> bool:
    """Whether values from least to most reach further beyond the range low … high than ten of its
    widths, so that it must be another's."""
    return max(low - least, most - high) > _FAR * (high - low)


def likely_range(least: float, most: float) -> tuple[int, int]:
    """Black and white of images whose values lie from least to most, as far as these tell."""
    if most > 10:
        return 0, 255
    return (-1, 1) if least < -0.05 else (0, 1)


def to_uint8(x: Tensor, rounding: Rounding = "truncate") -> Tensor:
    """Images in [-1, 1] (float [N, 3, H, W]; beyond is clipped) as uint8 0 … 255.

    "truncate" is ADM's ((x + 1) * 127.5).clamp(0, 255).to(uint8) (scripts/image_sample.py);
    "nearest" is EDM's (x * 127.5 + 128).clip(0, 255) (generate.py); "floor256" is
    clip((x + 1) / 2 * 256, 0, 255) of pytorch-pretrained-BigGAN (utils.py). They differ by a grey
    level, so the choice belongs to the model. Half precision is widened first, so that it costs no
    grey level. Raises GenbenchError for NaN, infinity and anything that is not a dense tensor of
    FLOATS, UsageError for another rounding.
    """
    if rounding not in get_args(Rounding):
        known = ", ".join(get_args(Rounding))
        raise UsageError(f"there is no rounding {rounding!r}: use one of {known}")
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise GenbenchError(
            f"images are {getattr(x, 'dtype', type(x).__name__)}, not a floating-point tensor in "
            "[-1, 1]: scale them first"
        )
    check_dense(x)
    finite = torch.isfinite(x).flatten(1).all(dim=1)  # [N]
    left = _LEFT.get()
    if left is None:
        check_finite([finite])
    else:
        left.append(finite)
    x = x.float() if x.dtype.itemsize < 4 else x
    if rounding == "truncate":
        scaled = (x + 1) * 127.5
    else:
        scaled = x * 127.5 + 128 if rounding == "nearest" else (x + 1) / 2 * 256
    return scaled.clamp(0, 255).to(torch.uint8)
