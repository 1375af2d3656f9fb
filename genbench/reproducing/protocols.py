"""The protocol of a record as options of `genbench fid`, proved by its digest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from genbench.detectors.published_preprocessing import PREPROCESSINGS
from genbench.errors import GenbenchError
from genbench.records.kinds import QualityRecord
from genbench.records.protocols import (
    EvalProtocol,
    load_protocols,
    with_options,
    with_weights,
)


@dataclass(frozen=True, kw_only=True)
class RecordedProtocol:
    """A protocol found again. words: the options that choose it. weights: SHA-256 of the detector's
    weights that the user brought; empty: the published ones."""

    protocol: EvalProtocol
    words: tuple[str, ...]
    weights: str = ""


def recorded_protocol(record: QualityRecord) -> RecordedProtocol:
    """The protocol that a record names, with the changes that its options made: the only one whose
    digest is the record's. Raises GenbenchError where this genbench has none."""
    name = record.protocol.rstrip("*")
    base = load_protocols().get(name)
    if base is None:
        raise GenbenchError(
            f"protocol {record.protocol} [{record.protocol_digest}] is none of this genbench's "
            f"(`genbench ls protocols`): use the one that measured, {_version(record)}"
        )
    for candidate in _candidates(base, record):
        if candidate.protocol.digest() == record.protocol_digest:
            return candidate
    raise GenbenchError(
        f"protocol {record.protocol} is [{record.protocol_digest}] on record and "
        f"[{base.digest()}] here, whatever options change it: use the genbench that measured, "
        f"{_version(record)}"
    )


def _version(record: QualityRecord) -> str:
    environment = record.environment
    return environment.genbench + (f" at {environment.git}" if environment.git else "")


def _candidates(base: EvalProtocol, record: QualityRecord) -> Iterator[RecordedProtocol]:
    """The protocol itself, then as every combination of options would change it."""
    detector = "" if record.detector in ("features", base.detector) else record.detector
    # A model's size is its card's; images are brought to --res.
    sizes = (0,) if record.card or base.resolution else (0, record.resolution)
    files = dict.fromkeys(("", record.detector_identity.get("weights_sha256", "")))
    for crop, size, preprocessing, weights in product(
        ("", "adm", "resize"), sizes, ("", *PREPROCESSINGS), files
    ):
        changed = with_options(
            base, detector=detector, preprocessing=preprocessing, crop=crop, resolution=size
        )
        options = {
            "--protocol": base.name, "--detector": detector, "--preprocessing": preprocessing,
            "--crop": crop, "--res": str(size or ""),
        }  # fmt: skip
        yield RecordedProtocol(
            protocol=with_weights(changed, weights) if weights else changed,
            words=tuple(word for pair in options.items() if pair[1] for word in pair),
            weights=weights,
        )
