"""Training images drawn by (seed, step), and the noise of a step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genbench.errors import UsageError
from genbench.images.opening import open_image_set
from genbench.images.sets import ImageSet
from genbench.models.noise import NoiseStream
from genbench.models.optional import RecipeRun, TrainRun

_IN_MEMORY = 4 << 30  # bytes of images that are read once and kept


class TrainingImages:
    """An image set from which batches are drawn by (seed, step); labels are 0 where it has none."""

    def __init__(self, images: ImageSet, device: torch.device, *, labelled: bool = True) -> None:
        if images.labels is None and labelled:
            raise UsageError(
                f"{images.name} has no labels and this recipe is class-conditional: put the images "
                "into one folder a class, or add arr_1 to the .npz"
            )
        self.images, self.device = images, device
        labels = np.zeros(len(images), np.int64) if images.labels is None else images.labels
        self.labels = torch.from_numpy(labels).to(device)
        small = len(images) * 3 * images.size[0] * images.size[1] <= _IN_MEMORY
        self._kept = images.read(0, len(images)).to(device) if small else None

    @classmethod
    def open(cls, run: TrainRun, resolution: int, *, labelled: bool = True) -> TrainingImages:
        """The image set a run names, at its resolution. Raises UsageError when it must be labelled
        and is not."""
        images = open_image_set(run.data, crop=run.crop, resolution=resolution)
        return cls(images, run.device, labelled=labelled)

    def batch(self, noise: NoiseStream, *, step: int = 0) -> tuple[Tensor, Tensor]:
        """Images float [N, 3, R, R] in [-1, 1] and labels int64 [N], one a row of `noise`."""
        rows = noise.integers(len(self.images), step=step)
        if self._kept is None:
            read = [self.images.read(row, row + 1) for row in rows.tolist()]
            pictures = torch.cat(read).to(self.device)
        else:
            pictures = self._kept[rows]
        return pictures.float() / 127.5 - 1, self.labels[rows]


def step_noise(run: RecipeRun, step: int, batch: int, *, purpose: int = 0) -> NoiseStream:
    """The noise of this process's part of the batch of one step.

    batch: images of one step over all processes. purpose: 0 … 7, for draws that must not be alike.
    Raises UsageError when the processes cannot share the batch evenly.
    """
    if batch % run.world.size:
        raise UsageError(f"batch {batch} cannot be shared by {run.world.size} processes evenly")
    share = batch // run.world.size
    first = (step * 8 + purpose) * batch + run.world.rank * share
    return NoiseStream(run.seed, torch.arange(first, first + share), run.device)
