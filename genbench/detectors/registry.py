"""Detectors by name, genbench's own and strangers' alike: found through entry points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.detectors.contract import (
    LAYERS,
    Detector,
    DetectorFactory,
    DetectorModule,
    DetectorStatus,
    PreparingModule,
)
from genbench.detectors.published_preprocessing import PREPROCESSINGS, resized_alike
from genbench.errors import GenbenchError, UsageError, suggestion
from genbench.runtime.entry_points import (
    Announced,
    announced,
    broken,
    find_announced,
    load_announced,
)
from genbench.weights.files import WeightFile

if TYPE_CHECKING:
    import torch

GROUP = "genbench.detectors"
DEFAULT = "inception"
_KIND = "detector"


def detector_names() -> list[str]:
    """Every announced name, sorted, the default first; imports nobody's code."""
    names = {entry.name for entry in announced(GROUP)}
    return sorted(names, key=lambda name: (name != DEFAULT, name))


def detector_module(name: str) -> DetectorModule:
    """The module that brings a detector, imported.

    Raises UsageError for an unknown name (with the nearest) and one that two packages claim,
    GenbenchError for a package that is broken.
    """
    entry = find_announced(GROUP, name, _KIND)
    return _module_of(entry)


def detector_status(name: str) -> DetectorStatus:
    """What is known of a detector without building it: no network, no weights loaded.

    A package that is broken is reported as not usable, with the reason, and so is a name that two
    packages claim. Raises UsageError for an unknown name.
    """
    owners = ", ".join(entry.owner for entry in announced(GROUP) if entry.name == name)
    try:
        module = detector_module(name)
    except GenbenchError as error:
        if not owners:
            raise
        return DetectorStatus(
            name=name, usable=False, reason=str(error), summary="", layers={}, origin=owners
        )
    missing = module.missing(name)
    return DetectorStatus(
        name=name,
        usable=not missing,
        reason=missing,
        summary=module.summary(name),
        layers=module.layers(name),
        origin=owners,
    )


def preprocessings_of(name: str) -> tuple[str, ...]:
    """The preprocessings that a detector takes by name, its own first; empty for one that always
    does as it does. Raises UsageError for an unknown detector."""
    module = detector_module(name)
    return tuple(module.preprocessings(name)) if isinstance(module, PreparingModule) else ()


def check_choices(name: str, *, preprocessing: str = "", logits_bias: bool = False) -> None:
    """Raises UsageError, without building it, for what a detector cannot be asked: a preprocessing
    that is unknown or that it does not take (with those it does), logits with a bias. At their
    defaults both are everybody's."""
    if preprocessing:
        taken = preprocessings_of(name)
        if preprocessing not in PREPROCESSINGS:
            raise UsageError(
                f"no preprocessing is named {preprocessing}; "
                f"{suggestion(preprocessing, taken or PREPROCESSINGS)}"
            )
        if preprocessing not in taken:
            others = f"only {', '.join(taken)}" if taken else "and none but its own: leave it out"
            if alike := resized_alike(preprocessing, taken):
                others += f" ({alike} resizes alike)"
            raise UsageError(
                f"detector {name} does not take preprocessing {preprocessing}, {others}"
            )
    module = detector_module(name) if logits_bias else None
    if module and not (isinstance(module, PreparingModule) and module.has_logits_bias(name)):
        raise UsageError(
            f"detector {name} gives no choice between logits with and without a bias: leave "
            "logits_bias out of the protocol"
        )


def create_detector(
    name: str,
    *,
    layers: Sequence[str],
    weights: Path | None = None,
    device: torch.device,
    preprocessing: str = "",
    logits_bias: bool = False,
) -> Detector:
    """Build the detector `name` for `layers`; its calls check their input and their features.

    weights: a file to load instead of the published one (or a copy of it). Missing weights are
    downloaded. preprocessing: how images come to its input, of `preprocessings_of(name)`; empty:
    its own. logits_bias: the logits with the classifier's bias. Raises UsageError for an unknown
    name (with the nearest), for a layer that the detector lacks (with those it has) and as
    `check_choices`, GenbenchError for weights that cannot be had or do not fit.
    """
    from genbench.detectors.checked import CheckedDetector

    check_choices(name, preprocessing=preprocessing, logits_bias=logits_bias)
    entry = find_announced(GROUP, name, _KIND)
    module = _module_of(entry)
    have = module.layers(name)
    wanted = tuple(dict.fromkeys(layers))
    if not wanted:
        raise UsageError(
            f"no layer asked of detector {name}: name some of {', '.join(have or LAYERS)}"
        )
    if have and (unknown := [layer for layer in wanted if layer not in have]):
        raise UsageError(
            f"detector {name} has no layer {unknown[0]!r}, only {', '.join(have)}: leave out the "
            "metrics that need it, or choose another detector"
        )
    try:
        if isinstance(module, PreparingModule):
            built = module.create(
                name, layers=wanted, weights=weights, device=device, preprocessing=preprocessing,
                logits_bias=logits_bias,
            )  # fmt: skip
        else:
            built = module.create(name, layers=wanted, weights=weights, device=device)
    except GenbenchError:
        raise
    except (Exception, SystemExit) as error:  # whatever a stranger's code raises
        raise broken(entry, _KIND, f"{type(error).__name__}: {error}") from error
    return CheckedDetector(built, name=name, layers=wanted)


def _module_of(entry: Announced) -> DetectorModule:
    found = load_announced(entry, _KIND)
    if isinstance(found, DetectorModule):
        return found
    if not callable(found):
        raise broken(
            entry, _KIND,
            f"{entry.target} cannot be called; name a class or a function that builds the "
            "detector, or a module with the functions of genbench.detectors.contract",
        )  # fmt: skip
    layers, summary = getattr(found, "layers", {}), getattr(found, "summary", "")
    if not isinstance(layers, Mapping) or not isinstance(summary, str):
        raise broken(
            entry, _KIND, "`layers` must map layer names to widths and `summary` be a line of text"
        )
    return _Factory(found, dict(layers), summary)


@dataclass(frozen=True)
class _Factory:
    """A class or function that builds one detector, as a module of one."""

    factory: DetectorFactory
    widths: Mapping[str, int]
    line: str

    def layers(self, name: str) -> Mapping[str, int]:
        return self.widths

    def summary(self, name: str) -> str:
        return self.line

    def weight(self, name: str) -> WeightFile | None:
        return None

    def missing_code(self, name: str) -> str:
        return ""

    def missing(self, name: str) -> str:
        return ""

    def create(
        self, name: str, *, layers: Sequence[str], weights: Path | None, device: torch.device
    ) -> Detector:
        return self.factory(layers=layers, weights=weights, device=device)
