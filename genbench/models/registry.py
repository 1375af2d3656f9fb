"""Adapters by name: found through entry points, imported only when asked for."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.models.code_digest import source_digest
from genbench.models.contract import Adapter, ModelCard
from genbench.models.optional import ConvertRun, DistillRun, TrainRun

GROUP = "genbench.adapters"


@dataclass(frozen=True)
class AdapterEntry:
    """An adapter that some installed package announces, not imported yet."""

    name: str
    owner: str  # distribution and version
    target: str  # module:Class


def adapter_entries() -> list[AdapterEntry]:
    """Every announced adapter, by name; one package installed twice counts once."""
    found = {
        AdapterEntry(
            entry.name,
            f"{entry.dist.name} {entry.dist.version}" if entry.dist else "?",
            entry.value,
        )
        for entry in metadata.entry_points(group=GROUP)
    }
    return sorted(found, key=lambda entry: (entry.name, entry.owner, entry.target))


def find_adapter(name: str) -> AdapterEntry:
    """The one adapter of that name.

    Raises UsageError for an unknown name (with the nearest) and for a name that two packages claim.
    """
    entries = adapter_entries()
    matching = [entry for entry in entries if entry.name == name]
    if len(matching) > 1:
        owners = " and ".join(f"{entry.owner} ({entry.target})" for entry in matching)
        raise UsageError(f"two adapters are named {name}: {owners}; uninstall one of them")
    if not matching:
        known = suggestion(name, (entry.name for entry in entries))
        raise UsageError(f"no model is named {name}; {known}")
    return matching[0]


def load_adapter_class(entry: AdapterEntry) -> type[Adapter]:
    """Import an adapter and check its shape. Raises GenbenchError saying why it is broken."""
    module_name, _, class_name = entry.target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # a stranger's module can raise anything while it is imported
        raise GenbenchError(
            f"model {entry.name} of {entry.owner} is broken: {type(error).__name__}: {error}; "
            f"reinstall or fix {entry.target}"
        ) from error
    if problem := _shape_problem(found):
        raise GenbenchError(
            f"model {entry.name} of {entry.owner} is broken: {entry.target} {problem}; "
            "see 'Add a model' in the README"
        )
    return typing.cast(type[Adapter], found)


def training_of(name: str) -> Callable[[TrainRun], Path]:
    """A family's recipe (`optional.Trainable`). Raises UsageError for one without."""
    recipe: Callable[[TrainRun], Path] = _offered(name, "train", "brings no training recipe")
    return recipe


def distillation_of(name: str) -> Callable[[DistillRun], Path]:
    """A family's distillation (`optional.Distillable`). Raises UsageError for one without."""
    lack = "is not distilled from another: use genbench train, or genbench distill emd"
    begin: Callable[[DistillRun], Path] = _offered(name, "distill", lack)
    return begin


def converter_of(name: str) -> Callable[[ConvertRun], str]:
    """A family's converter (`optional.Convertible`). Raises UsageError for one without."""
    lack = "has nothing to convert: --checkpoint takes its files"
    converter: Callable[[ConvertRun], str] = _offered(name, "convert", lack)
    return converter


def _offered(name: str, method: str, lack: str) -> Any:
    """What a family offers beyond the adapter contract."""
    found = getattr(load_adapter_class(find_adapter(name)), method, None)
    if found is None:
        raise UsageError(f"model {name} {lack}")
    return found


def _shape_problem(found: object) -> str:
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        return "is not a dataclass (its fields are the model's options)"
    cards = getattr(found, "cards", None)
    if not isinstance(cards, Sequence) or not cards:
        return "has no cards"
    if not all(isinstance(card, ModelCard) for card in cards):
        return "has cards that are not genbench.models.contract.ModelCard"
    names = [card.name for card in cards]
    if len(set(names)) != len(names):
        return f"has two cards of one name in {names}"
    if not callable(getattr(found, "load", None)):
        return "has no load method"
    return ""


def choose_card(cards: Sequence[ModelCard], name: str, wanted: str, resolution: int) -> ModelCard:
    """The card of that name, else the first of that resolution, else the first of all."""
    if wanted:
        for card in cards:
            if card.name == wanted:
                return card
        known = suggestion(wanted, (card.name for card in cards))
        raise UsageError(f"model {name} has no variant {wanted}; {known}")
    fitting = [card for card in cards if resolution in (0, card.resolution)]
    if not fitting:
        sizes = ", ".join(str(size) for size in sorted({card.resolution for card in cards}))
        raise UsageError(f"model {name} has no variant at resolution {resolution}; it has {sizes}")
    return fitting[0]


@cache
def code_digest(adapter: type[Adapter]) -> str:
    """Digest of the adapter's sources (`genbench.models.code_digest`)."""
    return source_digest(adapter.__module__)
