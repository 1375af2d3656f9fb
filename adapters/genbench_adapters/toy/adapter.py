"""The toy model: enough of a generator to test everything that any generator stands on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from genbench.images.rounding import to_uint8
from genbench.models.contract import ModelCard
from genbench.models.noise import NoiseStream

CLASSES = 10
_COARSE = 8  # side of the noise grid that becomes clouds


@dataclass(frozen=True)
class Toy:
    """Class-conditional clouds and gratings, 10 classes, any seed, no weights."""

    contrast: float = field(default=0.5, metadata={"help": "amplitude of the clouds, in [0, 1]"})

    cards: ClassVar[tuple[ModelCard, ...]] = tuple(
        ModelCard(
            name=f"toy-{size}",
            resolution=size,
            classes=CLASSES,
            license="MIT",
            note="weight-free; for tests and for trying genbench out",
        )
        for size in (32, 64, 128)
    )

    def __post_init__(self) -> None:
        if not 0.0 <= self.contrast <= 1.0:
            raise ValueError(f"contrast {self.contrast} is outside [0, 1]")

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> ToyGenerator:
        """The generator of a card; `checkpoint` and `dtype` change nothing."""
        return ToyGenerator(card.resolution, self.contrast)


@dataclass(frozen=True)
class ToyGenerator:
    """Draws clouds (bilinear coarse noise) over a class's grating."""

    resolution: int
    contrast: float

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, R, R] for int64 labels [N] in 0 … 9. Raises ValueError without labels."""
        if labels is None:
            raise ValueError("the toy model is class-conditional: it needs labels")
        coarse = noise.normal((3, _COARSE, _COARSE))
        clouds = functional.interpolate(coarse, size=self.resolution, mode="bilinear")
        line = torch.linspace(-1.0, 1.0, self.resolution, device=labels.device)
        angle = labels.to(torch.float32) * (math.pi / CLASSES)  # [N], in radians
        across = torch.cos(angle)[:, None, None] * line[None, None, :]  # [N, 1, R]
        down = torch.sin(angle)[:, None, None] * line[None, :, None]  # [N, R, 1]
        grating = torch.sin((across + down) * 3.0 * math.pi)[:, None]  # [N, 1, R, R]
        return to_uint8(self.contrast * clouds + 0.5 * grating, rounding="truncate")
