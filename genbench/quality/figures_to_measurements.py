"""Figures to measurements: everything needed to cite a number, on the line with the number."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import torch

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import reported_key
from genbench.models.description import describe_model
from genbench.models.source import ModelSource
from genbench.quality.features import FeatureSet, SetSource, Source, mean_evaluations
from genbench.quality.metric_values import Figure, Reference
from genbench.records.measurement import Measurement
from genbench.records.protocols import EvalProtocol
from genbench.records.provenance import describe_environment
from genbench.runtime.distributed import World


def run_template(
    samples: FeatureSet,
    protocol: EvalProtocol,
    *,
    detector: str,
    identity: Mapping[str, str],
    device: torch.device,
    world: World,
) -> Measurement:
    """A measurement without a number: what all figures of one run have in common."""
    return Measurement(
        model=samples.name,
        resolution=0,
        metric="",
        value=0.0,
        unit="",
        samples=0,
        detector=detector,
        detector_identity=dict(identity),
        protocol=protocol.name,
        protocol_digest=protocol.digest(),
        checkpoint="",
        seed=None,
        run=uuid.uuid4().hex[:12],
        environment=describe_environment(device, world.size),
        samples_digest=samples.digest,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def describe_source(template: Measurement, source: Source) -> Measurement:
    """The template with where the images came from: a model and its settings, or an image set."""
    if isinstance(source, ModelSource):
        return describe_model(template, source)
    if isinstance(source, SetSource):
        return replace(template, resolution=source.set.size[0])
    return template


def recorded(
    template: Measurement, figures: Sequence[Figure], reference: Reference | None
) -> list[Measurement]:
    """One measurement a figure, in the order given."""
    return [_filled(template, figure, reference) for figure in figures]


def with_evaluations(measured: Sequence[Measurement], samples: FeatureSet) -> list[Measurement]:
    """The measurements with the network calls that their samples took, counted when drawn."""
    counted = {n: mean_evaluations(samples, n) for n in {item.samples for item in measured}}
    return [
        replace(item, nfe=counted[item.samples][0], nfe_guidance=counted[item.samples][1])
        for item in measured
    ]


def _filled(template: Measurement, figure: Figure, reference: Reference | None) -> Measurement:
    if not math.isfinite(figure.estimate.value):
        raise GenbenchError(
            f"{figure.metric.title} at {figure.count} samples is {figure.estimate.value}: look at "
            "the samples and the features; it is not recorded"
        )
    filled = replace(
        template,
        metric=reported_key(figure.metric, template.detector),
        value=figure.estimate.value,
        low=figure.estimate.low,
        high=figure.estimate.high,
        interval=figure.estimate.interval,
        unit=figure.metric.unit,
        samples=figure.count,
        settings=dict(figure.settings),
        notes=(*template.notes, *figure.notes),
    )
    if not figure.metric.needs_reference or reference is None:
        return filled
    return replace(
        filled,
        reference=reference.name,
        reference_digest=reference.digest,
        reference_samples=reference.count,
    )
