"""Figures already on record: what would be computed again is returned instead."""

from __future__ import annotations

from collections.abc import Sequence

import genbench
from genbench.detectors.contract import Detector
from genbench.metrics.catalogue import Metric, reported_key
from genbench.records.measurement import Measurement
from genbench.records.protocols import EvalProtocol
from genbench.records.provenance import package_versions


def figures_on_record(
    records: Sequence[Measurement],
    *,
    samples_digest: str,
    reference_digest: str,
    protocol: EvalProtocol,
    detector: Detector,
    metrics: Sequence[Metric],
    counts: Sequence[int],
    interval: bool,
) -> list[Measurement]:
    """The latest record of every metric at every count, or nothing when one of them is lacking.

    A record counts when all that decides its figure is the same: the samples' digest (model,
    weights, options, code, seed, device), the reference's, the protocol's, the detector with its
    weights, and the versions of genbench and of the libraries. interval: it must have one. Metrics
    that the detector or so few samples cannot give are not waited for.
    """
    versions = {"genbench": genbench.__version__, **package_versions()}
    found: dict[tuple[str, int], Measurement] = {}
    for record in records:
        same = (
            record.samples_digest == samples_digest
            and record.protocol_digest == protocol.digest()
            and record.reference_digest in ("", reference_digest)
            and dict(record.detector_identity) == dict(detector.identity)
            and all(record.environment.get(name) == value for name, value in versions.items())
        )
        if same and (record.interval or not interval):
            found[record.metric, record.samples] = record
    wanted = [
        (reported_key(metric, protocol.detector), count)
        for count in counts
        for metric in metrics
        if metric.layer in detector.layers
        and (metric.key != "kid" or min(counts) >= protocol.kid_subset_size)
    ]
    return [found[key] for key in wanted] if all(key in found for key in wanted) else []
