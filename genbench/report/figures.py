"""The figures of the page: what is drawn, what it says, and the same data as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from genbench.records.kinds import Record
from genbench.report.curves import (
    EvaluationPlot,
    OptionSweep,
    SpeedPlot,
    batch_curves,
    evaluation_plots,
    speed_plots,
    sweeps,
)
from genbench.report.extrapolation import count_curves, told_limit
from genbench.report.figure import Figure
from genbench.report.looks import Looks
from genbench.report.numbers import plain, shown_interval, told_interval
from genbench.report.plots import (
    draw_batches,
    draw_counts,
    draw_evaluations,
    draw_speed,
    draw_sweeps,
)
from genbench.report.training import training_figures


@dataclass(frozen=True)
class Comparison:
    """A kind of figure. name: what hints and ids call it. expected: whether a page without it says
    so."""

    name: str
    title: str
    missing: str  # said where there is no such figure
    figures: Callable[[Sequence[Record], Looks], Iterator[Figure]]
    expected: bool = True


def speed_figures(records: Sequence[Record], looks: Looks) -> Iterator[Figure]:
    """Quality against speed, one a protocol and device."""
    yield from map(speed_figure, speed_plots(records, looks))


def speed_figure(plot: SpeedPlot) -> Figure:
    """Quality against speed of one protocol and device."""
    metric = plot.metric.upper()
    rows = [
        [
            *(point.model, plain(point.quality.value), shown_interval(point.quality)),
            *(plain(point.speed.value), shown_interval(point.speed)),
            "yes" if point.on_front else "no",
        ]
        for point in plot.points
    ]
    return Figure(
        draw=partial(draw_speed, plot),
        title=f"{metric} against speed on {plot.device}, protocol {plot.protocol}",
        caption=f"{metric} at {plot.samples:,} samples against images per second on {plot.device}. "
        "Dashed: the Pareto front; no model is both better and faster than those on it. Bars: 95% "
        "intervals.",
        header=["model", metric, "95% interval", "images/s", "interval", "on the Pareto front"],
        rows=rows,
    )


def _counts(records: Sequence[Record], looks: Looks) -> Iterator[Figure]:
    curves = count_curves(records, looks)
    if not curves:
        return
    rows = [
        [
            *(curve.model, curve.metric.upper(), f"{count:,}", plain(value)),
            *(told_interval(*interval), told_limit(curve)),
        ]
        for curve in curves
        for count, value, interval in zip(curve.counts, curve.values, curve.intervals, strict=True)
    ]
    yield Figure(
        draw=partial(draw_counts, curves),
        title="Quality against sample count",
        caption="Points are measured, with 95% intervals; the lines fit a constant plus a multiple "
        "of 1/n (Chong and Forsyth 2020), dotted: that constant, the distance at infinitely many "
        "samples, given the reference. The fit removes the samples' bias of first order alone; the "
        "interval is that of the largest count through the fit.",
        header=["model", "metric", "samples", "value", "95% interval", "at infinitely many"],
        rows=rows,
    )


def _sweeps(records: Sequence[Record], looks: Looks) -> Iterator[Figure]:
    found = sweeps(records, looks)
    # Counts do not compare, and of one sweep at several the largest is the most exact.
    most: dict[tuple[str, str], int] = {}
    for curve in found:
        swept = (curve.model, curve.option)
        most[swept] = max(curve.samples, most.get(swept, 0))
    kept = [curve for curve in found if curve.samples == most[curve.model, curve.option]]
    for count in sorted({curve.samples for curve in kept}):
        yield _sweeps_figure([curve for curve in kept if curve.samples == count])


def _sweeps_figure(curves: Sequence[OptionSweep]) -> Figure:
    """Of sweeps at one sample count."""
    rows = [
        [
            *(curve.model, f"{curve.option.replace('_', ' ')} {setting}"),
            *(text for record in pair for text in (plain(record.value), shown_interval(record))),
        ]
        for curve in curves
        for setting, pair in zip(curve.settings, curve.pairs, strict=True)
    ]
    return Figure(
        draw=partial(draw_sweeps, curves),
        title=f"Precision against recall at {curves[0].samples:,} samples",
        caption=f"Precision against recall at {curves[0].samples:,} samples, over an option of "
        "each model. Bars: 95% intervals.",
        header=["model", "setting", "precision", "interval", "recall", "interval"],
        rows=rows,
    )


def _evaluations(records: Sequence[Record], looks: Looks) -> Iterator[Figure]:
    yield from map(_evaluations_figure, evaluation_plots(records, looks))


def _evaluations_figure(plot: EvaluationPlot) -> Figure:
    metric = plot.metric.upper()
    rows = [
        [
            *(point.model, f"{point.evaluations:g}"),
            *(plain(point.quality.value), shown_interval(point.quality)),
        ]
        for point in plot.points
    ]
    return Figure(
        draw=partial(draw_evaluations, plot),
        title=f"{metric} against network evaluations at {plot.samples:,} samples",
        caption=f"{metric} at {plot.samples:,} samples against the network evaluations of one "
        "sample, as counted while sampling; those of a guiding classifier come on top.",
        header=["model", "evaluations", metric, "95% interval"],
        rows=rows,
    )


def _batches(records: Sequence[Record], looks: Looks) -> Iterator[Figure]:
    curves = batch_curves(records, looks)
    if not curves:
        return
    rows = [
        [curve.model, curve.device, str(batch), plain(rate), told_interval(*interval)]
        for curve in curves
        for batch, rate, interval in zip(curve.batches, curve.rates, curve.intervals, strict=True)
    ]
    yield Figure(
        draw=partial(draw_batches, curves),
        title="Throughput against batch size",
        caption="Images per second against batch size; bars where a batch was measured for longer "
        "than the moment of a sweep.",
        header=["model", "device", "batch size", "images/s", "95% interval"],
        rows=rows,
    )


COMPARISONS = (
    Comparison(
        "counts", "Quality against sample count",
        "no samples were measured at two counts or more", _counts,
    ),
    Comparison(
        "sweeps", "Precision against recall",
        "no option, such as truncation or a guidance scale, was tried at two settings", _sweeps,
    ),
    Comparison(
        "evaluations", "Quality against network evaluations",
        "no sampler was measured at two numbers of evaluations", _evaluations,
    ),
    Comparison(
        "batches", "Throughput against batch size",
        "no throughput was measured at two batch sizes or more", _batches,
    ),
    Comparison(
        "training", "Quality along a training",
        "no training was measured at two steps (`genbench watch`)", training_figures,
        expected=False,
    ),
)  # fmt: skip

KINDS = {
    "speed": speed_figures,
    **{comparison.name: comparison.figures for comparison in COMPARISONS},
}

MISSING = {  # why there is no figure of a kind
    "speed": "no model has both its quality and its speed on record",
    **{comparison.name: comparison.missing for comparison in COMPARISONS},
}


def figures_of(kind: str, records: Sequence[Record]) -> list[Figure]:
    """The figures of a kind, a key of `KINDS`, that the records have data for: one for whatever
    compares."""
    return list(KINDS[kind](records, Looks(records)))
