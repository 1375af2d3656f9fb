"""The training recipe of BigGAN-deep (arXiv:1809.11096): hinge loss, spectral norm, EMA.

After training, standing statistics are computed for every tabulated truncation, as the published
checkpoints hold them.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from genbench.errors import UsageError
from genbench.images.rounding import to_uint8
from genbench.models.noise import NoiseStream
from genbench.models.optional import TrainRun
from genbench.runtime.files import replacing
from genbench_adapters.biggan_deep.discriminator import Discriminator
from genbench_adapters.biggan_deep.latents import truncated_normal
from genbench_adapters.biggan_deep.network import BigGANConfig, BigGANDeep
from genbench_adapters.biggan_deep.standing_statistics import fill_statistics
from genbench_adapters.training.adam import AdversarialRates
from genbench_adapters.training.adversarial import AdversarialTraining
from genbench_adapters.training.batch_norm import FinalStatistics
from genbench_adapters.training.companions import begin_with, write_beside
from genbench_adapters.training.data import TrainingImages, step_noise
from genbench_adapters.training.imle import ImleCost, Matches
from genbench_adapters.training.loop import Paced, run_training
from genbench_adapters.training.mode_seeking import VarietyReward, paired
from genbench_adapters.training.optimisation import Ema, autocast, descend
from genbench_adapters.training.recipes import Count, Share, Shrinking, Whole, read_recipe

_PREVIEW_SEED = 1  # the preview's latents, the same at every step
_PREVIEW = 100
_REAL, _GENERATOR, _FAKE = 0, 1, 2  # purposes of a step's noise; a second critic step adds three


@dataclass(frozen=True, kw_only=True)
class BigGANRecipe(Paced, AdversarialRates, VarietyReward, ImleCost, FinalStatistics):
    """The keys of a recipe file. Learning rates are Adam's, with betas (beta_1, 0.999).

    discriminator_reduction: 0 for plain blocks (see `Discriminator`). truncated: the networks learn
    on the truncated latents that are sampled, not on all normal ones. training_truncation: what the
    latents of the adversarial losses are multiplied by; below 1, samples at truncation 1 are more
    varied and less typical than any the discriminator judged. Those matched for `imle` are as wide
    as sampled. grey: one colour. initial: see `begin_with`; none by default.
    precision: of the convolutions and products (torch.autocast); weights, losses and averages stay
    float32.
    """

    resolution: Count
    classes: Count
    layers: list[list[Whole]]  # [upsample, in, out] a block, in units of channel_width
    channel_width: Count
    z_dim: Count
    discriminator_widths: list[Count]
    batch: Count
    attention_layer_position: int = 8
    discriminator_reduction: Whole = 4
    truncated: bool = False
    training_truncation: Shrinking = 1.0
    grey: bool = False
    initial: str = ""
    precision: Literal["float32", "bfloat16"] = "float32"
    ema: Share = 0.999
    ema_start: Whole = 0
    statistics_batches: Count = 16  # without its table of statistics the generator has none

    def __post_init__(self) -> None:
        if not self.discriminator_widths:
            raise UsageError(
                "discriminator_widths is empty: give one width for each halving and one before"
            )
        if self.discriminator_reduction > min(self.discriminator_widths):
            raise UsageError(
                f"discriminator_reduction {self.discriminator_reduction} is above the least width: "
                f"give 0 to {min(self.discriminator_widths)}"
            )

    def network(self) -> BigGANConfig:
        """The generator's configuration."""
        return BigGANConfig.from_mapping(
            {
                "output_dim": self.resolution,
                "layers": self.layers,
                "channel_width": self.channel_width,
                "z_dim": self.z_dim,
                "class_embed_dim": self.z_dim,
                "num_classes": self.classes,
                "attention_layer_position": self.attention_layer_position,
                "grey": self.grey,
            }
        )


class BigGANTraining(AdversarialTraining):
    """The recipe at work; one step is the discriminator's updates and one of the generator."""

    def __init__(self, recipe: BigGANRecipe, run: TrainRun, data: TrainingImages) -> None:
        torch.manual_seed(run.seed)  # initial weights only; every process starts from the same
        self.recipe, self.run, self.data = recipe, run, data
        # Channels last is the faster order of memory on CPUs and GPUs alike.
        order = torch.channels_last
        self.generator = BigGANDeep(recipe.network()).to(run.device).to(memory_format=order)
        widths = tuple(recipe.discriminator_widths)
        discriminator = Discriminator(
            widths, recipe.classes, reduction=recipe.discriminator_reduction
        )
        self.discriminator: Discriminator = discriminator.to(run.device).to(memory_format=order)
        if recipe.initial:
            folder = run.config.parent / recipe.initial
            begin_with(folder, model=self.generator, discriminator=self.discriminator)
        self.ema = Ema(copy.deepcopy(self.generator), recipe.ema, recipe.ema_start)
        self.generator_adam = recipe.adam(
            self.generator, recipe.generator_rate, beta_2=0.999, eps=1e-6
        )
        self.discriminator_adam = recipe.adam(
            self.discriminator, recipe.discriminator_rate, beta_2=0.999, eps=1e-6
        )
        self.matches = (
            Matches(recipe, run, data, batch=recipe.batch, latent=recipe.z_dim, conditional=True)
            if recipe.imle
            else None
        )

    def step(self, number: int) -> Mapping[str, float]:
        """One step; returns the hinge losses, averaged over the batch of this process."""
        self.recipe.set_rates(number, self.generator_adam, self.discriminator_adam)
        loss = torch.zeros(())
        for turn in range(self.recipe.discriminator_steps):
            loss = self._discriminator_step(number, turn)
        self.discriminator.requires_grad_(False)
        latents, labels = self._drawn(self._noise(number, _GENERATOR), like=self.recipe.variety > 0)
        size, met = len(latents), None
        if self.matches:
            with autocast(self.run, self.recipe.precision):
                matched, classes, met = self.matches.reached(
                    number, self._sampled, self.discriminator.features
                )
            # The first N rows are the adversarial loss's, the M after them the matched.
            latents, labels = torch.cat([latents, matched]), torch.cat([labels, classes])
        with autocast(self.run, self.recipe.precision):
            fake = self.generator(latents, labels)  # [N + M, 3, R, R]
            features = self.discriminator.features(fake)  # [N + M, C, r, r]
            logits = self.discriminator.judged(features[:size], labels[:size])  # [N]
        generator_loss = -logits.float().mean()
        total, told = self.recipe.rewarded(generator_loss, fake[:size], features[:size])
        total, far = self.recipe.charged(total, features[size:], met)
        self.discriminator.requires_grad_(True)
        descend(total, self.generator, self.generator_adam, self.run)
        self.ema.update(self.generator, number)
        return {
            "discriminator": float(loss),
            "generator": float(generator_loss.detach()),
            **told,
            **far,
        }

    def _discriminator_step(self, number: int, turn: int) -> Tensor:
        real, real_labels = self.data.batch(self._noise(number, _REAL + 3 * turn))
        with torch.no_grad(), autocast(self.run, self.recipe.precision):
            latents, fake_labels = self._drawn(self._noise(number, _FAKE + 3 * turn))
            fake = self.generator(latents, fake_labels)
        images = torch.cat([real.to(fake.dtype), fake])  # [2 N, 3, R, R], both rounded alike
        with autocast(self.run, self.recipe.precision):
            logits = self.discriminator(images, torch.cat([real_labels, fake_labels]), parts=2)
        on_real, on_fake = logits.float().chunk(2)  # [N] each
        loss = functional.relu(1 - on_real).mean() + functional.relu(1 + on_fake).mean()
        descend(loss, self.discriminator, self.discriminator_adam, self.run)
        return loss.detach()

    def _noise(self, number: int, purpose: int) -> NoiseStream:
        return step_noise(self.run, number, self.recipe.batch, purpose=purpose)

    def _sampled(self, noise: NoiseStream) -> tuple[Tensor, Tensor, Tensor]:
        """Latents [N, z] as wide as sampled, their images [N, 3, R, R] and labels int64 [N]."""
        latents, labels = self._latents(noise), noise.labels(self.recipe.classes)
        return latents, self.generator(latents, labels), labels

    def _drawn(self, noise: NoiseStream, *, like: bool = False) -> tuple[Tensor, Tensor]:
        """Latents [N, z] and labels int64 [N]; `like`: in pairs of one class and similar latents
        (see `paired`)."""
        labels = noise.labels(self.recipe.classes)
        latents = self.recipe.training_truncation * self._latents(noise)
        if like:
            latents = paired(latents, noise)
            half = len(labels) // 2
            labels[half : 2 * half] = labels[:half]
        return latents, labels

    def _latents(self, noise: NoiseStream) -> Tensor:
        if self.recipe.truncated:
            return truncated_normal(noise, self.recipe.z_dim)
        return noise.normal((self.recipe.z_dim,))

    @torch.no_grad()
    def preview(self) -> Tensor:
        """uint8 [100, 3, R, R], a column a class, by the averaged weights with the statistics of
        this very batch."""
        noise = NoiseStream(_PREVIEW_SEED, torch.arange(_PREVIEW), self.run.device)
        labels = noise.indices % self.recipe.classes
        network = copy.deepcopy(self.ema.averaged).train()
        return to_uint8(network(truncated_normal(noise, self.recipe.z_dim), labels)).cpu()

    def finished(self) -> BigGANDeep:
        """The averaged generator with its standing statistics."""
        return self.recipe.with_statistics(self.ema.averaged, fill_statistics, self.run.seed)


def save_weights(network: BigGANDeep, path: Path) -> None:
    """Write weights (float16), and config.json beside them."""
    tensors = {key: value.half().contiguous().cpu() for key, value in network.state_dict().items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"genbench.kind": "trained-here"}))
    with replacing(path.with_name("config.json")) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(network.config), indent=2) + "\n")


def train(run: TrainRun) -> Path:
    """Train, or resume, BigGAN-deep; returns the path of the finished weights."""
    recipe = read_recipe(run.config, BigGANRecipe, steps=run.steps)
    data = TrainingImages.open(run, recipe.resolution)
    training = BigGANTraining(recipe, run, data)
    run_training(training, run, recipe, data=data.images.digest())
    path = run.out / "model.safetensors"
    if run.world.leads:
        write_beside(run.out, **training.helpers())
        save_weights(training.finished(), path)
    return path
