"""What samples are measured with, opened once: the detector, the reference, training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from genbench.detectors.contract import Detector
from genbench.errors import UsageError
from genbench.metrics.catalogue import metric_named
from genbench.metrics.metric import Metric
from genbench.quality.features import FeatureSet
from genbench.quality.metric_values import Reference
from genbench.quality.reading import (
    built_detector,
    opened_reference,
    opened_training,
    reference_of,
    training_features,
)
from genbench.quality.references import OpenedReference, suited_to
from genbench.quality.request import Job, wanted_layers
from genbench.quality.source import SetSource


@dataclass
class Tools:
    """For samples of one size, however many sets of them. Features are computed when they are
    first asked for."""

    metrics: tuple[Metric, ...]
    detector: Detector
    opened: OpenedReference | None
    training: SetSource | None
    _references: dict[tuple[str, ...], Reference | None] = field(default_factory=dict, repr=False)

    def reference(self, job: Job, metrics: Sequence[Metric]) -> Reference | None:
        """The reference with the features that these metrics need, of which the last is kept; None
        where none was opened."""
        key = tuple(sorted(metric.key for metric in metrics))
        if key not in self._references:
            found = reference_of(job, self.opened, self.detector, metrics) if self.opened else None
            self._references = {key: found}
        return self._references[key]

    def learned(self, job: Job, metrics: Sequence[Metric]) -> FeatureSet | None:
        """Features of the training images; None where no metric asks for them."""
        return training_features(job, self.training, self.detector, metrics)


def opened_tools(job: Job, size: tuple[int, int], detector: Detector | None = None) -> Tools:
    """All that can fail at once, for samples of a size (H, W): before anything that takes long.

    detector: `built_for` the job already. Raises GenbenchError or UsageError with the remedy.
    """
    request, metrics = job.request, _metrics(job)
    compares = any(metric.needs_reference for metric in metrics)
    opened = opened_reference(job, size) if compares else None
    training = opened_training(job, size, metrics)
    detector = detector or built_for(job)
    if opened:
        opened = suited_to(opened, detector, preprocessing=request.protocol.preprocessing)
    for note in opened.notes if opened else ():
        job.reporter.note(note)
    return Tools(tuple(metrics), detector, opened, training)


def built_for(job: Job) -> Detector:
    """The detector with the layers that the job's metrics need. Raises as `built_detector`."""
    return built_detector(job, wanted_layers(job.request, _metrics(job)))


def _metrics(job: Job) -> list[Metric]:
    names = job.request.metrics or job.request.protocol.metrics
    found = [metric_named(name) for name in names]
    for metric in found:
        if metric.prompted:
            raise UsageError(
                f"{metric.key} compares images with prompts: pass --prompts FILE and --clip FOLDER "
                "to genbench fid"
            )
    return found
