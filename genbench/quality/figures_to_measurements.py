"""Metric values to records: everything needed to cite a number, on the line with the number."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime

from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import reported_key
from genbench.quality.features import FeatureSet, mean_evaluations
from genbench.quality.few_samples import MetricValue
from genbench.quality.metric_values import Reference
from genbench.quality.source import labels_digest
from genbench.records.kinds import QualityRecord
from genbench.records.measurement import Environment, Subject
from genbench.records.protocols import EvalProtocol


def run_template(
    subject: Subject,
    protocol: EvalProtocol,
    *,
    samples_digest: str,
    detector: str,
    identity: Mapping[str, str],
    environment: Environment,
    notes: tuple[str, ...] = (),
    name: str = "",
) -> QualityRecord:
    """A record without a number: what all figures of one run have in common."""
    told = {item.name: getattr(subject, item.name) for item in fields(Subject)}
    return QualityRecord(
        **told,
        metric="",
        value=0.0,
        unit="",
        samples=0,
        detector=detector,
        detector_identity=dict(identity),
        protocol=protocol.name,
        protocol_digest=protocol.digest(),
        run=uuid.uuid4().hex[:12],
        environment=environment,
        samples_digest=samples_digest,
        notes=notes,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        name=name,
    )


def recorded(
    template: QualityRecord,
    values: Sequence[MetricValue],
    reference: Reference | None,
    training: FeatureSet | None = None,
    notes: Mapping[int, tuple[str, ...]] | None = None,
    labels: Tensor | None = None,
) -> list[QualityRecord]:
    """One record a value, in the order given. notes: on the samples, by their count. labels: of the
    samples, int64 [N]."""
    told = notes or {}
    return [
        _filled(replace(template, notes=(*template.notes, *told.get(value.count, ()))), value,
                reference, training, labels)
        for value in values
    ]  # fmt: skip


def with_evaluations(measured: Sequence[QualityRecord], samples: FeatureSet) -> list[QualityRecord]:
    """The records with the network calls that their samples took, counted when drawn."""
    counted = {n: mean_evaluations(samples, n) for n in {item.samples for item in measured}}
    return [
        replace(item, nfe=counted[item.samples][0], nfe_guidance=counted[item.samples][1])
        for item in measured
    ]


def _filled(
    template: QualityRecord,
    value: MetricValue,
    reference: Reference | None,
    training: FeatureSet | None,
    labels: Tensor | None,
) -> QualityRecord:
    metric, estimate = value.metric, value.estimate
    if not math.isfinite(estimate.value):
        raise GenbenchError(
            f"{reported_key(metric, template.detector)} at {value.count} samples is "
            f"{estimate.value}: look at the samples, the reference and their features; it is not "
            "recorded"
        )
    filled = replace(
        template,
        metric=reported_key(metric, template.detector),
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        interval=estimate.interval,
        unit=metric.unit,
        samples=value.count,
        settings=value.settings,
        singular=estimate.singular,
        exact=estimate.exact,
        reference_bias=estimate.reference_bias,
        notes=(*template.notes, *value.notes),
    )
    if metric.training and training is not None:
        filled = replace(filled, training=training.name, training_digest=training.digest)
    if metric.labelled and labels is not None:
        filled = replace(filled, labels_digest=labels_digest(labels[: value.count]))
    if not metric.needs_reference or reference is None:
        return filled
    return replace(
        filled,
        reference=reference.name,
        reference_digest=reference.digest,
        reference_samples=reference.images_behind(metric),
        reference_labels_digest=labels_digest(reference.labels) if metric.labelled else "",
        notes=(*filled.notes, *(reference.notes if reference.by_statistics(metric) else ())),
    )
