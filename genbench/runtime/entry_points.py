"""What installed packages announce by name, imported only when it is asked for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import metadata

from genbench.errors import GenbenchError, UsageError, suggestion


@dataclass(frozen=True)
class Announced:
    """One entry point of some package, not imported yet."""

    name: str
    owner: str  # distribution and version
    target: str  # "module:attribute", or "module"


def announced(group: str) -> list[Announced]:
    """Every entry point of a group, by name; one package installed twice counts once."""
    found = {
        Announced(
            entry.name,
            f"{entry.dist.name} {entry.dist.version}" if entry.dist else "?",
            entry.value,
        )
        for entry in metadata.entry_points(group=group)
    }
    return sorted(found, key=lambda entry: (entry.name, entry.owner, entry.target))


def find_announced(group: str, name: str, kind: str) -> Announced:
    """The one entry point of that name. kind: what it is, for the refusal.

    Raises UsageError for an unknown name (with the nearest) and for a name that two packages claim.
    """
    entries = announced(group)
    matching = [entry for entry in entries if entry.name == name]
    if len(matching) > 1:
        owners = " and ".join(f"{entry.owner} ({entry.target})" for entry in matching)
        raise UsageError(f"two {kind}s are named {name}: {owners}; uninstall one of them")
    if not matching:
        known = suggestion(name, (entry.name for entry in entries))
        raise UsageError(f"no {kind} is named {name}; {known}")
    return matching[0]


def load_announced(entry: Announced, kind: str) -> object:
    """What an entry point names. Raises GenbenchError for a package that cannot be imported."""
    module, _, attribute = entry.target.partition(":")
    try:
        found: object = importlib.import_module(module)
        for name in filter(None, attribute.split(".")):
            found = getattr(found, name)
        return found
    except (
        Exception,
        SystemExit,
    ) as error:  # a stranger's module can raise anything while it is imported
        raise broken(entry, kind, f"{type(error).__name__}: {error}") from error


def broken(entry: Announced, kind: str, reason: str) -> GenbenchError:
    """The error that a package does not keep to its contract."""
    return GenbenchError(
        f"{kind} {entry.name} of {entry.owner} is broken: {' '.join(reason.split())}; reinstall or "
        f"fix {entry.target}"
    )
