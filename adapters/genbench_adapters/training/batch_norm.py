"""What recipes share: how many images make the batch norm statistics after the training."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import nn

from genbench_adapters.training.recipes import Count, Whole

Network = TypeVar("Network", bound=nn.Module)
Taken = TypeVar("Taken", bound=nn.Module, contravariant=True)


class Filling(Protocol[Taken]):
    """A family's way to make the statistics, of generated images and in place."""

    def __call__(self, network: Taken, *, batches: int, batch: int, seed: int) -> None:
        """Replace the statistics of a network by those over batches of images."""


@dataclass(frozen=True, kw_only=True)
class FinalStatistics:
    """Keys of a recipe. statistics_batches: batches of generated images that make the statistics
    of the finished generator. statistics_batch: images in each."""

    statistics_batches: Whole = 0
    statistics_batch: Count = 256

    def with_statistics(self, averaged: Network, fill: Filling[Network], seed: int) -> Network:
        """A copy of the averaged generator with its statistics, in eval mode."""
        network = copy.deepcopy(averaged)
        fill(network, batches=self.statistics_batches, batch=self.statistics_batch, seed=seed)
        return network.eval()
