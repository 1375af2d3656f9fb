"""What recipes share: Adam's settings and the rates of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Le, Lt
from torch import nn

from genbench_adapters.training.recipes import Rate, Shrinking, Whole


def give_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of an optimiser, whatever a resumed state says."""
    for group in optimiser.param_groups:
        group["lr"] = rate


@dataclass(frozen=True, kw_only=True)
class AdamRates:
    """Keys of a recipe for Adam in either network.

    beta_1: 0 in the papers, whose batches are large; small ones need an average over steps.
    drop_at, drop: from that step on (0: never) all rates are multiplied by `drop`, so that the
    noise of the judging network settles below what it should tell apart.
    """

    beta_1: Annotated[float, Ge(0), Lt(1)] = 0.0
    drop_at: Whole = 0
    drop: Shrinking = 0.25

    def adam(
        self, network: nn.Module, rate: float, *, beta_2: float, eps: float = 1e-8
    ) -> torch.optim.Adam:
        """Adam over a network's parameters."""
        return torch.optim.Adam(network.parameters(), lr=rate, betas=(self.beta_1, beta_2), eps=eps)

    def set_rate(self, optimiser: torch.optim.Optimizer, rate: float, step: int) -> None:
        """Give an optimiser its rate of this step."""
        factor = self.drop if self.drop_at and step >= self.drop_at else 1.0
        give_rate(optimiser, factor * rate)


@dataclass(frozen=True, kw_only=True)
class AdversarialRates(AdamRates):
    """Those of a GAN. discriminator_steps: its updates (1 or 2) for each of the generator."""

    generator_rate: Rate = 2e-4
    discriminator_rate: Rate = 2e-4
    discriminator_steps: Annotated[int, Ge(1), Le(2)] = 1

    def set_rates(
        self, step: int, generator: torch.optim.Optimizer, discriminator: torch.optim.Optimizer
    ) -> None:
        """Give both optimisers their rates of this step."""
        self.set_rate(generator, self.generator_rate, step)
        self.set_rate(discriminator, self.discriminator_rate, step)
