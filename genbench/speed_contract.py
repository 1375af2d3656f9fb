"""What a family may offer, beyond sampling, so that its speed can be measured: all optional."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from genbench.core import Generator, ModelCard, TrainRun

if TYPE_CHECKING:
    import torch

    from genbench.noise import NoiseStream

Evaluation = tuple[Callable[[], object], int]  # a network call, and how often a sampler makes it


class RandomInit(Protocol):
    """A family whose networks can be built without a checkpoint; an adapter's method."""

    def load_random(self, card: ModelCard, device: torch.device, dtype: torch.dtype) -> Generator:
        """The generator `load` gives, with random weights, none of them zero throughout: what is
        zero at the start of training would make some of the work trivial."""
        ...


class Repeating(Protocol):
    """A generator whose sampler calls the same networks many times over."""

    def repeated(self, labels: torch.Tensor | None, noise: NoiseStream) -> Sequence[Evaluation]:
        """One call of each network as `sample(labels, noise)` makes them, and how often it does,
        so that the work of a long trajectory can be counted in one of its steps."""
        ...


class Compilable(Protocol):
    """A generator that can hand its networks to torch.compile."""

    def compile(self) -> None:
        """Compile the networks in place; the next calls pay for it."""
        ...


class Forward(Protocol):
    """A family whose published networks can be counted without memory for them."""

    @staticmethod
    def network_forward(network: str) -> Callable[[], object]:
        """One forward pass at batch 1 of the named network, on torch's meta device."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainingForm:
    """One way a family can run an optimiser step: the same mathematics, another implementation."""

    network: str  # as `network_forward` names it, or the card's name
    resolution: int
    name: str  # "recipe", "naive", "optimised"
    note: str  # what this form does


@dataclass(frozen=True, kw_only=True)
class StepSetting:
    """How a training step is to run. dtype: of the forward passes; weights stay float32."""

    run: TrainRun  # device, seed, world
    batch: int
    dtype: torch.dtype
    compile: bool


class TimedTraining(Protocol):
    """A family whose training step can be timed, on synthetic images that lie on the device."""

    @staticmethod
    def training_forms(resolution: int) -> Sequence[TrainingForm]:
        """The forms at a resolution; none where the family has no recipe for it."""
        ...

    @staticmethod
    def training_step(form: TrainingForm, setting: StepSetting) -> Callable[[int], object]:
        """A whole optimiser step as a function of its number, ready to be called."""
        ...
