"""The types that every room shares: cards, protocols, measurements and the adapter contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from genbench.records.measurement import WeightKind

if TYPE_CHECKING:
    import torch

    from genbench.noise import NoiseStream
    from genbench.runtime.distributed import World
    from genbench.runtime.progress import Reporter


@dataclass(frozen=True, kw_only=True)
class CheckpointSource:
    """Where the weights of a card come from; `url` may be empty when the file ships bundled.

    Where no digest of a published file is known, `sha256` is empty, and the user must vouch for it.
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


class CountingGenerator(Generator, Protocol):
    """A further optional contract: a generator that counts its network calls as it makes them.

    evaluations: calls of the networks that make the image, for one sample, in the last `sample`:
        a denoiser's, an upsampler's, a GAN's one.
    guide_evaluations: calls of those that only steer it there, such as a classifier, whose forward
        and backward pass are one; may be left out when there are none.
    """

    evaluations: int
    guide_evaluations: int


class Adapter(Protocol):
    """A model family. The class is a frozen dataclass whose fields are the family's options."""

    cards: Sequence[ModelCard]  # every variant; a class attribute (ClassVar)

    def load(
        self, card: ModelCard, checkpoint: Path | None, device: torch.device, dtype: torch.dtype
    ) -> Generator:
        """Build the network of `card` and load `checkpoint` (None when the card needs none)."""
        ...


@dataclass(frozen=True, kw_only=True)
class RecipeRun:
    """One run of a recipe as the user asked for it."""

    config: Path  # the recipe, TOML
    out: Path  # folder of checkpoints, log, previews and the finished weights
    world: World
    device: torch.device
    reporter: Reporter
    seed: int = 0
    steps: int = 0  # 0: as many as the recipe says


@dataclass(frozen=True, kw_only=True)
class TrainRun(RecipeRun):
    """A training run on images."""

    data: str  # image-set spec
    crop: str = "none"


@dataclass(frozen=True, kw_only=True)
class DistillRun(RecipeRun):
    """A distillation, which needs no images but a teacher."""

    teacher: Path  # weights of a diffusion model
    resolution: int = 0  # pixels, of a teacher whose file does not tell; 0: it does


@dataclass(frozen=True, kw_only=True)
class ConvertRun:
    """One conversion as the user asked for it; options are the family's own, as text."""

    source: Path
    out: Path
    options: Mapping[str, str]


class Convertible(Protocol):
    """A further optional contract: a family that reads an official format no loader should."""

    @staticmethod
    def convert(run: ConvertRun) -> str:
        """Write `run.out` from `run.source`; returns one line that says what it holds."""
        ...


class Distillable(Protocol):
    """A further optional contract: a family whose models are distilled from others."""

    @staticmethod
    def distill(run: DistillRun) -> Path:
        """Distil, or go on where a killed run stopped; returns the finished weights' path."""
        ...


class Trainable(Protocol):
    """The optional second contract: a family that brings its training recipe."""

    @staticmethod
    def train(run: TrainRun) -> Path:
        """Train, or go on where a killed run stopped; returns the finished weights' path."""
        ...


@dataclass(frozen=True, kw_only=True)
class SampleSpec:
    """Everything that decides which images a model draws; sample i depends on (seed, i) alone."""

    model: str
    card: str
    resolution: int
    checkpoint_digest: str = ""
    config_digest: str = ""  # of the configuration file beside the weights, if there is one
    weight_kind: WeightKind = "none"
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    labels: str = "uniform"  # a schedule of genbench.noise.scheduled_labels
    dtype: str = "float32"
    device_type: str = "cpu"
    code_digest: str = ""  # of the adapter's Python sources
