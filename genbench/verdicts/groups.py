"""Two groups of trainings: is one recipe better, or only one of its runs?

A training's seed moves a figure as its samples do, and usually more: two runs that differ beyond
the samples' chance may still be two runs of one recipe. What a group's mean is uncertain by is the
spread between its trainings, in which the samples' chance is contained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from genbench.errors import UsageError
from genbench.metrics.estimate import NORMAL_95
from genbench.metrics.student import student_quantile, two_sided
from genbench.records.comparability import incomparable
from genbench.records.kinds import QualityRecord, Record
from genbench.tables.comparison import higher_is_better
from genbench.verdicts.judging import LEVEL, POWER, holm

Floats = NDArray[np.float64]
_EXACT = 200_000  # divisions into two groups that are all looked at
_DRAWN = 100_000  # of more than that, as many, of a fixed seed


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs of several trainings under one name."""

    name: str
    runs: tuple[Sequence[Record], ...]


@dataclass(frozen=True, kw_only=True)
class GroupComparison:
    """One figure of two groups. means, trainings: of the two. spread: standard deviation between
    the trainings of either; sampling: what the samples alone would give, None without intervals.

    difference: second mean less the first, with half a 95% interval by Welch's t; p_value: its,
    adjusted for all figures; permutation: the chance of as large a difference had trainings been
    dealt to the groups at random, and least_permutation the least that so few can give. verdict:
    "better", "worse", "higher", "lower" or "inconclusive". trainings_to_tell: of each group, about,
    for 80% power at the difference seen.
    """

    metric: str
    samples: int
    means: tuple[float, float]
    trainings: tuple[int, int]
    spread: tuple[float, float]
    sampling: tuple[float | None, float | None]
    difference: float
    uncertainty: float
    p_value: float
    adjusted: float
    permutation: float
    least_permutation: float
    verdict: str
    trainings_to_tell: int | None

    def as_row(self, first: str, second: str) -> dict[str, str]:
        """As a table shows it, under what the groups are called."""

        def pair(values: tuple[float | None, float | None]) -> str:
            return " / ".join("–" if one is None else f"{one:.2g}" for one in values)

        return {
            "metric": self.metric,
            "samples": f"{self.samples:,}",
            first: f"{self.means[0]:.6g}",
            second: f"{self.means[1]:.6g}",
            "spread between trainings": pair(self.spread),
            "of samples alone": pair(self.sampling),
            "B − A": f"{self.difference:+.3g}",
            "± 95%": f"{self.uncertainty:.3g}",
            "p (Holm)": f"{self.adjusted:.2g}",
            "p of permutation": f"{self.permutation:.2g}",
            "verdict": self.verdict,
        }


def compare_groups(first: Group, second: Group) -> list[GroupComparison]:
    """Every metric that all runs of both groups have at one sample count.

    Welch's t test of the groups' means (its square is Welch's F of two groups), adjusted by Holm
    over the figures; beside it an exact permutation test, which needs no normal distribution but
    cannot reach 5% with fewer than 4 trainings a side. Raises UsageError for a group of one
    training, a run in both groups, and runs that do not compare.
    """
    for group in (first, second):
        if len(group.runs) < 2:
            raise UsageError(
                f"group {group.name} holds one training: name two or more, since one tells no "
                "spread; single runs are compared without --group"
            )
    everyone = [run for group in (first, second) for run in group.runs]
    if len({run[0].run for run in everyone}) < len(everyone):
        raise UsageError("a run stands twice in the groups: each training counts once")
    figures = [{(r.metric, r.samples, r.protocol_digest): r for r in run} for run in everyone]
    shared = [key for key in figures[0] if all(key in other for other in figures)]
    if not shared:
        raise UsageError(
            "the runs share no metric at one sample count under one protocol: measure all of them "
            "under one --protocol, at one -n"
        )
    rows = []
    for key in shared:
        records = [found[key] for found in figures]
        for record in records:
            if reason := incomparable(records[0], record):
                raise UsageError(f"the runs do not compare: {record.metric}: {reason}")
        rows.append(records)
    size = len(first.runs)
    tested = [_welch(_values(row[:size]), _values(row[size:])) for row in rows]
    adjusted = holm([chance for _, _, chance in tested])
    return [
        _compared(row[:size], row[size:], test, together)
        for row, test, together in zip(rows, tested, adjusted, strict=True)
    ]


def _values(records: Sequence[Record]) -> Floats:
    return np.array([record.value for record in records])


def _welch(one: Floats, other: Floats) -> tuple[float, float, float]:
    """Deviation of the difference of the means, its degrees of freedom (Welch-Satterthwaite), and
    the two-sided chance."""
    parts = [float(values.var(ddof=1)) / len(values) for values in (one, other)]
    variance = sum(parts)
    difference = float(other.mean() - one.mean())
    if variance == 0:
        return 0.0, 1.0, 1.0 if difference == 0 else 0.0
    freedom = variance**2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (one, other), strict=True)
    )
    return math.sqrt(variance), freedom, two_sided(difference / math.sqrt(variance), freedom)


def _compared(
    one: Sequence[Record], other: Sequence[Record], test: tuple[float, float, float],
    adjusted: float,
) -> GroupComparison:  # fmt: skip
    values = (_values(one), _values(other))
    means = (float(values[0].mean()), float(values[1].mean()))
    difference = means[1] - means[0]
    deviation, freedom, chance = test
    told, least = permutation_chance(values[0], values[1])
    needed = None
    if adjusted >= LEVEL and difference:
        ratio = student_quantile(1 - LEVEL / 2, 0) + student_quantile(POWER, 0)
        spreads = sum(float(side.var(ddof=1)) for side in values)
        needed = max(2, math.ceil(spreads * (ratio / difference) ** 2) + 1)  # + 1: t, not normal
    return GroupComparison(
        metric=one[0].metric, samples=one[0].samples, means=means,
        trainings=(len(one), len(other)),
        spread=(float(values[0].std(ddof=1)), float(values[1].std(ddof=1))),
        sampling=(_sampling(one), _sampling(other)), difference=difference,
        uncertainty=student_quantile(0.975, freedom) * deviation, p_value=chance,
        adjusted=adjusted, permutation=told, least_permutation=least,
        verdict=_verdict(one[0].metric, difference, adjusted), trainings_to_tell=needed,
    )  # fmt: skip


def _sampling(records: Sequence[Record]) -> float | None:
    """The root mean square of the deviations that the records' intervals tell."""
    squares = []
    for record in records:
        if record.low is None or record.high is None or not isinstance(record, QualityRecord):
            return None
        squares.append(((record.high - record.low) / 2 / NORMAL_95) ** 2)
    return math.sqrt(sum(squares) / len(squares))


def _verdict(metric: str, difference: float, adjusted: float) -> str:
    if adjusted >= LEVEL:
        return "inconclusive"
    higher = higher_is_better(metric)
    if higher is None:
        return "higher" if difference > 0 else "lower"
    return "better" if (difference > 0) is higher else "worse"


def permutation_chance(one: Floats, other: Floats) -> tuple[float, float]:
    """The share of divisions of all values, float64 [J] and [K], into groups of these sizes whose
    means differ as much or more, two-sided; and the least share that there can be."""
    values = np.concatenate([one, other])
    total, size, count = values.sum(), len(one), len(values)
    divisions = math.comb(count, size)
    if divisions <= _EXACT:
        chosen = np.array(list(combinations(range(count), size)))
    else:
        rng = np.random.default_rng(0)
        drawn = rng.random((_DRAWN, count)).argsort(axis=1)[:, :size]
        chosen = np.concatenate([np.arange(size)[None], drawn])  # the one that was seen counts too
    sums = values[chosen].sum(axis=1)
    apart = np.abs(sums / size - (total - sums) / (count - size))
    seen = abs(float(one.mean() - other.mean()))
    alike = 2 if size == count - size else 1  # halves swapped differ as much
    return float((apart >= seen * (1 - 1e-12)).mean()), alike / len(chosen)
