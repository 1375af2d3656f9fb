"""Several runs of one model, which differ in their seed alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from genbench.records.kinds import QualityRecord, Record


@dataclass(frozen=True, kw_only=True)
class SeveralRuns:
    """What several runs came to. deviation: sample standard deviation (divisor n - 1)."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of all runs."""
        return fmean(self.values)

    @property
    def deviation(self) -> float:
        """Needs two runs."""
        return stdev(self.values)


def of_several_seeds(fitting: Sequence[Record], runs: int) -> list[QualityRecord]:
    """Of records, latest first, those that equal the first in all but their seed: the latest of
    each of the `runs` lowest seeds, so that no value decides which count. In order of seeds."""
    found: dict[int, QualityRecord] = {}
    for record in fitting:
        if not isinstance(record, QualityRecord) or record.seed is None:
            continue
        if _but_for_seed(record) == _but_for_seed(fitting[0]):
            found.setdefault(record.seed, record)
    return [found[seed] for seed in sorted(found)[:runs]]


def mean_record(records: Sequence[QualityRecord]) -> QualityRecord:
    """Two records or more as one: their mean, and a note on what it is of. Its interval, where all
    have one, adds their reaches in squares, since samples of two seeds are independent."""
    several = SeveralRuns(values=tuple(record.value for record in records))
    seeds = ", ".join(str(record.seed) for record in records)
    note = f"mean of {len(records)} runs, seeds {seeds}; deviation {several.deviation:.2g}"
    reaches = [
        (record.value - record.low, record.high - record.value)
        for record in records
        if record.low is not None and record.high is not None
    ]
    low = high = None
    if len(reaches) == len(records):
        below, above = (math.hypot(*side) / len(records) for side in zip(*reaches, strict=True))
        low, high = several.mean - below, several.mean + above
    return replace(
        records[-1], value=several.mean, low=low, high=high, trials=several.values,
        notes=(*records[-1].notes, note),
    )  # fmt: skip


def _but_for_seed(record: Record) -> tuple[object, ...]:
    return (
        record.model, record.card, record.resolution, record.checkpoint_digest,
        dict(record.options), record.arithmetic, record.labels, record.block, record.compiled,
        record.kernels, record.code_digest,
    )  # fmt: skip
