"""A family's options: the fields of its adapter class, set from text."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.models.contract import Adapter

# What genbench's own options are called: a family's would never be reached.
RESERVED = {
    *("samples", "model", "ref", "features", "ref_features", "protocol", "metric", "detector"),
    *("detector_weights", "res", "crop", "variant", "checkpoint", "seed", "labels", "batch_size"),
    *("block", "dtype", "device", "ci", "reuse", "json", "records", "cache", "out", "batch"),
    *("train", "gpu", "strict", "seconds", "help", "name", "seeds", "compile", "profile"),
    *("every", "until", "once", "plot", "yes", "shard", "store", "from", "clip"),
}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Option:
    """One option of a family: a field of its adapter class."""

    name: str
    type: type
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    optional: bool = False  # "none" is a value


def adapter_options(adapter: type[Adapter]) -> dict[str, Option]:
    """The options of a family by name, read from the fields of its dataclass."""
    try:
        hints = typing.get_type_hints(adapter)
    except (NameError, TypeError, SyntaxError) as error:
        raise GenbenchError(
            f"the options of {adapter.__name__} have types that cannot be read ({error}): correct "
            "its annotations"
        ) from error
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
