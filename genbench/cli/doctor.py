"""`genbench doctor`: what this machine can measure now, and how to get what is missing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from genbench.cli.listing import weight_megabytes
from genbench.detectors.registry import detector_module, detector_names, detector_status
from genbench.errors import GenbenchError
from genbench.models.naming import load_opener, opener_entries
from genbench.models.registry import adapter_entries, load_adapter_class
from genbench.quality.known_references import KnownReference, find_reference, load_references
from genbench.records.protocols import find_protocol
from genbench.records.provenance import cpu_name, git_revision, package_versions
from genbench.runtime.devices import missing_architecture
from genbench.runtime.folders import cache_folder, default_records
from genbench.speed.power import power_monitor
from genbench.version import __version__
from genbench.weights.files import how_to_get, locate


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report. megabytes: of the download it speaks of, where known."""

    subject: str
    good: bool
    text: str
    megabytes: int | None = None


def examine() -> list[Finding]:
    """Everything the doctor looks at; nothing is downloaded."""
    return [
        *_versions(), *devices(), *cache_and_records(), *_detectors(), *_references(), *_models()
    ]  # fmt: skip


def _versions() -> list[Finding]:
    revision = git_revision()
    text = __version__ + (f" ({revision[:12]}{revision[40:]})" if revision else "")
    found = [Finding("genbench", True, text)]
    for name, version in package_versions().items():
        good = version != "missing"
        found.append(Finding(name, good, version if good else f"missing: pip install {name}"))
    return found


def devices() -> list[Finding]:
    """The processor, and each GPU, with what keeps it from being used."""
    found = [Finding("cpu", True, f"{cpu_name()}, {torch.get_num_threads()} threads")]
    if not torch.cuda.is_available():
        text = "none: a CPU gives the same figures but for last digits, slowly"
        return [*found, Finding("gpu", False, text)]
    for number in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(number).total_memory / 2**30
        text = f"{torch.cuda.get_device_name(number)}, {memory:.0f} GiB"
        capability = torch.cuda.get_device_capability(number)
        problem = missing_architecture(capability, torch.cuda.get_arch_list())
        found.append(Finding(f"cuda:{number}", not problem, problem or text))
    power = power_monitor(torch.device("cuda:0")) is not None
    text = "ready" if power else "power and clocks are not read: pip install nvidia-ml-py"
    found.append(Finding("nvml", power, text))
    bits = "those of one name give equal bits; another name or a CPU rounds otherwise"
    return [*found, Finding("figures of a GPU", True, bits)]


def cache_and_records() -> list[Finding]:
    """Where genbench keeps things."""
    cache, records = cache_folder(), default_records()
    return [
        Finding("cache", True, f"{cache} ({_free(cache)}; set GENBENCH_CACHE to move it)"),
        Finding("records", True, f"{records} (set GENBENCH_RECORDS to move it)"),
    ]


def _free(path: Path) -> str:
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return f"{shutil.disk_usage(existing).free / 2**30:.1f} GiB free"


def _detectors() -> list[Finding]:
    return [_detector(name) for name in detector_names()]


def _detector(name: str) -> Finding:
    status = detector_status(name)
    told = status.summary if status.usable else status.reason
    return Finding(f"detector {name}", status.usable, told, weight_megabytes(name))


def _references() -> list[Finding]:
    return [_reference(known) for known in load_references().values()]


def _reference(known: KnownReference) -> Finding:
    told = str(known.place) if known.here else known.how_to_get
    return Finding(f"reference {known.name}", known.here, told, known.megabytes or None)


def examine_protocol(name: str) -> list[Finding]:
    """What measuring under a protocol needs on this machine, one finding a file or package.

    Raises UsageError for an unknown protocol, with the nearest.
    """
    protocol = find_protocol(name)
    found = _detector_needs(protocol.detector)
    known = find_reference(protocol.reference)
    if known is not None:
        found.append(_reference(known))
    elif protocol.reference:
        found.append(Finding(f"reference {protocol.reference}", True, "comes with genbench"))
    else:
        told = "the protocol has none of its own: pass --ref IMAGES, or a file of statistics"
        found.append(Finding("reference", False, told))
    return found


def _detector_needs(name: str) -> list[Finding]:
    """The weights file and the package of a detector; of one that says nothing of either, or is
    broken, whether it can be used."""
    try:
        module = detector_module(name)
    except GenbenchError:
        return [_detector(name)]
    weight, lacking = module.weight(name), module.missing_code(name)
    if weight is None and not lacking:
        return [_detector(name)]
    found = []
    if weight is not None:
        path = locate(weight, None)
        size = f" (~{weight.megabytes} MB)" if weight.megabytes else ""
        told = f"fetched on first use{size}, or by hand: {how_to_get(weight)}"
        told = str(path) if path else told
        found.append(Finding(f"weights of {name}", bool(path), told, weight.megabytes or None))
    told = lacking or module.summary(name)
    return [*found, Finding(f"code of {name}", not lacking, told)]


def _models() -> list[Finding]:
    found = []
    for entry in adapter_entries():
        try:
            cards = load_adapter_class(entry).cards
            told = f"{len(cards)} variant{'s' * (len(cards) != 1)}"
            found.append(Finding(f"model {entry.name}", True, told))
        except GenbenchError as error:
            found.append(Finding(f"model {entry.name}", False, str(error)))
    for entry in opener_entries():
        try:
            opener = load_opener(entry)
            lacking, name = opener.lacking(), f"models {entry.name}:{opener.takes}"
            found.append(Finding(name, not lacking, lacking or opener.about))
        except GenbenchError as error:
            found.append(Finding(f"models {entry.name}:…", False, str(error)))
    return found
