"""An encoder beside the GAN: for every real image there should be latents that make it.

With the generator it is a variational autoencoder whose distance is between the discriminator's
features (VAE-GAN; Larsen et al., arXiv:1512.09300), after each of its blocks: of the last one's
alone, images come back smooth, as few of their latents would show. A distance enters by its
logarithm, as a decoder whose variance is the best one has it (sigma-VAE; Rybkin et al.,
arXiv:2006.13202).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genbench.errors import UsageError
from genbench_adapters.hit.discriminator import Trunk, active, begin_with_weights, unit_variance
from genbench_adapters.training.recipes import Cost, Count, Whole

_LEAST = 1e-6  # distance of images that are met
_WIDEST = 4.0  # logarithm of a latent's variance, and less its negative


@dataclass(frozen=True, kw_only=True)
class EncoderCost:
    """Keys of a recipe. reconstruction: cost of the distance between real images and what the
    generator makes of their latents, 0 for no encoder. divergence: cost of a nat that the latents
    tell of their image. encoded_batch: real images a step. autoencoder_steps: how many steps there
    are at first of the autoencoder alone, whose distances are between pixels too. Raises
    UsageError."""

    reconstruction: Cost = 0.0
    divergence: Cost = 0.08
    encoded_batch: Count = 32
    autoencoder_steps: Whole = 0

    def __post_init__(self) -> None:
        if self.autoencoder_steps and not self.reconstruction:
            raise UsageError(
                f"autoencoder_steps {self.autoencoder_steps} need an encoder: give reconstruction "
                "a cost, 16 for example"
            )

    def autoencoder_loss(self, apart: Tensor, nats: Tensor) -> tuple[Tensor, Mapping[str, float]]:
        """The costs of a distance and of a divergence in nats, a scalar of two scalars, and what to
        log."""
        told = {"reconstruction": float(apart.detach()), "nats": float(nats.detach())}
        return self.reconstruction * apart + self.divergence * nats, told


class Encoding(NamedTuple):
    """Real images [M, 3, R, R] in [-1, 1], latents drawn for them [M, latent], and their divergence
    in nats, a scalar."""

    real: Tensor
    latents: Tensor
    nats: Tensor


class Encoder(Trunk):
    """Images [N, 3, R, R] in [-1, 1] -> means and logarithms of variances of their latents, both
    float32 [N, latent].

    widths: see `Trunk`.
    """

    def __init__(self, widths: tuple[int, ...], latent: int) -> None:
        super().__init__(widths)
        self.dense = nn.Linear(widths[-1] * 16, 2 * widths[-1])
        self.told = nn.Linear(2 * widths[-1], 2 * latent)
        begin_with_weights(self, unit_variance)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Means and logarithms of variances, these in [-4, 4]."""
        x = self.features(images).flatten(1)  # [N, 16 C]
        mean, spread = self.told(active(self.dense(x))).float().chunk(2, dim=1)  # [N, latent] each
        return mean, spread.clamp(-_WIDEST, _WIDEST)


def divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of normal latents from N(0, 1), a scalar in nats an image:
    of means and logarithms of variances [N, latent]."""
    return 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(dim=1).mean()


def distance(features: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """The mean over levels of the logarithm of the mean L1 distance between features, a scalar.

    Both sides have as many levels, [N, C, H, W] of the same shapes; a level has the same say
    whatever its scale. Raises ValueError for unequal numbers of levels.
    """
    pairs = zip(features, others, strict=True)
    apart = [torch.log((one.float() - other.float()).abs().mean() + _LEAST) for one, other in pairs]
    return torch.stack(apart).mean()
