"""BigGAN-deep as genbench runs it: the published variants, the bundled one, and the options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.images.rounding import to_uint8
from genbench.models.contract import CheckpointSource, ModelCard
from genbench.models.noise import NoiseStream
from genbench_adapters.biggan_deep.checkpoint import PUBLISHED, load_network
from genbench_adapters.biggan_deep.folded import FoldedBigGAN
from genbench_adapters.biggan_deep.latents import truncated_normal
from genbench_adapters.biggan_deep.network import OFFICIAL, BigGANConfig, BigGANDeep
from genbench_adapters.model_files import BUNDLED, given_file
from genbench_adapters.random_weights import random_network
from genbench_adapters.training.offers import TrainsByRecipe

_PAPER = "arXiv:1809.11096"


def _published(resolution: int, parameters: int) -> ModelCard:
    url = PUBLISHED.format(resolution)
    return ModelCard(
        name=f"biggan-deep-{resolution}",
        resolution=resolution,
        classes=1000,
        parameters=parameters,
        checkpoint=CheckpointSource(filename=url.rsplit("/", 1)[-1], url=url),
        license="MIT",
        paper=_PAPER,
        note="ImageNet; huggingface/pytorch-pretrained-BigGAN, from TF-Hub deepmind/biggan-deep",
    )


@dataclass(frozen=True)
class BigGANDeepAdapter(TrainsByRecipe):
    """BigGAN-deep: class-conditional, one network evaluation a sample."""

    truncation: float = field(
        default=1.0,
        metadata={"help": "scales the latents and picks the batch-norm statistics, in (0, 1]"},
    )
    plain: bool = field(
        default=False, metadata={"help": "run the network as published, nothing folded"}
    )

    recipes: ClassVar[Mapping[str, Path]] = {
        "fashion-mnist-32": Path(__file__).with_name("fashion-mnist-32.toml")
    }
    cards: ClassVar[tuple[ModelCard, ...]] = (
        ModelCard(
            name="biggan-deep-32",
            resolution=32,
            classes=10,
            parameters=1_124_753,
            checkpoint=BUNDLED,
            license="MIT",
            paper=_PAPER,
            note="Fashion-MNIST; a small network trained by `genbench train biggan-deep`",
        ),
        _published(128, 50_388_609),
        _published(256, 55_880_833),
        _published(512, 56_163_905),
    )  # fmt: skip

    def as_published(self) -> BigGANDeepAdapter:
        """The family with its network as published, nothing folded."""
        return replace(self, plain=True)

    def __post_init__(self) -> None:
        if not 0.0 < self.truncation <= 1.0:
            raise ValueError(f"truncation {self.truncation} is outside (0, 1]")

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> BigGANGenerator:
        """The generator of a card with its checkpoint. Raises GenbenchError with the remedy."""
        checkpoint = given_file(card, checkpoint)
        network = load_network(checkpoint, card)
        return BigGANGenerator(network, self, device, dtype)

    def load_random(
        self, card: ModelCard, device: torch.device, dtype: torch.dtype
    ) -> BigGANGenerator:
        """The generator of a card with random weights, in the form that `load` gives."""
        config = OFFICIAL.get(card.resolution) or _small()
        network = random_network(partial(BigGANDeep, config), device)
        return BigGANGenerator(network, self, device, dtype)


def _small() -> BigGANConfig:
    """The network of the recipe that ships with genbench."""
    from genbench_adapters.biggan_deep.train import BigGANRecipe
    from genbench_adapters.training.recipes import read_recipe

    path = Path(__file__).with_name("fashion-mnist-32.toml")
    return read_recipe(path, BigGANRecipe).network()


class BigGANGenerator:
    """A loaded BigGAN-deep at one truncation. evaluations: calls of the network for one sample, in
    the last `sample`."""

    concurrent = True  # sampling only reads the networks

    def __init__(
        self,
        network: BigGANDeep,
        options: BigGANDeepAdapter,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.config, self.truncation = network.config, options.truncation
        self.evaluations = 0
        self.network: torch.nn.Module
        if options.plain:
            self.network = _AtTruncation(network, options.truncation).to(dtype)
        else:
            self.network = FoldedBigGAN(network, options.truncation)
            self.network.convolutions_to(dtype)
        self.network = self.network.to(device).eval()

    def compile(self) -> None:
        """Hand the network to torch.compile, a program for each shape and one thread."""
        self.concurrent = False
        self.network.compile(dynamic=False)

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, R, R] for int64 labels [N]. Raises GenbenchError without labels."""
        if labels is None:
            raise GenbenchError("BigGAN-deep is class-conditional: it needs labels")
        z = self.truncation * truncated_normal(noise, self.config.z_dim)
        images = self.network(z, labels)
        self.evaluations = 1
        return to_uint8(images, rounding="floor256")


class _AtTruncation(torch.nn.Module):
    """The plain network with the folded one's way of being called."""

    def __init__(self, network: BigGANDeep, truncation: float) -> None:
        super().__init__()
        self.network, self.truncation = network, truncation

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Images [N, 3, R, R] in (-1, 1)."""
        dtype = self.network.embeddings.weight.dtype
        images: Tensor = self.network(z.to(dtype), labels, self.truncation)
        return images
