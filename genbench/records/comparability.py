"""Whether two figures of one metric, count and protocol say something about each other."""

from __future__ import annotations

from collections.abc import Mapping

from genbench.records.kinds import QualityRecord, Record

# Of a detector's identity: what moves features by rounding alone.
ROUNDING = frozenset(
    {"device", "torch", "torch-fidelity", "efficientnet-lite-pytorch", "timm", "pillow"}
)


def other_detector(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """In what two identities of one detector decisively differ, in words; empty: in nothing that
    both tell."""
    for key, value in one.items():
        there = other.get(key, value)
        if key not in ROUNDING and there != value:
            return f"{key} {_short(value)} against {_short(there)}"
    return ""


def rounds_otherwise(one: Record, other: Record) -> list[str]:
    """What may move last digits between two figures of quality that compare: device, library
    versions."""
    if not (isinstance(one, QualityRecord) and isinstance(other, QualityRecord)):
        return []
    first, second = one.detector_identity, other.detector_identity
    return [key for key in first if key in ROUNDING and first[key] != second.get(key, first[key])]


def incomparable(one: Record, other: Record) -> str:
    """Why two figures do not compare although their protocol is one: another reference, or another
    detector of the same name. Empty when they do."""
    if not (isinstance(one, QualityRecord) and isinstance(other, QualityRecord)):
        return ""
    digests = (one.reference_digest, other.reference_digest)
    if digests[0] != digests[1]:
        return (
            f"reference {one.reference or 'not told'} [{digests[0][:12]}] against "
            f"{other.reference or 'not told'} [{digests[1][:12]}]"
        )
    told = {one.reference_labels_digest, other.reference_labels_digest} - {""}
    if len(told) > 1:
        return f"other labels of the reference {one.reference or 'not told'}"
    if bool(one.detector_identity) != bool(other.detector_identity):
        return f"{one.detector}: only one of the records says of which weights"
    if difference := other_detector(one.detector_identity, other.detector_identity):
        return f"another {one.detector}: {difference}"
    return ""


def _short(value: str) -> str:
    return value if len(value) < 40 else f"{value[:12]}…"
