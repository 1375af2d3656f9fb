"""Quality along a training: what checkpoints were measured at which steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from genbench.metrics.catalogue import metric_named
from genbench.records.kinds import QualityRecord, Record
from genbench.report.curves import FRECHET, quality_records
from genbench.report.figure import Figure
from genbench.report.labels import SideLabel, label_sides
from genbench.report.looks import COLOURS, MARKERS, Look, sampler_of
from genbench.report.numbers import plain, shown_interval
from genbench.report.plots import draw_points, figure, logarithmic


@dataclass(frozen=True, kw_only=True)
class TrainingCurve:
    """One training's figures of one metric, by step."""

    name: str
    look: Look
    points: tuple[QualityRecord, ...]

    @property
    def best(self) -> QualityRecord:
        """The best of them, the first of equal ones."""
        higher = metric_named(self.points[0].metric).higher_is_better
        return (max if higher else min)(self.points, key=lambda record: record.value)


def training_curves(records: Sequence[Record]) -> list[list[TrainingCurve]]:
    """Curves that compare, together: of one metric, protocol, reference and count. Of several
    records of one step the latest counts; a training is told from another by the run's name."""
    found: dict[tuple[Any, ...], dict[tuple[Any, ...], dict[int, QualityRecord]]] = {}
    for record in quality_records(records):
        if record.step is None:
            continue
        compared = (record.metric, record.protocol_digest, record.reference_digest, record.samples)
        # Of image sets the name is another at every step.
        training = (sampler_of(record) if record.card else (), record.seed, record.name)
        found.setdefault(compared, {}).setdefault(training, {})[record.step] = record
    plots = []
    for trainings in found.values():
        curves = []
        for number, by_step in enumerate(trainings.values()):
            if len(by_step) < 2:
                continue
            points = tuple(by_step[step] for step in sorted(by_step))
            first = points[0]
            look = Look(number % len(COLOURS), MARKERS[number % len(MARKERS)])
            name = first.name or (first.model if first.card else "samples")
            curves.append(TrainingCurve(name=name, look=look, points=points))
        if curves:
            plots.append(curves)
    return plots


def training_figures(records: Sequence[Record], _: object) -> Iterator[Figure]:
    """One figure for each metric, protocol, reference and count."""
    for curves in training_curves(records):
        first = curves[0].points[0]
        metric = first.metric.upper()
        yield Figure(
            draw=partial(draw_training, curves),
            title=f"{metric} along the training, protocol {first.protocol}",
            caption=f"{metric} at {first.samples:,} samples against the step of the training; "
            "circled: the best so far. Bars: 95% intervals.",
            header=["training", "step", "checkpoint", metric, "95% interval", "best"],
            rows=[
                [
                    *(curve.name, f"{record.step:,}", record.checkpoint or record.model),
                    *(plain(record.value), shown_interval(record)),
                    "yes" if record is curve.best else "no",
                ]
                for curve in curves
                for record in curve.points
            ],
        )


def draw_training(curves: Sequence[TrainingCurve]) -> str:
    """A metric over the step, a line a training, the best point circled."""
    first = curves[0].points[0]
    metric = metric_named(first.metric)
    with figure() as (axes, save):
        for curve in curves:
            steps = [record.step or 0 for record in curve.points]
            values = [record.value for record in curve.points]
            axes.plot(steps, values, color=curve.look.colour, linewidth=1)
            ends = [(record.low, record.high) for record in curve.points]
            draw_points(axes, curve.look, steps, values, up=ends)
            axes.plot(
                [curve.best.step or 0], [curve.best.value], marker="o", markersize=11,
                markerfacecolor="none", color=curve.look.colour, linestyle="none",
            )  # fmt: skip
        if first.metric in FRECHET:
            logarithmic(axes, "y")
        axes.xaxis.set_major_formatter("{x:,.6g}")
        axes.set_xlabel("step of the training")
        better = "more" if metric.higher_is_better else "less"
        axes.set_ylabel(f"{first.metric.upper()} at {first.samples:,} samples, {better} is better")
        label_sides(
            axes, [SideLabel(curve.name, curve.points[-1].value, curve.look) for curve in curves]
        )
        told = "; ".join(
            f"{curve.name} best at step {curve.best.step:,}: {curve.best.value:.4g}"
            for curve in curves
        )
        return save(f"{first.metric.upper()} along the training", f"{told}.")
