"""Detectors by name: the contract, genbench's own, and those that other packages register."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from genbench.detectors.contract import LAYERS, Detector, DetectorFactory, DetectorStatus
from genbench.errors import GenbenchError

if TYPE_CHECKING:
    import torch
ENTRY_POINTS = "genbench.detectors"
_GENBENCH = "genbench"
_FIDELITY = (
    "inception",
    "vgg16",
    *(f"clip-rn{kind}" for kind in ("50", "101", "50x4", "50x16", "50x64")),
    *(f"clip-vit-{kind}" for kind in ("b-32", "b-16", "l-14", "l-14-336px")),
    *(f"dinov2-vit-{size}-14" for size in "sblg"),
)
# Names are written here, not asked of the modules: those import torch, and names must come at once.
_OWN = {
    **dict.fromkeys(_FIDELITY, "genbench.detectors.fidelity"),
    "efficientnet-lite0": "genbench.detectors.efficientnet",
}


@dataclass(frozen=True, kw_only=True)
class _Entry:
    name: str
    factory: DetectorFactory
    layers: Mapping[str, int]
    summary: str
    origin: str
    missing: Callable[[], str]


_registered: dict[str, _Entry] = {}


def register_detector(
    name: str,
    factory: DetectorFactory,
    *,
    layers: Mapping[str, int] | None = None,
    summary: str | None = None,
    missing: Callable[[], str] = str,
) -> None:
    """Make `factory` known as `name` in this process; packages use the entry-point group instead.

    layers, summary: taken from the factory's attributes when not given. missing: returns what the
    detector lacks on this machine and how to get it, or "" (fast, no network). Raises
    GenbenchError that names both owners when the name is taken; the same factory may come twice.
    """
    entry = _entry_of(name, factory, getattr(factory, "__module__", "this process"), missing)
    if layers is not None or summary is not None:
        entry = _Entry(
            name=name,
            factory=factory,
            layers=dict(layers) if layers is not None else entry.layers,
            summary=summary if summary is not None else entry.summary,
            origin=entry.origin,
            missing=missing,
        )
    if (before := _registered.get(name)) is not None and before.factory is factory:
        return
    if owners := _owners(name):
        raise _clash(name, [*owners, entry.origin])
    _registered[name] = entry


def detector_names() -> list[str]:
    """Every known name, sorted, genbench's default first; imports no third party's code."""
    names = {*_OWN, *_registered, *(point.name for point in _points())}
    return sorted(names, key=lambda name: (name != "inception", name))


def detector_status(name: str) -> DetectorStatus:
    """What is known of a detector without building it: no network, no weights loaded.

    A third party's entry point is imported; one that fails is reported as not usable, with the
    reason, and so is a name that two packages claim. Raises GenbenchError for an unknown name.
    """
    try:
        entry = _entry(name)
    except _UnknownError:
        raise
    except GenbenchError as error:
        origin = ", ".join(_owners(name))
        return DetectorStatus(
            name=name, usable=False, reason=str(error), summary="", layers={}, origin=origin
        )
    missing = entry.missing()
    return DetectorStatus(
        name=name,
        usable=not missing,
        reason=missing,
        summary=entry.summary,
        layers=entry.layers,
        origin=entry.origin,
    )


def own_module(name: str) -> ModuleType | None:
    """The module of one of genbench's own detectors; None for a third party's name."""
    module = _OWN.get(name)
    return importlib.import_module(module) if module is not None else None


def create_detector(
    name: str, *, layers: Sequence[str], weights: Path | None = None, device: torch.device
) -> Detector:
    """Build the detector `name` for `layers`; its calls check their input and their features.

    weights: a file to load instead of the published one (or a copy of it). Missing weights are
    downloaded. Raises GenbenchError for an unknown name (with the nearest), for a layer that the
    detector lacks (with those it has), and for weights that cannot be had or do not fit.
    """
    from genbench.detectors.checked import CheckedDetector

    entry = _entry(name)
    wanted = tuple(dict.fromkeys(layers))
    if not wanted:
        raise GenbenchError(f"no layer asked of detector {name}: name some of {_list(entry)}")
    if entry.layers and (unknown := [layer for layer in wanted if layer not in entry.layers]):
        raise GenbenchError(
            f"detector {name} has no layer {unknown[0]!r}, only {_list(entry)}: leave out the "
            "metrics that need it, or choose another detector"
        )
    if entry.origin == _GENBENCH:
        built = entry.factory(layers=wanted, weights=weights, device=device)
    else:
        built = _build_foreign(entry, wanted, weights, device)
    return CheckedDetector(built, name=name, layers=wanted)


class _UnknownError(GenbenchError):
    """No package knows the name."""


def _list(entry: _Entry) -> str:
    return ", ".join(entry.layers) or ", ".join(LAYERS)


def _points() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=ENTRY_POINTS))


def _package(point: importlib.metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _owners(name: str) -> list[str]:
    own = [_GENBENCH] if name in _OWN else []
    registered = [_registered[name].origin] if name in _registered else []
    return own + registered + [_package(point) for point in _points() if point.name == name]


def _clash(name: str, owners: Sequence[str]) -> GenbenchError:
    return GenbenchError(
        f"detector {name!r} is claimed by {' and by '.join(owners)}: uninstall or rename one"
    )


def _entry(name: str) -> _Entry:
    owners = _owners(name)
    if not owners:
        near = difflib.get_close_matches(name, detector_names(), n=1, cutoff=0.5)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise _UnknownError(f"no detector {name!r}: {guess}see genbench ls detectors")
    if len(owners) > 1:
        raise _clash(name, owners)
    if name in _registered:
        return _registered[name]
    if (module := _OWN.get(name)) is not None:
        held = importlib.import_module(module)
        return _Entry(
            name=name,
            factory=partial(held.create, name),
            layers=held.layers(name),
            summary=held.summary(name),
            origin=_GENBENCH,
            missing=partial(held.missing, name),
        )
    point = next(point for point in _points() if point.name == name)
    return _entry_of(name, _load(point), _package(point), str)


def _entry_of(
    name: str, factory: DetectorFactory, origin: str, missing: Callable[[], str]
) -> _Entry:
    layers, summary = getattr(factory, "layers", {}), getattr(factory, "summary", "")
    if not isinstance(layers, Mapping) or not isinstance(summary, str):
        raise GenbenchError(
            f"detector {name!r} of {origin} is broken: `layers` must map layer names to widths and "
            "`summary` be a line of text"
        )
    return _Entry(
        name=name,
        factory=factory,
        layers=dict(layers),
        summary=summary,
        origin=origin,
        missing=missing,
    )


def _load(point: importlib.metadata.EntryPoint) -> DetectorFactory:
    try:
        factory = point.load()
    except Exception as error:  # whatever a third party's import raises
        raise _broken(point.name, _package(point), error) from error
    if not callable(factory):
        raise GenbenchError(
            f"detector {point.name!r} of {_package(point)} is broken: {point.value} cannot be "
            "called; name a class or a function that builds the detector"
        )
    checked: DetectorFactory = factory
    return checked


def _build_foreign(
    entry: _Entry, layers: Sequence[str], weights: Path | None, device: torch.device
) -> Detector:
    try:
        return entry.factory(layers=layers, weights=weights, device=device)
    except GenbenchError:
        raise
    except Exception as error:  # whatever a third party's code raises
        raise _broken(entry.name, entry.origin, error) from error


def _broken(name: str, origin: str, error: Exception) -> GenbenchError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return GenbenchError(f"detector {name!r} of {origin} is broken ({reason}): update that package")
