"""Averages, gradients shared between processes, and one step of descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from genbench.models.optional import RecipeRun

Network = TypeVar("Network", bound=nn.Module)


class Ema(Generic[Network]):
    """An exponential moving average of a module's parameters; buffers are copied."""

    def __init__(self, averaged: Network, decay: float, start: int = 0) -> None:
        self.averaged, self.decay, self.start = averaged, decay, start

    @torch.no_grad()
    def update(self, module: Network, step: int) -> None:
        """Move the average towards `module`; before step `start` it is a copy."""
        weight = 1 - self.decay if step >= self.start else 1.0
        pairs = zip(self.averaged.parameters(), module.parameters(), strict=True)
        for mean, value in pairs:
            mean.lerp_(value, weight)
        for kept, now in zip(self.averaged.buffers(), module.buffers(), strict=True):
            kept.copy_(now)


def average_gradients(parameters: Iterable[nn.Parameter], run: RecipeRun) -> None:
    """Replace every gradient by its mean over the processes of the run."""
    run.world.average_all(item.grad for item in parameters if item.grad is not None)


def descend(
    loss: Tensor, network: nn.Module, optimiser: torch.optim.Optimizer, run: RecipeRun
) -> None:
    """One optimiser step of `network` against a loss, a scalar, with the processes' mean
    gradients."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(network.parameters(), run)
    optimiser.step()


def autocast(run: RecipeRun, precision: str) -> torch.autocast:
    """A recipe's precision ("float32" or "bfloat16"), for forward passes; gradients follow it by
    themselves."""
    return torch.autocast(run.device.type, torch.bfloat16, enabled=precision == "bfloat16")
