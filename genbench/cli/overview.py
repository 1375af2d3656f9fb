"""`genbench doctor` on one screen: what works now, what a download adds, what is missing."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from urllib.parse import urlparse

import torch

from genbench.cli.doctor import cache_and_records, devices
from genbench.cli.listing import is_ready
from genbench.detectors.contract import DetectorStatus
from genbench.detectors.registry import detector_module, detector_names, detector_status
from genbench.errors import GenbenchError
from genbench.models.contract import ModelCard
from genbench.models.registry import adapter_entries, load_adapter_class
from genbench.quality.known_references import KnownReference, find_reference, load_references
from genbench.records.protocols import load_protocols
from genbench.runtime.native import has_compiler
from genbench.version import __version__

Lines = list[tuple[str, ...]]
_FLOAT32 = 4  # bytes a parameter


def look_around() -> list[tuple[str, Lines]]:
    """Headings, each with its lines of two columns or three; nothing is downloaded."""
    statuses = [detector_status(name) for name in detector_names()]
    models, broken = _models()
    return [
        ("This machine", _machine()),
        ("You can do now", [*_ready_models(models), *_ready_measures(statuses)]),
        ("After a download", [*_detectors(statuses), *_references(), *_weights(models)]),
        ("Missing", [*broken, *_code(statuses), *_machinery()]),
        ("More: genbench doctor --verbose, genbench ls", []),
    ]


def _machine() -> Lines:
    versions = f"{__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    return [
        ("genbench", versions),
        *((finding.subject, finding.text) for finding in devices() if finding.good),
        *((finding.subject, finding.text) for finding in cache_and_records()),
    ]


def _models() -> tuple[dict[str, Sequence[ModelCard]], Lines]:
    """Variants by family; and the families whose packages are broken."""
    cards: dict[str, Sequence[ModelCard]] = {}
    broken: Lines = []
    for entry in adapter_entries():
        try:
            cards[entry.name] = load_adapter_class(entry).cards
        except GenbenchError as error:
            broken.append((f"model {entry.name}", str(error)))
    return cards, broken


def _sizes(cards: Sequence[ModelCard]) -> str:
    return ", ".join(str(size) for size in sorted({card.resolution for card in cards}))


def _ready_models(models: dict[str, Sequence[ModelCard]]) -> Iterator[tuple[str, str]]:
    by_sizes: dict[str, list[str]] = {}
    for name, cards in models.items():
        if ready := [card for card in cards if is_ready(card)]:
            by_sizes.setdefault(_sizes(ready), []).append(name)
    told = "; ".join(f"{', '.join(names)} at {sizes}" for sizes, names in by_sizes.items())
    yield "sample", f"{told} pixels" if told else "no model: none has its weights here"
    yield "time", "speed needs no weights: genbench throughput, at any size that fits"


def _ready_measures(statuses: Sequence[DetectorStatus]) -> Iterator[tuple[str, str]]:
    usable = {status.name for status in statuses if status.usable}
    protocols = [
        name for name, protocol in load_protocols().items()
        if protocol.detector in usable and not _lacks(protocol.reference)
    ]  # fmt: skip
    yield (
        "measure",
        (f"under protocol {', '.join(protocols)}" if protocols else "no protocol: see below"),
    )
    yield "detect with", ", ".join(sorted(usable)) or "no detector: see below"


def _lacks(reference: str) -> bool:
    known = find_reference(reference)
    return known is not None and not known.here


def _detectors(statuses: Sequence[DetectorStatus]) -> Iterator[tuple[str, ...]]:
    """Detectors that lack their weights, those of one family in one line."""
    families: dict[str, list[tuple[int, str, str]]] = {}
    for status in statuses:
        if status.usable:
            continue
        try:
            weight = detector_module(status.name).weight(status.name)
        except GenbenchError:
            continue
        if weight is not None:
            family = status.name.split("-")[0]
            host = ".".join(urlparse(weight.url).netloc.split(".")[-2:])
            families.setdefault(family, []).append((weight.megabytes, host, status.name))
    for family, members in families.items():
        name = members[0][2] if len(members) == 1 else f"{family}-* ({len(members)})"
        fits = ": FID, sFID, IS" if family == "inception" else ""
        yield (
            f"detector {name}", _range([size for size, _, _ in members]),
            f"on first use, from {members[0][1]}{fits}",
        )  # fmt: skip


def _references() -> Iterator[tuple[str, ...]]:
    """Published references that are not here, those of one format in one line."""
    formats: dict[str, list[KnownReference]] = {}
    for known in load_references().values():
        if not known.here:
            formats.setdefault(known.format, []).append(known)
    for name, lacking in formats.items():
        about = _range([known.megabytes for known in lacking])
        told = "genbench fetch NAME: genbench ls references"
        yield f"references, {name} ({len(lacking)})", about, told


def _weights(models: dict[str, Sequence[ModelCard]]) -> Iterator[tuple[str, ...]]:
    own = []
    for name, cards in models.items():
        lacking = [card for card in cards if not is_ready(card)]
        published = [card for card in lacking if card.checkpoint and card.checkpoint.url]
        if published:
            sizes = [card.parameters * _FLOAT32 // 10**6 for card in published]
            told = f"at {_sizes(published)}: genbench fetch VARIANT, of genbench ls {name}"
            yield f"weights of {name}", _range(sizes), told
        if any(card not in published for card in lacking):
            own.append(name)
    if own:
        told = "bring your own: genbench ls MODEL"
        yield f"weights of {', '.join(own)}", "", told


def _range(megabytes: Sequence[int]) -> str:
    known = sorted({size for size in megabytes if size})
    if not known:
        return ""
    least, most = _size(known[0]), _size(known[-1])
    return f"~{least}" if least == most else f"~{least} … {most}"


def _size(megabytes: int) -> str:
    return f"{megabytes} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def _code(statuses: Sequence[DetectorStatus]) -> Iterator[tuple[str, str]]:
    """What detectors lack besides weights, each once."""
    reasons: dict[str, list[str]] = {}
    for status in statuses:
        try:
            lacking = detector_module(status.name).missing_code(status.name)
        except GenbenchError as error:
            lacking = str(error)
        if lacking:
            reasons.setdefault(lacking, []).append(status.name)
    for reason, names in reasons.items():
        family = names[0] if len(names) == 1 else f"{names[0].split('-')[0]}-*"
        yield f"detector {family}", reason.partition(" (")[0]


def _machinery() -> Iterator[tuple[str, str]]:
    for finding in devices():
        if not finding.good:
            yield finding.subject, finding.text
    if not has_compiler():
        told = "--compile needs one, and on a CPU ADM draws faster: apt install g++, or set CXX"
        yield "C++ compiler", told
    if find_spec("matplotlib") is None:
        yield "matplotlib", "no figures in the report: pip install 'genbench[report]'"
    if find_spec("efficientnet_lite_pytorch") is None:
        yield "efficientnet-lite", "no detector works offline: pip install 'genbench[offline]'"
