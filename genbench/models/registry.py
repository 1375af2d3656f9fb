"""Adapters by name: found through entry points, imported only when asked for."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.models.code_digest import source_digest
from genbench.models.contract import Adapter, ModelCard
from genbench.models.optional import Convertible, Distillable, Trainable
from genbench.models.options import make_adapter

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


def trainable(name: str) -> Trainable:
    """A family that brings its training recipe. Raises UsageError for one without."""
    family = with_defaults(name)
    if isinstance(family, Trainable):
        return family
    raise UsageError(f"model {name} brings no training recipe")


def distillable(name: str) -> Distillable:
    """A family that is distilled from another. Raises UsageError for one that is not."""
    family = with_defaults(name)
    if isinstance(family, Distillable):
        return family
    raise UsageError(
        f"model {name} is not distilled from another: use genbench train, or genbench distill emd"
    )


def convertible(name: str) -> Convertible:
    """A family with a converter of official files. Raises UsageError for one without."""
    family = with_defaults(name)
    if isinstance(family, Convertible):
        return family
    raise UsageError(f"model {name} has nothing to convert: --checkpoint takes its files")


def with_defaults(name: str) -> Adapter:
    """The adapter of a family with every option at its default."""
    return make_adapter(load_adapter_class(find_adapter(name)), name, {})


def _shape_problem(found: object) -> str:
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        return "is not a dataclass (its fields are the model's options)"
    cards = getattr(found, "cards", None)
    if not isinstance(cards, Sequence) or not cards:
        return "has no cards"
    if not all(isinstance(card, ModelCard) for card in cards):
        return "has cards that are not genbench.ModelCard"
    names = [card.name for card in cards]
    if len(set(names)) != len(names):
        return f"has two cards of one name in {names}"
    if not callable(getattr(found, "load", None)):
        return "has no load method"
    return ""


class NoVariantError(UsageError):
    """The family has no variant of that resolution. sizes: those it has."""

    def __init__(self, name: str, resolution: int, cards: Sequence[ModelCard]) -> None:
        self.sizes = ", ".join(str(size) for size in sorted({card.resolution for card in cards}))
        super().__init__(
            f"model {name} has no variant at resolution {resolution}; it has {self.sizes}"
        )


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
        raise NoVariantError(name, resolution, cards)
    return fitting[0]


@cache
def code_digest(adapter: type[Adapter]) -> str:
    """Digest of the adapter's sources (`genbench.models.code_digest`)."""
    return source_digest(adapter.__module__)
