"""EM Distillation (arXiv:2405.16852): the E-step, the M-step and the cancelled noise.

Everything is written for x_t = x + sigma eps, as in EDM. A process alpha x + sigma_t eps is the
same one after division by alpha: with sigma = sigma_t / alpha the reparametrised scores, and the
loss under the paper's weight sigma_t^2 / alpha^2, come out equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Generate = Callable[[Tensor], Tensor]  # latents [N, ...] -> images [N, ...], differentiable
ScoreGap = Callable[[Tensor], Tensor]  # x_t [N, ...] -> teacher's minus student's score there
Normals = Callable[[int], tuple[Tensor, Tensor]]  # step -> noise of the shapes of eps and z


@dataclass(frozen=True, kw_only=True)
class Langevin:
    """The short chain of the E-step; EMD-K has `steps` = K.

    noise_rate, latent_rate: the steps gamma of eps and of z; a latent_rate of 0 freezes z.
    halved: enter them as gamma / 2 and sqrt(gamma) instead of gamma and sqrt(2 gamma).
    """

    steps: int = 16
    noise_rate: float = 0.4**2
    latent_rate: float = 0.004**2
    halved: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"{self.steps} Langevin steps are fewer than 1")
        if not 0 < self.noise_rate < 1 or not 0 <= self.latent_rate < 1:
            raise ValueError("Langevin rates must lie in (0, 1), that of the latents may be 0")

    def rates(self) -> tuple[float, float]:
        """gamma of eps and of z in the convention of gamma and sqrt(2 gamma)."""
        factor = 0.5 if self.halved else 1.0
        return self.noise_rate * factor, self.latent_rate * factor


@dataclass(frozen=True)
class JointSamples:
    """(eps, z) after the chain, and the part of eps that is drift and not noise; all [N, ...]."""

    latents: Tensor
    noise: Tensor
    drift: Tensor


def e_step(
    generate: Generate,
    gap: ScoreGap,
    sigma: Tensor,
    latents: Tensor,
    noise: Tensor,
    langevin: Langevin,
    normals: Normals,
) -> JointSamples:
    """Samples of q(x_t) p(z | x_t), by Langevin steps on (eps, z) from the student's own joint.

    sigma: noise levels [N, 1, ...], broadcast against the images [N, ...]. latents, noise: the
    start, standard normal: z [N, ...] and eps of the images' shape, and so what comes back.
    With gap = s_q - s_student at x_t = g(z) + sigma eps, the scores are sigma gap - eps and
    J_g(z)^T gap - z. `drift` is what remains of eps without its start and every later noise, each
    contracted as the chain contracts it.
    """
    noise_rate, latent_rate = langevin.rates()
    drift = torch.zeros_like(noise)
    for step in range(langevin.steps):
        with torch.set_grad_enabled(latent_rate > 0):
            z = latents.detach().requires_grad_(latent_rate > 0)
            images = generate(z)
        difference = gap(images.detach() + sigma * noise).detach()
        fresh, fresh_latents = normals(step)
        if latent_rate:
            (pull,) = torch.autograd.grad(images, z, difference)
            latents = latents + latent_rate * (pull - latents)
            latents = latents + (2 * latent_rate) ** 0.5 * fresh_latents
        pushed = noise_rate * sigma * difference
        drift = (1 - noise_rate) * drift + pushed
        noise = (1 - noise_rate) * noise + pushed + (2 * noise_rate) ** 0.5 * fresh
    return JointSamples(latents, noise, drift)


def m_step_loss(images: Tensor, sigma: Tensor, noise: Tensor, weight: Tensor | float) -> Tensor:
    """weight / (2 sigma^2) || sg(g(z) + sigma noise) - g(z) ||^2, summed a sample, mean over N.

    images [N, ...]: g(z) at the chain's latents, with its graph. noise [N, ...]: the chain's drift,
    or all of its eps to do without the cancellation. sigma, weight: [N, 1, ...]. Returns a scalar
    whose gradient is -weight / sigma noise^T dg/dtheta.
    """
    target = (images + sigma * noise).detach()
    squares = weight / (2 * sigma**2) * (target - images) ** 2
    return squares.flatten(1).sum(dim=1).mean()  # [N, ...] -> [N] -> scalar
