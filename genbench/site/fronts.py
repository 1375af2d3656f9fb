"""Pareto fronts: quality against speed, one a protocol, reference and device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from genbench.records.kinds import Record
from genbench.report.curves import SpeedPlot, speed_plots
from genbench.report.figures import Figure, speed_figure
from genbench.report.looks import Looks
from genbench.site.places import Names
from genbench.site.rows import Content, data_files

DRAWN = 20  # points that one plot can show beside their names
MOST = 24  # plots


@dataclass(frozen=True)
class Front:
    """A figure, its SVG text drawn once, and the path of its data without ending."""

    figure: Figure
    id: str

    def files(self) -> Iterator[Content]:
        """The data as JSON and CSV."""
        lines = [dict(zip(_KEYS, row, strict=True)) for row in self.figure.rows]
        yield from data_files(self.id, lines)


_KEYS = ("model", "value", "interval", "images_per_second", "speed_interval", "on_front")


def fronts(records: Sequence[Record], looks: Looks) -> list[Front]:
    """At most `MOST` figures, those of most points first."""
    plots = sorted(speed_plots(records, looks), key=lambda plot: -len(plot.points))
    names = Names()
    return [
        Front(_figure(plot), f"fronts/{names.of(number, f'{plot.protocol}-{plot.device}')}")
        for number, plot in enumerate(plots[:MOST])
    ]


def _figure(plot: SpeedPlot) -> Figure:
    """All points as data; drawn are those on the front and the best of the others."""
    whole = speed_figure(plot)
    order = sorted(plot.points, key=lambda point: (not point.on_front, point.quality.value))
    kept = {id(point) for point in order[:DRAWN]}
    drawn = replace(plot, points=tuple(point for point in plot.points if id(point) in kept))
    svg = speed_figure(drawn).draw()
    caption = whole.caption
    if len(plot.points) > DRAWN:
        caption += f" Drawn: {DRAWN} of {len(plot.points):,} points, those on the front first."
    return replace(whole, draw=lambda: svg, caption=caption)
