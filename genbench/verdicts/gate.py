"""A gate: is a model worse than a baseline by more than a margin, beyond chance?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genbench.errors import UsageError
from genbench.metrics.estimate import NORMAL_95
from genbench.metrics.student import as_normal
from genbench.records.comparability import incomparable
from genbench.records.kinds import QualityRecord, Record
from genbench.tables.comparison import contrast, higher_is_better, paired_influences, reach
from genbench.verdicts.margins import Margin
from genbench.verdicts.sequential import boundaries

Decision = Literal["worse", "not worse", "inconclusive"]
# One-sided, as either side of a 95% interval. False alarms were simulated, and stay below 5% where
# the normal approximation of few samples is off (benchmarks/gate.py, docs/gate.md).
LEVEL = 0.025
_CERTAIN = 99.0  # the normal deviate of what leaves nothing to chance
Measure = Callable[[int], QualityRecord]  # the figure of the first n samples


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look at the first `samples` samples saw.

    excess: by how much the figure is worse than the baseline's and the margin, in its unit; below 0
    where it is not. statistic: over its deviation, as a normal deviate; limit: what decides, either
    way. paired: whether samples of one number were compared in pairs.
    """

    samples: int
    baseline: float
    value: float
    margin: float
    excess: float
    deviation: float
    statistic: float
    limit: float
    paired: bool

    @property
    def decision(self) -> Decision:
        """What this look alone settles."""
        if self.statistic > self.limit:
            return "worse"
        return "not worse" if self.statistic < -self.limit else "inconclusive"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a gate decided, and what it looked at. planned: the sample count of the last look."""

    metric: str
    margin: Margin
    level: float
    planned: int
    looks: tuple[Look, ...]

    @property
    def decision(self) -> Decision:
        """That of the last look that was taken."""
        return self.looks[-1].decision


def baseline_figures(run: Sequence[Record], keys: Sequence[str]) -> list[QualityRecord]:
    """A baseline's figures of one metric, by rising sample count. keys: its names in records.
    Raises UsageError where there is none, and where one lacks its interval."""
    found = {
        record.samples: record
        for record in run if isinstance(record, QualityRecord) and record.metric in keys
    }  # fmt: skip
    if not found:
        measured = ", ".join(dict.fromkeys(record.metric for record in run))
        raise UsageError(f"the baseline has no {keys[0]} on record, only {measured}: pass --metric")
    if len({record.protocol_digest for record in found.values()}) > 1:
        raise UsageError("the baseline is of several protocols: name one run")
    figures = [found[count] for count in sorted(found)]
    if lacking := [record for record in figures if record.low is None]:
        why = lacking[0].interval or "it was measured without --ci"
        raise UsageError(
            f"the baseline's {lacking[0].metric} at {lacking[0].samples:,} samples has no interval "
            f"({why}): measure it again with --ci"
        )
    return figures


def gate(
    figures: Sequence[QualityRecord], folders: Sequence[Path], measure: Measure, *,
    margin: Margin, level: float = LEVEL,
) -> Gate:  # fmt: skip
    """Look at growing numbers of samples, those at which the baseline was measured, until it is
    clear either way.

    figures: the baseline's (`baseline_figures`). folders: where influences are kept, the measured
    ones too. level: the chance, at most, that the gate ever says "worse" of what is worse by the
    margin or less; and likewise that it says "not worse" of what is. Both are one-sided, and spent
    over all looks by `boundaries`. A margin in per cent is of the baseline, whose own chance
    counts. Raises UsageError where a figure does not compare with the baseline's.
    """
    shares = [record.samples / figures[-1].samples for record in figures]
    looks = []
    for record, limit in zip(figures, boundaries(shares, level), strict=True):
        measured = measure(record.samples)
        if measured.protocol_digest != record.protocol_digest:
            raise UsageError(
                f"the baseline is of protocol {record.protocol} [{record.protocol_digest}], and "
                f"these samples are measured under {measured.protocol} "
                f"[{measured.protocol_digest}]: measure the baseline again"
            )
        if reason := incomparable(record, measured):
            raise UsageError(f"the baseline does not compare: {record.metric}: {reason}")
        looks.append(looked(record, measured, folders, margin, limit))
        if looks[-1].decision != "inconclusive":
            break
    return Gate(
        metric=figures[0].metric, margin=margin, level=level, planned=figures[-1].samples,
        looks=tuple(looks),
    )  # fmt: skip


def looked(
    baseline: QualityRecord, measured: QualityRecord, folders: Sequence[Path], margin: Margin,
    limit: float,
) -> Look:  # fmt: skip
    """One look: the figure against the baseline's at the same count."""
    if measured.low is None:
        raise UsageError(f"{measured.metric} has no interval here: {measured.interval}")
    worse_up = higher_is_better(baseline.metric) is not True
    sign = 1 if worse_up else -1
    allowed = margin.of(baseline.value)
    # What is tested is sign * (measured - scale * baseline) less an absolute margin.
    scale = 1 + sign * math.copysign(margin.share, baseline.value)
    both = paired_influences(baseline, measured, folders)
    if isinstance(both, str):
        reaches = (reach(measured, baseline.value), scale * reach(baseline, measured.value))
        deviation, freedom = math.hypot(*reaches) / NORMAL_95, 0.0
    else:
        deviation, freedom = contrast(measured, both[1], both[0], scale)
    excess = sign * (measured.value - baseline.value) - allowed
    if deviation == 0:  # the very same figure of the very same samples
        statistic = _CERTAIN if excess > 0 else -_CERTAIN
    else:
        statistic = as_normal(excess / deviation, freedom)
    return Look(
        samples=baseline.samples, baseline=baseline.value, value=measured.value, margin=allowed,
        excess=excess, deviation=deviation, statistic=statistic, limit=limit,
        paired=not isinstance(both, str),
    )  # fmt: skip


def in_words(found: Gate) -> Iterator[str]:
    """The decision and what it rests on, a line each."""
    last = found.looks[-1]
    apart = last.value - last.baseline
    told = f"{found.metric} {last.value:.6g} against {last.baseline:.6g} ({apart:+.3g})"
    beyond = {
        "worse": f"worse than the margin of {found.margin} by more than chance explains",
        "not worse": f"not worse by the margin of {found.margin}, beyond chance",
        "inconclusive": f"worse by the margin of {found.margin} or not: {last.samples:,} samples "
        "cannot tell",
    }[found.decision]
    yield f"{found.decision}: {told} at {last.samples:,} samples: {beyond}"
    stopped = last.samples < found.planned
    yield (
        f"{len(found.looks)} look{'s' * (len(found.looks) != 1)}, {last.samples:,} of "
        f"{found.planned:,} samples"
        + (", stopped early" if stopped else "")
        + f"; samples {'paired' if last.paired else 'not paired'}; false alarms at most "
        f"{found.level:.1%} over all looks"
    )
