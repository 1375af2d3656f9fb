"""HiT as genbench runs it: the variants of the paper, latents, the official output range."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor

from genbench.core import CheckpointSource, ConvertRun, GenbenchError, ModelCard, TrainRun
from genbench.images import to_uint8
from genbench.noise import NoiseStream
from genbench_adapters.hit.checkpoint import convert, load_network
from genbench_adapters.hit.folded import FoldedHiT
from genbench_adapters.hit.network import HiT

_PARAMETERS = {128: 32_866_627, 256: 46_217_670, 1024: 88_216_300}
_DATA = {128: "ImageNet", 256: "CelebA-HQ or FFHQ", 1024: "CelebA-HQ or FFHQ"}
_HINT = (
    "train one (genbench train hit), or convert a checkpoint of the official trainer "
    "(github.com/google-research/hit-gan): genbench convert hit CKPT --out hit.safetensors"
)


def _card(resolution: int) -> ModelCard:
    return ModelCard(
        name=f"hit-{resolution}",
        resolution=resolution,
        parameters=_PARAMETERS[resolution],
        checkpoint=CheckpointSource(
            filename="hit.safetensors",
            hint=_HINT,
        ),
        license="Apache-2.0 (official code)",
        paper="arXiv:2106.07631",
        note=f"{_DATA[resolution]}; no public weights",
    )


@dataclass(frozen=True)
class HiTAdapter:
    """HiT: unconditional, one network evaluation a sample, no truncation."""

    plain: bool = field(
        default=False, metadata={"help": "run the network as published, nothing folded"}
    )

    cards: ClassVar[tuple[ModelCard, ...]] = (
        *map(_card, _PARAMETERS),
        ModelCard(
            name="hit-32",
            resolution=32,
            checkpoint=CheckpointSource(filename="hit.safetensors", hint=_HINT),
            license="Apache-2.0 (official code)",
            paper="arXiv:2106.07631",
            note="for small networks of your own",
        ),
    )

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> HiTGenerator:
        """The generator of a card with its checkpoint. Raises GenbenchError with the remedy."""
        if checkpoint is None:
            raise GenbenchError(f"{card.name} needs its weights: pass --checkpoint PATH")
        network: HiT | FoldedHiT = load_network(checkpoint, card)
        if not self.plain and network.config.norm == "batch":
            network = FoldedHiT(cast(HiT, network))
        return HiTGenerator(network.to(device=device, dtype=dtype))

    @staticmethod
    def train(run: TrainRun) -> Path:
        """Train by a recipe file, or resume; returns the finished weights' path."""
        from genbench_adapters.hit.train import train_hit

        return train_hit(run)

    @staticmethod
    def convert(run: ConvertRun) -> str:
        """Bring a TensorFlow checkpoint of the official trainer to safetensors."""
        return convert(run)


class HiTGenerator:
    """A loaded HiT. evaluations: calls of the network for one sample, in the last `sample`."""

    def __init__(self, network: HiT | FoldedHiT) -> None:
        self.network = network
        self.evaluations = 0

    def sample(self, labels: Tensor | None, noise: NoiseStream) -> Tensor:
        """uint8 [N, 3, R, R]; latents are standard normal, the official evaluation clips to
        [-1, 1]."""
        z = noise.normal((self.network.config.latent,))
        dtype = next(self.network.parameters()).dtype
        images = self.network(z.to(dtype))
        self.evaluations = 1
        return to_uint8(images, rounding="truncate")
