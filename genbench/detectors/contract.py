"""What a detector is: images in, features by layer out; and what a package that brings one says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from genbench.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

LAYERS = ("pool", "spatial", "logits")  # the names that metrics ask for


class Detector(Protocol):
    """A network that turns images into features, built on one device for the layers asked for.

    name: as announced. layers: what a call returns, layer -> width. identity: everything that
    decides the features (weight digest, input resize, versions, dtype, device, ...), as strings.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def layers(self) -> Mapping[str, int]: ...  # noqa: D102

    @property
    def identity(self) -> Mapping[str, str]: ...  # noqa: D102

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features of every layer from one forward pass.

        images: uint8 [N, 3, H, W], 0..255, RGB, any device. Returns float32 [N, width] a layer, on
        the CPU, finite. Row i depends on image i alone, as far as the kernels allow.
        """
        ...


class DetectorFactory(Protocol):
    """Builds a detector: a class or function, the least that an entry point may name.

    It may carry `layers` (layer -> width, all that it can give) and `summary` (one line), so that
    they are known without building it.
    """

    def __call__(
        self, *, layers: Sequence[str], weights: Path | None, device: torch.device
    ) -> Detector:
        """The detector for `layers`; `weights` is a file named by the user, else it finds its own.

        Raises GenbenchError when something it needs is missing.
        """
        ...


@runtime_checkable
class DetectorModule(Protocol):
    """A module, or an object like one, that brings one detector or several, by name: genbench's own
    are such modules, and a stranger's entry point may name one."""

    def layers(self, name: str) -> Mapping[str, int]:
        """Layer -> width, all that the detector can give; empty where only building it tells."""
        ...

    def summary(self, name: str) -> str:
        """One line for people."""
        ...

    def weight(self, name: str) -> WeightFile | None:
        """The published weight file; None for a detector that finds its weights by itself."""
        ...

    def missing_code(self, name: str) -> str:
        """What is missing beside weights, and how to get it; empty for nothing."""
        ...

    def missing(self, name: str) -> str:
        """What is missing on this machine, weights included, and how to get it; fast, without the
        network; empty when the detector can be built."""
        ...

    def create(
        self, name: str, *, layers: Sequence[str], weights: Path | None, device: torch.device
    ) -> Detector:
        """Build the detector; see `DetectorFactory`."""
        ...


@runtime_checkable
class PreparingModule(DetectorModule, Protocol):
    """Optional: a module whose detectors can be told how images come to their input, and
    whose logits may have a bias."""

    def preprocessings(self, name: str) -> Sequence[str]:
        """The names of `published_preprocessing` that the detector takes, its own first; empty for
        a detector that does as it always does."""
        ...

    def has_logits_bias(self, name: str) -> bool:
        """Whether its logits can be had with the classifier's bias as well as without."""
        ...

    def create(
        self,
        name: str,
        *,
        layers: Sequence[str],
        weights: Path | None,
        device: torch.device,
        preprocessing: str = "",
        logits_bias: bool = False,
    ) -> Detector:
        """Build the detector. preprocessing: one of `preprocessings(name)`; empty: its own, whose
        features and identity are those of `DetectorModule.create`."""
        ...


@dataclass(frozen=True, kw_only=True)
class DetectorStatus:
    """Whether a detector could be built now, without the network, and how to get what it lacks."""

    name: str
    usable: bool
    reason: str  # what is missing and how to get it; empty when usable
    summary: str
    layers: Mapping[str, int]
    origin: str  # the package that announces it
