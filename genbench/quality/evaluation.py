"""The quality job: samples and a reference in, records out; resumable and distributed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from genbench.detectors.contract import Detector
from genbench.errors import GenbenchError
from genbench.images.opening import open_image_set
from genbench.metrics.catalogue import metric_named
from genbench.metrics.metric import Metric
from genbench.models.room import opened_with_room
from genbench.quality.counts import notes_on_parts, sample_counts, warn_of_order
from genbench.quality.feasible import Comparable, Figure, Means, feasible
from genbench.quality.feature_files import by_layer, read_features
from genbench.quality.features import ArrayFeatures, FeatureSet
from genbench.quality.few_samples import MetricValue
from genbench.quality.figures_to_measurements import recorded, run_template, with_evaluations
from genbench.quality.metric_values import MetricJob, Reference
from genbench.quality.prompted import apart, text_tools, under_clip
from genbench.quality.reading import extracted
from genbench.quality.request import (
    OWN_FEATURES,
    Job,
    QualityRequest,
    check_words,
    notes_on_weights,
    with_own_weights,
)
from genbench.quality.reuse import figures_on_record
from genbench.quality.source import Origin, SetSource, Source
from genbench.quality.strips import keep_strip
from genbench.quality.tools import Tools, opened_tools
from genbench.records.influences import keep_influences
from genbench.records.kinds import QualityRecord
from genbench.records.measurement import Environment, Subject
from genbench.records.provenance import describe_environment
from genbench.runtime.addresses import shown
from genbench.runtime.arithmetic import FLOAT32, arithmetic_named, pinned
from genbench.runtime.digests import file_sha256
from genbench.runtime.distributed import World
from genbench.runtime.progress import Reporter
from genbench.runtime.shards import SHARD_ROWS


def evaluate(
    request: QualityRequest, *, world: World, device: torch.device, reporter: Reporter
) -> list[QualityRecord]:
    """Measure samples against a reference under a protocol.

    Returns the records on rank 0 and an empty list on the other ranks. Raises GenbenchError or
    UsageError with the remedy; features computed so far stay in the cache.
    """
    check_words(request)
    if request.clip:
        parts = apart(request, reporter)
        if len(parts) > 1:
            found = (evaluate(part, world=world, device=device, reporter=reporter)
                     for part in parts)  # fmt: skip
            return [record for records in found for record in records]
        job = Job(under_clip(parts[0]), world, device, reporter)
        source = _open_source(job)
        return measured(job, source, text_tools(job, source))
    job = Job(with_own_weights(request), world, device, reporter)
    if job.request.features is not None:
        return _evaluate_features(job, job.request.features)
    return measured(job, _open_source(job))


def measured(job: Job, source: Source, tools: Tools | None = None) -> list[QualityRecord]:
    """As `evaluate`, of a source that is open. tools: opened before for samples of that size."""

    def drawn(detector: Detector, count: int) -> FeatureSet:
        keep = partial(keep_strip, job.pictures, source.digest())
        found = extracted(job, source, detector, list(detector.layers), count, keep)
        sharing = job.request.sharing
        if not sharing.is_whole:
            then = "genbench merge with the same options gives them once all are there"
            where = shown(found.folder.path.parent)
            job.reporter.note(
                sharing.told(source.name, count, SHARD_ROWS, where, f"no figures yet: {then}")
            )
        return found

    return measured_by_features(job, source, drawn, tools)


def measured_by_features(
    job: Job, origin: Origin, features: Callable[[Detector, int], FeatureSet],
    tools: Tools | None = None,
) -> list[QualityRecord]:  # fmt: skip
    """As `measured`, of images of which `features` gives those of the first so many, by all layers
    of the detector, when they are needed."""
    request, world, reporter = job.request, job.world, job.reporter
    counts = sample_counts(request.counts, request.protocol, origin.count, reporter)
    parts = notes_on_parts(origin, counts, reporter)
    tools = tools or opened_tools(job, origin.size)
    opened, training, detector = tools.opened, tools.training, tools.detector
    labels = origin.labels(0, max(counts))
    reference_labels = opened.labels if opened else None
    figures = _feasible(
        job, tools.metrics, counts, opened, detector.layers,
        training=training.count if training else 0,
        labelled=labels is not None, reference_labelled=reference_labels is not None,
    )  # fmt: skip
    kept = figures_on_record(
        request.known, samples_digest=origin.digest(),
        reference_digest=opened.digest if opened else "",
        training_digest=training.digest() if training else "", protocol=request.protocol,
        detector=detector, figures=figures, interval=request.interval, name=request.name,
        labels=labels, reference_labels=reference_labels,
    )  # fmt: skip
    if kept:
        reporter.note(f"{origin.name}: on record already, nothing changed: not computed again")
        return kept if world.leads else []
    possible = [metric for metric, _ in figures]
    reference = tools.reference(job, possible)
    learned = tools.learned(job, possible)
    samples = features(detector, max(counts))
    if not request.sharing.is_whole:
        return []
    if not world.leads:
        return []
    if not request.protocol.is_shuffle:
        warn_of_order(origin, possible, max(counts), reporter)
    values = _values(job, samples, reference, figures, learned, labels)
    run = run_template(
        origin.subject(), request.protocol, samples_digest=origin.digest(), detector=detector.name,
        identity=detector.identity, environment=_environment(job, origin.subject()),
        notes=notes_on_weights(request), name=request.name,
    )  # fmt: skip
    found = recorded(run, values, reference, learned, parts, labels)
    _keep_influences(job, found, values)
    return with_evaluations(found, samples) if origin.counts_evaluations else found


def _evaluate_features(job: Job, path: Path) -> list[QualityRecord]:
    request = job.request
    if not job.world.leads:
        return []
    samples = _feature_file(path)
    reference = None
    if request.reference_features is not None:
        features = _feature_file(request.reference_features)
        reference = Reference(features.name, features.digest, features)
    training = _feature_file(Path(str(request.training))) if request.training else None
    _check_widths(samples, reference.features if reference else None, training)
    metrics = [metric_named(name) for name in request.metrics or request.protocol.metrics]
    counts = sample_counts(
        request.counts, request.protocol, samples.count, job.reporter, usual_alone=True
    )
    figures = _feasible(
        job, metrics, counts, reference, set(samples.arrays),
        training=training.count if training else 0,
    )  # fmt: skip
    values = _values(job, samples, reference, figures, training)
    subject = Subject(model=samples.name, resolution=0)
    run = run_template(
        subject, request.protocol, samples_digest=samples.digest, detector=OWN_FEATURES,
        identity={}, environment=_environment(job, subject), name=request.name,
    )  # fmt: skip
    measured = recorded(run, values, reference, training)
    _keep_influences(job, measured, values)
    return measured


def _keep_influences(
    job: Job, measured: Sequence[QualityRecord], values: Sequence[MetricValue]
) -> None:
    """Leave what the intervals rest on in the request's folder; where that fails, a note: the
    figures stand without."""
    if job.request.influences is None or not measured:
        return
    found = {
        (record.metric, record.samples): (record.value, value.estimate.influence)
        for record, value in zip(measured, values, strict=True)
        if value.estimate.influence is not None
    }
    try:
        keep_influences(job.request.influences, measured[0].run, found)
    except GenbenchError as error:
        job.reporter.note(f"comparisons with this run will not be paired: {error}")


def _check_widths(samples: ArrayFeatures, *others: FeatureSet | None) -> None:
    """Raises GenbenchError for features of the reference or of training images that are of another
    detector than the samples', as far as widths tell."""
    for other in others:
        if not isinstance(other, ArrayFeatures):
            continue
        for layer, own in samples.arrays.items():
            width = other.arrays[layer].shape[1] if layer in other.arrays else own.shape[1]
            if width != own.shape[1]:
                raise GenbenchError(
                    f"{samples.name} has {own.shape[1]} {layer} features and {other.name} {width}: "
                    "use features of the same detector and layer"
                )


def _environment(job: Job, subject: Subject) -> Environment:
    """Where it was computed, with the switches that were pinned while the images were drawn; an
    image set's only met the detector, which computes in float32."""
    drawn_in = arithmetic_named(subject.arithmetic) if subject.arithmetic else FLOAT32
    with pinned(drawn_in):
        return describe_environment(job.device, job.world.size)


def _feature_file(path: Path) -> ArrayFeatures:
    return ArrayFeatures(path.name, file_sha256(path), by_layer(read_features(path)))


def _open_source(job: Job) -> Source:
    request, protocol = job.request, job.request.protocol
    if request.model is not None:
        return opened_with_room(request.model, job.device, job.reporter)
    if not isinstance(request.samples, str):
        return request.samples
    return SetSource(
        open_image_set(request.samples, crop=protocol.crop, resolution=protocol.resolution)
    )


def _feasible(
    job: Job, metrics: Sequence[Metric], counts: Sequence[int], reference: Comparable | None,
    layers: Iterable[str], *, training: int = 0, labelled: bool = False,
    reference_labelled: bool = False,
) -> list[Figure]:  # fmt: skip
    means = Means(
        choices=job.request.protocol, detector=job.detector, layers=frozenset(layers),
        reference=reference, training=training, labelled=labelled,
        reference_labelled=reference_labelled,
    )  # fmt: skip
    return feasible(means, metrics, counts, job.reporter, named=bool(job.request.metrics))


def _values(
    job: Job, samples: FeatureSet, reference: Reference | None, figures: Sequence[Figure],
    training: FeatureSet | None = None, labels: Tensor | None = None,
) -> list[MetricValue]:  # fmt: skip
    request = job.request
    work = MetricJob(
        samples, reference, request.protocol, job.detector, job.reporter, request.interval,
        training, labels, job.device,
    )  # fmt: skip
    return work.compute(figures)
