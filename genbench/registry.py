"""Adapters by name: found through entry points, imported only when asked for."""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from genbench.core import Adapter, ConvertRun, DistillRun, ModelCard, TrainRun
from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.sources import source_digest

GROUP = "genbench.adapters"
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class AdapterEntry:
    """An adapter that some installed package announces, not imported yet."""

    name: str
    owner: str  # distribution and version
    target: str  # module:Class


@dataclass(frozen=True)
class Option:
    """One option of a family: a field of its adapter class."""

    name: str
    type: type
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    optional: bool = False  # "none" is a value


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
    """A family's recipe (`genbench.core.Trainable`). Raises UsageError for one without."""
    recipe: Callable[[TrainRun], Path] = _offered(name, "train", "brings no training recipe")
    return recipe


def distillation_of(name: str) -> Callable[[DistillRun], Path]:
    """A family's distillation (`genbench.core.Distillable`). Raises UsageError for one without."""
    lack = "is not distilled from another: use genbench train, or genbench distill emd"
    begin: Callable[[DistillRun], Path] = _offered(name, "distill", lack)
    return begin


def converter_of(name: str) -> Callable[[ConvertRun], str]:
    """A family's converter (`genbench.core.Convertible`). Raises UsageError for one without."""
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
        return "has cards that are not genbench.core.ModelCard"
    names = [card.name for card in cards]
    if len(set(names)) != len(names):
        return f"has two cards of one name in {names}"
    if not callable(getattr(found, "load", None)):
        return "has no load method"
    return ""


def adapter_options(adapter: type[Adapter]) -> dict[str, Option]:
    """The options of a family by name, read from the fields of its dataclass."""
    hints = typing.get_type_hints(adapter)
    options = {}
    for item in dataclasses.fields(typing.cast(Any, adapter)):
        default = item.default
        if item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        if default is dataclasses.MISSING:
            raise GenbenchError(f"option {item.name} of {adapter.__name__} has no default: add one")
        options[item.name] = _option(item.name, hints[item.name], default, item.metadata)
    return options


def _option(name: str, hint: Any, default: Any, notes: Mapping[str, Any]) -> Option:
    optional = False
    choices: tuple[Any, ...] = ()
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        hint, optional = members[0], True
    if typing.get_origin(hint) is typing.Literal:
        choices = typing.get_args(hint)
        hint = type(choices[0])
    return Option(name, hint, default, str(notes.get("help", "")), choices, optional)


def make_adapter(adapter: type[Adapter], name: str, given: Mapping[str, str]) -> Adapter:
    """The adapter with options set from text. Raises UsageError for a bad name or value."""
    options = adapter_options(adapter)
    values: dict[str, Any] = {}
    for raw, text in given.items():
        key = raw.replace("-", "_")
        if key not in options:
            known = suggestion(raw, (option.replace("_", "-") for option in options))
            raise UsageError(f"model {name} has no option --{raw}; {known}")
        values[key] = parse_option(options[key], text)
    try:
        return adapter(**values)
    except (ValueError, TypeError) as error:
        raise UsageError(f"model {name} refuses its options: {error}") from error


def parse_option(option: Option, text: str) -> Any:
    """`text` as the option's type. Raises UsageError naming the values it takes."""
    if option.optional and text.lower() == "none":
        return None
    try:
        value = _BOOLEANS[text.lower()] if option.type is bool else option.type(text)
    except (ValueError, KeyError) as error:
        kind = "true or false" if option.type is bool else f"of type {option.type.__name__}"
        raise UsageError(
            f"--{option.name.replace('_', '-')} must be {kind}, not {text!r}"
        ) from error
    if option.choices and value not in option.choices:
        known = ", ".join(map(str, option.choices))
        raise UsageError(f"--{option.name.replace('_', '-')} must be one of {known}, not {text!r}")
    return value


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
    """Digest of the adapter's sources (`genbench.sources`)."""
    return source_digest(adapter.__module__)
