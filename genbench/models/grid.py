"""A model at several settings: options with several values, and their product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from genbench.models.naming import family_named
from genbench.models.opening import ModelRequest
from genbench.models.options import adapter_options


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One point of a grid. label: what it sets, of that which varies: "truncation 0.4, seed 1"."""

    request: ModelRequest
    label: str


def grid(
    base: ModelRequest,
    options: Mapping[str, Sequence[str]],
    checkpoints: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> list[Setting]:
    """Every combination of the values, the last option's changing first.

    options: of the model, with their values as text. checkpoints, seeds: empty: that of `base`.
    """
    axes = [
        [("checkpoint", value) for value in checkpoints or (base.checkpoint,)],
        [("seed", str(value)) for value in seeds or (base.seed,)],
        *([(name, value) for value in values] for name, values in options.items()),
    ]
    varies = [len(axis) > 1 for axis in axes]
    settings = []
    for point in product(*axes):
        (_, checkpoint), (_, seed), *chosen = point
        told = [f"{name.replace('_', ' ')} {value}"
                for (name, value), shown in zip(point, varies, strict=True) if shown]  # fmt: skip
        request = replace(base, checkpoint=checkpoint, seed=int(seed), options=dict(chosen))
        settings.append(Setting(request=request, label=", ".join(told)))
    return settings


def listed_values(model: str, given: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """The values of each option, from (name, text) as they were given: 0.2,0.4 are two. The text of
    an option that takes any text is one value, commas and all: such an option is given again."""
    known = adapter_options(family_named(model))
    values: dict[str, list[str]] = {}
    for name, text in given:
        option = known.get(name.replace("-", "_"))
        whole = option is not None and option.type is str and not option.choices
        values.setdefault(name, []).extend([text] if whole else _parts(text))
    return {name: list(dict.fromkeys(found)) for name, found in values.items()}


def _parts(text: str) -> Iterator[str]:
    yield from (part.strip() for part in text.split(",") if part.strip())
