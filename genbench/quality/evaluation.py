"""The quality job: samples and a reference in, records out; resumable and distributed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from genbench.detectors.contract import Detector
from genbench.detectors.published_weights import detector_weight, fetch_weights
from genbench.detectors.registry import create_detector, detector_status
from genbench.errors import UsageError
from genbench.images.opening import open_image_set
from genbench.images.sets import ImageSet
from genbench.metrics.catalogue import METRICS, Metric, metric_named
from genbench.models.opening import ResolvedModel, open_model
from genbench.quality.counts import notes_on_parts, sample_counts, warn_of_order
from genbench.quality.feasible import Comparable, Figure, Means, feasible
from genbench.quality.features import ArrayFeatures, FeatureSet, extract_features
from genbench.quality.few_samples import MetricValue
from genbench.quality.figures_to_measurements import recorded, run_template, with_evaluations
from genbench.quality.metric_values import MetricJob, Reference
from genbench.quality.references import (
    OpenedReference,
    open_reference,
    published_layers,
    refuse_statistics_of_others,
    suited_to,
)
from genbench.quality.reuse import figures_on_record
from genbench.quality.source import SetSource, Source
from genbench.quality.statistics_files import read_features
from genbench.quality.strips import keep_strip
from genbench.records.kinds import QualityRecord, Record
from genbench.records.measurement import Environment, Subject
from genbench.records.protocols import EvalProtocol, with_weights
from genbench.records.provenance import describe_environment
from genbench.runtime.arithmetic import FLOAT32, arithmetic_named, pinned
from genbench.runtime.digests import file_sha256
from genbench.runtime.distributed import World
from genbench.runtime.folders import cache_folder
from genbench.runtime.progress import Reporter
from genbench.weights.files import matches

OWN_FEATURES = "features"  # the detector's name when the user brings the features


@dataclass(frozen=True, kw_only=True)
class QualityRequest:
    """What to measure. One of samples, model and features names the samples.

    samples: an image-set spec, or a source that is open already. reference: a spec, or a set.
    """

    protocol: EvalProtocol
    samples: str | Source = ""
    model: ResolvedModel | None = None
    features: Path | None = None
    reference: str | ImageSet = ""  # empty: the protocol's
    reference_features: Path | None = None
    counts: tuple[int, ...] = ()  # empty: the protocol's, or all there is
    metrics: tuple[str, ...] = ()  # empty: the protocol's, as far as they can be had
    detector_weights: Path | None = None
    interval: bool = False
    cache: Path | None = None
    known: tuple[Record, ...] = ()  # figures that need no computing where all is as it was
    name: str = ""  # of the run


@dataclass
class _Job:
    request: QualityRequest
    world: World
    device: torch.device
    reporter: Reporter


def evaluate(
    request: QualityRequest, *, world: World, device: torch.device, reporter: Reporter
) -> list[QualityRecord]:
    """Measure samples against a reference under a protocol.

    Returns the records on rank 0 and an empty list on the other ranks. Raises GenbenchError or
    UsageError with the remedy; features computed so far stay in the cache.
    """
    _check_words(request)
    request = _own_weights(request)
    job = _Job(request, world, device, reporter)
    if request.features is not None:
        return _evaluate_features(job, request.features)
    metrics = [metric_named(name) for name in request.metrics or request.protocol.metrics]
    source = _open_source(job)
    counts = sample_counts(request.counts, request.protocol, source.count, reporter)
    parts = notes_on_parts(source, counts, reporter)
    # Everything that can fail at once comes before everything that takes long.
    compares = any(metric.needs_reference for metric in metrics)
    opened = _open_reference(job, source) if compares else None
    if request.detector_weights is None:
        fetch_weights(request.protocol.detector, reporter)
    detector = create_detector(
        request.protocol.detector,
        layers=_layers(request, metrics),
        weights=request.detector_weights,
        device=device,
    )
    opened = suited_to(opened, detector) if opened else None
    for note in opened.notes if opened else ():
        reporter.note(note)
    figures = _feasible(job, metrics, counts, opened, detector.layers)
    kept = figures_on_record(
        request.known, samples_digest=source.digest(),
        reference_digest=opened.digest if opened else "", protocol=request.protocol,
        detector=detector, figures=figures, interval=request.interval, name=request.name,
    )  # fmt: skip
    if kept:
        reporter.note(f"{source.name}: on record already, nothing changed: not computed again")
        return kept if world.leads else []
    possible = [metric for metric, _ in figures]
    reference = _reference(job, opened, detector, possible) if opened else None
    keep = partial(keep_strip, _cache(job), source.digest())
    samples = _extract(job, source, detector, list(detector.layers), max(counts), keep)
    if not world.leads:
        return []
    if not request.protocol.is_shuffle:
        warn_of_order(source, possible, max(counts), reporter)
    values = _values(job, samples, reference, figures)
    run = run_template(
        source.subject(), request.protocol, samples_digest=samples.digest, detector=detector.name,
        identity=detector.identity, environment=_environment(job, source.subject()),
        notes=_weights_note(request), name=request.name,
    )  # fmt: skip
    measured = recorded(run, values, reference, parts)
    return with_evaluations(measured, samples) if source.counts_evaluations else measured


def _check_words(request: QualityRequest) -> None:
    given = [request.samples != "", request.model is not None, request.features is not None]
    if sum(given) != 1:
        raise UsageError("name the samples by exactly one of --samples, --model and --features")
    if request.features is None and request.reference_features is not None:
        raise UsageError("--ref-features goes with --features; images are compared with --ref")
    if request.features is not None and request.reference != "":
        raise UsageError("--ref holds images; compare --features with --ref-features")


def _evaluate_features(job: _Job, path: Path) -> list[QualityRecord]:
    request = job.request
    if not job.world.leads:
        return []
    samples = _feature_file(path)
    reference = None
    if request.reference_features is not None:
        features = _feature_file(request.reference_features)
        reference = Reference(features.name, features.digest, features)
    metrics = [metric_named(name) for name in request.metrics or tuple(METRICS)]
    counts = sample_counts(
        request.counts, request.protocol, samples.count, job.reporter, usual_alone=True
    )
    figures = _feasible(job, metrics, counts, reference, set(samples.arrays))
    values = _values(job, samples, reference, figures)
    subject = Subject(model=samples.name, resolution=0)
    run = run_template(
        subject, request.protocol, samples_digest=samples.digest, detector=OWN_FEATURES,
        identity={}, environment=_environment(job, subject), name=request.name,
    )  # fmt: skip
    return recorded(run, values, reference)


def _environment(job: _Job, subject: Subject) -> Environment:
    """Where it was computed, with the switches that were pinned while the images were drawn; an
    image set's only met the detector, which computes in float32."""
    drawn_in = arithmetic_named(subject.arithmetic) if subject.arithmetic else FLOAT32
    with pinned(drawn_in):
        return describe_environment(job.device, job.world.size)


def _feature_file(path: Path) -> ArrayFeatures:
    arrays = read_features(path)
    by_layer = {"pool" if key == "features" else key: value for key, value in arrays.items()}
    return ArrayFeatures(path.name, file_sha256(path), by_layer)


def _open_source(job: _Job) -> Source:
    request, protocol = job.request, job.request.protocol
    if request.model is not None:
        return open_model(request.model, job.device)
    if not isinstance(request.samples, str):
        return request.samples
    return SetSource(
        open_image_set(request.samples, crop=protocol.crop, resolution=protocol.resolution)
    )


def _layers(request: QualityRequest, metrics: Sequence[Metric]) -> list[str]:
    """The layers to ask the detector for: those it has, unless the user named the metrics."""
    layers = sorted({metric.layer for metric in metrics})
    have = detector_status(request.protocol.detector).layers
    if request.metrics or not have:
        return list(layers)
    return [layer for layer in layers if layer in have]


def _own_weights(request: QualityRequest) -> QualityRequest:
    """The request under a protocol of its own where the user brings other weights than the
    detector's published ones."""
    given, published = request.detector_weights, detector_weight(request.protocol.detector)
    if given is None or not given.is_file() or (published and matches(published, given)):
        return request
    return replace(request, protocol=with_weights(request.protocol, file_sha256(given)))


def _weights_note(request: QualityRequest) -> tuple[str, ...]:
    """Names alone do not make a FID: say so when the detector's weights are somebody's own."""
    published, given = detector_weight(request.protocol.detector), request.detector_weights
    if given is None or published is None or not request.protocol.weights:
        return ()
    return (
        f"{given.name} is not the published weights of {request.protocol.detector} "
        f"({published.filename}): compare only with figures from the same file",
    )


def _open_reference(job: _Job, source: Source) -> OpenedReference:
    protocol = job.request.protocol
    named = job.request.reference
    wanted = protocol.reference if isinstance(named, str) and not named else named
    if isinstance(wanted, str) and not wanted:
        raise UsageError(
            f"protocol {protocol.name} names no reference: pass --ref IMAGES, or --protocol bundled"
        )
    opened = open_reference(wanted, crop=protocol.crop, size=source.size)
    refuse_statistics_of_others(opened, protocol.detector)
    # As the protocol spells it ("bundled[:500]"), so that a table knows it again.
    return opened if wanted is named else replace(opened, name=protocol.reference)


def _reference(
    job: _Job, opened: OpenedReference, detector: Detector, metrics: Sequence[Metric]
) -> Reference:
    """The reference with its features, as far as published statistics do not replace them."""
    known = published_layers(opened.statistics)
    needed = {
        metric.layer
        for metric in metrics
        if metric.needs_reference
        and metric.layer in detector.layers
        and not (metric.compares == "moments" and metric.layer in known)
    }
    features: FeatureSet | None = None
    if opened.images is not None and needed:
        source = SetSource(opened.images)
        features = _extract(job, source, detector, sorted(needed), len(opened.images))
    return Reference(opened.name, opened.digest, features, opened.statistics, opened.notes)


def _extract(
    job: _Job, source: Source, detector: Detector, layers: Sequence[str], count: int,
    first: Callable[[Tensor], object] | None = None,
) -> FeatureSet:  # fmt: skip
    root = _cache(job) / "features"
    return extract_features(
        source, detector, layers, count, root=root, world=job.world, reporter=job.reporter,
        first=first,
    )  # fmt: skip


def _cache(job: _Job) -> Path:
    return job.request.cache or cache_folder()


def _feasible(
    job: _Job, metrics: Sequence[Metric], counts: Sequence[int], reference: Comparable | None,
    layers: Iterable[str],
) -> list[Figure]:  # fmt: skip
    means = Means(
        choices=job.request.protocol, detector=_detector_name(job), layers=frozenset(layers),
        reference=reference,
    )  # fmt: skip
    return feasible(means, metrics, counts, job.reporter, named=bool(job.request.metrics))


def _detector_name(job: _Job) -> str:
    return OWN_FEATURES if job.request.features else job.request.protocol.detector


def _values(
    job: _Job, samples: FeatureSet, reference: Reference | None, figures: Sequence[Figure]
) -> list[MetricValue]:
    request = job.request
    work = MetricJob(
        samples, reference, request.protocol, _detector_name(job), job.reporter, request.interval
    )
    return work.compute(figures)
