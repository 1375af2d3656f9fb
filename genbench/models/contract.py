"""The contract of a model family: cards, their checkpoints, an adapter that loads generators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from genbench.records.measurement import WeightKind

if TYPE_CHECKING:
    import torch

    from genbench.models.noise import NoiseStream


@dataclass(frozen=True, kw_only=True)
class CheckpointSource:
    """Where the weights of a card come from; `url` may be empty when the file ships bundled.

    Where no digest of a published file is known, `sha256` is empty: the user has it fetched by
    `genbench fetch`, which pins the digest.
    """

    filename: str
    url: str = ""
    sha256: str = ""
    kind: WeightKind = "official"
    hint: str = ""  # how to come by weights that nobody publishes
    bundled: str = ""  # path of a file inside the adapter's package, if it ships there


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """One variant of a model family: everything known of it without loading it."""

    name: str
    resolution: int  # pixels, square
    classes: int = 0  # 0: unconditional
    parameters: int = 0
    dtype: str = "float32"  # arithmetic it is sampled in unless the user names another
    nfe: int = 1  # network evaluations of one sample, as published
    checkpoint: CheckpointSource | None = None  # None: the variant needs no weights
    license: str = ""
    paper: str = ""
    note: str = ""


class Generator(Protocol):
    """A loaded network. It reads no global random state and never chooses the batch size."""

    def sample(self, labels: torch.Tensor | None, noise: NoiseStream) -> torch.Tensor:
        """Draw one image per sample of `noise`.

        labels: int64 [N], on the generator's device, or None when the card has no classes.
        Returns uint8 [N, 3, H, W], 0..255, row i a function of (labels[i], noise row i) alone.
        """
        ...


class Adapter(Protocol):
    """A model family. The class is a frozen dataclass whose fields are the family's options."""

    cards: Sequence[ModelCard]  # every variant; a class attribute (ClassVar)

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> Generator:
        """Build the network of `card` and load `checkpoint` (None when the card needs none)."""
        ...
