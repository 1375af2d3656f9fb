"""Images brought to a network's input, as a `Preprocessing` says."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genbench.detectors.preprocessing import Preprocessing, Resize

_PILLOW_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def prepared(images: Tensor, preprocessing: Preprocessing, device: torch.device) -> Tensor:
    """What a network receives: float32 [N, 3, size, size] on `device`.

    images: uint8 [N, 3, H, W], RGB, any device. Row i depends on image i alone. Pillow works on the
    CPU, an image at a time, on as many threads as torch has; the others work on `device`.
    """
    resize, size = preprocessing.resize, preprocessing.size
    if preprocessing.crop == "before":
        images = _middle(images, min(images.shape[2:]), lambda over: over // 2)
    height, width = images.shape[2:]
    if preprocessing.crop == "after":
        # torchvision's Resize of the shorter side, which rounds the longer one down.
        target = (
            size if height <= width else int(size * height / width),
            size if width <= height else int(size * width / height),
        )
    else:
        target = (size, size)
    if resize.library == "Pillow":
        resized = _by_pillow(images, target, resize).to(device)
    else:
        pixels = images.to(device).to(torch.float32)
        if resize.library == "torch":
            resized = F.interpolate(
                pixels, target, mode=resize.filter, align_corners=False, antialias=resize.antialias
            )
        else:
            resized = _as_tensorflow(pixels, target)
    if resize.clipped:
        resized = resized.clamp_(0.0, 255.0)
    if preprocessing.crop == "after":
        resized = _middle(resized, size, lambda over: round(over / 2))  # as torchvision rounds
    mean, deviation = (
        torch.tensor(values, device=device)[:, None, None]
        for values in (preprocessing.mean, preprocessing.deviation)
    )
    return resized.div(preprocessing.divisor).sub_(mean).div_(deviation)


def _middle(images: Tensor, side: int, halved: Callable[[int], int]) -> Tensor:
    """The middle square [N, 3, side, side]; `halved` says where it begins in what is over."""
    height, width = images.shape[2:]
    top, left = halved(height - side), halved(width - side)
    return images[:, :, top : top + side, left : left + side]


def _by_pillow(images: Tensor, target: tuple[int, int], resize: Resize) -> Tensor:
    """uint8 [N, 3, H, W] -> float32 [N, 3, *target], 0..255 and beyond where nothing clips."""
    pixels = images.permute(0, 2, 3, 1).cpu().numpy()  # [N, H, W, 3]
    resized = np.empty((len(pixels), 3, *target), dtype=np.float32)
    kernel = _PILLOW_FILTERS[resize.filter]
    size = (target[1], target[0])

    def draw(row: int) -> None:
        if resize.rounded:
            image = Image.fromarray(np.ascontiguousarray(pixels[row]))
            resized[row] = np.asarray(image.resize(size, kernel)).transpose(2, 0, 1)
            return
        for channel in range(3):
            plane: NDArray[Any] = pixels[row, :, :, channel].astype(np.float32)
            resized[row, channel] = np.asarray(Image.fromarray(plane).resize(size, kernel))

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # Pillow lets go of the interpreter
        list(pool.map(draw, range(len(pixels))))
    return torch.from_numpy(resized)


def _as_tensorflow(pixels: Tensor, target: tuple[int, int]) -> Tensor:
    """ResizeBilinear of TensorFlow 1, align_corners=False: a pixel lies at its index, not at its
    middle, and nothing is smoothed. float32 [N, 3, H, W] -> [N, 3, *target], in the order of
    torch-fidelity's operations (interpolate_compat_tensorflow.py:115), bit for bit: along rows,
    then between them."""
    height, width = pixels.shape[2:]
    left, right, across = _neighbours(width, target[1], pixels.device)
    upper, lower, down = _neighbours(height, target[0], pixels.device)
    rows = _between(pixels.index_select(3, left), pixels.index_select(3, right), across)
    return _between(rows.index_select(2, upper), rows.index_select(2, lower), down[:, None])


def _between(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """first + (second - first) * share, in the memory of `second`."""
    return second.sub_(first).mul_(share).add_(first)


def _neighbours(length: int, target: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `target` places the pixels before and after it, and how far along it is."""
    places = torch.arange(target, dtype=torch.float32, device=device)
    places = places * torch.tensor(length / target, dtype=torch.float32)
    before = places.long()
    after = (before + 1).clamp_max(length - 1)
    return before, after, places - before
