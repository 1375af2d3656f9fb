"""EDM diffusions as genbench runs them (arXiv:2206.00364)."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from genbench.errors import UsageError
from genbench.images.rounding import to_uint8
from genbench.models.contract import CheckpointSource, ModelCard
from genbench.models.noise import NoiseStream
from genbench.models.optional import ConvertRun, Evaluation
from genbench_adapters.emd.cards import KNOWN, small_cards
from genbench_adapters.emd.checkpoint import IMAGENET_64, convert, load_network
from genbench_adapters.emd.network import EDM
from genbench_adapters.emd.sampler import EDMSampling, heun
from genbench_adapters.model_files import given_file
from genbench_adapters.random_weights import random_network

_HINT = (
    "convert a published network pickle: genbench convert edm PICKLE --out edm.safetensors "
    "--trust-pickle"
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
        *small_cards("edm", 35, "edm.safetensors", _HINT),
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
        """The sampler of a card with its checkpoint; a half dtype is that of its convolutions."""
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


def _random(card: ModelCard, device: torch.device) -> EDM:
    if (card.resolution, card.classes) != KNOWN:
        raise UsageError(
            f"only the network of ImageNet 64 is known without a file, not that of {card.name}: "
            "pass --checkpoint PATH"
        )
    network = random_network(partial(EDM, IMAGENET_64), device)
    return network.to(memory_format=torch.channels_last)


def _loaded(card: ModelCard, checkpoint: Path | None, device: torch.device) -> EDM:
    network = load_network(given_file(card, checkpoint), card)
    return network.to(device).to(memory_format=torch.channels_last)


def _one_hot(labels: Tensor | None, network: EDM) -> Tensor | None:
    if labels is None or not network.config.label_dim:
        return None
    return functional.one_hot(labels, network.config.label_dim).float()  # [N, label_dim]


class EDMGenerator:
    """A loaded EDM diffusion. evaluations: calls of the network in the last `sample`."""

    concurrent = True  # sampling only reads the networks

    def __init__(self, network: EDM, sampling: EDMSampling, dtype: torch.dtype) -> None:
        network.convolutions_to(dtype)
        self.network, self.sampling = network, sampling
        self.evaluations = 0

    def compile(self) -> None:
        """Hand the network to torch.compile, a program for each shape and one thread."""
        self.concurrent = False
        self.network.compile(dynamic=False)

    def repeated(self, labels: Tensor | None, noise: NoiseStream) -> list[Evaluation]:
        """One call of the network, and how often `sample` makes it. labels: int64 [N] or none."""
        side = self.network.config.img_resolution
        x, chosen = noise.normal((3, side, side)), _one_hot(labels, self.network)
        sigma = torch.full((1,), self.sampling.sigma_max, device=x.device)

        def denoise() -> Tensor:
            return self.network(x, sigma, chosen)

        return [(denoise, 2 * self.sampling.steps - 1)]

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, R, R] for int64 labels [N] or none, rounded as EDM's generate.py does."""
        self.evaluations = 0
        side = self.network.config.img_resolution
        chosen = _one_hot(labels, self.network)

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            self.evaluations += 1
            return self.network(x, sigma, chosen)

        states = heun(denoise, self.sampling, lambda step: noise.normal((3, side, side), step=step))
        x, _, _ = deque(states, maxlen=1).pop()
        return to_uint8(x, rounding="nearest")
