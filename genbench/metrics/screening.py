"""Distances of rows as float32 sees them, with their bounds, and as float64 measures them.

The products may be made on a GPU. Its float32 rounds otherwise, within the same bounds, and what
they leave open is measured on the CPU: what is decided is the same on both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from genbench.errors import GenbenchError

BLOCK = 2048  # rows and columns of a block of distances: 16 MiB, the fastest of those tried
CPU = torch.device("cpu")
PAIRS = 256  # pairs measured exactly together: the temporaries stay in the cache


@dataclass(frozen=True)
class Screened:
    """A set of features as float32 products see it: around a common centre, of size about 1."""

    features: Tensor  # float32 [N, D], as given, on the CPU
    placed: Tensor  # the same where the products are made
    centre: Tensor  # float32 [D], there
    scale: float  # a power of two, so that scaling rounds nothing
    floor: float  # error that underflow can make in a scaled squared distance
    norms: Tensor  # float32 [N], squared, centred and scaled, there
    host_norms: Tensor  # the same on the CPU

    def block(self, start: int) -> Tensor:
        """Centred, scaled rows [n, D]; made each time, as a whole copy would double the memory."""
        return (self.placed[self.rows(start)] - self.centre).mul_(self.scale)

    def on_host(self, rows: Tensor | slice) -> Tensor:
        """The same of any rows, int64 [n] or a run of them, on the CPU."""
        return (self.features[rows] - self.centre.cpu()).mul_(self.scale)

    @property
    def starts(self) -> range:
        """First rows of the blocks."""
        return range(0, len(self.features), BLOCK)

    def rows(self, start: int) -> slice:
        """The rows of a block."""
        return slice(start, start + BLOCK)


def centre_of(features: Tensor) -> Tensor:
    """The mean float32 [D] of features float32 [N, D]."""
    total = torch.zeros(features.shape[1], dtype=torch.float64)
    for start in range(0, len(features), BLOCK):
        total += features[start : start + BLOCK].sum(0, dtype=torch.float64)
    return (total / len(features)).to(torch.float32)


def onto(values: Tensor, device: torch.device) -> Tensor:
    """The values, of any shape, on a device; `Tensor.cpu` brings back what is to be looked at."""
    return values.to(device)


def screen(*sets: Tensor, device: torch.device = CPU) -> list[Screened]:
    """Sets of features float32 [N, D], on the CPU, around the mean of the last: float32 keeps most
    of a distance near its data. device: of the products. Raises GenbenchError for numbers whose
    differences overflow."""
    centre = centre_of(sets[-1])
    largest = 0.0
    for side in sets:
        for start in range(0, len(side), BLOCK):
            part = side[start : start + BLOCK] - centre
            largest = max(largest, float(part.abs_().max()))
    if not math.isfinite(largest):
        raise GenbenchError("features as large as float32 goes cannot be compared; rescale them")
    scale = 2.0 ** -math.frexp(largest)[1] if largest else 1.0
    floor = 1e-30 if largest else 0.0
    sides = []
    for features in sets:
        none = torch.empty(0)
        bare = Screened(
            features, onto(features, device), onto(centre, device), scale, floor, none, none
        )
        norms = torch.cat([bare.block(start).square_().sum(1) for start in bare.starts])  # [N]
        sides.append(replace(bare, norms=norms, host_norms=norms.cpu()))
    return sides


@contextmanager
def full_float32() -> Iterator[None]:
    """Products in true float32, whatever the caller allows (TF32, bfloat16): bounds need it.
    torch's switches, the older one and the newer, stand afterwards as they did."""
    libraries: list[Any] = [torch.backends.cuda, torch.backends.mkldnn]
    layers: list[Any] = [getattr(library, "matmul", None) for library in libraries]
    layers = [layer for layer in layers if hasattr(layer, "fp32_precision")]  # since torch 2.9
    stood = [layer.fp32_precision for layer in layers]
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # the two ways were mixed: the layers tell all that there is
        before = "highest"
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        for layer, precision in zip(layers, stood, strict=True):
            layer.fp32_precision = precision


def relative_error(width: int) -> float:
    """Rounding error of a float32 squared distance as a share of |x|^2 + |y|^2, generously.

    The error of a product of D terms grows as sqrt(D); measured, it is 6 times smaller or more.
    """
    return float(torch.finfo(torch.float32).eps) * (2 * math.sqrt(width) + 8)


def products(left: Tensor, left_norms: Tensor, right: Tensor, right_norms: Tensor) -> Tensor:
    """|x|^2 + |y|^2 - 2 x.y, float32 [rows of left, rows of right]."""
    return torch.addmm(right_norms, left, right.T, alpha=-2).add_(left_norms[:, None])


def measured(left: Screened, rows: Tensor, right: Screened, columns: Tensor) -> Tensor:
    """Exact squared distances float64 [P] of the pairs (left[rows], right[columns]), scaled.

    The difference of two float32 numbers is exact in float64, so equal pairs give equal bits.
    """
    found = torch.empty(len(rows), dtype=torch.float64)
    for start in range(0, len(rows), PAIRS):
        part = slice(start, start + PAIRS)
        difference = left.features[rows[part]].to(torch.float64)
        difference.sub_(right.features[columns[part]]).mul_(left.scale)
        found[part] = difference.square_().sum(1)
    return found
