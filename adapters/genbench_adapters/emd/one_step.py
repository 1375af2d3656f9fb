"""One-step generators as genbench runs them: a diffusion's network evaluated once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genbench.errors import GenbenchError, UsageError
from genbench.images.rounding import to_uint8
from genbench.models.contract import CheckpointSource, ModelCard
from genbench.models.noise import NoiseStream
from genbench.models.optional import ConvertRun, DistillRun
from genbench_adapters.adm.network import UNet
from genbench_adapters.emd.cards import KNOWN, small_cards
from genbench_adapters.emd.checkpoint import IMAGENET_64, convert, load_generator
from genbench_adapters.emd.consistency import Consistency, load_consistency
from genbench_adapters.emd.denoisers import AdmDenoiser, EdmDenoiser, one_step
from genbench_adapters.emd.network import EDM
from genbench_adapters.model_files import BUNDLED, given_file
from genbench_adapters.random_weights import random_network

Network = AdmDenoiser | EdmDenoiser | Consistency
_DMD2 = 80.0  # sigma of random weights, which were distilled at none
_ONE_STEP_HINT = (
    "no EMD checkpoint is public; --checkpoint takes one-step networks of EDM's kind, such as "
    "DMD2's pytorch_model.bin, with the --sigma they were distilled at"
)


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

    recipes: ClassVar[Mapping[str, Path]] = {
        name: Path(__file__).with_name(f"{name}.toml")
        for name in ("fashion-mnist-32", "fashion-mnist-32-further")
    }
    cards: ClassVar[tuple[ModelCard, ...]] = (
        ModelCard(
            name="emd-32",
            resolution=32,
            classes=10,
            parameters=1_510_534,
            checkpoint=BUNDLED,
            license="MIT",
            paper="arXiv:2405.16852",
            note="Fashion-MNIST; `genbench distill emd` from an earlier ADM, then from "
            "the bundled one",
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
        *small_cards("emd", 1, "emd.safetensors", _ONE_STEP_HINT)[1:],
    )

    def __post_init__(self) -> None:
        if not 0.0 <= self.sigma < math.inf:
            raise ValueError(f"sigma {self.sigma} is not a noise level")

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> OneStepGenerator:
        """The generator of a card with its checkpoint. Raises GenbenchError without a sigma."""
        given = given_file(card, checkpoint)
        network: Network
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
    if (card.resolution, card.classes) == KNOWN:
        return EdmDenoiser(EDM(IMAGENET_64))
    from genbench_adapters.adm.train import AdmRecipe
    from genbench_adapters.training.recipes import read_recipe

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


class OneStepGenerator:
    """A loaded one-step generator. evaluations: calls of the network in the last `sample`."""

    concurrent = True  # sampling only reads the networks

    def __init__(
        self,
        network: Network,
        side: int,
        sigma: float,
        rounding: Literal["truncate", "nearest"],
        dtype: torch.dtype,
    ) -> None:
        network.convolutions_to(dtype)
        self.network, self.side, self.sigma = network, side, sigma
        self.rounding = rounding
        self.evaluations = 0

    def compile(self) -> None:
        """Hand the network to torch.compile, a program for each shape and one thread."""
        self.concurrent = False
        self.network.compile(dynamic=False)

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, R, R] of one evaluation, for int64 labels [N] or none."""
        latents = noise.normal((3, self.side, self.side))
        images = one_step(self.network, self.sigma, latents, labels)
        self.evaluations = 1
        return to_uint8(images, rounding=self.rounding)
