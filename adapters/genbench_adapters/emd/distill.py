"""The distillation at work: a diffusion in, a one-step generator out (arXiv:2405.16852)."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.images.rounding import to_uint8
from genbench.models.noise import NoiseStream, scheduled_labels
from genbench.models.optional import DistillRun
from genbench.runtime.digests import file_sha256
from genbench.weights.loading import load_state_strictly, load_tensors
from genbench_adapters.emd.denoisers import (
    AdmDenoiser,
    EdmDenoiser,
    copied,
    one_step,
    read_teacher,
)
from genbench_adapters.emd.method import Langevin, e_step, m_step_loss
from genbench_adapters.model_files import read_config, write_model
from genbench_adapters.training.adam import AdamRates
from genbench_adapters.training.data import step_noise
from genbench_adapters.training.loop import Paced, run_training
from genbench_adapters.training.optimisation import Ema, autocast, descend
from genbench_adapters.training.recipes import Count, Factor, Rate, Share, Whole, read_recipe

_PREVIEW = 100
_PREVIEW_SEED = 1
_JOINT, _SCORE = 0, 1  # purposes of a step's noise
_FIRST_CHAIN = 2  # draws 0 and 1 are the start of the chain


@dataclass(frozen=True, kw_only=True)
class EmdRecipe(Paced, AdamRates):
    """The keys of a recipe file; the defaults are the paper's, as far as EMD.md recalls them.

    sigma: the fixed noise level of the generator (e^3 is log-SNR -6). least_sigma, most_sigma: the
    levels x_t is drawn at. langevin_steps: K of EMD-K. score_latents: whether the student's score
    learns from samples of the start of the chain or of its end. weighting: of the M-step, "snr" for
    sigma_t^2 / alpha^2 or "likelihood" for 1. score_snr_limits: the squared error of the score's
    x_0 counts by 1 / sigma^2 kept within these; without them as the teacher's kind weighs it.
    initial: a generator distilled before, beside the recipe, to go on from; empty: the teacher.
    """

    batch: Count
    sigma: Factor = 20.0855
    least_sigma: float = 0.02
    most_sigma: float = 80.0
    langevin_steps: int = 16
    noise_rate: float = 0.4**2
    latent_rate: float = 0.004**2
    halved_rates: bool = False
    cancel_noise: bool = True
    weighting: Literal["snr", "likelihood"] = "snr"
    score_latents: Literal["start", "end"] = "start"
    score_steps: Count = 1
    score_snr_limits: tuple[Factor, Factor] | None = None
    generator_rate: Rate = 2e-6
    score_rate: Rate = 1e-5
    ema: Share = 0.9999
    ema_start: Whole = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    initial: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.least_sigma < self.most_sigma:
            raise UsageError("least_sigma and most_sigma must be positive and ascending")
        limits = self.score_snr_limits
        if limits is not None and limits[0] > limits[1]:
            raise UsageError(f"score_snr_limits {list(limits)} must be ascending")
        try:
            self.langevin()
        except ValueError as error:
            raise UsageError(f"{error}: correct the recipe") from error

    def langevin(self) -> Langevin:
        """The chain of the E-step."""
        return Langevin(
            steps=self.langevin_steps,
            noise_rate=self.noise_rate,
            latent_rate=self.latent_rate,
            halved=self.halved_rates,
        )


class EmdTraining:
    """The recipe at work: each step is an E-step, an M-step, and updates of the student's score.

    The generator is the teacher's denoiser at one level, g(z) = D(sigma z; sigma); the score starts
    from the teacher, the generator as the recipe says.
    """

    def __init__(
        self, recipe: EmdRecipe, run: DistillRun, teacher: AdmDenoiser | EdmDenoiser
    ) -> None:
        self.recipe, self.run = recipe, run
        self.teacher = _placed(teacher, run)
        self.generator, self.score = copied(self.teacher), copied(self.teacher)
        if recipe.initial:
            begin_with(self.generator, run.config.parent / recipe.initial, recipe.sigma)
        self.ema = Ema(copy.deepcopy(self.generator), recipe.ema, recipe.ema_start)
        self.generator_adam = recipe.adam(self.generator, recipe.generator_rate, beta_2=0.99)
        self.score_adam = recipe.adam(self.score, recipe.score_rate, beta_2=0.99)

    def parts(self) -> Mapping[str, Any]:
        """What a checkpoint holds; the teacher is read from its own file."""
        return {
            "generator": self.generator,
            "score": self.score,
            "ema": self.ema.averaged,
            "generator_adam": self.generator_adam,
            "score_adam": self.score_adam,
        }

    def step(self, number: int) -> Mapping[str, float]:
        """One step; its losses over the share of this process.

        "gap" is the mean squared difference of teacher's and student's denoised images that the
        M-step follows; "score" the weighted denoising error of the student's score.
        """
        self.recipe.set_rate(self.generator_adam, self.recipe.generator_rate, number)
        self.recipe.set_rate(self.score_adam, self.recipe.score_rate, number)
        noise = step_noise(self.run, number, self.recipe.batch, purpose=_JOINT)
        labels = scheduled_labels("uniform", self.teacher.classes, noise)
        loss, latents = self._m_step(noise, labels)
        descend(loss, self.generator, self.generator_adam, self.run)
        self.ema.update(self.generator, number)
        score_loss = torch.zeros(())
        for turn in range(self.recipe.score_steps):
            score_loss = self._score_loss(number, turn, latents, labels)
            descend(score_loss, self.score, self.score_adam, self.run)
        pixels = 3 * self.teacher.resolution**2
        return {"gap": float(loss.detach()) / pixels, "score": float(score_loss.detach())}

    def _m_step(self, noise: NoiseStream, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and the latents [N, 3, R, R] that the score learns from."""
        recipe, shape = self.recipe, (3, self.teacher.resolution, self.teacher.resolution)
        uniform = noise.uniform(())  # [N], as sigma
        sigma = self.teacher.levels(uniform, recipe.least_sigma, recipe.most_sigma)
        wide = sigma[:, None, None, None]  # [N, 1, 1, 1]

        def gap(x: Tensor) -> Tensor:
            with torch.no_grad(), autocast(self.run, self.recipe.precision):
                difference = self.teacher(x, sigma, labels) - self.score(x, sigma, labels)
            return difference / wide**2

        def normals(step: int) -> tuple[Tensor, Tensor]:
            first = _FIRST_CHAIN + 2 * step
            fresh = noise.normal(shape, step=first)
            if not recipe.latent_rate:
                return fresh, torch.zeros(())
            return fresh, noise.normal(shape, step=first + 1)

        start, eps = noise.normal(shape, step=0), noise.normal(shape, step=1)
        generate = self._generate(labels)
        self.generator.requires_grad_(False)
        joint = e_step(generate, gap, wide, start, eps, recipe.langevin(), normals)
        self.generator.requires_grad_(True)
        images = generate(joint.latents)
        weight = wide**2 if recipe.weighting == "snr" else 1.0
        kept = joint.drift if recipe.cancel_noise else joint.noise
        latents = start if recipe.score_latents == "start" else joint.latents
        return m_step_loss(images, wide, kept, weight), latents

    def _generate(self, labels: Tensor | None) -> Callable[[Tensor], Tensor]:
        def generate(latents: Tensor) -> Tensor:
            with autocast(self.run, self.recipe.precision):
                return one_step(self.generator, self.recipe.sigma, latents, labels)

        return generate

    def _score_loss(self, number: int, turn: int, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Denoising score matching on the updated generator's samples; a scalar."""
        noise = step_noise(self.run, number, self.recipe.batch, purpose=_SCORE)
        with torch.no_grad():
            images = self._generate(labels)(latents)
        uniform = noise.uniform((), step=turn)
        sigma = self.teacher.levels(uniform, self.recipe.least_sigma, self.recipe.most_sigma)
        noisy = images + sigma[:, None, None, None] * noise.normal(images.shape[1:], step=turn)
        with autocast(self.run, self.recipe.precision):
            denoised = self.score(noisy, sigma, labels)
        errors = (denoised - images).square().flatten(1).mean(dim=1)  # [N]
        limits = self.recipe.score_snr_limits
        weight = self.teacher.weight(sigma) if limits is None else (sigma**-2).clamp(*limits)
        return (weight * errors).mean()

    @torch.no_grad()
    def preview(self) -> Tensor:
        """uint8 [100, 3, R, R], a column a class, by the averaged generator."""
        noise = NoiseStream(_PREVIEW_SEED, torch.arange(_PREVIEW), self.run.device)
        labels = scheduled_labels("balanced", self.teacher.classes, noise)
        side = self.teacher.resolution
        network = copy.deepcopy(self.ema.averaged).eval()
        images = one_step(network, self.recipe.sigma, noise.normal((3, side, side)), labels)
        return to_uint8(images, rounding="nearest").cpu()


def _placed(network: AdmDenoiser | EdmDenoiser, run: DistillRun) -> AdmDenoiser | EdmDenoiser:
    return network.to(run.device).to(memory_format=torch.channels_last)


def begin_with(network: AdmDenoiser | EdmDenoiser, path: Path, sigma: float) -> None:
    """Give a network the weights of a generator that `distill` wrote. Raises GenbenchError for a
    file that is none, UsageError for one of another network or noise level."""
    if not path.is_file():
        raise GenbenchError(f"there is no generator at {path}: correct `initial` in the recipe")
    values = dict(read_config(path) or {})
    level = values.pop("sigma", None)
    values.pop("teacher", None)
    # As JSON, which has lists where a configuration has tuples.
    if (json.dumps(values), level) != (json.dumps(network.config()), sigma):
        raise UsageError(
            f"{path} is not a generator of the teacher's network at noise level {sigma:g}: correct "
            "`initial` or `sigma` in the recipe"
        )
    load_state_strictly(network, load_tensors(path), what=f"the generator {path}")


def distill(run: DistillRun) -> Path:
    """Distil `run.teacher`, or go on where a killed run stopped; returns the weights' path.

    The file holds the averaged generator in float16 with its configuration and its sigma.
    """
    recipe = read_recipe(run.config, EmdRecipe, steps=run.steps)
    if not run.teacher.is_file():
        raise GenbenchError(f"there is no teacher at {run.teacher}: pass --teacher FILE")
    training = EmdTraining(recipe, run, read_teacher(run.teacher, run.resolution))
    given = {"teacher": file_sha256(run.teacher)}
    if recipe.initial:
        given["initial"] = file_sha256(run.config.parent / recipe.initial)
    run_training(training, run, recipe, **given)
    config = {**training.teacher.config(), "sigma": recipe.sigma, "teacher": given["teacher"]}
    state = {key: value.half() for key, value in training.ema.averaged.state_dict().items()}
    path = run.out / "model.safetensors"
    if run.world.leads:
        write_model(path, state, config, kind="trained-here")
    return path
