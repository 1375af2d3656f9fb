"""The types that every room shares: cards, protocols, measurements and the adapter contract."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from genbench.errors import GenbenchError
from genbench.runtime.digests import canonical_digest

if TYPE_CHECKING:
    import torch

    from genbench.noise import NoiseStream
    from genbench.runtime.distributed import World
    from genbench.runtime.progress import Reporter
# "given": a file that the user named, of which no more is known
WeightKind = Literal["official", "converted", "trained-here", "random-init", "given", "none"]


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


@dataclass(frozen=True, kw_only=True)
class EvalProtocol:
    """How figures are computed. Two measurements compare only when their digests are equal."""

    name: str
    title: str = ""
    detector: str = "inception"
    reference: str = ""  # image-set spec; empty: --ref must name one
    resolution: int = 0  # 0: whatever the samples have
    crop: str = "none"
    metrics: tuple[str, ...] = ("fid", "sfid", "is", "kid", "precision", "recall")
    counts: tuple[int, ...] = (50_000,)
    pr_neighbours: int = 3
    pr_half: bool = False  # emulate the float16 distances of the ADM evaluator
    dc_neighbours: int = 5
    is_splits: int = 0  # number of splits; 0: use is_split_size instead
    is_split_size: int = 5000  # the ADM evaluator's chunks
    is_shuffle: bool = False  # shuffled with seed 2020, as torch-fidelity does
    kid_subsets: int = 100
    kid_subset_size: int = 1000
    kid_seed: int = 2020
    source: str = ""  # paper or code that defines it

    def digest(self) -> str:
        """Digest of what decides a figure. The sample count is not part of it: it is a column of
        its own, so that `-n 10000` and `-n 50000` of one protocol stay one protocol."""
        descriptive = {"title", "source", "counts", "name", "metrics"}
        values = {key: value for key, value in asdict(self).items() if key not in descriptive}
        return canonical_digest(values)[:16]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number with everything needed to cite it and to compute it again."""

    model: str  # model or, for image sets, the name of the samples
    resolution: int
    metric: str  # "fid" only when the detector is Inception, else "fd", ...
    value: float
    unit: str
    samples: int
    detector: str
    protocol: str
    protocol_digest: str
    checkpoint: str
    seed: int | None
    run: str
    environment: Mapping[str, Any]
    low: float | None = None
    high: float | None = None
    interval: str = ""  # how [low, high] was computed
    card: str = ""
    checkpoint_digest: str = ""
    weight_kind: WeightKind = "none"
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: str = ""
    nfe: float | None = None  # network evaluations of one sample, counted; None: nobody counted
    nfe_guidance: float | None = None  # of networks that only steer, such as a classifier
    samples_digest: str = ""
    reference: str = ""
    reference_digest: str = ""
    reference_samples: int = 0
    detector_identity: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)  # k, splits, ... of this metric
    notes: tuple[str, ...] = ()
    trials: tuple[float, ...] = ()
    created: str = ""

    def to_json(self) -> str:
        """One line of JSON, every digit kept."""
        return json.dumps(asdict(self), allow_nan=False, default=str)

    @classmethod
    def from_json(cls, line: str) -> Measurement:
        """Inverse of `to_json`; unknown keys (of a newer genbench) are an error."""
        values = json.loads(line)
        known = {item.name for item in fields(cls)}
        if unknown := set(values) - known:
            raise GenbenchError(
                f"record has unknown keys {sorted(unknown)}: written by a newer genbench?"
            )
        for name in ("notes", "trials"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)
