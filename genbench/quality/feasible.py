"""Which figures can be had: what metrics need, against what there is."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from genbench.errors import UsageError
from genbench.metrics.catalogue import reported_key
from genbench.metrics.metric import Metric
from genbench.metrics.settings import Choices
from genbench.quality.request import OWN_FEATURES
from genbench.runtime.progress import Reporter


class Comparable(Protocol):
    """What is known of a reference, opened or with its features.

    rows: images to be compared with one by one; 0 with statistics alone.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102

    def has_moments(self, layer: str) -> bool:
        """Whether mean and covariance of a layer can be had."""
        ...


@dataclass(frozen=True, kw_only=True)
class Means:
    """What there is to compute figures from. layers: those of the samples' features."""

    choices: Choices
    detector: str
    layers: Set[str]
    reference: Comparable | None
    training: int = 0  # images the model learned from, as far as they were named
    labelled: bool = False  # whether the samples have labels
    reference_labelled: bool = False

    def why_not(self, metric: Metric, count: int) -> str:
        """Why a metric cannot be had at a sample count; empty when it can."""
        if metric.layer not in self.layers:
            return f"{self.detector} gives no {metric.layer} features"
        least = metric.least(self.choices)
        if count < least:
            return f"it needs at least {least} samples"
        if metric.training and self.training < least:
            return (
                f"it needs at least {least} training images and there are {self.training}"
                if self.training
                else "it needs the images that the model learned from: pass --train "
                + ("IMAGES" if self.detector != OWN_FEATURES else "FILE, their features")
            )
        if metric.labelled and not self.labelled:
            if self.detector == OWN_FEATURES:
                return "it needs labels, which feature files do not bring: measure images"
            return "it needs labels of the samples"
        if not metric.needs_reference:
            return ""
        if self.reference is None:
            return "it needs a reference: pass --ref" + "-features" * (
                self.detector == OWN_FEATURES
            )
        if metric.labelled and not self.reference_labelled:
            return f"it needs labels of the reference, and {self.reference.name} has none"
        return self._why_not_against(self.reference, metric, least)

    def _why_not_against(self, reference: Comparable, metric: Metric, least: int) -> str:
        if metric.compares == "features":
            if not reference.rows:
                return f"{reference.name} has statistics but no images (arr_0)"
            if reference.rows < least:
                return f"it needs at least {least} references and {reference.name} holds " + str(
                    reference.rows
                )
        elif not reference.has_moments(metric.layer):
            if reference.rows == 1:
                return f"{reference.name} holds one image, which has no covariance"
            return f"{reference.name} has no {metric.layer} statistics"
        return ""


Figure = tuple[Metric, int]  # a metric at a sample count


def feasible(
    means: Means,
    metrics: Sequence[Metric],
    counts: Sequence[int],
    reporter: Reporter,
    *,
    named: bool,
) -> list[Figure]:
    """The figures that can be had, count by count; the others are noted with the reason.

    named: the user named the metrics. Raises UsageError then for the first that cannot be had, and
    otherwise when none can.
    """
    found: list[Figure] = []
    for count in counts:
        found += [(metric, count) for metric in metrics if not means.why_not(metric, count)]
    for metric in metrics:
        missing = [count for count in counts if (metric, count) not in found]
        if not missing:
            continue
        name = reported_key(metric, means.detector)
        reason = means.why_not(metric, missing[0])
        if named:
            raise UsageError(f"{name} cannot be computed: {reason}")
        where = f" at {' and '.join(map(str, missing))}" if len(missing) < len(counts) else ""
        reporter.note(f"{name}{where} left out: {reason}")
    if not found:
        raise UsageError("none of the metrics can be computed: the lines above say why")
    return found
