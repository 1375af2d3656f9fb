"""From uint8 images to a network's input: how a protocol resizes, crops and scales, as data.

The names are those of the codes that publish numbers (`published_preprocessing`); `resizing` does
what is said here. Neither knows of a network, and neither this nor the names need torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Triple = tuple[float, float, float]
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


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


def _told(values: Triple) -> str:
    if len(set(values)) == 1:
        return f"{values[0]:g}"
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
