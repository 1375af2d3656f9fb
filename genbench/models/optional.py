"""What a family may offer beyond sampling. All of it is optional, and `genbench check` tests it.

Of an adapter: Trainable, Distillable, BringsRecipes, Convertible, RandomInit, Folding,
CountableNetworks, TimedTraining, MakesCard, BringsWeights, BringsCode, HasCompanions.
Of a generator: CountsEvaluations, CountsGuidance, Repeating, Concurrent, UsesKernels, InOrder,
Compilable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from genbench.models.contract import Adapter, CheckpointSource, Generator, ModelCard
from genbench.records.measurement import WeightKind

if TYPE_CHECKING:
    import torch

    from genbench.models.noise import NoiseStream
    from genbench.runtime.distributed import World
    from genbench.runtime.progress import Reporter

# Beside families, packages may announce openers (entry points "genbench.openers"), which make a
# family of what the user names: `--model diffusers:FOLDER`.


@dataclass(frozen=True, kw_only=True)
class Opener:
    """Makes families of what stands after its name and a colon. takes: what that is, for people.

    family: of an argument; a class as of any family. It loads no network and raises UsageError for
    an argument that cannot be. lacking: what must be installed first, one line; empty: nothing.
    """

    takes: str
    about: str
    family: Callable[[str], type[Adapter]]
    lacking: Callable[[], str] = lambda: ""


@runtime_checkable
class MakesCard(Protocol):
    """A family whose card follows from its options and the resolution asked for."""

    def card_for(self, resolution: int) -> ModelCard:
        """The card of that many pixels; 0: of those it finds itself. Raises UsageError where it
        cannot be."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that a family finds by itself. name: for people. digest: SHA-256 (hex) of all that
    decides the networks."""

    name: str
    digest: str
    kind: WeightKind = "given"


@runtime_checkable
class BringsWeights(Protocol):
    """A family whose own name says where its weights lie; it takes no --checkpoint."""

    def weights(self) -> Weights:
        """What it will load. Raises GenbenchError for files that are not there."""


@runtime_checkable
class BringsCode(Protocol):
    """A family whose samples depend on code that is not its package's."""

    def code(self) -> str:
        """Digest (hex) of that code. Raises GenbenchError for a file that cannot be read."""


Evaluation = tuple[Callable[[], object], int]  # a network call, and how often a sampler makes it


@runtime_checkable
class CountsEvaluations(Protocol):
    """A generator that counts its network calls as it makes them.

    evaluations: calls of the networks that make the image, for one sample, in the last `sample`:
        a denoiser's, an upsampler's, a GAN's one.
    """

    evaluations: int


@runtime_checkable
class CountsGuidance(Protocol):
    """A generator that counts calls of networks that only steer it, such as a classifier, whose
    forward and backward pass are one."""

    guide_evaluations: int


@runtime_checkable
class Repeating(Protocol):
    """A generator whose sampler calls the same networks many times over."""

    def repeated(self, labels: torch.Tensor | None, noise: NoiseStream) -> Sequence[Evaluation]:
        """One call of each network as `sample(labels, noise)` makes them, and how often it does,
        so that the work of a long trajectory can be counted in one of its steps.

        labels: int64 [N] or None. A call's result is not looked at.
        """


@runtime_checkable
class Concurrent(Protocol):
    """A generator whose shallow copies may sample at the same time, in threads of one process.

    They share its networks, so `sample` must only read these. On a CPU each call then runs on one
    thread, as many beside each other as there are: faster, and the same bits on any number.
    concurrent: whether it may be done.
    """

    concurrent: bool


@runtime_checkable
class UsesKernels(Protocol):
    """A generator some of whose operations may be one kernel, where it can be made, which moves
    last bits. kernels: what is made so, by name; empty: nothing."""

    kernels: str


@runtime_checkable
class InOrder(Protocol):
    """A generator whose samples come from a stream: earlier ones than the last cost reading it
    again from its beginning. in_order: whether it is so."""

    in_order: bool


@runtime_checkable
class Compilable(Protocol):
    """A generator that can hand its networks to torch.compile."""

    def compile(self) -> None:
        """Compile the networks in place, for the shapes they will see (`dynamic=False`); the next
        calls pay for it."""


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


@runtime_checkable
class Trainable(Protocol):
    """A family that brings its training recipe."""

    def train(self, run: TrainRun) -> Path:
        """Train, or go on where a killed run stopped; returns the finished weights' path."""


@runtime_checkable
class BringsRecipes(Protocol):
    """A family whose package holds recipe files for `train` or `distill`.

    recipes: their paths, by the names that --recipe takes.
    """

    recipes: Mapping[str, Path]


@dataclass(frozen=True, kw_only=True)
class DistillRun(RecipeRun):
    """A distillation, which needs no images but a teacher."""

    teacher: Path  # weights of a diffusion model
    resolution: int = 0  # pixels, of a teacher whose file does not tell; 0: it does


@runtime_checkable
class Distillable(Protocol):
    """A family whose models are distilled from others."""

    def distill(self, run: DistillRun) -> Path:
        """Distil, or go on where a killed run stopped; returns the finished weights' path."""


@dataclass(frozen=True, kw_only=True)
class ConvertRun:
    """One conversion as the user asked for it; options are the family's own, as text."""

    source: Path
    out: Path
    options: Mapping[str, str]


@runtime_checkable
class Convertible(Protocol):
    """A family that reads an official format no loader should."""

    def convert(self, run: ConvertRun) -> str:
        """Write `run.out` from `run.source`; returns one line that says what it holds."""


@runtime_checkable
class RandomInit(Protocol):
    """A family whose networks can be built without a checkpoint."""

    def load_random(self, card: ModelCard, device: torch.device, dtype: torch.dtype) -> Generator:
        """The generator `load` gives, with random weights, none of them zero throughout: what is
        zero at the start of training would make some of the work trivial."""


@runtime_checkable
class Folding(Protocol):
    """A family whose networks are not run as published: layers folded into one another do less work
    for the same images."""

    def as_published(self) -> Adapter:
        """The family with the options under which its networks do the published work: what a GPU's
        second is reckoned by."""


@runtime_checkable
class HasCompanions(Protocol):
    """A family some of whose variants need more published files than the weights of the card."""

    def companions(self, card: ModelCard) -> Mapping[str, CheckpointSource]:
        """The published files that sampling a card needs with these options, by the option that
        takes each (a field of the class, a path); under "checkpoint" weights that are to be loaded
        in place of the card's. Those that are here fill options that the user left open."""


@runtime_checkable
class CountableNetworks(Protocol):
    """A family whose published networks can be counted without memory for them."""

    def network_forward(self, network: str) -> Callable[[], object]:
        """One forward pass at batch 1 of the named network, on torch's meta device."""


@dataclass(frozen=True, kw_only=True)
class TrainingForm:
    """One way a family can run an optimiser step: the same mathematics, another implementation.

    network: as `network_forward` names it, or the card's name. published_batch: the paper's a GPU;
    0 where none is. passes: forward passes of the network that a step counts for; 0: the step's
    FLOPs are counted while it runs.
    """

    network: str
    resolution: int
    name: str  # "recipe", "naive", "optimised"
    note: str  # what this form does
    published_batch: int = 0
    passes: int = 0


@dataclass(frozen=True, kw_only=True)
class StepSetting:
    """How a training step is to run. dtype: of the forward passes; weights stay float32."""

    run: TrainRun  # device, seed, world
    batch: int
    dtype: torch.dtype
    compile: bool


@runtime_checkable
class TimedTraining(Protocol):
    """A family whose training step can be timed, on synthetic images that lie on the device."""

    def training_forms(self, resolution: int) -> Sequence[TrainingForm]:
        """The forms at a resolution; none where the family has no recipe for it."""

    def training_step(self, form: TrainingForm, setting: StepSetting) -> Callable[[int], object]:
        """A whole optimiser step as a function of its number, ready to be called."""
