"""One figure under two protocols, and what each step between them adds to the difference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from genbench.errors import GenbenchError, UsageError
from genbench.explaining.attribution import averaged, in_order
from genbench.explaining.result import Candidate, Explanation, Part
from genbench.explaining.sides import Side, mixed, steps_between
from genbench.metrics.catalogue import reported_key
from genbench.metrics.metric import Metric
from genbench.quality.evaluation import evaluate
from genbench.records.kinds import QualityRecord
from genbench.runtime.distributed import World
from genbench.runtime.progress import Advance, Reporter

Order = Literal["", "averaged", "stated"]
_AVERAGED = 6  # steps of which all 2^n sets are measured
_DRAWN = 3  # of them such as need the detector


@dataclass
class Laboratory:
    """Where figures are computed, each combination once."""

    metric: Metric
    device: torch.device
    reporter: Reporter
    cache: Path | None = None
    known: dict[tuple[object, ...], QualityRecord] = field(default_factory=dict)

    def record(self, side: Side) -> QualityRecord:
        """The figure of a side, with its interval where the metric has one."""
        key = (
            side.protocol.digest(), side.source.digest(), side.was, side.rounding, side.jpeg,
            side.weights, side.count,
            side.reference if isinstance(side.reference, str) else side.reference.digest(),
        )  # fmt: skip
        if key not in self.known:
            request = side.request(self.metric, interval=True, cache=self.cache)
            quiet = _Quiet(self.reporter)
            self.known[key] = evaluate(request, world=World(), device=self.device, reporter=quiet)[
                0
            ]
        return self.known[key]


class _Quiet:
    """Passes on the progress of jobs, and no note: they would come once a combination."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def task(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """The reporter's own."""
        return self._reporter.task(label, total)

    def note(self, text: str) -> None:
        """Left aside."""


def explained(
    start: Side,
    end: Side,
    laboratory: Laboratory,
    *,
    order: Order = "",
    left_out: Sequence[str] = (),
    published: float | None = None,
    others: Sequence[Side] = (),
    foreign: str = "",
) -> Explanation:
    """The figure of `start` and of `end`, and the difference attributed step by step.

    order: "averaged" (Shapley), "stated", or empty: averaged where there are no more than six
    steps, three of them such as draw features again. others: sides under further protocols, among
    which the one nearest to `published` is looked for. foreign: the detector in the place of the
    protocols', if there is one. Raises UsageError where the ends measure
    with different detectors, and GenbenchError as `genbench.quality.evaluation.evaluate`.
    """
    if start.protocol.detector != end.protocol.detector:
        raise UsageError(
            f"{start.protocol.name} measures with {start.protocol.detector} and "
            f"{end.protocol.name} with {end.protocol.detector}: distances of two networks have no "
            "difference to be explained; choose protocols of one detector, or one with --detector"
        )
    steps = tuple(steps_between(start, end, laboratory.metric))
    drawn = sum(step.draws for step in steps)
    if not order:
        order = "averaged" if len(steps) <= _AVERAGED and drawn <= _DRAWN else "stated"

    def value(taken: frozenset[str]) -> float:
        return laboratory.record(mixed(start, end, steps, taken)).value

    share = averaged if order == "averaged" else in_order
    shares = share([step.key for step in steps], value)
    first, last = laboratory.record(start), laboratory.record(end)
    candidates: list[Candidate] = []
    if published is not None:
        candidates = list(_candidates(published, [start, end, *others], laboratory))
    return Explanation(
        metric=reported_key(laboratory.metric, start.protocol.detector),
        protocols=(start.protocol.name, end.protocol.name),
        start=first,
        end=last,
        parts=tuple(Part(step=step, change=shares[step.key]) for step in steps),
        order=order,
        rest=last.value - value(frozenset(shares)),
        left_out=tuple(left_out),
        published=published,
        candidates=tuple(sorted(candidates, key=lambda found: abs(found.rest))),
        foreign=foreign,
    )


def _candidates(
    published: float, sides: Sequence[Side], laboratory: Laboratory
) -> Iterator[Candidate]:
    seen = set()
    for side in sides:
        if side.protocol.name in seen:
            continue
        seen.add(side.protocol.name)
        try:
            record = laboratory.record(side)
        except GenbenchError as error:
            laboratory.reporter.note(f"{side.protocol.name} left aside: {error}")
            continue
        yield Candidate(
            protocol=side.protocol.name, value=record.value, rest=published - record.value,
            chance=chance(record),
        )  # fmt: skip


def chance(record: QualityRecord) -> float | None:
    """How far two draws of as many samples differ by chance: the half width of a 95% interval of
    their difference; None without an interval."""
    if record.low is None or record.high is None:
        return None
    return math.sqrt(2) * max(record.high - record.value, record.value - record.low)
