"""EDM's stochastic sampler (arXiv:2206.00364, algorithm 2), state in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

# Images float32 [N, 3, R, R], noise level [1] -> denoised [N, 3, R, R].
Denoiser = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[int], Tensor]  # draw k -> standard normal [N, 3, R, R]; 0 is the start


@dataclass(frozen=True, kw_only=True)
class EDMSampling:
    """The sampler's settings under the paper's names; S_churn 0 is deterministic."""

    steps: int = 18
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    s_churn: float = 0.0
    s_min: float = 0.0
    s_max: float = math.inf
    s_noise: float = 1.0


def sigma_steps(sampling: EDMSampling) -> Tensor:
    """Noise levels float64 [steps] from sigma_max down to sigma_min (equation 5)."""
    place = torch.arange(sampling.steps, dtype=torch.float64) / (sampling.steps - 1)
    high, low = (edge ** (1 / sampling.rho) for edge in (sampling.sigma_max, sampling.sigma_min))
    return (high + place * (low - high)) ** sampling.rho


def heun(
    denoise: Denoiser, sampling: EDMSampling, noise: Noise
) -> Iterator[tuple[Tensor, float, Tensor]]:
    """Yield (x, sigma, denoised) after every call of the denoiser; the last x is the sample.

    x and denoised are float64 [N, 3, R, R], images in about [-1, 1] at the end. 2 steps - 1 calls:
    the step to zero noise is Euler's. Draw k + 1 of `noise` is step k's, drawn when that step
    churns.
    """
    levels = [*sigma_steps(sampling).tolist(), 0.0]
    x = noise(0).double() * levels[0]
    most = math.sqrt(2) - 1
    for number, (level, following) in enumerate(pairwise(levels)):
        churns = sampling.s_min <= level <= sampling.s_max
        gamma = min(sampling.s_churn / sampling.steps, most) if churns else 0.0
        higher = level * (1 + gamma)
        if gamma:
            added = math.sqrt(higher**2 - level**2) * sampling.s_noise
            x = x + added * noise(number + 1).double()
        denoised = _called(denoise, x, higher)
        slope = (x - denoised) / higher
        ahead = x + (following - higher) * slope
        yield ahead, higher, denoised
        if following:
            denoised = _called(denoise, ahead, following)
            again = (ahead - denoised) / following
            ahead = x + (following - higher) * (slope + again) / 2
            yield ahead, following, denoised
        x = ahead


def _called(denoise: Denoiser, x: Tensor, level: float) -> Tensor:
    # Filled there: a tensor made of Python's numbers is copied, and the copy waited for.
    sigma = torch.full((1,), level, dtype=torch.float32, device=x.device)
    return denoise(x.float(), sigma).double()
