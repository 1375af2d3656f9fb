"""Recipes that families bring along, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from genbench.errors import UsageError, suggestion
from genbench.models.optional import BringsRecipes
from genbench.models.registry import find_adapter, load_adapter_class


def chosen_recipe(family: str, config: Path | None, name: str) -> Path:
    """The recipe file that a user gives by its path (`config`) or by the family's name for it.

    Raises UsageError unless it is exactly one of the two, and for an unknown name.
    """
    brought = load_adapter_class(find_adapter(family))
    recipes: Mapping[str, Path] = brought.recipes if isinstance(brought, BringsRecipes) else {}
    if config is not None and not name:
        return config
    if config is not None or not name:
        known = f"--recipe NAME (of {family}: {', '.join(sorted(recipes)) or 'none'})"
        raise UsageError(f"pass one of {known} and --config FILE")
    if name not in recipes:
        raise UsageError(f"{family} has no recipe {name}; {suggestion(name, recipes)}")
    return recipes[name]
