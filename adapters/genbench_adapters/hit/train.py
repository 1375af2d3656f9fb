"""The training recipe of HiT: non-saturating loss with R1 and balanced consistency (bCR).

Settings as in the paper and the official flags: Adam with betas (0, 0.99) by default, R1 cost
times the mean squared gradient norm without a half, EMA of the generator (arXiv:2106.07631,
section 4.1).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from genbench.images.rounding import to_uint8
from genbench.models.noise import NoiseStream
from genbench.models.optional import TrainRun
from genbench_adapters.hit.augment import augmented
from genbench_adapters.hit.discriminator import Discriminator, Judge
from genbench_adapters.hit.encoder import Encoder, Encoding, distance, divergence
from genbench_adapters.hit.fresh_statistics import fill_statistics
from genbench_adapters.hit.network import HiT
from genbench_adapters.hit.paper_discriminator import PaperDiscriminator
from genbench_adapters.hit.recipe import HiTRecipe
from genbench_adapters.model_files import write_model
from genbench_adapters.training.adversarial import AdversarialTraining
from genbench_adapters.training.companions import begin_with, write_beside
from genbench_adapters.training.data import TrainingImages, step_noise
from genbench_adapters.training.imle import Matches
from genbench_adapters.training.loop import run_training
from genbench_adapters.training.mode_seeking import paired
from genbench_adapters.training.optimisation import Ema, autocast, descend
from genbench_adapters.training.recipes import read_recipe

_PREVIEW = 100
_PREVIEW_SEED = 1
_DATA, _FAKE, _GENERATOR = 0, 1, 2  # purposes of a step's noise; a second critic step adds three
_ENCODED = 6
_FLIP = 3  # a draw of a step's noise that nothing else takes
# What pixels outside the range of images feel of the gradient that brings them back. All of it is
# too much: of its noise only one side is felt, which lifts a black ground by a few levels.
_COMING_BACK = 0.03


class _Clipped(torch.autograd.Function):
    """Clipping to [-1, 1] under which what is outside still learns to come back, not to go further.

    Plain clipping stops both gradients: a pixel that has once left the range of images stays there.
    """

    @staticmethod
    def forward(context: Any, images: Tensor) -> Tensor:
        context.save_for_backward(images)
        return images.clamp(-1, 1)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (images,) = context.saved_tensors
        outside = images.abs() > 1
        outwards = outside & (images * gradient < 0)
        return torch.where(outside, _COMING_BACK * gradient, gradient).masked_fill(outwards, 0)


class HiTTraining(AdversarialTraining):
    """The recipe at work; one step is an update of the discriminator and one of the generator."""

    def __init__(self, recipe: HiTRecipe, run: TrainRun, data: TrainingImages) -> None:
        torch.manual_seed(run.seed)  # initial weights only; every process starts from the same
        self.recipe, self.run, self.data = recipe, run, data
        self.generator: HiT = HiT(recipe.network()).to(run.device)
        widths = tuple(recipe.discriminator_widths)
        # Channels last is the faster order of memory for convolutions, on CPUs and GPUs alike.
        order = torch.channels_last
        kind = PaperDiscriminator if recipe.discriminator == "paper" else Discriminator
        self.discriminator: Judge = kind(widths).to(run.device).to(memory_format=order)
        self.encoder: Encoder | None = None
        if recipe.reconstruction:
            self.encoder = Encoder(widths, recipe.latent).to(run.device).to(memory_format=order)
        self.learning = nn.ModuleDict({"generator": self.generator})  # against the generator's loss
        if self.encoder:
            self.learning["encoder"] = self.encoder
        if recipe.initial:
            folder = run.config.parent / recipe.initial
            begin_with(folder, model=self.generator, **self.helpers())
        self.ema = Ema(copy.deepcopy(self.generator), recipe.ema)
        self.generator_adam = recipe.adam(self.learning, recipe.generator_rate, beta_2=0.99)
        self.discriminator_adam = recipe.adam(
            self.discriminator, recipe.discriminator_rate, beta_2=0.99
        )

        self.matches = (
            Matches(recipe, run, data, batch=recipe.batch, latent=recipe.latent, conditional=False)
            if recipe.imle
            else None
        )

    def helpers(self) -> Mapping[str, nn.Module]:
        """The networks that only training needs, by name."""
        encoder = {"encoder": self.encoder} if self.encoder else {}
        return {**super().helpers(), **encoder}

    def step(self, number: int) -> Mapping[str, float]:
        """One step; its losses over the batch of this process."""
        self.recipe.set_rates(number, self.generator_adam, self.discriminator_adam)
        if number < self.recipe.autoencoder_steps:
            return self._autoencoder_step(number)
        loss, penalty = torch.zeros(()), None
        for turn in range(self.recipe.discriminator_steps):
            loss, penalty = self._discriminator_step(number, turn)
        self.discriminator.requires_grad_(False)
        generator_loss, total, told = self._generator_losses(number)
        self.discriminator.requires_grad_(True)
        descend(total, self.learning, self.generator_adam, self.run)
        self.ema.update(self.generator, number)
        return {
            "discriminator": float(loss.detach()),
            **({"r1": float(penalty.detach())} if penalty is not None else {}),
            "generator": float(generator_loss.detach()),
            **told,
        }

    def _generator_losses(self, number: int) -> tuple[Tensor, Tensor, Mapping[str, float]]:
        """The adversarial loss, that with all costs, and what to log of the costs."""
        noise = self._noise(number, _GENERATOR)
        latents = noise.normal((self.recipe.latent,))  # [N, latent]
        if self.recipe.variety:
            latents = paired(latents, noise)
        size, met = len(latents), None
        if self.matches:
            matched, _, met = self.matches.reached(number, self._sampled, self._features)
            latents = torch.cat([latents, matched])  # [N + M, latent]
        encoding = self._encoding(number) if self.encoder else None
        if encoding:
            latents = torch.cat([latents, encoding.latents])  # [N + M, latent]
        fake = self._made(latents)  # [N + M, 3, R, R]
        levels = self._levels(fake)
        features = levels[-1]
        # Reconstructions are judged too, as in VAE-GAN: distances of features leave detail open.
        with autocast(self.run, self.recipe.precision):
            logits = self.discriminator.judged(features if encoding else features[:size])
        adversarial = functional.softplus(-logits.float()).mean()
        total, told = self.recipe.rewarded(adversarial, fake[:size], features[:size])
        if encoding:
            apart = distance([level[size:] for level in levels], self._aim(encoding.real))
            cost, more = self.recipe.autoencoder_loss(apart, encoding.nats)
            total = total + cost
        else:
            total, more = self.recipe.charged(total, features[size:], met)
        return adversarial, total, {**told, **more}

    def _autoencoder_step(self, number: int) -> Mapping[str, float]:
        """A step without an adversary; its losses."""
        self.discriminator.requires_grad_(False)
        encoding = self._encoding(number)
        made = self._made(encoding.latents)
        apart = distance([made, *self._levels(made)], [encoding.real, *self._aim(encoding.real)])
        loss, told = self.recipe.autoencoder_loss(apart, encoding.nats)
        self.discriminator.requires_grad_(True)
        descend(loss, self.learning, self.generator_adam, self.run)
        self.ema.update(self.generator, number)
        return told

    def _encoding(self, number: int) -> Encoding:
        """Of real images of a step."""
        assert self.encoder is not None
        noise = step_noise(self.run, number, self.recipe.encoded_batch, purpose=_ENCODED)
        real = self._real(noise)
        with autocast(self.run, self.recipe.precision):
            mean, spread = self.encoder(real)
        drawn = noise.normal((self.recipe.latent,), step=1)
        return Encoding(real, mean + (spread / 2).exp() * drawn, divergence(mean, spread))

    @torch.no_grad()
    def _aim(self, real: Tensor) -> list[Tensor]:
        return self._levels(real)

    def _discriminator_step(self, number: int, turn: int) -> tuple[Tensor, Tensor | None]:
        """The loss, and the gradient penalty of the steps that have one."""
        noise = self._noise(number, _DATA + 3 * turn)
        real = self._real(noise)
        with torch.no_grad():
            fake_noise = self._noise(number, _FAKE + 3 * turn)
            fake = self._made(fake_noise.normal((self.recipe.latent,)))
        penalised = (number + 1) % self.recipe.r1_every == 0  # some of the steps that are logged
        real.requires_grad_(penalised)
        on_real, on_fake = self._judged(real), self._judged(fake)
        loss = functional.softplus(-on_real).mean() + functional.softplus(on_fake).mean()
        total, penalty = loss, None
        if penalised:
            (gradient,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            penalty = gradient.square().sum(dim=(1, 2, 3)).mean()  # [N, 3, R, R] -> [N] -> scalar
            total = loss + self.recipe.r1 * self.recipe.r1_every * penalty
        if self.recipe.consistency:
            pairs = ((real.detach(), on_real), (fake, on_fake))
            for place, (images, logits) in enumerate(pairs):
                again = self._judged(augmented(images, noise, step=1 + place))
                total = total + self.recipe.consistency * (again - logits).square().mean()
        descend(total, self.discriminator, self.discriminator_adam, self.run)
        return loss, penalty

    def _real(self, noise: NoiseStream) -> Tensor:
        """Real images [N, 3, R, R] in [-1, 1], one a row of `noise`."""
        real, _ = self.data.batch(noise)
        if not self.recipe.flips:
            return real
        mirrored = noise.uniform((1, 1, 1), step=_FLIP) < 0.5  # [N, 1, 1, 1]
        return torch.where(mirrored, real.flip(3), real)

    def _sampled(self, noise: NoiseStream) -> tuple[Tensor, Tensor, Tensor]:
        """Latents [N, latent], images [N, 3, R, R] and labels int64 [N], all of them 0."""
        latents = noise.normal((self.recipe.latent,))
        labels = torch.zeros(len(latents), dtype=torch.int64, device=latents.device)
        return latents, self._made(latents), labels

    def _features(self, images: Tensor) -> Tensor:
        return self._levels(images)[-1]

    def _levels(self, images: Tensor) -> list[Tensor]:
        with autocast(self.run, self.recipe.precision):
            return self.discriminator.levels(images)

    def _made(self, latents: Tensor) -> Tensor:
        with autocast(self.run, self.recipe.precision):
            images: Tensor = self.generator(latents)
        images = images.float()
        return _Clipped.apply(images) if self.recipe.clipped else images

    def _judged(self, images: Tensor) -> Tensor:
        with autocast(self.run, self.recipe.precision):
            logits: Tensor = self.discriminator(images)
        return logits.float()

    def _noise(self, number: int, purpose: int) -> NoiseStream:
        return step_noise(self.run, number, self.recipe.batch, purpose=purpose)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Samples uint8 [100, 3, R, R] of the averaged generator."""
        noise = NoiseStream(_PREVIEW_SEED, torch.arange(_PREVIEW), self.run.device)
        network = copy.deepcopy(self.ema.averaged).eval()
        return to_uint8(network(noise.normal((self.recipe.latent,)))).cpu()

    def finished(self) -> HiT:
        """The averaged generator, with new batch norm statistics if the recipe asks for them, and
        widened after that: under statistics of wider latents, norms would undo it."""
        network = self.recipe.with_statistics(self.ema.averaged, fill_statistics, self.run.seed)
        with torch.no_grad():
            for dense in (network.dense_layer[0], network.embedding_layer[0]):
                dense.get_parameter("kernel").mul_(self.recipe.widened)
        return network


def train(run: TrainRun) -> Path:
    """Train, or resume, a HiT; returns the path of the finished weights (float16)."""
    recipe = read_recipe(run.config, HiTRecipe, steps=run.steps)
    config = recipe.network()
    data = TrainingImages.open(run, config.resolution, labelled=False)
    training = HiTTraining(recipe, run, data)
    run_training(training, run, recipe, data=data.images.digest())
    path = run.out / "model.safetensors"
    if run.world.leads:
        state = {key: value.half() for key, value in training.finished().state_dict().items()}
        write_model(path, state, dataclasses.asdict(config), kind="trained-here")
        write_beside(run.out, **training.helpers())
    return path
