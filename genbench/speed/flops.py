"""Floating-point operations, counted by torch while the work is done; a multiply-add is two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from genbench.models.contract import Generator
from genbench.models.noise import NoiseStream
from genbench.models.optional import CountableNetworks, Evaluation, Repeating

CONVENTION = "torch.utils.flop_counter, 1 multiply-add = 2 FLOP"


def _attention(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    return int(sdpa_flop_count(query, key, value))


# torch counts the fused attention of GPUs alone.
_MORE = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}


class _NoModules:
    """Stands in for the counter's module tracker, whose hooks autograd.grad does not allow."""

    parents = frozenset({"Global"})

    def __enter__(self) -> _NoModules:
        return self

    def __exit__(self, *problem: object) -> None:
        return None


def flops_of(call: Callable[[], object]) -> int:
    """FLOPs of the convolutions, products and attentions of one call, which is made."""
    return sum(flops_by_operator(call).values())


def flops_by_operator(call: Callable[[], object]) -> dict[str, int]:
    """`flops_of`, by the operator's name ("aten::mm")."""
    counter = FlopCounterMode(display=False, custom_mapping=_MORE)
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    with counter:
        call()
    found = counter.get_flop_counts().get("Global", {})
    return {str(operator).replace("aten.", "aten::"): int(n) for operator, n in found.items()}


def evaluations_of(
    generator: Generator, labels: Tensor | None, noise: NoiseStream
) -> Sequence[Evaluation]:
    """The network calls of one `sample` call and how often each is made; for a generator that does
    not say (`genbench.models.optional.Repeating`), the whole call, once. labels: int64 [N] or
    None."""
    if isinstance(generator, Repeating):
        return generator.repeated(labels, noise)
    return [(lambda: generator.sample(labels, noise), 1)]


@torch.no_grad()
def sampling_flops(evaluations: Sequence[Evaluation]) -> int:
    """FLOPs of one sampler call: each kind of evaluation is made and counted once, and multiplied.

    Not under inference mode, where torch does not split layers into the products that it counts.
    """
    return sum(times * flops_of(call) for call, times in evaluations)


def network_flops(adapter: CountableNetworks, network: str) -> int:
    """FLOPs of one forward pass at batch 1, counted on shapes alone; nothing is computed."""
    return _network_flops(type(adapter), network)


@cache
def _network_flops(family: type[CountableNetworks], network: str) -> int:
    return flops_of(family().network_forward(network))


def theoretical_throughput(flops: float, *, peak: float, passes: int = 1) -> float:
    """Images a second of a device at 100% of `peak` FLOP/s: peak / (passes x FLOPs)."""
    return peak / (passes * flops)
