"""What a user's function asks for, read from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from genbench.errors import UsageError

# Parameters by which a function asks for something, and what they are given.
_OF_SAMPLES = {
    "labels": "labels", "label": "labels", "y": "labels", "class_labels": "labels",
    "noise": "noise", "seed": "seed", "z": "latent", "latent": "latent", "latents": "latent",
}  # fmt: skip
SETTINGS = ("device", "dtype", "resolution", "classes", "checkpoint")
_COUNTS = {"n", "count", "num", "batch_size", "num_samples", "n_samples", "num_images", "batch"}


@dataclass(frozen=True)
class Wanted:
    """The roles of a function's parameters: of each, what it is given. positional: in their order.
    named: by keyword."""

    positional: tuple[str, ...]
    named: Mapping[str, str]

    @property
    def roles(self) -> set[str]:
        """Everything that is asked for."""
        return {*self.positional, *self.named.values()}

    @property
    def of_samples(self) -> bool:
        """Whether anything asked for differs from sample to sample."""
        return bool(self.roles - {*SETTINGS, "seed"})

    def call(self, function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
        """The function's return, given what it asks for."""
        positional = [given[role] for role in self.positional]
        return function(*positional, **{name: given[role] for name, role in self.named.items()})


def wanted_by(function: Callable[..., Any], where: str, *, latent: bool) -> Wanted:
    """What a function asks for.

    Parameters are known by their names; those without a default that are not are `labels, noise` in
    that order, or with `latent` `z, labels`. Raises UsageError for one that cannot be told.
    """
    positional: list[str] = []
    named: dict[str, str] = {}
    unknown: list[int] = []
    for item in _parameters(function):
        role = _OF_SAMPLES.get(item.name) or (item.name if item.name in SETTINGS else "")
        by_name = item.kind is item.KEYWORD_ONLY or bool(named)
        if item.default is not item.empty and role in ("", "classes"):
            continue  # its own affair
        if (by_name and role) or item.default is not item.empty:
            named[item.name] = role
        elif by_name:
            raise UsageError(
                f"{where} takes {item.name}, which nothing gives it: give it a default"
            )
        else:
            if not role:
                _refuse_counts(item.name, where)
                unknown.append(len(positional))
            positional.append(role)
    free = [role for role in (("latent", "labels") if latent else ("labels", "noise"))
            if role not in (*positional, *named.values())]  # fmt: skip
    if len(unknown) > len(free) or (len(unknown) == 1 and len(free) == 2 and not latent):
        names = ", ".join(item.name for item in _parameters(function) if item.default is item.empty)
        raise UsageError(
            f"{where} takes {names}: name its parameters labels and noise, or pass --latent 128 "
            "for a z of 128 normal numbers a sample"
        )
    for position, role in zip(unknown, free, strict=False):
        positional[position] = role
    found = Wanted(tuple(positional), named)
    if "latent" in found.roles and not latent:
        raise UsageError(
            f"{where} takes a latent: say how many normal numbers a sample, --latent 128, or "
            "--latent 4,32,32"
        )
    if latent and "latent" not in found.roles:
        raise UsageError(f"{where} takes no z: leave out --latent")
    return found


def settings_wanted(maker: Callable[..., Any], where: str) -> Wanted:
    """What of the settings a class or a function that makes a model takes, by their names. Raises
    UsageError for another parameter without a default."""
    named = {}
    for item in _parameters(maker):
        if item.name in SETTINGS and not (
            item.name == "classes" and item.default is not item.empty
        ):
            named[item.name] = item.name
        elif item.default is item.empty:
            raise UsageError(
                f"{where} takes {item.name}, which nothing gives it: give it a default; what is "
                f"given is {', '.join(SETTINGS)}"
            )
    return Wanted((), named)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        found = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):  # of some built-in functions
        return []
    return [item for item in found if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]


def _refuse_counts(name: str, where: str) -> None:
    if name in _COUNTS:
        raise UsageError(
            f"{where} takes {name}, a number of images, whose random numbers would be its own: "
            "take (labels, noise), so that sample i depends on (seed, i) alone, or yield batches"
        )
