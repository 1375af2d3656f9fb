"""The latents of BigGAN-deep: a normal distribution truncated at two standard deviations."""

from __future__ import annotations

import torch
from numpy.random import RandomState
from scipy.stats import truncnorm
from torch import Tensor

from genbench.models.noise import NoiseStream

BOUND = 2.0  # as the published truncated_noise_sample
_ROUNDS = 8  # after so many, one number in 10**11 is still outside


def truncated_normal(noise: NoiseStream, size: int) -> Tensor:
    """float32 [N, size] in [-2, 2]: normal numbers, drawn again while they lie outside.

    Round k draws step k of the stream, so a sample's latent depends on its own stream alone. The
    number of rounds is fixed, because asking whether any number is still outside would wait for
    the GPU; the last is clipped.
    """
    latents = noise.normal((size,), step=0)
    for step in range(1, _ROUNDS):
        again = noise.normal((size,), step=step)
        latents = torch.where(latents.abs() <= BOUND, latents, again)
    return latents.clamp(-BOUND, BOUND)


def published_noise(count: int, size: int, truncation: float, seed: int) -> Tensor:
    """float32 [count, size]: truncated_noise_sample of pytorch-pretrained-BigGAN (utils.py), the
    truncation multiplied in already (so within twice that); for comparing with images made by that
    code."""
    drawn = truncnorm.rvs(-BOUND, BOUND, size=(count, size), random_state=RandomState(seed))
    return torch.from_numpy(truncation * drawn.astype("float32"))
