"""Nested values as YAML, every text quoted, so that any reader finds the same values again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

Yaml = str | int | float | bool | Sequence["Yaml"] | Mapping[str, "Yaml"]


def to_yaml(value: Mapping[str, Yaml]) -> str:
    """Block-style YAML of a mapping, whose lists and mappings hold something."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Mapping[str, Yaml] | Sequence[Yaml]) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str | int | float):
                yield f"{_key(key)}: {_scalar(inner)}"
            else:
                yield f"{_key(key)}:"
                yield from (f"  {line}" for line in _lines(inner))
        return
    for inner in value:
        first, *rest = [_scalar(inner)] if isinstance(inner, str | int | float) else _lines(inner)
        yield f"- {first}"
        yield from (f"  {line}" for line in rest)


def _key(text: str) -> str:
    return text if re.fullmatch("[a-z][a-z0-9_-]*", text) else _scalar(text)


def _scalar(value: str | float) -> str:
    if isinstance(value, str):
        quoted = json.dumps(value, ensure_ascii=False)
        return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08X}"
                       for letter in quoted)  # fmt: skip
    if isinstance(value, bool | int):
        return json.dumps(value)
    digits = repr(value)  # YAML 1.1 takes 1e-07 for a text, and 1.0e-07 for a number
    return digits.replace("e", ".0e") if "e" in digits and "." not in digits else digits
