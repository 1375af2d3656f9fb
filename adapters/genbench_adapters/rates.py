"""What recipes share: Adam's settings and the rates of a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from genbench.core import UsageError
from genbench_adapters.recipe_kinds import Rate


def give_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of an optimiser, whatever a resumed state says."""
    for group in optimiser.param_groups:
        group["lr"] = rate


@dataclass(frozen=True, kw_only=True)
class AdamRates:
    """Keys of a recipe for Adam in either network.

    beta_1: 0 in the papers, whose batches are large; small ones need an average over steps.
    drop_at, drop: from that step on (0: never) all rates are multiplied by `drop`, so that the
    noise of the judging network settles below what it should tell apart. Raises UsageError.
    """

    beta_1: float = 0.0
    drop_at: int = 0
    drop: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.beta_1 < 1:
            raise UsageError(f"beta_1 {self.beta_1} is not in [0, 1): choose 0 or 0.5")
        if self.drop_at < 0 or not 0 < self.drop <= 1:
            raise UsageError(
                f"drop {self.drop} at step {self.drop_at}: give a step and a factor in (0, 1]"
            )

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
    """Those of a GAN. discriminator_steps: its updates (1 or 2) for each of the generator. Raises
    UsageError."""

    generator_rate: Rate = 2e-4
    discriminator_rate: Rate = 2e-4
    discriminator_steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.discriminator_steps not in (1, 2):
            raise UsageError(
                f"discriminator_steps {self.discriminator_steps} is not 1 or 2: choose one"
            )

    def set_rates(
        self, step: int, generator: torch.optim.Optimizer, discriminator: torch.optim.Optimizer
    ) -> None:
        """Give both optimisers their rates of this step."""
        self.set_rate(generator, self.generator_rate, step)
        self.set_rate(discriminator, self.discriminator_rate, step)
