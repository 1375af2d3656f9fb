"""Features to values: every metric of a protocol at every sample count, from one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import Metric, reported_key
from genbench.metrics.estimate import Estimate
from genbench.metrics.moments import Moments, stream_moments
from genbench.metrics.precision_recall import NeighbourFigures, neighbour_figures
from genbench.metrics.settings import Layer, MetricSettings
from genbench.quality.features import FeatureSet, rows
from genbench.quality.references import published_layers
from genbench.quality.statistics_files import ReferenceStatistics
from genbench.records.protocols import EvalProtocol
from genbench.runtime.progress import Reporter, in_percent

T = TypeVar("T")


@dataclass(frozen=True)
class Reference:
    """What samples are compared with: features of its images, published statistics, or both."""

    name: str
    digest: str
    count: int  # images that stand behind the features; 0 when only statistics are known
    features: FeatureSet | None = None
    statistics: ReferenceStatistics | None = None

    def moments(self, layer: str) -> Moments:
        """Mean and covariance of a layer: the published ones when the file brings them."""
        published = self.statistics
        if published is not None and layer in published_layers(published):
            if layer == "pool":
                return Moments.from_statistics(published.mu, published.sigma, published.count)
            return Moments.from_statistics(published.mu_s, published.sigma_s, published.count)
        if self.features is None:
            raise GenbenchError(f"{self.name} has neither images nor {layer} statistics: add them")
        count = self.features.count
        return stream_moments(self.features.chunks(layer), [count])[count]

    def has_moments(self, layer: str) -> bool:
        """Whether `moments` can answer."""
        return layer in published_layers(self.statistics) or self.features is not None


@dataclass(frozen=True)
class MetricValue:
    """One number of one metric at one sample count."""

    metric: Metric
    count: int
    estimate: Estimate
    settings: MetricSettings
    notes: tuple[str, ...] = ()


@dataclass
class MetricJob:
    """The metrics of one set of features under one protocol."""

    samples: FeatureSet
    reference: Reference | None
    protocol: EvalProtocol
    detector: str
    reporter: Reporter
    interval: bool = False
    layers: frozenset[str] = frozenset({"pool", "spatial", "logits"})  # what the samples hold

    def compute(self, metrics: Sequence[Metric], counts: Sequence[int]) -> list[MetricValue]:
        """Every metric at every count, in the order given."""
        shared = _Shared(self, tuple(counts))
        values = []
        with self.reporter.task("figures", len(metrics) * len(counts)) as advance:
            for count in counts:
                evidence = _AtCount(shared, count)
                for metric in metrics:
                    values.append(self._value(metric, evidence))
                    advance(1)
        return values

    def why_not(self, metric: Metric, count: int) -> str:
        """Why a metric cannot be had at this sample count; empty when it can."""
        if metric.layer not in self.layers:
            return f"{self.detector} gives no {metric.layer} features"
        least, reference = metric.least(self.protocol), self.reference
        if metric.needs_reference and reference is None:
            return "it needs a reference: pass --ref"
        if metric.compares == "features" and reference is not None:
            if reference.features is None:
                return f"{reference.name} has statistics but no images (arr_0)"
            have = min(count, reference.features.count)
            return "" if have >= least else f"it needs at least {least} samples and references"
        if count < least:
            return f"it needs at least {least} samples"
        if metric.compares == "moments" and reference is not None:
            known = reference.has_moments(metric.layer)
            return "" if known else f"{reference.name} has no {metric.layer} statistics"
        return ""

    def _value(self, metric: Metric, evidence: _AtCount) -> MetricValue:
        estimate = metric.compute(evidence)
        notes: tuple[str, ...] = ()
        if estimate.singular:
            width = len(evidence.moments(metric.layer).mean)
            notes = (
                f"{evidence.count} samples for {width} features: the covariance is singular and "
                f"{reported_key(metric, self.detector)} is biased upwards; compare it only with "
                "figures at the same count",
            )
            self.reporter.note(notes[0])
        settings = metric.settings(self.protocol)
        return MetricValue(metric, evidence.count, estimate, settings, notes)


@dataclass
class _Shared:
    """What several metrics or counts have in common, computed when it is first asked for."""

    job: MetricJob
    counts: tuple[int, ...]
    moments: dict[str, dict[int, Moments]] = field(default_factory=dict)
    reference_moments: dict[str, Moments] = field(default_factory=dict)
    reference_rows: dict[str, Tensor] = field(default_factory=dict)

    @property
    def reference(self) -> Reference:
        """The reference, which `why_not` has seen to."""
        assert self.job.reference is not None
        return self.job.reference


class _AtCount:
    """The evidence (genbench.metrics.evidence.Evidence) at one sample count."""

    def __init__(self, shared: _Shared, count: int) -> None:
        self._shared, self.count = shared, count
        self.interval, self.choices = shared.job.interval, shared.job.protocol

    def rows(self, layer: Layer) -> Tensor:
        return rows(self._shared.job.samples, layer, self.count)

    def chunks(self, layer: Layer) -> Iterator[Tensor]:
        return self._shared.job.samples.chunks(layer, self.count)

    def moments(self, layer: Layer) -> Moments:
        known, counts = self._shared.moments, self._shared.counts
        if layer not in known:
            chunks = self._shared.job.samples.chunks(layer, max(counts))
            known[layer] = stream_moments(chunks, counts)
        return known[layer][self.count]

    def reference_rows(self, layer: Layer) -> Tensor:
        known, features = self._shared.reference_rows, self._shared.reference.features
        if layer not in known:
            assert features is not None
            known[layer] = rows(features, layer)
        return known[layer]

    def reference_moments(self, layer: Layer) -> Moments:
        known = self._shared.reference_moments
        if layer not in known:
            known[layer] = self._shared.reference.moments(layer)
        return known[layer]

    def neighbours(self) -> NeighbourFigures:
        return self._neighbours

    @cached_property
    def _neighbours(self) -> NeighbourFigures:
        with self._shared.job.reporter.task("nearest neighbours, percent", 100) as advance:
            return neighbour_figures(
                self.rows("pool"),
                self.reference_rows("pool"),
                pr_neighbours=self.choices.pr_neighbours,
                dc_neighbours=self.choices.dc_neighbours,
                half=self.choices.pr_half,
                interval=self.interval,
                progress=in_percent(advance),
            )
