"""Figures already on record: what would be computed again is returned instead."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.detectors.contract import Detector
from genbench.metrics.catalogue import reported_key
from genbench.quality.feasible import Figure
from genbench.records.kinds import QualityRecord, Record
from genbench.records.protocols import EvalProtocol
from genbench.records.provenance import package_versions
from genbench.version import __version__


def figures_on_record(
    records: Sequence[Record],
    *,
    samples_digest: str,
    reference_digest: str,
    protocol: EvalProtocol,
    detector: Detector,
    figures: Sequence[Figure],
    interval: bool,
    name: str = "",
    training_digest: str = "",
) -> list[QualityRecord]:
    """The latest record of every figure, or nothing when one of them is lacking.

    A record counts when all that decides its figure is the same: the samples' digest (model,
    weights, options, code, seed, device), the reference's, the protocol's, the detector with its
    weights, and the versions of genbench and of the libraries. figures: those that can be had.
    interval: it must have one. name: of the run, which it must then bear.
    """
    found: dict[tuple[str, int], QualityRecord] = {}
    for record in records:
        if not isinstance(record, QualityRecord):
            continue
        same = (
            record.samples_digest == samples_digest
            and record.protocol_digest == protocol.digest()
            and record.reference_digest in ("", reference_digest)
            and record.training_digest in ("", training_digest)
            and dict(record.detector_identity) == dict(detector.identity)
            and record.environment.genbench == __version__
            and package_versions().items() <= record.environment.packages.items()
        )
        if same and (record.interval or not interval) and name in ("", record.name):
            found[record.metric, record.samples] = record
    wanted = [(reported_key(metric, protocol.detector), count) for metric, count in figures]
    return [found[key] for key in wanted] if all(key in found for key in wanted) else []
