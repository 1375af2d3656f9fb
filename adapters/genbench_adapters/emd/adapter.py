"""EDM diffusions, and one-step generators of the same networks, as genbench runs them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from genbench.core import (
    CheckpointSource,
    ConvertRun,
    DistillRun,
    GenbenchError,
    ModelCard,
    UsageError,
)
from genbench.images import to_uint8
from genbench.noise import NoiseStream
from genbench.speed_contract import Evaluation
from genbench_adapters.adm.network import UNet
from genbench_adapters.emd.checkpoint import IMAGENET_64, convert, load_generator, load_network
from genbench_adapters.emd.consistency import load_consistency
from genbench_adapters.emd.denoisers import AdmDenoiser, EdmDenoiser, one_step
from genbench_adapters.emd.network import EDM
from genbench_adapters.emd.sampler import EDMSampling, heun
from genbench_adapters.random_weights import random_network

_HINT = (
    "convert a published network pickle: genbench convert edm PICKLE --out edm.safetensors "
    "--trust-pickle"
)
_KNOWN = (IMAGENET_64.img_resolution, IMAGENET_64.label_dim)  # pixels and classes
_DMD2 = 80.0  # sigma of random weights, which were distilled at none
_ONE_STEP_HINT = (
    "no EMD checkpoint is public; --checkpoint takes one-step networks of EDM's kind, such as "
    "DMD2's pytorch_model.bin, with the --sigma they were distilled at"
)


def _small_cards(model: str, nfe: int, filename: str, hint: str) -> tuple[ModelCard, ...]:
    """What EDM published beside ImageNet 64, DDPM++ and NCSN++ alike: the file says which."""
    return tuple(
        ModelCard(
            name=f"{model}-{variant}",
            resolution=resolution,
            classes=classes,
            nfe=nfe,
            checkpoint=CheckpointSource(filename=filename, kind="given", hint=hint),
            license="of the weights you bring",
            paper="arXiv:2206.00364",
            note=note,
        )
        for variant, resolution, classes, note in (
            ("32", 32, 10, "such as CIFAR-10, conditional"),
            ("32-uncond", 32, 0, "such as CIFAR-10, unconditional"),
            ("64-uncond", 64, 0, "such as FFHQ and AFHQv2"),
        )
    )


@dataclass(frozen=True)
class EDMDiffusion:
    """EDM (Elucidating the Design Space of Diffusion Models): Heun's sampler, churn if asked."""

    steps: int = field(default=18, metadata={"help": "noise levels; 2 steps - 1 evaluations"})
    s_churn: float = field(default=0.0, metadata={"help": "S_churn; 0 is deterministic"})
    s_min: float = field(default=0.0, metadata={"help": "S_min: churn above this level"})
    s_max: float = field(default=math.inf, metadata={"help": "S_max: churn below this level"})
    s_noise: float = field(default=1.0, metadata={"help": "S_noise: of the added noise"})

    cards: ClassVar[tuple[ModelCard, ...]] = (
        ModelCard(
            name="edm-64",
            resolution=64,
            classes=1000,
            parameters=295_899_267,
            nfe=35,
            checkpoint=CheckpointSource(filename="edm.safetensors", hint=_HINT),
            license="CC BY-NC-SA 4.0 (official weights)",
            paper="arXiv:2206.00364",
            note="ImageNet; published with 256 steps, S_churn 40, S_min 0.05, S_max 50, "
            "S_noise 1.003",
        ),
        *_small_cards("edm", 35, "edm.safetensors", _HINT),
    )

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(f"steps {self.steps} is fewer than 2")
        if not 0.0 <= self.s_churn < math.inf:
            raise ValueError(f"s-churn {self.s_churn} is not 0 or more")
        if not 0.0 <= self.s_noise < math.inf:
            raise ValueError(f"s-noise {self.s_noise} is not 0 or more")
        if not self.s_min <= self.s_max:
            raise ValueError(f"s-min {self.s_min} is not below s-max {self.s_max}")

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> EDMGenerator:
        """The sampler of a card with its checkpoint; a half dtype is by autocast."""
        return EDMGenerator(_loaded(card, checkpoint, device), self._sampling(), dtype)

    def load_random(
        self, card: ModelCard, device: torch.device, dtype: torch.dtype
    ) -> EDMGenerator:
        """The sampler of a card with random weights."""
        return EDMGenerator(_random(card, device), self._sampling(), dtype)

    def _sampling(self) -> EDMSampling:
        return EDMSampling(
            steps=self.steps,
            s_churn=self.s_churn,
            s_min=self.s_min,
            s_max=self.s_max,
            s_noise=self.s_noise,
        )

    @staticmethod
    def convert(run: ConvertRun) -> str:
        """Bring an EDM network pickle to safetensors without running anything of it."""
        return convert(run)


@dataclass(frozen=True)
class OneStep:
    """One-step generators: an EDM network evaluated once, at a fixed noise level."""

    sigma: float = field(
        default=0.0, metadata={"help": "the noise level; no file tells it (DMD2 80, SiD 2.5)"}
    )
    parameterisation: Literal["edm", "consistency"] = field(
        default="edm",
        metadata={"help": "EDM's (DMD2, SiD), or consistency: openai's .pt of consistency models"},
    )
    rounding: Literal["truncate", "nearest"] = field(
        default="truncate", metadata={"help": "to 8 bits: DMD2's truncate, or EDM's nearest"}
    )

    cards: ClassVar[tuple[ModelCard, ...]] = (
        ModelCard(
            name="emd-32",
            resolution=32,
            classes=10,
            parameters=1_194_534,
            checkpoint=CheckpointSource(
                filename="model.safetensors",
                bundled="weights/model.safetensors",
                kind="trained-here",
            ),
            license="MIT",
            paper="arXiv:2405.16852",
            note="Fashion-MNIST; distilled by `genbench distill emd` from the bundled ADM",
        ),
        ModelCard(
            name="emd-64",
            resolution=64,
            classes=1000,
            parameters=295_899_267,
            checkpoint=CheckpointSource(filename="emd.safetensors", hint=_ONE_STEP_HINT),
            license="of the weights you bring",
            paper="arXiv:2405.16852",
            note="ImageNet; EM Distillation published no weights",
        ),
        *_small_cards("emd", 1, "emd.safetensors", _ONE_STEP_HINT)[1:],
    )

    def __post_init__(self) -> None:
        if not 0.0 <= self.sigma < math.inf:
            raise ValueError(f"sigma {self.sigma} is not a noise level")

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> OneStepGenerator:
        """The generator of a card with its checkpoint. Raises GenbenchError without a sigma."""
        given = _given(card, checkpoint)
        network: torch.nn.Module
        if self.parameterisation == "consistency":
            network, told = load_consistency(given, card), 0.0
        else:
            network, told = load_generator(given, card)
        if self.sigma and told and self.sigma != told:
            raise UsageError(f"{given} was distilled at sigma {told}: leave --sigma out")
        sigma = self.sigma or told
        if not sigma:
            raise GenbenchError(
                f"{given} does not tell the noise level of its one step: pass --sigma (80 for DMD2 "
                "and consistency models, 2.5 for SiD)"
            )
        network = network.to(device).to(memory_format=torch.channels_last)
        return OneStepGenerator(network, card.resolution, sigma, self.rounding, dtype)

    def load_random(
        self, card: ModelCard, device: torch.device, dtype: torch.dtype
    ) -> OneStepGenerator:
        """The generator of a card with random weights, at any noise level."""
        network = random_network(partial(_unread, card), device)
        network = network.to(memory_format=torch.channels_last)
        sigma = self.sigma or _DMD2
        return OneStepGenerator(network, card.resolution, sigma, self.rounding, dtype)

    @staticmethod
    def distill(run: DistillRun) -> Path:
        """Distil a diffusion by a recipe file, or resume; returns the finished weights' path."""
        from genbench_adapters.emd.distill import distill

        return distill(run)

    @staticmethod
    def convert(run: ConvertRun) -> str:
        """Bring a pickle (SiD's) to safetensors without running anything of it."""
        return convert(run)


def _unread(card: ModelCard) -> AdmDenoiser | EdmDenoiser:
    """What a card's generator is without its file: the network of ImageNet 64, or the small ADM
    whose recipe genbench ships."""
    if (card.resolution, card.classes) == _KNOWN:
        return EdmDenoiser(EDM(IMAGENET_64))
    from genbench_adapters.adm.train import AdmRecipe
    from genbench_adapters.training import read_recipe

    recipe = Path(__file__).parent.with_name("adm") / "fashion-mnist-32.toml"
    model = read_recipe(recipe, AdmRecipe).model()
    if (card.resolution, card.classes) != (model.unet.image_size, model.unet.num_classes):
        raise UsageError(
            f"the network of {card.name} is not known without a file: pass --checkpoint PATH"
        )
    return AdmDenoiser(
        UNet(model.unet),
        model.noise_schedule,
        model.diffusion_steps,
        predict_xstart=model.predict_xstart,
    )


def _given(card: ModelCard, checkpoint: Path | None) -> Path:
    if checkpoint is None:
        raise GenbenchError(f"{card.name} needs its weights: pass --checkpoint PATH")
    return checkpoint


def _random(card: ModelCard, device: torch.device) -> EDM:
    if (card.resolution, card.classes) != _KNOWN:
        raise UsageError(
            f"only the network of ImageNet 64 is known without a file, not that of {card.name}: "
            "pass --checkpoint PATH"
        )
    network = random_network(partial(EDM, IMAGENET_64), device)
    return network.to(memory_format=torch.channels_last)


def _loaded(card: ModelCard, checkpoint: Path | None, device: torch.device) -> EDM:
    network = load_network(_given(card, checkpoint), card)
    return network.to(device).to(memory_format=torch.channels_last)


def _one_hot(labels: Tensor | None, network: EDM) -> Tensor | None:
    if labels is None or not network.config.label_dim:
        return None
    return functional.one_hot(labels, network.config.label_dim).float()


class EDMGenerator:
    """A loaded EDM diffusion. evaluations: calls of the network in the last `sample`."""

    def __init__(self, network: EDM, sampling: EDMSampling, dtype: torch.dtype) -> None:
        self.network, self.sampling, self.dtype = network, sampling, dtype
        self.evaluations = 0

    def compile(self) -> None:
        """Hand the network to torch.compile."""
        self.network.compile()

    def repeated(self, labels: Tensor | None, noise: NoiseStream) -> list[Evaluation]:
        """One call of the network, and how often `sample` makes it."""
        side = self.network.config.img_resolution
        x, chosen = noise.normal((3, side, side)), _one_hot(labels, self.network)
        sigma = torch.tensor([self.sampling.sigma_max], device=x.device)

        def denoise() -> Tensor:
            with _half(x.device, self.dtype):
                return self.network(x, sigma, chosen)

        return [(denoise, 2 * self.sampling.steps - 1)]

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, R, R], rounded as EDM's generate.py does."""
        self.evaluations = 0
        side = self.network.config.img_resolution
        chosen = _one_hot(labels, self.network)

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            self.evaluations += 1
            with _half(x.device, self.dtype):
                return self.network(x, sigma, chosen)

        states = heun(denoise, self.sampling, lambda step: noise.normal((3, side, side), step=step))
        x, _, _ = deque(states, maxlen=1).pop()
        return to_uint8(x, rounding="nearest")


class OneStepGenerator:
    """A loaded one-step generator. evaluations: calls of the network in the last `sample`."""

    def __init__(
        self,
        network: torch.nn.Module,
        side: int,
        sigma: float,
        rounding: Literal["truncate", "nearest"],
        dtype: torch.dtype,
    ) -> None:
        self.network, self.side, self.sigma = network, side, sigma
        self.rounding, self.dtype = rounding, dtype
        self.evaluations = 0

    def compile(self) -> None:
        """Hand the network to torch.compile."""
        self.network.compile()

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, R, R] of one evaluation."""
        latents = noise.normal((3, self.side, self.side))
        with _half(latents.device, self.dtype):
            images = one_step(self.network, self.sigma, latents, labels)
        self.evaluations = 1
        return to_uint8(images, rounding=self.rounding)


def _half(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Products and convolutions in a half precision; nothing changes for float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
