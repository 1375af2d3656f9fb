"""The latents of BigGAN-deep: a normal distribution truncated at two standard deviations."""

from __future__ import annotations

import torch
from numpy.random import RandomState
from torch import Tensor

from genbench.models.noise import NoiseStream

BOUND = 2.0  # as the published truncated_noise_sample
_ROUNDS = 8  # after so many, one number in 10**11 is still outside


def truncated_normal(noise: NoiseStream, size: int) -> Tensor:
    """float32 [N, size] in [-2, 2]: normal numbers, drawn again while they lie outside.

    Round k is step k of the stream, so a sample's latent depends on its own stream alone. All
    rounds are made at once, because asking whether any number is still outside would wait for the
    GPU; a number that never came inside is clipped.
    """
    rounds = noise.normal_steps((size,), _ROUNDS)  # [N, rounds, size]
    inside = rounds.abs() <= BOUND
    inside[:, -1] = True
    first = inside.byte().argmax(dim=1, keepdim=True)  # [N, 1, size]
    return rounds.gather(1, first).squeeze(1).clamp(-BOUND, BOUND)


def published_noise(count: int, size: int, truncation: float, seed: int) -> Tensor:
    """float32 [count, size]: truncated_noise_sample of pytorch-pretrained-BigGAN (utils.py), the
    truncation multiplied in already (so within twice that); for comparing with images made by that
    code."""
    from scipy.stats import truncnorm  # half a second, which no other latents need

    drawn = truncnorm.rvs(-BOUND, BOUND, size=(count, size), random_state=RandomState(seed))
    return torch.from_numpy(truncation * drawn.astype("float32"))
