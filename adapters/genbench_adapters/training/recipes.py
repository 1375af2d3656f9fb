"""Recipe files: TOML into a family's dataclass, and the kinds of values that recipes share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from annotated_types import Ge, Gt, Le

from genbench.errors import UsageError
from genbench.runtime.validated import read_toml, validated

Recipe = TypeVar("Recipe")
Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]
Cost = Annotated[float, Ge(0)]
Rate = Annotated[float, Ge(0)]  # of an optimiser; 0 holds a network fixed
Share = Annotated[float, Ge(0), Le(1)]
Factor = Annotated[float, Gt(0)]  # of what may grow or shrink, not vanish
Shrinking = Annotated[float, Gt(0), Le(1)]


def read_recipe(path: Path, kind: type[Recipe], *, steps: int = 0) -> Recipe:
    """A recipe (a dataclass) from a TOML file; unknown and missing keys, and values of another
    kind or range than a key takes, are errors.

    steps: replaces the file's own number of steps, unless 0. Raises UsageError with the remedy.
    """
    values = read_toml(path, error=UsageError) | ({"steps": steps} if steps else {})
    return validated(values, kind, name=path, error=UsageError)
