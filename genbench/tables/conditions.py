"""Conditions on records: paths into one, each with what must stand there."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from genbench.records.kinds import Record

# What a field of a record must be, or any of several: text is a pattern ("*V100*").
Wanted = str | int | float | bool
Conditions = Mapping[str, Wanted | tuple[Wanted, ...]]


def record_value(record: Record, path: str) -> Any:
    """What stands at a dotted path of a record ("training.network"); None when nothing does."""
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def admitted(record: Record, where: Conditions) -> bool:
    """Whether a record meets every condition."""
    return all(equal(record_value(record, path), wanted) for path, wanted in where.items())


def equal(value: Any, wanted: Wanted | tuple[Wanted, ...]) -> bool:
    """Whether a value is one of those wanted: text by pattern ("*V100*"), "" for not given."""
    for item in wanted if isinstance(wanted, tuple) else (wanted,):
        if item == "" and value in (None, ""):
            return True
        if isinstance(item, str) and isinstance(value, str) and fnmatchcase(value, item):
            return True
        if type(item) is not str and value == item:
            return True
    return False
