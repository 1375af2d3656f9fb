"""The published files of a card: its weights, and what else a family's options need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from genbench.errors import GenbenchError
from genbench.models.contract import Adapter, CheckpointSource, ModelCard
from genbench.models.optional import HasCompanions
from genbench.weights.files import WeightFile, locate, verified_copy

_FLOAT32 = 4  # bytes a parameter
CHECKPOINT = "checkpoint"


def published_file(source: CheckpointSource, parameters: int = 0) -> WeightFile:
    """The file of a source with an address. parameters: of the network, from which its size is
    estimated; 0: not known."""
    return WeightFile(
        filename=source.filename, url=source.url, sha256=source.sha256, published_at=source.url,
        megabytes=parameters * _FLOAT32 // 10**6,
    )  # fmt: skip


def own_card(adapter: Adapter, card: ModelCard) -> ModelCard:
    """The card with the weights that the adapter's options take: mostly its own."""
    other = _companions(adapter, card).get(CHECKPOINT)
    return replace(card, checkpoint=other) if other else card


def files_by_option(adapter: Adapter, card: ModelCard) -> dict[str, WeightFile]:
    """The published files that sampling a card needs, by the option that takes each; without those
    that ship in the package or that nobody publishes, and without options that are set."""
    own = own_card(adapter, card)
    found = {}
    if own.checkpoint and own.checkpoint.url:
        known = card.parameters if own is card else 0
        found[CHECKPOINT] = published_file(own.checkpoint, known)
    return found | _open_options(adapter, card)


def with_companions(adapter: Adapter, card: ModelCard) -> Adapter:
    """The adapter with the published companion files that are here, in options left open. Raises
    GenbenchError for a file that is damaged or another."""
    found: dict[str, Path] = {}
    for option, file in _open_options(adapter, card).items():
        if locate(file, None) and (path := verified_copy(file)):
            found[option] = path
    return replace(cast(Any, adapter), **found) if found else adapter


def _open_options(adapter: Adapter, card: ModelCard) -> dict[str, WeightFile]:
    return {
        option: published_file(source)
        for option, source in _companions(adapter, card).items()
        if option != CHECKPOINT and source.url and _open(adapter, option)
    }


def _open(adapter: Adapter, option: str) -> bool:
    if not hasattr(adapter, option):
        raise GenbenchError(
            f"{type(adapter).__name__} names a companion file for an option {option} that it does "
            "not have: correct its companions"
        )
    return getattr(adapter, option) is None


def _companions(adapter: Adapter, card: ModelCard) -> Mapping[str, CheckpointSource]:
    return adapter.companions(card) if isinstance(adapter, HasCompanions) else {}
