"""What a comparison comes to, in words: its figures together, and how many samples would tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from genbench.metrics.student import student_quantile, two_sided
from genbench.tables.comparison import Comparison, decided, higher_is_better
from genbench.verdicts.margins import Margin

LEVEL = 0.05
POWER = 0.8
# Without a margin nothing says which difference would matter. Where not even so many times the
# samples would tell the one that was seen, it is called none.
WITHIN_REACH = 10

NONE = "no difference seen"
FEW = "too few samples to tell"
UNKNOWN = "unknown: no interval (--ci)"


def holm(chances: Sequence[float]) -> list[float]:
    """P-values adjusted so that at `level` the chance of even one false rejection is at most that,
    however they hang together (Holm 1979), in the order given."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    adjusted, highest = [0.0] * len(chances), 0.0
    for rank, position in enumerate(order):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[position]))
        adjusted[position] = highest
    return adjusted


def judged(comparisons: Sequence[Comparison], margin: Margin | None = None) -> list[Comparison]:
    """The comparisons with a verdict each; those with an interval are one family at 5% (`holm`).

    "better", "worse" (or "higher", "lower", of what is neither): the second run is, beyond chance.
    Else "no difference seen" where the interval lies within `margin`, or, without one, where more
    than WITHIN_REACH times the samples would be needed to tell the difference seen; else "too few
    samples to tell". samples_to_tell: about, at a power of 80% and for one figure alone, for the
    margin or else for the difference seen.
    """
    measured = [one for one in comparisons if one.deviation is not None]
    chances = [chance_of(one.difference, one.deviation or 0.0, one.freedom) for one in measured]
    adjusted = dict(zip(map(id, measured), zip(chances, holm(chances), strict=True), strict=True))
    found = []
    for one in comparisons:
        if id(one) not in adjusted:
            found.append(replace(one, verdict=UNKNOWN))
            continue
        alone, together = adjusted[id(one)]
        told = decided(replace(one, p_value=alone, adjusted=together), together < LEVEL)
        needed = None if told.larger else samples_to_tell(one, margin)
        found.append(replace(told, samples_to_tell=needed, verdict=_verdict(told, needed, margin)))
    return found


def chance_of(difference: float, deviation: float, freedom: float) -> float:
    """The chance of so large a difference were there none."""
    if deviation == 0:
        return 1.0 if difference == 0 else 0.0
    return two_sided(difference / deviation, freedom)


def samples_to_tell(one: Comparison, margin: Margin | None) -> int | None:
    """About how many samples tell a difference of the margin, or of what was seen, at 5% and a
    power of 80%: the variance falls as 1/n. None where there is nothing to tell."""
    wanted = margin.of(one.first) if margin else abs(one.difference)
    if not wanted or not one.deviation:
        return None
    ratio = (student_quantile(1 - LEVEL / 2, 0) + student_quantile(POWER, 0)) * one.deviation
    return rounded_up(one.samples * (ratio / wanted) ** 2)


def rounded_up(count: float) -> int:
    """To two digits, since more of an estimate would be pretence."""
    unit = int(10 ** max(math.floor(math.log10(max(count, 1))) - 1, 0))
    return math.ceil(count / unit) * unit


def _verdict(one: Comparison, needed: int | None, margin: Margin | None) -> str:
    if one.larger:
        higher = higher_is_better(one.metric)
        if higher is None:
            return "higher" if one.difference > 0 else "lower"
        return "better" if one.better == "second" else "worse"
    if margin is not None:
        reach = abs(one.difference) + (one.uncertainty or 0.0)
        return NONE if reach <= margin.of(one.first) else FEW
    return NONE if needed is None or needed > WITHIN_REACH * one.samples else FEW
