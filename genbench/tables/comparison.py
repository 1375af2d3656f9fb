"""Two runs beside each other: which differences are larger than chance explains."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError, UsageError
from genbench.metrics.catalogue import find_metric
from genbench.records.comparability import incomparable, rounds_otherwise
from genbench.records.kinds import Record
from genbench.records.labels import Labels
from genbench.records.runs import day_of, figures_in, find_run
from genbench.records.store import read_records

Run = Sequence[Record]
# How many times too narrow the intervals are, at worst, that say that they hold all balls fixed:
# those of recall and coverage in records of earlier versions.
_NARROW = 3


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two that are compared: its figures and what they are of.

    title: what it is called beside the other. told: everything that says which run it is.
    """

    title: str
    told: str
    run: Run


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One figure of two runs, which `runs` names, as their records do."""

    metric: str
    samples: int
    first: float
    second: float
    difference: float  # second minus first
    uncertainty: float | None  # half a 95% interval of the difference; None: an interval is missing
    larger: bool | None  # whether the difference is larger than that
    better: str  # "first", "second", or empty: no difference shown, or no better and worse
    runs: tuple[str, str] = ("", "")
    caveats: tuple[str, ...] = ()

    def as_row(self, first: str = "A", second: str = "B") -> dict[str, str]:
        """The comparison as a table shows it, under what the two runs are called."""
        verdicts = {None: "unknown: no interval (--ci)", True: "yes", False: "no"}
        return {
            "metric": self.metric,
            "samples": f"{self.samples:,}",
            first: f"{self.first:.6g}",
            second: f"{self.second:.6g}",
            "B − A": f"{self.difference:+.4g}",
            "± 95%": "–" if self.uncertainty is None else f"{self.uncertainty:.3g}",
            "larger than chance": verdicts[self.larger] + " *" * bool(self.caveats),
            "better": {"first": first, "second": second, "": ""}[self.better],
        }


def sides(
    first: str, second: str, records: Run, told: Callable[[str], object] | None = None
) -> tuple[Side, Side]:
    """The two runs or record files of those names (`named_run`), and what tells them apart."""
    runs = [named_run(name, records, told) for name in (first, second)]
    label = Labels(record for run in runs for record in run)
    titles = [
        Path(name).name if Path(name).is_file() else label(run[0])
        for name, run in zip((first, second), runs, strict=True)
    ]
    if titles[0] == titles[1]:
        titles = [f"{title} {run[0].run}" for title, run in zip(titles, runs, strict=True)]
    apart = Labels((record for run in runs for record in run), named=False)
    one, other = (
        Side(title=f"{letter}: {title}", told=", ".join(_told(run, apart)), run=run)
        for letter, title, run in zip("AB", titles, runs, strict=True)
    )
    return one, other


def _told(run: Run, apart: Labels) -> Iterator[str]:
    """What says which run it is, and of what. apart: tells models apart whatever runs are named."""
    first = run[0]
    yield "run " + " and ".join(dict.fromkeys(record.run for record in run))
    if first.name:
        yield f"named {first.name}"
    yield first.model + (f" ({first.card})" if first.card not in ("", first.model) else "")
    facts = apart.differing(first)
    facts.pop("variant", None)
    if first.checkpoint and "checkpoint" not in facts:
        yield first.checkpoint
    for name, text in facts.items():
        yield text if name in ("checkpoint", "images") else f"{name} {text}"
    yield day_of(first)
    yield figures_in(run)


def named_run(name: str, records: Run, told: Callable[[str], object] | None = None) -> Run:
    """The records of a run, named by its id, the name it was given or the first letters of either,
    or of a record file (there the latest of each metric and count).

    told: as of `read_records`. Raises GenbenchError for a file without records, UsageError for a
    run that is on no record, and for what names several.
    """
    if not Path(name).is_file():
        if "/" in name or name.endswith(".jsonl"):
            raise UsageError(f"there is no record file {name}: check the path")
        return find_run(name, records)
    latest = {
        (item.metric, item.samples, item.protocol_digest): item
        for item in read_records(Path(name), told=told)
    }
    if not latest:
        raise GenbenchError(f"{name} holds no records: name another file, or a run")
    return list(latest.values())


def compare_runs(first: Run, second: Run) -> list[Comparison]:
    """Every metric that both runs have at one sample count, under one protocol and reference.

    Intervals are taken as those of independent samples: their half widths add in squares. Those
    that hold all balls fixed, of earlier versions, are too narrow: they are widened as `_NARROW`
    says, and a caveat stands beside the verdict. Raises UsageError when protocols, references or
    detectors differ, or when nothing is in common.
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
    return [compared(a, b) for a, b in pairs]


def compared(a: Record, b: Record) -> Comparison:
    """Two figures of one metric that compare, by their intervals as `compare_runs` says."""
    difference = b.value - a.value
    uncertainty = None
    if None not in (a.low, a.high, b.low, b.high):
        uncertainty = math.hypot(_reach(a, b.value), _reach(b, a.value))
    larger = None if uncertainty is None else abs(difference) > uncertainty
    better = ""
    higher = _higher_is_better(a.metric)
    if larger and higher is not None:
        better = "second" if (difference > 0) is higher else "first"
    return Comparison(
        metric=a.metric, samples=a.samples, first=a.value, second=b.value, difference=difference,
        uncertainty=uncertainty, larger=larger, better=better, runs=(a.run, b.run),
        caveats=tuple(_caveats(a, b)),
    )  # fmt: skip


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


def _reach(record: Record, towards: float) -> float:
    """How far the interval reaches towards another value: Wilson's is wider on one side."""
    assert record.low is not None
    assert record.high is not None
    widened = _NARROW if _holds_all_balls(record) else 1
    above, below = record.high - record.value, record.value - record.low
    above, below = above * widened, below * widened
    if towards == record.value:
        return max(above, below)
    return above if towards > record.value else below


def _higher_is_better(name: str) -> bool | None:
    if metric := find_metric(name):
        return metric.higher_is_better
    return True if name.endswith("throughput") else None


def _protocols(run: Run) -> str:
    return ", ".join(
        dict.fromkeys(f"{record.protocol} [{record.protocol_digest}]" for record in run)
    )


def _figures(run: Run) -> str:
    return ", ".join(dict.fromkeys(f"{record.metric} at {record.samples:,}" for record in run))
