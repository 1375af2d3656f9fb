"""Figures already on record: what would be computed again is returned instead."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from genbench.detectors.contract import Detector
from genbench.metrics.catalogue import reported_key
from genbench.quality.feasible import Figure
from genbench.quality.source import labels_digest
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
    labels: Tensor | None = None,
    reference_labels: Tensor | None = None,
) -> list[QualityRecord]:
    """The latest record of every figure, or nothing when one of them is lacking.

    A record counts when all that decides its figure is the same: the samples' digest (model,
    weights, options, code, seed, device), the reference's, the protocol's, the detector with its
    weights, and the versions of genbench and of the libraries; where a metric needs labels, these:
    int64 [N] of the samples, [M] of the reference. figures: those that can be had.
    interval: it must have one. name: of the run, which it must then bear.
    """
    found: dict[tuple[str, int, str, str], QualityRecord] = {}
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
            told = record.labels_digest, record.reference_labels_digest
            found[record.metric, record.samples, *told] = record
    wanted = []
    for metric, count in figures:
        own = labels_digest(labels[:count]) if metric.labelled and labels is not None else ""
        compared = labels_digest(reference_labels) if metric.labelled else ""
        key = reported_key(metric, protocol.detector)
        wanted.append((key, count, own, compared if metric.needs_reference else ""))
    return [found[key] for key in wanted] if all(key in found for key in wanted) else []
