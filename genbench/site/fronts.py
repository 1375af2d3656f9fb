"""Pareto fronts: quality against speed, one a protocol, reference and device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from genbench.records.kinds import Record
from genbench.report.curves import SpeedPlot, SpeedPoint, speed_plots
from genbench.report.figure import Figure
from genbench.report.figures import speed_figure
from genbench.report.looks import Looks
from genbench.site.places import Names
from genbench.site.rows import Content, Line, data_files

DRAWN = 10  # points that one plot can show beside their names
MOST = 24  # plots


@dataclass(frozen=True)
class Front:
    """A figure, its SVG text drawn once; the path of its data without ending, and the data."""

    figure: Figure
    id: str
    lines: Sequence[Line]

    def files(self) -> Iterator[Content]:
        """The data of all points as JSON and CSV."""
        yield from data_files(self.id, self.lines)


def fronts(records: Sequence[Record], looks: Looks) -> list[Front]:
    """At most `MOST` figures, those of most points first."""
    plots = sorted(speed_plots(records, looks), key=lambda plot: -len(plot.points))
    names = Names()
    return [
        Front(
            _figure(plot),
            f"fronts/{names.of(number, f'{plot.protocol}-{plot.device}')}",
            [_line(point) for point in plot.points],
        )
        for number, plot in enumerate(plots[:MOST])
    ]


def _line(point: SpeedPoint) -> Line:
    quality, speed = point.quality, point.speed
    return {
        "model": point.model, "metric": quality.metric, "value": quality.value,
        "low": quality.low, "high": quality.high, "samples": quality.samples,
        "protocol": quality.protocol, "protocol_digest": quality.protocol_digest,
        "reference_digest": quality.reference_digest, "run": quality.run,
        "images_per_second": speed.value, "speed_low": speed.low, "speed_high": speed.high,
        "device": speed.environment.device, "speed_run": speed.run, "on_front": point.on_front,
    }  # fmt: skip


def _figure(plot: SpeedPlot) -> Figure:
    """The points on the front and the best of the others, as many as a plot can name."""
    order = sorted(plot.points, key=lambda point: (not point.on_front, point.quality.value))
    kept = {id(point) for point in order[:DRAWN]}
    points = [point for point in plot.points if id(point) in kept]
    short = Looks(point.quality for point in points)  # names that tell these apart are enough
    named = [replace(point, model=short.name(point.quality)) for point in points]
    figure = speed_figure(replace(plot, points=tuple(named)))
    svg, caption = figure.draw(), figure.caption
    if len(plot.points) > DRAWN:
        caption += f" Drawn: {DRAWN} of {len(plot.points):,} points, those on the front first."
    return replace(figure, draw=lambda: svg, caption=caption)
