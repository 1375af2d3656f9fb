"""The augmentations of balanced consistency regularisation: colour, translation, cutout.

As DiffAugment (Zhao et al., arXiv:2006.10738) draws them; every number comes from the noise of the
image's place in the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from genbench.models.noise import NoiseStream

_SHIFT = 0.125  # largest translation, of the side
_CUT = 0.5  # side of the cut square, of the side


def augmented(images: Tensor, noise: NoiseStream, *, step: int) -> Tensor:
    """Images float [N, 3, R, R] in [-1, 1], each changed by draw `step` of its row of `noise`; the
    colours may leave that range."""
    draws = noise.uniform((7,), step=step).to(images.dtype)[:, :, None, None, None]
    brightness, saturation, contrast, *places = draws.unbind(1)  # [N, 1, 1, 1] each, in [0, 1)
    x = images + (brightness - 0.5)
    grey = x.mean(dim=1, keepdim=True)  # [N, 1, R, R]
    x = (x - grey) * (2 * saturation) + grey
    middle = x.mean(dim=(1, 2, 3), keepdim=True)  # [N, 1, 1, 1]
    x = (x - middle) * (contrast + 0.5) + middle
    return _cut(_shifted(x, places[0], places[1]), places[2], places[3])


def _shifted(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Moved by whole pixels, zeros coming in."""
    count, _, side, _ = x.shape
    reach = int(side * _SHIFT + 0.5)
    padded = functional.pad(x, (reach, reach, reach, reach))  # [N, 3, R + 2 reach, R + 2 reach]
    rows = torch.arange(side, device=x.device)
    top = (down.flatten() * (2 * reach + 1)).long()[:, None] + rows  # [N, R], rows of `padded`
    left = (right.flatten() * (2 * reach + 1)).long()[:, None] + rows
    number = torch.arange(count, device=x.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[number, top[:, :, None], left[:, None, :]]  # [N, R, R, 3]
    return moved.permute(0, 3, 1, 2)


def _cut(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """A square of zeros, its centre anywhere."""
    side = x.shape[2]
    half = side * _CUT / 2
    place = torch.arange(side, device=x.device, dtype=x.dtype)
    rows = (place - down.flatten()[:, None] * side).abs() >= half  # [N, R], outside the square
    columns = (place - right.flatten()[:, None] * side).abs() >= half
    kept = rows[:, None, :, None] | columns[:, None, None, :]  # [N, 1, R, R]
    return x * kept
