"""What users' functions return, as images uint8 [N, 3, H, W]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.rounding import Rounding, is_far_beyond, likely_range, to_uint8

_GREY, _COLOURS = 1, 3


@dataclass(frozen=True)
class Range:
    """Of floating-point images: `low` is black, `high` white."""

    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> Range:
        """ "-1,1". Raises ValueError for anything that is no range."""
        try:
            low, high = (float(part) for part in text.split(","))
        except ValueError:
            raise ValueError(f"--range {text}: write black and white, as in --range=-1,1") from None
        if not low < high < float("inf"):
            raise ValueError(f"--range {text}: black is below white, as in --range=0,1")
        return cls(low, high)


def batch_of(returned: object, where: str) -> Tensor:
    """A function's return as a tensor [N, C, H, W], C 1 or 3, of its own dtype.

    Tensors, arrays and lists of pictures are taken, channels first or last. where: the function,
    for refusals. Raises GenbenchError.
    """
    batch = _as_tensor(returned, where)
    if batch.ndim != 4:
        raise GenbenchError(
            f"{where} returned {_shape(batch)}: return a batch [N, 3, H, W] of images"
        )
    kinds = (_GREY, _COLOURS)
    if batch.shape[1] not in kinds and batch.shape[3] in kinds:
        batch = batch.permute(0, 3, 1, 2)
    if batch.shape[1] not in kinds:
        remedy = "return 3 channels"
        if batch.shape[1] == 4 or batch.shape[3] == 4:
            remedy += "; latents are decoded with --decode vae:PATH"
        raise GenbenchError(f"{where} returned {_shape(batch)}: {remedy}")
    return batch


def _as_tensor(returned: object, where: str) -> Tensor:
    if isinstance(returned, Tensor):
        return returned.detach()
    if isinstance(returned, list) and returned and hasattr(returned[0], "convert"):
        returned = np.stack([np.asarray(picture.convert("RGB")) for picture in returned])
    elif isinstance(returned, list) and returned and isinstance(returned[0], Tensor):
        return torch.stack(returned).detach()
    if isinstance(returned, np.ndarray) and returned.dtype.kind in "fu":
        return torch.from_numpy(np.ascontiguousarray(returned))
    told = f"an array of {returned.dtype}" if isinstance(returned, np.ndarray) else (
        f"a {type(returned).__name__}"
    )  # fmt: skip
    raise GenbenchError(f"{where} returned {told}: return a tensor of images [N, 3, H, W]")


def pixels_of(batch: Tensor, scale: Range | None, rounding: Rounding, where: str) -> Tensor:
    """A batch [N, C, H, W], C 1 or 3, as uint8 [N, 3, H, W]; grey is repeated.

    scale: of floating-point batches. Raises GenbenchError for NaN, for floats whose range nobody
    stated, and for other dtypes.
    """
    if batch.dtype != torch.uint8:
        if not batch.is_floating_point():
            raise GenbenchError(
                f"{where} returned {batch.dtype} values: return uint8, 0 … 255, or float with "
                "--range"
            )
        batch = _rounded(batch, scale, rounding, where)
    return batch.expand(-1, _COLOURS, -1, -1)


def _rounded(batch: Tensor, scale: Range | None, rounding: Rounding, where: str) -> Tensor:
    finite = torch.isfinite(batch).flatten(1).all(1)
    if not bool(finite.all()):
        first = int((~finite).nonzero()[0])
        raise GenbenchError(
            f"{where} returned NaN or infinity in {int((~finite).sum())} of {len(batch)} images, "
            f"image {first} of the batch first: check the weights and --dtype"
        )
    low, high = float(batch.min()), float(batch.max())
    if scale is None:
        raise GenbenchError(
            f"{where} returned {str(batch.dtype).removeprefix('torch.')} images, here from "
            f"{low:.3g} to {high:.3g}: say what is black and white, --range={_guess(low, high)}"
        )
    wide = batch.float() if batch.dtype.itemsize < 4 else batch
    width = scale.high - scale.low
    if is_far_beyond(low, high, scale.low, scale.high):
        raise GenbenchError(
            f"{where} returned images from {low:.3g} to {high:.3g}, far beyond --range "
            f"{scale.low:g},{scale.high:g}: perhaps --range={_guess(low, high)}"
        )
    if (scale.low, scale.high) != (-1.0, 1.0):  # which would cost last bits for nothing
        wide = (wide - scale.low) / width * 2 - 1
    return to_uint8(wide, rounding=rounding)


def _guess(low: float, high: float) -> str:
    return "{},{}".format(*likely_range(low, high))


def _shape(batch: Tensor) -> str:
    return f"a tensor {list(batch.shape)}"
