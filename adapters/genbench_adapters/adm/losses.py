"""The training losses of ADM: the noise or x_0 predicted, and the bound for the variance."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from genbench_adapters.adm.schedule import Coefficients, Schedule

_HALF_LEVEL = 1 / 255  # half a grey level of images in [-1, 1]


class HybridLoss(Coefficients):
    """L_simple + L_vlb / 1000 steps (arXiv:2102.09672, equation 16) on one diffusion.

    The bound is in bits a dimension and reaches the variance alone: the predicted noise is
    detached in it, as gaussian_diffusion.py does.

    snr_limits: x_0's squared error counts by the signal-to-noise ratio of its step, kept within
    these limits: below as in arXiv:2202.00512 (equation 9), above as in arXiv:2303.09556. Without
    them every squared error counts alike, as in the official code.
    """

    def __init__(
        self,
        schedule: Schedule,
        device: torch.device,
        *,
        predict_xstart: bool = False,
        snr_limits: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(schedule, device)
        self.predict_xstart = predict_xstart
        self.steps = len(schedule)
        snr = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)
        weights = np.ones_like(snr)
        if snr_limits is not None:
            # The noise's squared error is that of x_0 times the ratio.
            weights = np.clip(snr, *snr_limits) / (1.0 if predict_xstart else snr)
        self.weights = self.table(weights)
        self.signal = self.table(np.sqrt(schedule.alphas_cumprod))
        self.noise = self.table(np.sqrt(1 - schedule.alphas_cumprod))

    def noised(self, start: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        """q(x_t | x_0) [N, C, H, W] of images in [-1, 1] and standard normal noise of that shape,
        at steps index int64 [N] of the schedule."""
        return _at(self.signal, index) * start + _at(self.noise, index) * noise

    def __call__(
        self, out: Tensor, start: Tensor, noisy: Tensor, noise: Tensor, index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(L_simple, scaled bound), scalars, of a network's output [N, 2 C, H, W].

        The rest as in `noised`: start the images, noisy what it makes of them.
        """
        predicted, spread = out.chunk(2, dim=1)  # [N, C, H, W] each
        errors = (predicted - (start if self.predict_xstart else noise)) ** 2
        simple = (_at(self.weights, index) * errors).mean()
        found = predicted.detach()
        if not self.predict_xstart:
            found = _at(self.recip, index) * noisy - _at(self.recipm1, index) * found
        bound = self._bound(found, spread, start, noisy, index).mean()
        return simple, bound * (self.steps / 1000)

    def _bound(
        self, found: Tensor, spread: Tensor, start: Tensor, noisy: Tensor, index: Tensor
    ) -> Tensor:
        """Bits a dimension [N] of a predicted x_0: the KL divergence of a step, at index 0 the
        likelihood of x_0."""
        least = _at(self.log_least, index)
        share = (spread + 1) / 2
        log_variance = share * _at(self.log_most, index) + (1 - share) * least
        mean = self._posterior_mean(found, noisy, index)
        true_mean = self._posterior_mean(start, noisy, index)
        divergence = 0.5 * (
            log_variance
            - least
            - 1
            + torch.exp(least - log_variance)
            + (true_mean - mean) ** 2 * torch.exp(-log_variance)
        )
        likelihood = -discretised_log_likelihood(start, mean, 0.5 * log_variance)
        chosen = torch.where(index[:, None, None, None] == 0, likelihood, divergence)
        return chosen.flatten(1).mean(dim=1) / math.log(2)  # [N, C, H, W], nats -> [N], bits

    def _posterior_mean(self, start: Tensor, noisy: Tensor, index: Tensor) -> Tensor:
        return _at(self.mean_start, index) * start + _at(self.mean_noisy, index) * noisy


def _at(table: Tensor, index: Tensor) -> Tensor:
    return table[index][:, None, None, None]  # [steps] -> [N, 1, 1, 1]


def discretised_log_likelihood(x: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """log p, in nats, of 8-bit images x in [-1, 1] under a Gaussian rounded to grey levels.

    Elementwise: all are [N, C, H, W], and so is what comes back. The darkest and the brightest
    level take everything beyond them (arXiv:2006.11239, section 3.3).
    """
    inverse = torch.exp(-log_deviation)
    above = torch.special.ndtr((x - mean + _HALF_LEVEL) * inverse)
    below = torch.special.ndtr((x - mean - _HALF_LEVEL) * inverse)
    mass = torch.where(x < -0.999, above, torch.where(x > 0.999, 1 - below, above - below))
    return torch.log(mass.clamp(min=1e-12))
