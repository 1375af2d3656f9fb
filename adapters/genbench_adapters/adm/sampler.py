"""Ancestral and DDIM sampling with classifier guidance, as guided-diffusion computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from genbench_adapters.adm.network import Classifier
from genbench_adapters.adm.schedule import Coefficients, Schedule

# x_t [N, 3, R, R], original timesteps int64 [N] -> eps or x_0 [N, 3, R, R], or with v [N, 6, R, R].
Denoiser = Callable[[Tensor, Tensor], Tensor]
Guide = Callable[[Tensor, Tensor], Tensor]  # the same two -> gradient [N, 3, R, R], scaled
Noise = Callable[[int], Tensor]  # draw k -> standard normal [N, 3, R, R]; 0 is x_T


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a trajectory is drawn.

    kind: "ddpm" (ancestral, arXiv:2006.11239) or "ddim" (arXiv:2010.02502). eta: of DDIM, 0 draws
    no noise. clip: x_0 predictions are clipped to [-1, 1] before the guidance. predict_xstart: the
    network predicts x_0, not the noise.
    """

    schedule: Schedule
    kind: Literal["ddpm", "ddim"] = "ddpm"
    eta: float = 0.0
    clip: bool = True
    predict_xstart: bool = False


class _Coefficients(Coefficients):
    """Those of a sampler; no step waits for the device."""

    def __init__(self, schedule: Schedule, device: torch.device) -> None:
        super().__init__(schedule, device)
        self.timesteps = torch.tensor(schedule.timestep_map, device=device)
        large = np.append(schedule.posterior_variance[1], schedule.betas[1:])
        self.log_fixed = self.table(np.log(large))  # of networks that learn no variance
        self.products = self.table(schedule.alphas_cumprod)
        self.products_before = self.table(schedule.alphas_cumprod_prev)


def trajectory(
    denoise: Denoiser, sampling: Sampling, noise: Noise, *, guide: Guide | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (x, prediction of x_0) after every step, most noise first; the last x is the sample.

    Both are float32 [N, 3, R, R], images in about [-1, 1] at the end. Draw k + 1 of `noise` belongs
    to the k-th step of the loop, as the official scripts draw it.
    """
    x = noise(0)
    coefficients = _Coefficients(sampling.schedule, x.device)
    step = _ancestral_step if sampling.kind == "ddpm" else _ddim_step
    for number, index in enumerate(reversed(range(len(sampling.schedule)))):
        timesteps = coefficients.timesteps[index].expand(x.shape[0])  # [N]
        out = denoise(x, timesteps)  # [N, 3 or 6, R, R]
        found, spread = (out, None) if out.shape[1] == x.shape[1] else out.chunk(2, dim=1)
        if sampling.predict_xstart:
            start = found
        else:
            start = coefficients.recip[index] * x - coefficients.recipm1[index] * found
        if sampling.clip:
            start = start.clamp(-1, 1)
        gradient = None if guide is None else guide(x, timesteps)
        draw = noise(number + 1) if _needs_noise(sampling, index) else None
        x, start = step(x, start, spread, gradient, draw, coefficients, index, sampling.eta)
        yield x, start


def _needs_noise(sampling: Sampling, index: int) -> bool:
    return index > 0 and (sampling.kind == "ddpm" or sampling.eta != 0)


def _ancestral_step(
    x: Tensor, start: Tensor, spread: Tensor | None, gradient: Tensor | None, draw: Tensor | None,
    c: _Coefficients, index: int, eta: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """p_sample; guidance shifts the mean by variance times gradient (condition_mean)."""
    if spread is None:
        log_variance = c.log_fixed[index].expand_as(x)
    else:
        share = (spread + 1) / 2
        log_variance = share * c.log_most[index] + (1 - share) * c.log_least[index]
    mean = c.mean_start[index] * start + c.mean_noisy[index] * x
    if gradient is not None:
        mean = mean + torch.exp(log_variance) * gradient
    if draw is not None:
        mean = mean + torch.exp(0.5 * log_variance) * draw
    return mean, start


def _ddim_step(
    x: Tensor, start: Tensor, spread: Tensor | None, gradient: Tensor | None, draw: Tensor | None,
    c: _Coefficients, index: int, eta: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """ddim_sample; guidance changes the noise (condition_score), and x_0 is not clipped again."""
    recip, recipm1 = c.recip[index], c.recipm1[index]
    product, before = c.products[index], c.products_before[index]
    eps = (recip * x - start) / recipm1
    if gradient is not None:
        eps = eps - (1 - product).sqrt() * gradient
        start = recip * x - recipm1 * eps
        eps = (recip * x - start) / recipm1
    sigma = eta * torch.sqrt((1 - before) / (1 - product)) * torch.sqrt(1 - product / before)
    mean = start * torch.sqrt(before) + torch.sqrt(1 - before - sigma**2) * eps
    return (mean if draw is None else mean + sigma * draw), start


def classifier_guide(classifier: Classifier, labels: Tensor, scale: float) -> Guide:
    """scale * d log p(label | x_t) / d x_t [N, 3, R, R] of a classifier whose parameters need no
    gradient. labels: int64 [N].

    Works under inference mode, which must be left for the gradient: inputs are copied out of it.
    """

    def guide(x: Tensor, timesteps: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            noisy = x.clone().requires_grad_()
            chosen = labels.clone()[:, None]  # [N, 1]
            logits = classifier(noisy, timesteps.clone())  # [N, classes]
            selected = torch.log_softmax(logits, dim=-1).gather(1, chosen).sum()  # scalar
            (gradient,) = torch.autograd.grad(selected, noisy)
        return gradient * scale

    return guide
