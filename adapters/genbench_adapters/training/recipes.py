"""Recipe files: TOML into a family's dataclass, every value of the kind and range its key takes."""

from __future__ import annotations

import math
import tomllib
import types
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from genbench.errors import UsageError, suggestion

Recipe = TypeVar("Recipe")
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def read_recipe(path: Path, kind: type[Recipe], *, steps: int = 0) -> Recipe:
    """A recipe (a dataclass) from a TOML file; unknown and missing keys, and values of another
    kind or range than a key takes, are errors.

    steps: replaces the file's own number of steps, unless 0. Raises UsageError with the remedy.
    """
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; pass --config FILE") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML ({error}): correct it") from error
    keys = fields(kind)  # type: ignore[arg-type]
    known = [item.name for item in keys]
    hints = get_type_hints(kind, include_extras=True)
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{path}: there is no key {key}; {suggestion(key, known)}")
        _check(path, key, value, hints[key])
    if steps:
        values["steps"] = steps
    needed = [key.name for key in keys if key.default is MISSING and key.default_factory is MISSING]
    if lacking := [name for name in needed if name not in values]:
        raise UsageError(f"{path} lacks {', '.join(lacking)}: add what is missing")
    return kind(**values)


def _check(path: Path, key: str, value: Any, hint: Any) -> None:
    """Raise UsageError for a value that is not of its key's kind, or out of its range."""
    if get_origin(hint) is types.UnionType:  # with None, which TOML cannot say
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            remedy = suggestion(str(value), get_args(hint))
            raise UsageError(f"{path}: {key} {value} is not one; {remedy}")
    elif not _fits(value, hint):
        raise UsageError(f"{path}: {key} {value!r} is not {_described(hint)}: correct it")
    elif remedy := _out_of_range(value, hint):
        raise UsageError(f"{path}: {key} {value} cannot be: {remedy}")


def _out_of_range(value: Any, hint: Any) -> str:
    """What to give instead of a value of the kind of a hint; empty for one within its range."""
    if get_origin(hint) is list:
        remedies = (_out_of_range(item, get_args(hint)[0]) for item in value)
        return next(filter(None, remedies), "")
    if get_origin(hint) is not Annotated:
        return ""
    _, limits = get_args(hint)
    return "" if limits.holds(value) else limits.remedy()


def _fits(value: Any, hint: Any) -> bool:
    hint = _plain(hint)
    if get_origin(hint) is list:
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in value)
    if isinstance(value, bool):  # which Python counts among the whole numbers
        return hint is bool
    if hint is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, hint)


def _plain(hint: Any) -> Any:
    """A hint without its range."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _described(hint: Any) -> str:
    """What a hint stands for, in words."""
    hint = _plain(hint)
    if get_origin(hint) is list:
        return f"a list, each item {_described(get_args(hint)[0])}"
    return _KINDS[hint]


@dataclass(frozen=True)
class Range:
    """From least to most, both included; `above`: without the least, `below`: without the most."""

    least: float = 0
    most: float = math.inf
    above: bool = False
    below: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value is in it."""
        high_enough = value > self.least if self.above else value >= self.least
        return high_enough and (value < self.most if self.below else value <= self.most)

    def remedy(self) -> str:
        """What to give instead of a value outside."""
        if self.most < math.inf and not self.above and not self.below:
            return f"give {self.least:g} to {self.most:g}"
        least = f"more than {self.least:g}" if self.above else f"{self.least:g} or more"
        most = f" and {'less than' if self.below else 'at most'} {self.most:g}"
        return f"give {least}{most if self.most < math.inf else ''}"


Count = Annotated[int, Range(1)]


Whole = Annotated[int, Range()]  # or none


Cost = Annotated[float, Range()]


Rate = Annotated[float, Range()]  # of an optimiser; 0 holds a network fixed


Share = Annotated[float, Range(0, 1)]


Factor = Annotated[float, Range(above=True)]  # of what may grow or shrink, not vanish


Shrinking = Annotated[float, Range(0, 1, above=True)]
