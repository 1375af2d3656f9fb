"""The packages of a record as a lock file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import metadata

from genbench.errors import GenbenchError
from genbench.records.kinds import QualityRecord, Record
from genbench.records.provenance import installed_version

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.!_-]*[A-Za-z0-9])?(?:\+[A-Za-z0-9.]+)?")
# Keys of a detector's identity that are versions of packages.
_OF_DETECTORS = ("torch-fidelity", "efficientnet-lite-pytorch", "timm", "pillow")


def pins(records: Iterable[Record]) -> dict[str, str]:
    """The exact versions on record, by package. Raises GenbenchError for records of several
    environments, for one that tells no versions, and for what is no version."""
    found: dict[str, str] = {}
    for record in records:
        for name, version in _told(record):
            if not (_NAME.fullmatch(name) and _VERSION.fullmatch(version)):
                raise GenbenchError(
                    f"the record's version of {name!a} is {version!a}, which is none: "
                    "the record was changed"
                )
            public = version.partition("+")[0]  # a local build is on no index
            if found.setdefault(name, public) != public:
                raise GenbenchError(
                    f"the records are of several environments ({name} {found[name]} and {public}): "
                    "reproduce one run at a time"
                )
    if not found:
        raise GenbenchError("the records tell no package versions: there is nothing to pin")
    return found


def _told(record: Record) -> Iterator[tuple[str, str]]:
    for name, version in record.environment.packages.items():
        if version != "missing":
            yield name.lower(), version
    if isinstance(record, QualityRecord):
        for name in _OF_DETECTORS:
            if name in record.detector_identity:
                yield name, record.detector_identity[name]


def extras(records: Iterable[Record]) -> list[str]:
    """What genbench must be installed with for the figures, as `genbench[…]` has it."""
    found = set()
    for record in records:
        if isinstance(record, QualityRecord):
            if record.detector.startswith("efficientnet"):
                found.add("offline")
            if record.detector.startswith("dinov2"):
                found.add("dinov2")
            if record.metric == "ct":
                found.add("memorisation")
    return sorted(found)


def installed_beside(pinned: dict[str, str], wanted: Iterable[str]) -> dict[str, str]:
    """What else is installed here for genbench, with its versions; nothing where this is another
    environment than that of the pins, whose other packages nobody told.

    wanted: extras of genbench.
    """
    if any(installed_version(name) != version for name, version in pinned.items()):
        return {}
    found: dict[str, str] = {}
    waiting = [("genbench", frozenset(wanted))]
    while waiting:
        name, asked = waiting.pop()
        for requirement in _requirements(name, asked):
            needed, _, rest = requirement.partition("[")
            if needed not in found and (version := installed_version(needed)):
                found[needed] = version.partition("+")[0]
                inner = rest.partition("]")[0]
                waiting.append((needed, frozenset(filter(None, inner.split(",")))))
    return {name: version for name, version in sorted(found.items()) if name not in pinned}


def _requirements(name: str, asked: frozenset[str]) -> Iterator[str]:
    """What a package requires, as "name[extra,…]", in lower case with dashes."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return
    for line in lines:
        spec, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        if extra is not None and extra[1] not in asked:
            continue
        if found := re.match(r"\s*([A-Za-z0-9._-]+)\s*(\[[^\]]*\])?", spec):
            yield re.sub("[._-]+", "-", found[1]).lower() + (found[2] or "").replace(" ", "")


def lock_file(records: list[Record]) -> str:
    """requirements.lock: the versions on record, and what else is installed here where this is
    that environment."""
    pinned = pins(records)
    beside = installed_beside(pinned, extras(records))
    lines = ["# On the record: these can change a figure."]
    lines += [f"{name}=={version}" for name, version in sorted(pinned.items())]
    lines += [f"# torch on record is the build {build}." for build in sorted(_builds(records))]
    if beside:
        lines.append("# Installed where this file was written, in the environment of the record.")
        lines += [f"{name}=={version}" for name, version in beside.items()]
    else:
        lines += [
            "# What these need in turn is not on record, and this file was written in another",
            "# environment: their newest versions will be installed.",
        ]
    return "\n".join(lines) + "\n"


def _builds(records: Iterable[Record]) -> set[str]:
    """torch with the local part of its version, as detectors tell it."""
    builds = {record.detector_identity.get("torch", "") for record in records
              if isinstance(record, QualityRecord)}  # fmt: skip
    return {build for build in builds if "+" in build and _VERSION.fullmatch(build)}
