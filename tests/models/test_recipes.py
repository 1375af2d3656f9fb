"""Recipes by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from genbench.errors import UsageError
from genbench.models.optional import BringsRecipes
from genbench.models.recipes import chosen_recipe
from genbench.models.registry import adapter_entries, load_adapter_class

MINE = Path("mine.toml")


def test_every_recipe_a_family_names_is_in_its_package() -> None:
    found: list[Path] = []
    for entry in adapter_entries():
        family: object = load_adapter_class(entry)
        if isinstance(family, BringsRecipes):
            found += family.recipes.values()
    shipped = Path(__file__).parents[2].glob("adapters/genbench_adapters/*/*.toml")
    assert {path.resolve() for path in found} == {path.resolve() for path in shipped}


def test_by_name_or_by_file() -> None:
    assert chosen_recipe("hit", None, "imagenet-128").name == "imagenet-128.toml"
    assert chosen_recipe("hit", MINE, "") == MINE


@pytest.mark.parametrize(
    ("family", "config", "name", "expected"),
    [
        ("hit", None, "", "pass one of --recipe NAME \\(of hit: fashion-mnist-32, ffhq-256"),
        ("hit", MINE, "ffhq-256", "pass one of"),
        ("toy", None, "", "of toy: none"),
        ("hit", None, "ffhq-265", "hit has no recipe ffhq-265; did you mean ffhq-256"),
        ("hti", None, "ffhq-256", "no model is named hti; did you mean hit"),
    ],
)
def test_what_cannot_be_chosen(family: str, config: Path | None, name: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        chosen_recipe(family, config, name)
