"""Features to figures: every metric of a protocol at every sample count, from one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import Metric, reported_key
from genbench.metrics.estimate import Estimate
from genbench.metrics.frechet import frechet_distance, frechet_interval
from genbench.metrics.inception_score import inception_score
from genbench.metrics.kernel_distance import kernel_distance
from genbench.metrics.moments import Moments, stream_moments
from genbench.metrics.precision_recall import NeighbourFigures, neighbour_figures
from genbench.quality.features import FeatureSet, rows
from genbench.quality.references import published_layers
from genbench.quality.statistics_files import ReferenceStatistics
from genbench.records.protocols import EvalProtocol
from genbench.runtime.progress import Reporter, in_percent


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
class Figure:
    """One number of one metric at one sample count."""

    metric: Metric
    count: int
    estimate: Estimate
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass
class FigureJob:
    """The figures of one set of features under one protocol."""

    samples: FeatureSet
    reference: Reference | None
    protocol: EvalProtocol
    detector: str
    reporter: Reporter
    interval: bool = False
    layers: frozenset[str] = frozenset({"pool", "spatial", "logits"})  # what the samples hold
    _neighbours: dict[int, NeighbourFigures] = field(default_factory=dict)
    _moments: dict[str, dict[int, Moments]] = field(default_factory=dict)
    _reference_moments: dict[str, Moments] = field(default_factory=dict)

    def compute(self, metrics: Sequence[Metric], counts: Sequence[int]) -> list[Figure]:
        """Every metric at every count, in the order given."""
        figures = []
        with self.reporter.task("figures", len(metrics) * len(counts)) as advance:
            for count in counts:
                for metric in metrics:
                    figures.append(self._figure(metric, count, counts))
                    advance(1)
        return figures

    def why_not(self, metric: Metric, count: int) -> str:
        """Why a metric cannot be had at this sample count; empty when it can."""
        if metric.layer not in self.layers:
            return f"{self.detector} gives no {metric.layer} features"
        if not metric.needs_reference:
            return ""
        if self.reference is None:
            return "it needs a reference: pass --ref"
        if metric.key in ("fid", "sfid"):
            if count < 2:
                return "it needs at least 2 samples"
            known = self.reference.has_moments(metric.layer)
            return "" if known else f"{self.reference.name} has no {metric.layer} statistics"
        if self.reference.features is None:
            return f"{self.reference.name} has statistics but no images (arr_0)"
        least = self._least_rows(metric)
        have = min(count, self.reference.features.count)
        return "" if have >= least else f"it needs at least {least} samples and references"

    def _least_rows(self, metric: Metric) -> int:
        if metric.key == "kid":
            return self.protocol.kid_subset_size
        return max(self.protocol.pr_neighbours, self.protocol.dc_neighbours) + 1

    def _figure(self, metric: Metric, count: int, counts: Sequence[int]) -> Figure:
        compute: Mapping[str, Callable[[Metric, int, Sequence[int]], Figure]] = {
            "fid": self._frechet,
            "sfid": self._frechet,
            "is": self._score,
            "kid": self._kernel,
        }
        return compute.get(metric.key, self._neighbour)(metric, count, counts)

    def _frechet(self, metric: Metric, count: int, counts: Sequence[int]) -> Figure:
        assert self.reference is not None
        layer = metric.layer
        if layer not in self._moments:
            self._moments[layer] = stream_moments(self.samples.chunks(layer, max(counts)), counts)
            self._reference_moments[layer] = self.reference.moments(layer)
        moments, reference = self._moments[layer][count], self._reference_moments[layer]
        value = frechet_distance(moments, reference)
        estimate = Estimate(value)
        if self.interval:
            chunks = self.samples.chunks(layer, count)
            estimate = frechet_interval(chunks, moments, reference, value)
        width = moments.mean.shape[0]
        notes: tuple[str, ...] = ()
        if count <= width:
            name = reported_key(metric, self.detector)
            notes = (
                f"{count} samples for {width} features: the covariance is singular and {name} is "
                "biased upwards; compare it only with figures at the same count",
            )
            self.reporter.note(notes[0])
        return Figure(metric, count, estimate, {"layer": layer}, notes)

    def _score(self, metric: Metric, count: int, counts: Sequence[int]) -> Figure:
        settings = {
            "splits": self.protocol.is_splits,
            "split_size": 0 if self.protocol.is_splits else self.protocol.is_split_size,
            "shuffle": self.protocol.is_shuffle,
        }
        estimate = inception_score(
            rows(self.samples, metric.layer, count),
            splits=self.protocol.is_splits,
            split_size=self.protocol.is_split_size,
            shuffle=self.protocol.is_shuffle,
            interval=self.interval,
        )
        return Figure(metric, count, estimate, settings)

    def _kernel(self, metric: Metric, count: int, counts: Sequence[int]) -> Figure:
        settings = {
            "subsets": self.protocol.kid_subsets,
            "subset_size": self.protocol.kid_subset_size,
            "seed": self.protocol.kid_seed,
        }
        estimate = kernel_distance(
            rows(self.samples, metric.layer, count), self._reference_rows, **settings,
            interval=self.interval,
        )  # fmt: skip
        return Figure(metric, count, estimate, settings)

    def _neighbour(self, metric: Metric, count: int, counts: Sequence[int]) -> Figure:
        if count not in self._neighbours:
            with self.reporter.task("nearest neighbours, percent", 100) as advance:
                self._neighbours[count] = neighbour_figures(
                    rows(self.samples, metric.layer, count),
                    self._reference_rows,
                    pr_neighbours=self.protocol.pr_neighbours,
                    dc_neighbours=self.protocol.dc_neighbours,
                    half=self.protocol.pr_half,
                    interval=self.interval,
                    progress=in_percent(advance),
                )
        estimate: Estimate = getattr(self._neighbours[count], metric.key)
        settings: dict[str, Any] = {"neighbours": self.protocol.dc_neighbours}
        if metric.key in ("precision", "recall"):
            settings = {"neighbours": self.protocol.pr_neighbours, "half": self.protocol.pr_half}
        return Figure(metric, count, estimate, settings)

    @cached_property
    def _reference_rows(self) -> Tensor:
        assert self.reference is not None
        assert self.reference.features is not None
        return rows(self.reference.features, "pool")


def labels_are_sorted(labels: np.ndarray[Any, Any] | None) -> bool:
    """Whether class labels come in blocks, which an unshuffled Inception Score cannot stand."""
    return labels is not None and len(labels) > 1 and bool(np.all(np.diff(labels) >= 0))
