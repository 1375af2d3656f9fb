"""Features to values: every metric of a protocol at every sample count, from one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from genbench.errors import GenbenchError
from genbench.metrics.catalogue import reported_key
from genbench.metrics.copies import Nearest
from genbench.metrics.metric import Metric
from genbench.metrics.moments import Moments, stream_moments
from genbench.metrics.nearest import nearest_in
from genbench.metrics.precision_recall import NeighbourFigures, neighbour_figures
from genbench.metrics.screening import CPU
from genbench.metrics.settings import Layer
from genbench.quality.feasible import Figure
from genbench.quality.features import FeatureSet, rows
from genbench.quality.few_samples import MetricValue, with_count_note
from genbench.quality.references import published_layers
from genbench.quality.statistics_files import ReferenceStatistics
from genbench.records.protocols import EvalProtocol
from genbench.runtime.out_of_memory import is_out_of_memory
from genbench.runtime.progress import Reporter, in_percent

T = TypeVar("T")


@dataclass(frozen=True)
class Reference:
    """What samples are compared with: features of its images, published statistics, or both.

    notes: on the statistics, for the records of figures that rest on them. labels: of its images,
    int64 [M].
    """

    name: str
    digest: str
    features: FeatureSet | None = None
    statistics: ReferenceStatistics | None = None
    notes: tuple[str, ...] = ()
    labels: Tensor | None = None
    _moments: dict[str, Moments] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rows(self) -> int:
        """Images to be compared with one by one; 0 with statistics alone."""
        return 0 if self.features is None else self.features.count

    def moments(self, layer: str) -> Moments:
        """Mean and covariance of a layer: the published ones when the file brings them. Computed
        once."""
        if layer not in self._moments:
            self._moments[layer] = self._computed_moments(layer)
        return self._moments[layer]

    def _computed_moments(self, layer: str) -> Moments:
        published = self.statistics
        if published is not None and layer in published_layers(published):
            pool = layer == "pool"
            mu, sigma = (published.mu if pool else published.mu_s,
                         published.sigma if pool else published.sigma_s)  # fmt: skip
            try:
                return Moments.from_statistics(mu, sigma, published.count)
            except GenbenchError as error:
                raise GenbenchError(f"{self.name}: {error}") from error
        if self.features is None:
            raise GenbenchError(f"{self.name} has neither images nor {layer} statistics: add them")
        count = self.features.count
        return stream_moments(self.features.chunks(layer), [count])[count]

    def has_moments(self, layer: str) -> bool:
        """Whether `moments` can answer."""
        return layer in published_layers(self.statistics) or self.rows > 1

    def images_decide(self, layer: str) -> bool:
        """Whether the moments of a layer are those of images that are there."""
        return layer not in published_layers(self.statistics) and self.features is not None

    def by_statistics(self, metric: Metric) -> bool:
        """Whether a metric is computed from published statistics."""
        return metric.compares == "moments" and metric.layer in published_layers(self.statistics)

    def images_behind(self, metric: Metric) -> int:
        """How many images a metric is against; 0 where published statistics do not tell."""
        if self.by_statistics(metric) and self.statistics is not None:
            return self.statistics.count or 0
        return self.rows


@dataclass
class MetricJob:
    """The metrics of one set of features under one protocol.

    training: features of the images that the model learned from. labels: of the samples, int64 [N].
    device: of the products of neighbour searches, which decides no figure.
    """

    samples: FeatureSet
    reference: Reference | None
    protocol: EvalProtocol
    detector: str
    reporter: Reporter
    interval: bool = False
    training: FeatureSet | None = None
    labels: Tensor | None = None
    device: torch.device = CPU

    def compute(self, figures: Sequence[Figure]) -> list[MetricValue]:
        """Every figure, a metric at a count, in the order given."""
        counts = tuple(sorted({count for _, count in figures}))
        shared = _Shared(self, counts)
        evidence = {count: _AtCount(shared, count) for count in counts}
        values: list[MetricValue] = []
        refused: list[str] = []
        with self.reporter.task("figures", len(figures)) as advance:
            for metric, count in figures:
                name = f"{reported_key(metric, self.detector)} at {count:,} samples"
                advance(0, name)
                try:
                    estimate = metric.compute(evidence[count])
                except GenbenchError as error:
                    if len(figures) == 1:
                        raise
                    refused.append(f"{name} left out: {error}")
                    advance(1)
                    continue
                settings = metric.settings(self.protocol)
                notes = (estimate.note,) if estimate.note else ()
                values.append(MetricValue(metric, count, estimate, settings, notes))
                advance(1)
        if refused and not values:
            raise GenbenchError("; ".join(refused))
        for line in refused:
            self.reporter.note(line)
        return with_count_note(values, self.detector, self.reference.rows if self.reference else 0)


@dataclass
class _Shared:
    """What several metrics or counts have in common, computed when it is first asked for."""

    job: MetricJob
    counts: tuple[int, ...]
    moments: dict[str, dict[int, Moments]] = field(default_factory=dict)
    reference_rows: dict[str, Tensor] = field(default_factory=dict)
    training_rows: dict[str, Tensor] = field(default_factory=dict)

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

    def searched(self, search: Callable[[torch.device], T]) -> T:
        device = self._shared.job.device
        try:
            return search(device)
        except Exception as error:
            if device.type == "cpu" or not is_out_of_memory(error):
                raise
        # Out of the handler, whose traceback holds what lies on the GPU.
        self._shared.job.reporter.note(
            f"{device} has no memory for a search of nearest neighbours: the CPU makes it, slower"
        )
        return search(CPU)

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
        return self._shared.reference.moments(layer)

    def reference_halves(self, layer: Layer) -> tuple[Moments, Moments] | None:
        reference = self._shared.reference
        if self.count < max(self._shared.counts) or not reference.images_decide(layer):
            return None  # at the largest count alone: it is the extrapolation's
        found = rows(reference.features, layer) if reference.features else None
        if found is None or len(found) < 4:
            return None
        first, second = (
            stream_moments(iter([half]), [len(half)])[len(half)]
            for half in (found[::2], found[1::2])
        )
        return first, second

    def labels(self) -> Tensor:
        assert self._shared.job.labels is not None
        return self._shared.job.labels[: self.count]

    def reference_labels(self) -> Tensor:
        assert self._shared.reference.labels is not None
        return self._shared.reference.labels

    def training_rows(self, layer: Layer) -> Tensor:
        known, features = self._shared.training_rows, self._shared.job.training
        if layer not in known:
            assert features is not None
            known[layer] = rows(features, layer)
        return known[layer]

    def neighbours(self) -> NeighbourFigures:
        return self._neighbours

    def nearest_training(self) -> Nearest:
        return self._nearest_training

    @cached_property
    def _nearest_training(self) -> Nearest:
        samples, training = self.rows("pool"), self.training_rows("pool")
        return self.searched(lambda device: nearest_in(samples, training, device=device))

    @cached_property
    def _neighbours(self) -> NeighbourFigures:
        with self._shared.job.reporter.task("nearest neighbours, percent", 100) as advance:
            progress = in_percent(advance)
            return self.searched(
                lambda device: neighbour_figures(
                    self.rows("pool"),
                    self.reference_rows("pool"),
                    pr_neighbours=self.choices.pr_neighbours,
                    dc_neighbours=self.choices.dc_neighbours,
                    half=self.choices.pr_half,
                    strict=self.choices.neighbours_strict,
                    drawn=self.choices.neighbour_rows,
                    interval=self.interval,
                    device=device,
                    progress=progress,
                )
            )
