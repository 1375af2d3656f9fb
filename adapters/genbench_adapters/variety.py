"""A generator's reward for variety: pairs of like samples that its judge tells apart.

Mode-seeking regularisation (Mao et al., arXiv:1903.05628) in the form of an entropy: the logarithm
of a pair's distance, so that it acts on the closest most, and between features of the
discriminator, where differing in brightness alone counts for little.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genbench.core import UsageError
from genbench.noise import NoiseStream

_LEAST = 1e-6  # distance of the same image twice


def check_cost(variety: float) -> None:
    """Raise UsageError for a recipe's negative cost."""
    if variety < 0:
        raise UsageError(f"variety {variety} is negative: choose 0 or more")


def paired(latents: Tensor, noise: NoiseStream) -> Tensor:
    """Latents [N, d], row N / 2 + i sharing about half of its numbers with row i.

    Which ones is drawn for each pair; every row alone is distributed as before.
    """
    half = len(latents) // 2
    shared = noise.uniform((latents.shape[1],))[half : 2 * half] < 0.5
    first, second, rest = latents[:half], latents[half : 2 * half], latents[2 * half :]
    return torch.cat([first, torch.where(shared, first, second), rest])


def sameness(features: Tensor) -> Tensor:
    """Minus the mean logarithm of the L1 distance between rows i and N / 2 + i of [N, ...].

    Raises UsageError for fewer than 2 rows.
    """
    half = len(features) // 2
    if not half:
        raise UsageError("variety compares samples: give each process a batch of 2 or more")
    flat = features.float().flatten(1)
    distances = (flat[:half] - flat[half : 2 * half]).abs().mean(dim=1)
    return -torch.log(distances + _LEAST).mean()
