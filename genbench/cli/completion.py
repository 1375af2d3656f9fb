"""What the shell completes after <tab>: names, found without importing what they name."""

from __future__ import annotations

from collections.abc import Iterable

# Copies of what only modules with torch know, which would be a second for each <tab>.
ARITHMETICS = ("float32", "tf32", "float16", "bfloat16")
AUDITS = ("adm-table7", "adm-table10")


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def models(incomplete: str) -> list[str]:
    """Model families that installed packages announce, and what opens others' models."""
    from genbench.models.naming import opener_entries
    from genbench.models.registry import adapter_entries

    openers = {f"{entry.name}:" for entry in opener_entries()}
    return _starting({entry.name for entry in adapter_entries()} | openers, incomplete)


def detectors(incomplete: str) -> list[str]:
    """Detectors that installed packages announce."""
    from genbench.detectors.registry import detector_names

    return _starting(detector_names(), incomplete)


def preprocessings(incomplete: str) -> list[str]:
    """Preprocessings of published protocols."""
    from genbench.detectors.published_preprocessing import PREPROCESSINGS

    return _starting(PREPROCESSINGS, incomplete)


def protocols(incomplete: str) -> list[str]:
    """Protocols of protocols.toml."""
    from genbench.records.protocols import load_protocols

    return _starting(load_protocols(), incomplete)


def references(incomplete: str) -> list[str]:
    """Published references of references.toml."""
    from genbench.quality.known_references import load_references

    return _starting((name for name in load_references() if "*" not in name), incomplete)


def fetched(incomplete: str) -> list[str]:
    """What `genbench fetch` takes by name, but for variants, which only their packages know."""
    found = [models, detectors, protocols, references]
    return sorted({name for names in found for name in names(incomplete)})


def metrics(incomplete: str) -> list[str]:
    """Metrics, under the names that Inception gives them and under their own."""
    from genbench.metrics.catalogue import METRICS

    return _starting({*METRICS, *(item.generic_key for item in METRICS.values())}, incomplete)


def tables(incomplete: str) -> list[str]:
    """Tables of published numbers."""
    from genbench.tables.specs import spec_names

    return _starting(spec_names(), incomplete)


def gpus(incomplete: str) -> list[str]:
    """GPUs of gpus.toml and their short names."""
    from genbench.speed.datasheets import known_gpus

    known = known_gpus().values()
    return _starting({name for gpu in known for name in (gpu.name, *gpu.aliases)}, incomplete)


def lists(incomplete: str) -> list[str]:
    """What `genbench ls` lists, the models among it."""
    from genbench.cli.listing import LISTED

    return _starting({*LISTED, *models("")}, incomplete)


def audits(incomplete: str) -> list[str]:
    """Audits of papers' tables."""
    return _starting(AUDITS, incomplete)


def arithmetics(incomplete: str) -> list[str]:
    """Values of --dtype."""
    return _starting(ARITHMETICS, incomplete)
