"""HiT as genbench runs it: the variants of the paper, latents, the official output range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from genbench.images.rounding import to_uint8
from genbench.models.contract import CheckpointSource, ModelCard
from genbench.models.noise import NoiseStream
from genbench.models.optional import ConvertRun
from genbench_adapters.hit.checkpoint import convert, load_network
from genbench_adapters.hit.folded import FoldedHiT
from genbench_adapters.hit.network import OFFICIAL, HiT, HiTConfig
from genbench_adapters.hit.recipes import RECIPES
from genbench_adapters.model_files import BUNDLED, given_file
from genbench_adapters.random_weights import random_network
from genbench_adapters.training.offers import TrainsByRecipe

_PARAMETERS = {128: 32_866_627, 256: 46_217_670, 1024: 88_216_300}
_DATA = {128: "ImageNet", 256: "CelebA-HQ or FFHQ", 1024: "CelebA-HQ or FFHQ"}


def _hint(resolution: int) -> str:
    """How to come by weights of an official size, and what needs none."""
    recipe = RECIPES.get(resolution, "RECIPE")
    return (
        f"train one (genbench train hit --config {recipe} --data IMAGES --out RUN), or convert a "
        "checkpoint of the official trainer (github.com/google-research/hit-gan): genbench convert "
        "hit CKPT --out hit.safetensors; speed needs no weights: genbench throughput --model hit "
        f"--res {resolution}"
    )


def _card(resolution: int) -> ModelCard:
    return ModelCard(
        name=f"hit-{resolution}",
        resolution=resolution,
        parameters=_PARAMETERS[resolution],
        checkpoint=CheckpointSource(
            filename="hit.safetensors",
            hint=_hint(resolution),
        ),
        license="Apache-2.0 (official code)",
        paper="arXiv:2106.07631",
        note=f"{_DATA[resolution]}; no public weights",
    )


@dataclass(frozen=True)
class HiTAdapter(TrainsByRecipe):
    """HiT: unconditional, one network evaluation a sample, no truncation."""

    plain: bool = field(
        default=False, metadata={"help": "run the network as published, nothing folded"}
    )

    recipes: ClassVar[Mapping[str, Path]] = {path.stem: path for path in RECIPES.values()}
    cards: ClassVar[tuple[ModelCard, ...]] = (
        ModelCard(
            name="hit-32",
            resolution=32,
            parameters=1_718_161,
            checkpoint=BUNDLED,
            license="MIT",
            paper="arXiv:2106.07631",
            note="Fashion-MNIST; a small network trained by `genbench train hit`",
        ),
        *map(_card, _PARAMETERS),
    )

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> HiTGenerator:
        """The generator of a card with its checkpoint. Raises GenbenchError with the remedy."""
        checkpoint = given_file(card, checkpoint)
        return self._generator(load_network(checkpoint, card), device, dtype)

    def load_random(
        self, card: ModelCard, device: torch.device, dtype: torch.dtype
    ) -> HiTGenerator:
        """The generator of a card with random weights, in the form that `load` gives."""
        config = OFFICIAL.get(card.resolution) or _small()
        return self._generator(random_network(partial(HiT, config), device), device, dtype)

    def as_published(self) -> HiTAdapter:
        """The family with its network as published, nothing folded."""
        return replace(self, plain=True)

    def _generator(self, network: HiT, device: torch.device, dtype: torch.dtype) -> HiTGenerator:
        folds = not self.plain and network.config.norm == "batch"
        form = FoldedHiT(network) if folds else network
        return HiTGenerator(form.to(device=device, dtype=dtype))

    @staticmethod
    def convert(run: ConvertRun) -> str:
        """Bring a TensorFlow checkpoint of the official trainer to safetensors."""
        return convert(run)


def _small() -> HiTConfig:
    """The network of the recipe that ships with genbench."""
    from genbench_adapters.hit.recipe import HiTRecipe
    from genbench_adapters.training.recipes import read_recipe

    return read_recipe(RECIPES[32], HiTRecipe).network()


class HiTGenerator:
    """A loaded HiT. evaluations: calls of the network for one sample, in the last `sample`."""

    concurrent = True  # sampling only reads the networks

    def __init__(self, network: HiT | FoldedHiT) -> None:
        self.network = network
        self.evaluations = 0

    def compile(self) -> None:
        """Hand the network to torch.compile, a program for each shape and one thread."""
        self.concurrent = False
        self.network.compile(dynamic=False)

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, R, R], whatever the labels; latents are standard normal, the official
        evaluation clips to [-1, 1]."""
        z = noise.normal((self.network.config.latent,))
        dtype = next(self.network.parameters()).dtype
        images = self.network(z.to(dtype))
        self.evaluations = 1
        return to_uint8(images, rounding="truncate")
