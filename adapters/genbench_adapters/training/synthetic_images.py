"""Images without content, for timing training steps: drawn once, kept on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genbench.images.sets import ImageSet
from genbench.models.optional import TrainRun
from genbench_adapters.training.data import TrainingImages

_COUNT = 64  # steps draw from so many


class SyntheticImages(ImageSet):
    """Uniform noise, uint8, with a class for each image."""

    def __init__(self, resolution: int, classes: int) -> None:
        self.name, self.size = "synthetic", (resolution, resolution)
        self.labels = np.arange(_COUNT, dtype=np.int64) % max(classes, 1)

    def __len__(self) -> int:
        return _COUNT

    def read(self, start: int, stop: int) -> Tensor:
        """uint8 [stop - start, 3, H, W], 0..255, the same at every call."""
        drawn = torch.Generator().manual_seed(start)
        shape = (stop - start, 3, *self.size)
        return torch.randint(0, 256, shape, generator=drawn, dtype=torch.uint8)

    def content_digest(self) -> str:
        """What decides the pixels."""
        return f"synthetic {self.size[0]}"


def synthetic_images(run: TrainRun, resolution: int, classes: int) -> TrainingImages:
    """Training images of a size, on the run's device."""
    return TrainingImages(SyntheticImages(resolution, classes), run.device)
