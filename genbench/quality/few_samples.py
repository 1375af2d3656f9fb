"""What a small sample count does to figures: one note for all of a run's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from genbench.metrics.catalogue import reported_key
from genbench.metrics.estimate import Estimate
from genbench.metrics.metric import Metric
from genbench.metrics.settings import MetricSettings


@dataclass(frozen=True)
class MetricValue:
    """One number of one metric at one sample count."""

    metric: Metric
    count: int
    estimate: Estimate
    settings: MetricSettings
    notes: tuple[str, ...] = ()


def with_count_note(
    values: Sequence[MetricValue], detector: str, references: int
) -> list[MetricValue]:
    """The values, with one and the same note on those that their sample count moves far.

    These are Fréchet distances of a singular covariance, and recall and coverage of fewer than half
    as many samples as references: the balls around few samples are wide and hold references that
    the balls of more would not; and few samples reach few references' balls.
    """
    moved = [value for value in values if _moved(value, references)]
    if not moved:
        return list(values)
    keys = {
        way: dict.fromkeys(
            reported_key(value.metric, detector)
            for value in moved if value.metric.few_samples == way
        )
        for way in ("too high", "too low")
    }  # fmt: skip
    effects = ", ".join(
        f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} {way}"
        for way, names in keys.items() if names
    )  # fmt: skip
    singular = _counts(value.count for value in moved if value.estimate.singular)
    reasons = [effects, f"the covariance is singular at {singular}" if singular else ""]
    note = (
        f"{_counts(value.count for value in moved)} samples are few: "
        f"{', '.join(filter(None, reasons))}; compare only with figures at the same count"
    )
    return [
        replace(value, notes=(*value.notes, note)) if value in moved else value for value in values
    ]


def _moved(value: MetricValue, references: int) -> bool:
    few = value.metric.compares == "features" and 2 * value.count < references
    return value.estimate.singular or (few and bool(value.metric.few_samples))


def _counts(counts: Iterable[int]) -> str:
    return " and ".join(f"{count:,}" for count in sorted(set(counts)))
