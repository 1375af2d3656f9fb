"""Adapters by name: found through entry points, imported only when asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import typing
from collections.abc import Sequence
from functools import cache

from genbench.errors import UsageError, suggestion
from genbench.models.code_digest import source_digest
from genbench.models.contract import Adapter, ModelCard
from genbench.models.optional import BringsCode, Convertible, Distillable, Trainable
from genbench.models.options import make_adapter
from genbench.runtime.entry_points import (
    Announced,
    announced,
    broken,
    find_announced,
    load_announced,
)

GROUP = "genbench.adapters"
_KIND = "model"


def adapter_entries() -> list[Announced]:
    """Every announced adapter, by name, not imported yet."""
    return announced(GROUP)


def find_adapter(name: str) -> Announced:
    """The one adapter of that name.

    Raises UsageError for an unknown name (with the nearest) and for a name that two packages claim.
    """
    return find_announced(GROUP, name, _KIND)


def load_adapter_class(entry: Announced) -> type[Adapter]:
    """Import an adapter and check its shape. Raises GenbenchError saying why it is broken."""
    found = load_announced(entry, _KIND)
    if problem := _shape_problem(found):
        raise broken(entry, _KIND, f"{entry.target} {problem} (see 'Add a model' in the README)")
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


def code_digest(adapter: Adapter) -> str:
    """Digest (16 hex) of the adapter's sources (`genbench.models.code_digest`), and of others' code
    that it runs."""
    own = _module_digest(type(adapter).__module__)
    if not isinstance(adapter, BringsCode):
        return own
    return hashlib.sha256(f"{own} {adapter.code()}".encode()).hexdigest()[:16]


@cache
def _module_digest(module: str) -> str:
    return source_digest(module)
