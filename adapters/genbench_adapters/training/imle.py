"""Coverage of the data: every real image should have a sample near it.

Implicit maximum likelihood (IMLE; Li and Malik, arXiv:1809.09087) beside the adversarial loss, as
in Inclusive GAN (Yu et al., arXiv:2004.03355): from time to time real images are matched with the
nearest of a pool of samples, and the generator then brings those samples nearer. Distances are
between features of the discriminator; the loss is their logarithm, free of the features' scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.models.noise import NoiseStream
from genbench.models.optional import RecipeRun
from genbench_adapters.training.data import TrainingImages, step_noise
from genbench_adapters.training.recipes import Cost, Count

_POOL, _REAL = 7, 6  # purposes of a step's noise
_LEAST = 1e-6  # distance of an image that is met


@dataclass(frozen=True, kw_only=True)
class ImleCost:
    """Keys of a recipe. imle: cost of the distance from real images to samples, 0 for none.
    imle_batch: real images a step. imle_drawn: how many are drawn for each of those; the ones
    farthest from the samples are kept. imle_every: steps between matches; the pool has a batch of
    samples for each of them."""

    imle: Cost = 0.0
    imle_batch: Count = 16
    imle_drawn: Count = 1
    imle_every: Count = 200

    def charged(
        self, loss: Tensor, features: Tensor, met: Tensor | None
    ) -> tuple[Tensor, Mapping[str, float]]:
        """A generator's loss, a scalar, with the cost, and what to log: of the features [M, ...] of
        matched samples and those of their real images, None where there is no cost."""
        if met is None:
            return loss, {}
        far = distance(features, met)
        return loss + self.imle * far, {"far": float(far.detach())}


class Matches:
    """The latents matched with the real images of the coming steps; part of a checkpoint.

    Each process matches its share of every step's images with its share of the pool.
    """

    def __init__(
        self,
        cost: ImleCost,
        run: RecipeRun,
        data: TrainingImages,
        *,
        batch: int,
        latent: int,
        conditional: bool,
    ) -> None:
        self.cost, self.run, self.data = cost, run, data
        self.batch, self.conditional = batch, conditional
        share = cost.imle_batch // run.world.size
        self.mine = slice(run.world.rank * share, (run.world.rank + 1) * share)
        # By step and place in its batch; `kept` are whole numbers, floats to be averaged.
        self.latents = torch.zeros(cost.imle_every, cost.imle_batch, latent, device=run.device)
        self.kept = torch.zeros(cost.imle_every, cost.imle_batch, device=run.device)

    def state_dict(self) -> Mapping[str, Tensor]:
        """The latents [imle_every, imle_batch, d], and which of the drawn images they are matched
        with, whole numbers in float32 [imle_every, imle_batch]."""
        return {"latents": self.latents, "kept": self.kept}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state_dict`: "latents" [imle_every, imle_batch, d] and "kept"
        [imle_every, imle_batch]."""
        self.latents.copy_(state["latents"])
        self.kept.copy_(state["kept"])

    def of(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of a step the matched latents [M, d], real images [M, 3, R, R] in [-1, 1] and their
        labels int64 [M]; M is this process's share of `imle_batch`."""
        images, labels = self._drawn(step)
        kept = self.kept[step % self.cost.imle_every, self.mine].long()
        return self.latents[step % self.cost.imle_every, self.mine], images[kept], labels[kept]

    def _drawn(self, step: int) -> tuple[Tensor, Tensor]:
        drawn = self.cost.imle_batch * self.cost.imle_drawn
        return self.data.batch(step_noise(self.run, step, drawn, purpose=_REAL))

    @torch.no_grad()
    def reached(
        self,
        step: int,
        sampled: Callable[[NoiseStream], tuple[Tensor, Tensor, Tensor]],
        features: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of a step the matched latents [M, d], and the labels int64 [M] and features [M, ...] of
        their real images; renewed where that is due (see `renew`)."""
        self.renew(step, sampled, features)
        latents, images, labels = self.of(step)
        return latents, labels, features(images)

    @torch.no_grad()
    def renew(
        self,
        step: int,
        sampled: Callable[[NoiseStream], tuple[Tensor, Tensor, Tensor]],
        features: Callable[[Tensor], Tensor],
    ) -> None:
        """Before a step that is a multiple of `imle_every`, match its real images and those of the
        steps up to the next: within their class if `conditional`. Of the images drawn the farthest
        are kept.

        sampled: latents [N, d], images [N, 3, R, R] in [-1, 1] and labels int64 [N] of a noise
        stream. features: [N, ...] of images.
        """
        if step % self.cost.imle_every:
            return
        steps = range(step, step + self.cost.imle_every)
        latents, pooled, classes = [], [], []
        for number in steps:
            noise = step_noise(self.run, number, self.batch, purpose=_POOL)
            drawn, images, labels = sampled(noise)
            latents.append(drawn)
            pooled.append(features(images).float().flatten(1))
            classes.append(labels)
        pool, pool_classes = torch.cat(pooled), torch.cat(classes)  # [P, D] and [P]
        pool_latents = torch.cat(latents)  # [P, d]
        shares = self.run.world.size
        self.latents.zero_()
        self.kept.zero_()
        for number in steps:
            images, labels = self._drawn(number)
            # [images drawn, P].
            distances = torch.cdist(features(images).float().flatten(1), pool)
            if self.conditional:
                distances[labels[:, None] != pool_classes] = torch.inf
            far, nearest = distances.min(dim=1)
            # [M], ascending places among the images drawn.
            kept = far.topk(self.cost.imle_batch // shares, sorted=False).indices.sort().values
            place = number % self.cost.imle_every, self.mine
            self.latents[place] = pool_latents[nearest[kept]] * shares
            self.kept[place] = kept.float() * shares
        self.run.world.average(self.latents)  # of shares that are zero elsewhere: their union
        self.run.world.average(self.kept)


def distance(features: Tensor, others: Tensor) -> Tensor:
    """The mean logarithm of the L1 distance between rows of [N, ...] and [N, ...], a scalar; a
    distance is a mean over a row's numbers."""
    apart = (features.float() - others.float()).flatten(1).abs().mean(dim=1)  # [N]
    return torch.log(apart + _LEAST).mean()
