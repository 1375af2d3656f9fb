"""A job's detector, reference and features: what figures are computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from genbench.detectors.contract import Detector
from genbench.detectors.published_weights import fetch_weights
from genbench.detectors.registry import create_detector
from genbench.errors import UsageError
from genbench.images.opening import open_image_set
from genbench.metrics.metric import Metric
from genbench.quality.features import ArrayFeatures, FeatureSet, ShardFeatures, extract_features
from genbench.quality.metric_values import Reference
from genbench.quality.references import (
    OpenedReference,
    open_reference,
    published_layers,
    refuse_statistics_of_others,
)
from genbench.quality.request import Job
from genbench.quality.source import SetSource, Source


def built_detector(job: Job, layers: Sequence[str]) -> Detector:
    """The protocol's detector for these layers, its weights fetched where they are missing. Raises
    GenbenchError or UsageError as `create_detector`."""
    request = job.request
    if request.detector_weights is None:
        fetch_weights(request.protocol.detector, job.reporter)
    return create_detector(
        request.protocol.detector,
        layers=layers,
        weights=request.detector_weights,
        device=job.device,
        preprocessing=request.protocol.preprocessing,
        logits_bias=request.protocol.logits_bias,
    )


def opened_reference(job: Job, size: tuple[int, int]) -> OpenedReference:
    """What samples of a size (H, W) are compared with: the reference that the job names, or the
    protocol's. Raises UsageError
    where neither names one, GenbenchError for one that cannot be used."""
    protocol = job.request.protocol
    named = job.request.reference
    wanted = protocol.reference if isinstance(named, str) and not named else named
    if isinstance(wanted, str) and not wanted:
        raise UsageError(
            f"protocol {protocol.name} names no reference: pass --ref IMAGES, or --protocol bundled"
        )
    opened = open_reference(wanted, crop=protocol.crop, size=size, detector=protocol.detector)
    refuse_statistics_of_others(opened, protocol.detector)
    # As the protocol spells it ("bundled[:500]"), so that a table knows it again.
    return opened if wanted is named else replace(opened, name=protocol.reference)


def reference_of(
    job: Job, opened: OpenedReference, detector: Detector, metrics: Sequence[Metric]
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
    if opened.features is not None:
        features = ArrayFeatures(opened.name, opened.digest, opened.features)
    elif opened.images is not None and needed:
        source = SetSource(opened.images)
        features = extracted(job, source, detector, sorted(needed), len(opened.images))
    return Reference(
        opened.name, opened.digest, features, opened.statistics, opened.notes, opened.labels
    )


def opened_training(job: Job, size: tuple[int, int], metrics: Sequence[Metric]) -> SetSource | None:
    """The images that the model learned from, of the samples' size (H, W); None where no metric
    asks."""
    named = job.request.training
    if isinstance(named, str) and not named:
        return None
    if not any(metric.training for metric in metrics):
        job.reporter.note("--train left aside: none of the metrics compares with training images")
        return None
    protocol, (height, width) = job.request.protocol, size
    if not isinstance(named, str | Path):
        images = named
    else:
        images = open_image_set(
            str(named), crop=protocol.crop, resolution=height if height == width else 0
        )
    if images.size != size:
        high, wide = images.size
        raise UsageError(
            f"--train {images.name} holds images of {wide}x{high}, not {width}x{height} as the "
            "samples: bring both to one square size with --crop adm or --crop resize and --res"
        )
    return SetSource(images)


def training_features(
    job: Job, training: SetSource | None, detector: Detector, metrics: Sequence[Metric]
) -> FeatureSet | None:
    """The features of the training images that metrics ask for; None where they ask for none."""
    layers = sorted({metric.layer for metric in metrics if metric.training})
    if training is None or not layers:
        return None
    return extracted(job, training, detector, layers, training.count)


def extracted(
    job: Job, source: Source, detector: Detector, layers: Sequence[str], count: int,
    first: Callable[[Tensor], object] | None = None,
) -> ShardFeatures:  # fmt: skip
    """Features of the first `count` images, from the job's cache as far as they are there. first:
    called with the first batch uint8 [n, 3, H, W] that is drawn."""
    root = job.cache / "features"
    return extract_features(
        source, detector, layers, count, root=root, world=job.world, reporter=job.reporter,
        first=first, sharing=job.request.sharing,
    )  # fmt: skip
