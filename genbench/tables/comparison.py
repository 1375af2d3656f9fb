"""Two runs beside each other: which differences are larger than chance explains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genbench.errors import UsageError
from genbench.metrics.catalogue import find_metric
from genbench.metrics.estimate import NORMAL_95
from genbench.metrics.influence import Influence
from genbench.metrics.student import student_quantile
from genbench.records.comparability import incomparable, rounds_otherwise
from genbench.records.influences import read_influences
from genbench.records.kinds import QualityRecord, Record

Run = Sequence[Record]
# How many times too narrow the intervals are, at worst, that say that they hold all balls fixed:
# those of recall and coverage in records of earlier versions.
_NARROW = 3


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One figure of two runs, which `runs` names, as their records do.

    difference: second minus first. uncertainty: half a 95% interval of it, None where an interval
    is missing; independent: the same had the samples not been paired. deviation: of the difference,
    with `freedom` degrees of it, 0 for as many as it takes. larger: whether the difference is
    larger than chance; better: "first", "second", or empty where no difference is shown, or there
    is no better and worse. unpaired: why the samples were not paired; empty where they were.
    p_value, adjusted (for all figures of a comparison), verdict and samples_to_tell (about, for 80%
    power) are what genbench.verdicts.judging adds.
    """

    metric: str
    samples: int
    first: float
    second: float
    difference: float
    uncertainty: float | None
    larger: bool | None
    better: str
    independent: float | None = None
    deviation: float | None = None
    freedom: float = 0.0
    unpaired: str = ""
    runs: tuple[str, str] = ("", "")
    caveats: tuple[str, ...] = ()
    p_value: float | None = None
    adjusted: float | None = None
    verdict: str = ""
    samples_to_tell: int | None = None

    def as_row(self, first: str = "A", second: str = "B") -> dict[str, str]:
        """The comparison as a table shows it, under what the two runs are called."""

        def width(value: float | None) -> str:
            return "–" if value is None else f"{value:.3g}"

        few = self.verdict.startswith("too few")
        paired = self.uncertainty is not None and not self.unpaired
        return {
            "metric": self.metric,
            "samples": f"{self.samples:,}",
            first: f"{self.first:.6g}",
            second: f"{self.second:.6g}",
            "B − A": f"{self.difference:+.4g}",
            "± 95%": width(self.uncertainty),
            "± unpaired": width(self.independent) if paired else "",
            "p (Holm)": "" if self.adjusted is None else f"{self.adjusted:.2g}",
            "would tell": f"{needed:,}" if (needed := self.samples_to_tell) and few else "",
            "verdict": self.verdict + " *" * bool(self.caveats),
        }


def compare_runs(first: Run, second: Run, folders: Sequence[Path] = ()) -> list[Comparison]:
    """Every metric that both runs have at one sample count, under one protocol and reference.

    folders: where influences are kept (genbench.records.influences). With those of both runs and
    one seed, samples of one number are of one noise and are compared in pairs: the difference's
    variance is that of the influences' differences. Otherwise intervals are taken as those of
    independent samples: their half widths add in squares. Intervals that hold all balls fixed, of
    earlier versions, are too narrow: they are widened as `_NARROW` says, and a caveat stands beside
    the verdict. Raises UsageError when protocols, references or detectors differ, or when nothing
    is in common.
    """
    one, other = ({record.protocol_digest for record in run} for run in (first, second))
    if not one & other:
        raise UsageError(
            f"the runs do not compare: protocol {_protocols(first)} against {_protocols(second)}; "
            "measure both under one --protocol"
        )
    theirs = {(item.metric, item.samples, item.protocol_digest): item for item in second}
    pairs = [
        (item, theirs[key])
        for item in first
        if (key := (item.metric, item.samples, item.protocol_digest)) in theirs
    ]
    if not pairs:
        raise UsageError(
            f"the runs share no metric at one sample count: {_figures(first)} against "
            f"{_figures(second)}; measure both at one -n"
        )
    for a, b in pairs:
        if reason := incomparable(a, b):
            raise UsageError(f"the runs do not compare: {a.metric}: {reason}")
    return [compared_in_pairs(a, b, folders) for a, b in pairs]


def compared(a: Record, b: Record) -> Comparison:
    """Two figures of one metric that compare, by their intervals as of independent samples."""
    uncertainty = None
    if None not in (a.low, a.high, b.low, b.high):
        uncertainty = math.hypot(reach(a, b.value), reach(b, a.value))
    found = Comparison(
        metric=a.metric, samples=a.samples, first=a.value, second=b.value,
        difference=b.value - a.value, uncertainty=uncertainty, independent=uncertainty,
        deviation=None if uncertainty is None else uncertainty / NORMAL_95, larger=None, better="",
        unpaired="not looked for", runs=(a.run, b.run), caveats=tuple(_caveats(a, b)),
    )  # fmt: skip
    return decided(found, None if uncertainty is None else abs(found.difference) > uncertainty)


def compared_in_pairs(a: Record, b: Record, folders: Sequence[Path]) -> Comparison:
    """As `compared`, by paired samples where `paired_influences` finds them."""
    apart = compared(a, b)
    if apart.uncertainty is None:
        return apart
    both = paired_influences(a, b, folders)
    if isinstance(both, str):
        return replace(apart, unpaired=both)
    deviation, freedom = contrast(b, both[1], both[0])
    half = student_quantile(0.975, freedom) * deviation
    found = replace(apart, uncertainty=half, deviation=deviation, freedom=freedom, unpaired="")
    return decided(found, abs(found.difference) > half)


def paired_influences(
    a: Record, b: Record, folders: Sequence[Path]
) -> tuple[Influence, Influence] | str:
    """The influences of two figures whose samples belong together by their numbers; else in words
    why there are none."""
    if not (isinstance(a, QualityRecord) and isinstance(b, QualityRecord)):
        return "trials, not samples"
    if (a.seed, a.labels) != (b.seed, b.labels):
        pairs = (("seeds", a.seed, b.seed), ("labels", a.labels, b.labels))
        told = [f"{name} {_said(one)} and {_said(two)}" for name, one, two in pairs if one != two]
        return "other " + ", ".join(told)
    influences = [read_influences(folders, record) for record in (a, b)]
    if influences[0] is None or influences[1] is None:
        return "no influences beside the records"
    if any(len(item.rows) not in (0, a.samples) for item in influences if item):
        return "influences that are not of all samples: damaged"
    if influences[0].shapes != influences[1].shapes:
        return "influences of other shapes"
    return influences[0], influences[1]


def _said(value: object) -> str:
    return "none" if value in (None, "") else str(value)


def contrast(
    record: Record, of: Influence, less: Influence, scale: float = 1.0
) -> tuple[float, float]:
    """Deviation of a figure less `scale` times another's, whose influences these are, and its
    degrees of freedom. record: of either, for what the metric is.

    A share's variance is at least that of half a sample more either way (Agresti and Min 2005), and
    a share of references' deviation that of one reference: few differing rows tell too little.
    """
    difference = of.less(less, scale)
    variance = difference.variance()
    metric = find_metric(record.metric)
    if metric and metric.unit == "fraction":
        if len(difference.rows):
            variance += len(difference.rows) ** -2
        if difference.parts.size and isinstance(record, QualityRecord):
            variance = max(variance, (NORMAL_95 * max(record.reference_samples, 1)) ** -2)
    return math.sqrt(variance), difference.freedom


def decided(found: Comparison, larger: bool | None) -> Comparison:
    """The comparison with that answer, and which side is better by it."""
    higher, better = higher_is_better(found.metric), ""
    if larger and higher is not None:
        better = "second" if (found.difference > 0) is higher else "first"
    return replace(found, larger=larger, better=better)


def _caveats(a: Record, b: Record) -> Iterator[str]:
    """What to keep in mind of a comparison."""
    if _holds_all_balls(a) or _holds_all_balls(b):
        yield (
            f"intervals of {a.metric} hold all balls fixed and are up to {_NARROW} times too "
            "narrow: widened so far, a rule of thumb; measure again for others"
        )
    if moved := rounds_otherwise(a, b):
        yield f"the detectors' {' and '.join(moved)} differ: so may last digits"


def _holds_all_balls(record: Record) -> bool:
    return "all balls fixed" in record.interval


def reach(record: Record, towards: float) -> float:
    """How far the 95% interval of a record that has one reaches towards another value: Wilson's is
    wider on one side, and those of earlier versions are widened."""
    assert record.low is not None
    assert record.high is not None
    widened = _NARROW if _holds_all_balls(record) else 1
    above, below = record.high - record.value, record.value - record.low
    above, below = above * widened, below * widened
    if towards == record.value:
        return max(above, below)
    return above if towards > record.value else below


def higher_is_better(name: str) -> bool | None:
    """Whether more of a metric is better; None where nobody can say."""
    if metric := find_metric(name):
        return metric.higher_is_better
    return True if name.endswith("throughput") else None


def _protocols(run: Run) -> str:
    return ", ".join(
        dict.fromkeys(f"{record.protocol} [{record.protocol_digest}]" for record in run)
    )


def _figures(run: Run) -> str:
    return ", ".join(dict.fromkeys(f"{record.metric} at {record.samples:,}" for record in run))
