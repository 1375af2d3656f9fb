"""From uint8 images to a network's input: how a protocol resizes, crops and scales, as data.

The names are those of the codes that publish numbers (`published_preprocessing`). Nothing here
knows of a network: `prepared` gives what the first convolution is handed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Triple = tuple[float, float, float]
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_PILLOW_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, kw_only=True)
class Resize:
    """How pixels are resampled.

    library: whose code; results of one do not come from another (Pillow's 8-bit path rounds and
    clips after each of its two passes). antialias: the filter widens where images shrink; always so
    in Pillow, never in TensorFlow 1. rounded: the result is uint8 again. clipped: to 0..255, which
    the overshoot of bicubic and Lanczos filters leaves.
    """

    library: Literal["Pillow", "torch", "TensorFlow 1"]
    filter: Literal["bilinear", "bicubic", "lanczos"]
    antialias: bool
    rounded: bool = False
    clipped: bool = False

    def __str__(self) -> str:
        smoothing = "antialias" if self.antialias else "no antialias"
        overshoot = "" if self.filter == "bilinear" else ", not clipped"
        ending = ", uint8" if self.rounded else ", clipped" if self.clipped else overshoot
        return f"{self.library} {self.filter}, {smoothing}{ending}"


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to an image between its 8 bits and a network.

    size: of the square result, in pixels. crop: "before" cuts the middle square out first, "after"
    brings the shorter side to `size` and cuts the middle out then, "none" squeezes. The input is
    (x / divisor - mean) / deviation of x in 0..255. Two that are equal give equal inputs: name and
    source do not count.
    """

    name: str = field(compare=False)
    size: int
    resize: Resize
    crop: Literal["none", "before", "after"] = "none"
    divisor: float = 255.0
    mean: Triple
    deviation: Triple
    source: str = field(compare=False)  # code that defines it: repository file:line

    @property
    def normalised(self) -> bool:
        """Whether the result is a network's input; a bare resizer leaves 0..255."""
        return self.deviation != (1.0, 1.0, 1.0)

    @property
    def scaling(self) -> str:
        """The arithmetic after the resize, in symbols."""
        if not self.normalised:
            return "0..255"
        over = "x" if self.divisor == 1.0 else f"x/{self.divisor:g}"
        return f"({over} - {_told(self.mean)}) / {_told(self.deviation)}"

    def __str__(self) -> str:
        crops = {"none": "", "before": "middle square, ", "after": "shorter side, middle square, "}
        return f"{self.size}x{self.size}, {crops[self.crop]}{self.resize}, {self.scaling}"


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
    first = pixels[..., left]
    rows = first + (pixels[..., right] - first) * across
    top = rows[:, :, upper]
    return top + (rows[:, :, lower] - top) * down[:, None]


def _neighbours(length: int, target: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `target` places the pixels before and after it, and how far along it is."""
    places = torch.arange(target, dtype=torch.float32, device=device)
    places = places * torch.tensor(length / target, dtype=torch.float32)
    before = places.long()
    after = (before + 1).clamp_max(length - 1)
    return before, after, places - before


def _told(values: Triple) -> str:
    if len(set(values)) == 1:
        return f"{values[0]:g}"
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
