"""What a metric may ask for: features and moments of both sides, at one sample count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeVar

from genbench.metrics.settings import Choices, Layer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from genbench.metrics.copies import Nearest
    from genbench.metrics.moments import Moments
    from genbench.metrics.precision_recall import NeighbourFigures

T = TypeVar("T")


class Evidence(Protocol):
    """The first `count` samples and the reference, under a protocol's choices.

    interval: whether a 95% interval is wanted beside the value.
    """

    @property
    def count(self) -> int: ...  # noqa: D102
    @property
    def interval(self) -> bool: ...  # noqa: D102
    @property
    def choices(self) -> Choices: ...  # noqa: D102

    def searched(self, search: Callable[[torch.device], T]) -> T:
        """What a search gives whose products a device may make, which decides nothing: the CPU's
        where that one has no memory for it."""
        ...

    def rows(self, layer: Layer) -> Tensor:
        """The samples' features of a layer, float32 [count, D]."""
        ...

    def chunks(self, layer: Layer) -> Iterator[Tensor]:
        """The same rows in order, in pieces float32 [n, D]."""
        ...

    def moments(self, layer: Layer) -> Moments:
        """Their mean and scatter."""
        ...

    def reference_rows(self, layer: Layer) -> Tensor:
        """The reference's features of a layer, float32 [M, D]."""
        ...

    def reference_moments(self, layer: Layer) -> Moments:
        """Their mean and scatter, or those that a reference file brings."""
        ...

    def reference_halves(self, layer: Layer) -> tuple[Moments, Moments] | None:
        """Mean and scatter of every other image of the reference, and of the rest; None where its
        images are not there."""
        ...

    def labels(self) -> Tensor:
        """Labels of the samples, int64 [count]."""
        ...

    def reference_labels(self) -> Tensor:
        """Labels of the reference's images, int64 [M]."""
        ...

    def training_rows(self, layer: Layer) -> Tensor:
        """Features float32 [T, D] of the images that the model learned from."""
        ...

    def neighbours(self) -> NeighbourFigures:
        """What the nearest neighbours tell, all of it from one pass over the pairs."""
        ...

    def nearest_training(self) -> Nearest:
        """Of each sample: squared distance float64 [count] to the nearest training image, and its
        row int64 [count], of one search."""
        ...
