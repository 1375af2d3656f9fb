"""A generator's reward for variety: pairs of like samples should be far apart.

Mode-seeking regularisation (Mao et al., arXiv:1903.05628) in the form of an entropy: the logarithm
of a pair's distance, so that it acts on the closest most. The paper's distance is between images;
between features of the discriminator, differing in brightness alone counts for little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from genbench.errors import UsageError
from genbench.models.noise import NoiseStream
from genbench_adapters.training.recipes import Cost

_LEAST = 1e-6  # distance of the same image twice


@dataclass(frozen=True, kw_only=True)
class VarietyReward:
    """Keys of a recipe. variety: cost of the sameness of like samples, 0 for none. variety_of: what
    their distance is taken between."""

    variety: Cost = 0.0
    variety_of: Literal["features", "images"] = "features"

    def rewarded(
        self, loss: Tensor, images: Tensor, features: Tensor
    ) -> tuple[Tensor, Mapping[str, float]]:
        """A generator's loss, a scalar, with the reward over a batch of `paired` latents, and what
        to log. images: [N, 3, R, R], features: [N, ...], of those latents."""
        if not self.variety:
            return loss, {}
        same = sameness(images if self.variety_of == "images" else features)
        return loss + self.variety * same, {"sameness": float(same.detach())}


def paired(latents: Tensor, noise: NoiseStream) -> Tensor:
    """Latents [N, d] of latents [N, d], row N / 2 + i sharing about half of its numbers with row i.

    Which ones is drawn for each pair; every row alone is distributed as before.
    """
    half = len(latents) // 2
    shared = noise.uniform((latents.shape[1],))[half : 2 * half] < 0.5  # [N / 2, d]
    first, second, rest = latents[:half], latents[half : 2 * half], latents[2 * half :]
    return torch.cat([first, torch.where(shared, first, second), rest])


def sameness(features: Tensor) -> Tensor:
    """Minus the mean logarithm of the L1 distance between rows i and N / 2 + i of [N, ...].

    Returns a scalar; a distance is a mean over a row's numbers. Raises UsageError for fewer than 2
    rows.
    """
    half = len(features) // 2
    if not half:
        raise UsageError("variety compares samples: give each process a batch of 2 or more")
    flat = features.float().flatten(1)
    distances = (flat[:half] - flat[half : 2 * half]).abs().mean(dim=1)  # [N / 2]
    return -torch.log(distances + _LEAST).mean()
