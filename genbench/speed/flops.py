"""Floating-point operations, counted by torch while the work is done; a multiply-add is two."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from genbench.models.contract import Generator
from genbench.models.noise import NoiseStream
from genbench.models.optional import Evaluation

CONVENTION = "torch.utils.flop_counter, 1 multiply-add = 2 FLOP"


class _NoModules:
    """Stands in for the counter's module tracker, whose hooks autograd.grad does not allow."""

    parents = frozenset({"Global"})

    def __enter__(self) -> _NoModules:
        return self

    def __exit__(self, *problem: object) -> None:
        return None


def flops_of(call: Callable[[], object]) -> int:
    """FLOPs of the convolutions, products and attentions of one call, which is made."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    with counter:
        call()
    return int(counter.get_total_flops())


def evaluations_of(
    generator: Generator, labels: Tensor | None, noise: NoiseStream
) -> Sequence[Evaluation]:
    """The network calls of one `sample` call and how often each is made; for a generator that does
    not say (`genbench.models.optional.Repeating`), the whole call, once."""
    named = getattr(generator, "repeated", None)
    if callable(named):
        listed: Sequence[Evaluation] = named(labels, noise)
        return listed
    return [(lambda: generator.sample(labels, noise), 1)]


@torch.no_grad()
def sampling_flops(evaluations: Sequence[Evaluation]) -> int:
    """FLOPs of one sampler call: each kind of evaluation is made and counted once, and multiplied.

    Not under inference mode, where torch does not split layers into the products that it counts.
    """
    return sum(times * flops_of(call) for call, times in evaluations)
