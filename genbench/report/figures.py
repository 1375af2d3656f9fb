"""The report's figures one by one: each kind drawn from records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from genbench.records.kinds import Record
from genbench.report.curves import (
    OptionSweep,
    batch_curves,
    evaluation_plots,
    speed_plots,
    sweeps,
)
from genbench.report.extrapolation import count_curves
from genbench.report.plots import (
    draw_batches,
    draw_counts,
    draw_evaluations,
    draw_speed,
    draw_sweeps,
)

Records = Sequence[Record]
Drawing = Callable[[], str]  # gives the figure as SVG text


def drawings(kind: str, records: Records) -> list[Drawing]:
    """The figures of a kind, a key of `KINDS`, that the records have data for, each ready to be
    drawn: one for whatever compares."""
    return KINDS[kind](records)


def sweeps_that_compare(records: Records) -> list[list[OptionSweep]]:
    """Option sweeps by their sample count, since counts do not compare; of one sweep at several
    the largest, which is the most exact."""
    found = sweeps(records)
    most: dict[tuple[str, str], int] = {}
    for curve in found:
        swept = (curve.model, curve.option)
        most[swept] = max(curve.samples, most.get(swept, 0))
    kept = [curve for curve in found if curve.samples == most[curve.model, curve.option]]
    counts = sorted({curve.samples for curve in kept})
    return [[curve for curve in kept if curve.samples == count] for count in counts]


def _speed(records: Records) -> list[Drawing]:
    return [partial(draw_speed, plot) for plot in speed_plots(records)]


def _counts(records: Records) -> list[Drawing]:
    curves = count_curves(records)
    return [partial(draw_counts, curves)] if curves else []


def _sweeps(records: Records) -> list[Drawing]:
    return [partial(draw_sweeps, curves) for curves in sweeps_that_compare(records)]


def _evaluations(records: Records) -> list[Drawing]:
    return [partial(draw_evaluations, plot) for plot in evaluation_plots(records)]


def _batches(records: Records) -> list[Drawing]:
    curves = batch_curves(records)
    return [partial(draw_batches, curves)] if curves else []


KINDS: dict[str, Callable[[Records], list[Drawing]]] = {
    "speed": _speed,
    "counts": _counts,
    "sweeps": _sweeps,
    "evaluations": _evaluations,
    "batches": _batches,
}
