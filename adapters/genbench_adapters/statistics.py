"""What recipes share: how many images make the batch norm statistics after the training."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

from torch import nn

from genbench.core import UsageError

Network = TypeVar("Network", bound=nn.Module)
Taken = TypeVar("Taken", bound=nn.Module, contravariant=True)


class Filling(Protocol[Taken]):
    """A family's way to make the statistics, of generated images and in place."""

    def __call__(self, network: Taken, *, batches: int, batch: int, seed: int) -> None:
        """Replace the statistics of a network by those over batches of images."""


@dataclass(frozen=True, kw_only=True)
class FinalStatistics:
    """Keys of a recipe. statistics_batches: batches of generated images that make the statistics
    of the finished generator. statistics_batch: images in each. Raises UsageError."""

    fewest_batches: ClassVar[int] = 0

    statistics_batches: int = 0
    statistics_batch: int = 256

    def __post_init__(self) -> None:
        if self.statistics_batches < self.fewest_batches or self.statistics_batch < 1:
            raise UsageError(
                f"statistics_batches {self.statistics_batches} with statistics_batch "
                f"{self.statistics_batch}: give {self.fewest_batches} batches or more, of 1 image "
                "or more"
            )

    def with_statistics(self, averaged: Network, fill: Filling[Network], seed: int) -> Network:
        """A copy of the averaged generator with its statistics, in eval mode."""
        network = copy.deepcopy(averaged)
        fill(network, batches=self.statistics_batches, batch=self.statistics_batch, seed=seed)
        return network.eval()
