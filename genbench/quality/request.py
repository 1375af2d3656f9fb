"""What is asked of a quality job, and what follows from the words alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from genbench.detectors.published_weights import detector_weight
from genbench.detectors.registry import check_choices, detector_status
from genbench.errors import UsageError
from genbench.images.sets import ImageSet
from genbench.metrics.catalogue import metric_named
from genbench.metrics.metric import Metric
from genbench.models.opening import ResolvedModel
from genbench.quality.source import Source
from genbench.records.kinds import Record
from genbench.records.protocols import EvalProtocol, with_weights
from genbench.runtime.addresses import address_in
from genbench.runtime.digests import file_sha256
from genbench.runtime.distributed import World
from genbench.runtime.folders import cache_folder
from genbench.runtime.progress import Reporter
from genbench.runtime.sharing import ALONE, Sharing
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
    clip: str = ""  # a CLIP's folder or Hub id, by which images are compared with prompts
    prompts: Path | None = None  # of image i line i, counted round
    training: str | Path | ImageSet = ""  # the images the model learned from; of features, a file
    counts: tuple[int, ...] = ()  # empty: the protocol's, or all there is
    metrics: tuple[str, ...] = ()  # empty: the protocol's, as far as they can be had
    detector_weights: Path | None = None
    interval: bool = False
    cache: Path | None = None
    known: tuple[Record, ...] = ()  # figures that need no computing where all is as it was
    name: str = ""  # of the run
    sharing: Sharing = ALONE  # what of the shards this process computes
    influences: Path | None = None  # folder in which intervals leave what they rest on; None: none


@dataclass
class Job:
    """A request, and where it is worked on."""

    request: QualityRequest
    world: World
    device: torch.device
    reporter: Reporter

    @property
    def cache(self) -> Path:
        """Where features are kept."""
        return self.request.cache or cache_folder()

    def named(self, name: str) -> Job:
        """The same, for a run of that name."""
        return replace(self, request=replace(self.request, name=name))

    @property
    def pictures(self) -> Path:
        """The cache folder for strips of samples: one of this machine."""
        return near_cache(self.request.cache)

    @property
    def detector(self) -> str:
        """The detector's name, as records have it."""
        return OWN_FEATURES if self.request.features else self.request.protocol.detector


def near_cache(cache: Path | None) -> Path:
    """The cache as a folder of this machine: the usual one where an address was given."""
    return cache if cache is not None and not address_in(cache) else cache_folder()


def check_words(request: QualityRequest) -> None:
    """Raises UsageError for words that contradict each other, for an unknown metric, and for a
    preprocessing that the detector does not take."""
    given = [request.samples != "", request.model is not None, request.features is not None]
    for name in request.metrics:
        metric_named(name)
    if sum(given) != 1:
        raise UsageError("name the samples by exactly one of --samples, --model and --features")
    if request.features is not None and request.sharing != ALONE:
        raise UsageError("--features are computed already: nothing of them is left to be shared")
    if request.features is None and request.reference_features is not None:
        raise UsageError("--ref-features goes with --features; images are compared with --ref")
    if request.features is not None and request.clip:
        raise UsageError("--clip makes features of its own of images: leave out --features")
    if request.features is not None and request.reference != "":
        raise UsageError("--ref holds images; compare --features with --ref-features")
    if request.features is None:
        protocol = request.protocol
        check_choices(
            protocol.detector, preprocessing=protocol.preprocessing,
            logits_bias=protocol.logits_bias,
        )  # fmt: skip


def wanted_layers(request: QualityRequest, metrics: Sequence[Metric]) -> list[str]:
    """The layers to ask the detector for: those it has, unless the user named the metrics."""
    layers = sorted({metric.layer for metric in metrics})
    have = detector_status(request.protocol.detector).layers
    if request.metrics or not have:
        return list(layers)
    return [layer for layer in layers if layer in have]


def with_own_weights(request: QualityRequest) -> QualityRequest:
    """The request under a protocol of its own where the user brings other weights than the
    detector's published ones."""
    given, published = request.detector_weights, detector_weight(request.protocol.detector)
    if given is None or not given.is_file() or (published and matches(published, given)):
        return request
    return replace(request, protocol=with_weights(request.protocol, file_sha256(given)))


def notes_on_weights(request: QualityRequest) -> tuple[str, ...]:
    """Names alone do not make a FID: say so when the detector's weights are somebody's own."""
    given = request.detector_weights
    published = detector_weight(request.protocol.detector) if given else None
    if given is None or published is None or not request.protocol.weights:
        return ()
    return (
        f"{given.name} is not the published weights of {request.protocol.detector} "
        f"({published.filename}): compare only with figures from the same file",
    )
