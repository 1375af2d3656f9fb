"""Figures along a training: one point a checkpoint, the best so far, a line of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genbench.metrics.catalogue import metric_named
from genbench.records.kinds import QualityRecord

_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 60  # bars of a line: of more points the last ones


@dataclass(frozen=True)
class Point:
    """A checkpoint and its figures. name: as the user knows it. new: measured now, not found on
    record."""

    name: str
    path: Path
    step: int | None
    records: tuple[QualityRecord, ...]
    new: bool = True

    @property
    def headline(self) -> QualityRecord:
        """The figure that decides which is best: the first metric's at the largest count."""
        first = self.records[0].metric
        return max((item for item in self.records if item.metric == first), key=_samples)

    def stepped(self) -> tuple[QualityRecord, ...]:
        """The records with the step on each."""
        return tuple(replace(record, step=self.step) for record in self.records)


def in_order(points: Sequence[Point]) -> list[Point]:
    """Points in the order of the training, each checkpoint as it was last measured; those of no
    step behind, as they came."""
    last = {point.path: point for point in points}
    return sorted(last.values(), key=lambda point: (point.step is None, point.step or 0))


def best_of(points: Sequence[Point]) -> Point:
    """The point of the best headline; of equal ones the first."""
    higher = metric_named(points[0].headline.metric).higher_is_better
    values = [point.headline.value for point in points]
    return points[values.index(max(values) if higher else min(values))]


def sparkline(values: Sequence[float]) -> str:
    """Values as bars of eight heights, the least the lowest; empty for fewer than two."""
    shown = values[-_WIDEST:]
    if len(shown) < 2:
        return ""
    least, span = min(shown), max(shown) - min(shown)
    heights = [round((value - least) / span * (len(_BARS) - 1)) if span else 0 for value in shown]
    return "".join(_BARS[height] for height in heights)


def _samples(record: QualityRecord) -> int:
    return record.samples
