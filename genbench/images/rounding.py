"""Images in [-1, 1] as 8-bit ones, in the roundings of the official codes."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError

Rounding = Literal["truncate", "nearest", "floor256"]


def to_uint8(x: Tensor, rounding: Rounding = "truncate") -> Tensor:
    """Images in [-1, 1] (float [N, 3, H, W]; beyond is clipped) as uint8 0 … 255.

    "truncate" is ADM's ((x + 1) * 127.5).clamp(0, 255).to(uint8) (scripts/image_sample.py);
    "nearest" is EDM's (x * 127.5 + 128).clip(0, 255) (generate.py); "floor256" is
    clip((x + 1) / 2 * 256, 0, 255) of pytorch-pretrained-BigGAN (utils.py). They differ by a grey
    level, so the choice belongs to the model. Half precision is widened first, so that it costs no
    grey level. Raises GenbenchError for NaN, infinity and anything that is not floating-point,
    UsageError for another rounding.
    """
    if rounding not in get_args(Rounding):
        known = ", ".join(get_args(Rounding))
        raise UsageError(f"there is no rounding {rounding!r}: use one of {known}")
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise GenbenchError(
            f"images are {getattr(x, 'dtype', type(x).__name__)}, not a floating-point tensor in "
            "[-1, 1]: scale them first"
        )
    if not bool(torch.isfinite(x).all()):
        count = int((~torch.isfinite(x)).reshape(len(x), -1).any(dim=1).sum())
        raise GenbenchError(
            f"{count} of {x.shape[0]} images hold NaN or infinity: check the weights and the dtype "
            "(float16 overflows where bfloat16 and float32 do not)"
        )
    x = x.float() if x.dtype.itemsize < 4 else x
    if rounding == "truncate":
        scaled = (x + 1) * 127.5
    else:
        scaled = x * 127.5 + 128 if rounding == "nearest" else (x + 1) / 2 * 256
    return scaled.clamp(0, 255).to(torch.uint8)
