"""What is measured when nobody names a model: the families that come with weights, at one size."""

from __future__ import annotations

from collections.abc import Mapping

from genbench.errors import GenbenchError
from genbench.models.contract import Adapter
from genbench.models.opening import ModelRequest, ResolvedModel, resolve
from genbench.models.registry import adapter_entries, load_adapter_class

SIDE = 128  # pixels: the smallest size that all papers report


def usual_names() -> list[str]:
    """The families that bring weights; one that is broken brings none."""
    names = []
    for entry in adapter_entries():
        try:
            family = load_adapter_class(entry)
        except GenbenchError:
            continue
        if _brings_weights(family):
            names.append(entry.name)
    return names


def usual_models(
    options: Mapping[str, str], seed: int
) -> tuple[list[ResolvedModel], dict[str, tuple[ResolvedModel, ...]]]:
    """Each family at SIDE pixels or the next size below that it has; and by name what to measure in
    its place, from larger to smaller, where that takes too long. options: go to those who have
    them."""
    models, instead = [], {}
    for name in usual_names():
        cards = resolve(ModelRequest(name=name)).adapter.cards
        sizes = sorted({card.resolution for card in cards if card.resolution <= SIDE}, reverse=True)
        first, *rest = [
            resolve(ModelRequest(name=name, resolution=size, options=options, seed=seed),
                    lenient=True)
            for size in sizes or [0]
        ]  # fmt: skip
        models.append(first)
        instead[name] = tuple(rest)
    return models, instead


def _brings_weights(family: type[Adapter]) -> bool:
    return any(card.checkpoint is not None and card.checkpoint.bundled for card in family.cards)
