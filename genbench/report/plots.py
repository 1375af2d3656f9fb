"""Figures as SVG text, each with a title and a description that say what it shows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genbench.errors import GenbenchError
from genbench.records.kinds import QualityRecord
from genbench.report.curves import BatchCurve, EvaluationPlot, Interval, OptionSweep, SpeedPlot
from genbench.report.extrapolation import CountCurve, told_limit
from genbench.report.labels import Box, SideLabel, label_sides, labels_beside, write_beside
from genbench.report.looks import Look
from genbench.report.svg import FRONT, GRID, INK, PAPER, finished

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TOUCHING = 20.0  # area that two labels may share unseen, in squares of 1/72 inch
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and enlarged
    "svg.hashsalt": "genbench",  # equal figures, equal bytes
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
}


_ALSO: ContextVar[tuple[Path, Literal["png", "pdf"]] | None] = ContextVar("_ALSO", default=None)


@contextmanager
def also_saved(path: Path, kind: Literal["png", "pdf"]) -> Iterator[None]:
    """What is drawn meanwhile is written to a file too, as "png" or "pdf"."""
    before = _ALSO.set((path, kind))
    try:
        yield
    finally:
        _ALSO.reset(before)


def draw_speed(plot: SpeedPlot) -> str:
    """Fréchet distance over images a second, both logarithmic, with the Pareto front in steps."""
    with figure() as (axes, save):
        for point in plot.points:
            draw_points(
                axes, point.look, [point.speed.value], [point.quality.value],
                across=[(point.speed.low, point.speed.high)],
                up=[(point.quality.low, point.quality.high)],
            )  # fmt: skip
        logarithmic(axes, "xy")
        axes.margins(0.18)
        axes.set_xlabel(f"images per second on {plot.device}, more is better")
        axes.set_ylabel(f"{plot.metric.upper()} at {plot.samples:,} samples, less is better")
        front = [point for point in plot.points if point.on_front]
        _steps(axes, [(point.speed.value, point.quality.value) for point in front])
        _name(axes, plot)
        title = f"{plot.metric.upper()} against speed, protocol {plot.protocol}"
        leaders = ", ".join(point.model for point in front)
        return save(
            title,
            f"Scatter plot with logarithmic axes on {plot.device}, the Pareto front as steps; on "
            f"the front: {leaders}.",
        )


def _name(axes: Axes, plot: SpeedPlot) -> None:
    """Names beside the points; where they would meet, numbers from the top, and names at the
    side."""
    points = sorted(plot.points, key=lambda point: -point.quality.value)
    places = [(point.speed.value, point.quality.value) for point in points]
    bars = [_bar(point.speed.value, point.quality) for point in points]
    labels = labels_beside(axes, places, [point.model for point in points], 9, bars)
    if any(label.crossed > _TOUCHING for label in labels):
        numbers = [str(number) for number in range(1, len(points) + 1)]
        labels = labels_beside(axes, places, numbers, 9, bars)
        label_sides(
            axes,
            [
                SideLabel(f"{number} {point.model}", point.quality.value, point.look)
                for number, point in zip(numbers, points, strict=True)
            ],
        )
    write_beside(axes, labels, 9)


def _steps(axes: Axes, front: Sequence[tuple[float, float]]) -> None:
    """What can be had at each speed: the best quality of all that are as fast. From the left border
    to the fastest, whose step goes up to the upper border."""
    left, top = axes.get_xlim()[0], axes.get_ylim()[1]
    rising = sorted(front)
    xs = [left, *(x for x, _ in rising), rising[-1][0]]
    ys = [rising[0][1], *(y for _, y in rising), top]
    axes.plot(xs, ys, drawstyle="steps-pre", color=FRONT, linestyle="--", linewidth=1, zorder=1)
    axes.set_xlim(left=left)
    axes.set_ylim(top=top)


def draw_counts(curves: Sequence[CountCurve]) -> str:
    """Fréchet distance over the sample count with the fitted 1/n line and its limit."""
    with figure() as (axes, save):
        names = "/".join(sorted({curve.metric.upper() for curve in curves}))
        for curve in curves:
            draw_points(axes, curve.look, curve.counts, curve.values, up=curve.intervals)
            least, most = curve.counts[0], curve.counts[-1] * 4
            steps = [least * (most / least) ** (step / 60) for step in range(61)]
            fitted = [curve.limit + curve.slope / step for step in steps]
            axes.plot(steps, fitted, color=curve.look.colour, linewidth=1)
            axes.axhline(curve.limit, color=curve.look.colour, linewidth=1, linestyle=":")
        logarithmic(axes, "xy")
        axes.set_xlabel("samples")
        axes.set_ylabel(f"{names}, less is better")
        label_sides(axes, [SideLabel(item.model, item.limit, item.look) for item in curves])
        limits = "; ".join(f"{curve.model} {told_limit(curve)}" for curve in curves)
        return save(
            f"{names} against sample count",
            "Points are measured; lines fit a constant plus a multiple of 1/n; dotted: their limit "
            "at infinitely many samples given the reference, free of the samples' bias of first "
            f"order: {limits}.",
        )


def draw_sweeps(curves: Sequence[OptionSweep]) -> str:
    """Precision over recall, a line a model, each point at one setting of its option."""
    with figure() as (axes, save):
        for curve in curves:
            axes.plot(curve.recall, curve.precision, color=curve.look.colour, linewidth=1)
            draw_points(
                axes, curve.look, curve.recall, curve.precision,
                across=[(recall.low, recall.high) for _, recall in curve.pairs],
                up=[(precision.low, precision.high) for precision, _ in curve.pairs],
            )  # fmt: skip
        axes.margins(0.1)
        axes.set_xlabel("recall, more is better")
        axes.set_ylabel("precision, more is better")
        places = [pair for item in curves for pair in zip(item.recall, item.precision, strict=True)]
        settings = [text for curve in curves for text in curve.settings]
        write_beside(axes, labels_beside(axes, places, settings, 8), 8)
        label_sides(
            axes,
            [
                SideLabel(
                    f"{curve.model}, {curve.option.replace('_', ' ')}",
                    sum(curve.precision) / len(curve.precision), curve.look,
                )
                for curve in curves
            ],
        )  # fmt: skip
        swept = ", ".join(sorted({curve.option.replace("_", " ") for curve in curves}))
        return save(
            "Precision against recall",
            f"Each point is one setting, written beside it, of: {swept}.",
        )


def draw_evaluations(plot: EvaluationPlot) -> str:
    """Fréchet distance over network evaluations, both logarithmic, a line a model."""
    with figure() as (axes, save):
        ends = []
        for model in dict.fromkeys(point.model for point in plot.points):
            points = [point for point in plot.points if point.model == model]
            look, values = points[0].look, [point.quality.value for point in points]
            evaluations = [point.evaluations for point in points]
            axes.plot(evaluations, values, color=look.colour, linewidth=1)
            intervals = [(point.quality.low, point.quality.high) for point in points]
            draw_points(axes, look, evaluations, values, up=intervals)
            ends.append(SideLabel(model, values[-1], look))
        logarithmic(axes, "xy")
        axes.set_xlabel("network evaluations of one sample, fewer are faster")
        axes.set_ylabel(f"{plot.metric.upper()} at {plot.samples:,} samples, less is better")
        label_sides(axes, ends)
        told = "; ".join(
            f"{point.model} at {point.evaluations:g}: {point.quality.value:.4g}"
            for point in plot.points
        )
        return save(f"{plot.metric.upper()} against network evaluations", f"{told}.")


def draw_batches(curves: Sequence[BatchCurve]) -> str:
    """Images a second over the batch size, both logarithmic."""
    with figure() as (axes, save):
        several = len({curve.device for curve in curves}) > 1
        ends = []
        for curve in curves:
            axes.plot(curve.batches, curve.rates, color=curve.look.colour, linewidth=1)
            draw_points(axes, curve.look, curve.batches, curve.rates, up=curve.intervals)
            name = f"{curve.model} on {curve.device}" if several else curve.model
            ends.append(SideLabel(name, curve.rates[-1], curve.look))
        axes.set_xscale("log", base=2)
        logarithmic(axes, "y")
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set_xlabel("batch size" if several else f"batch size on {curves[0].device}")
        axes.set_ylabel("images per second, more is better")
        label_sides(axes, ends)
        best = "; ".join(
            f"{curve.model} {max(curve.rates):.4g} at batch "
            f"{curve.batches[curve.rates.index(max(curve.rates))]}"
            for curve in curves
        )
        return save("Throughput against batch size", f"Fastest: {best}.")


def draw_points(
    axes: Axes, look: Look, xs: Sequence[float], ys: Sequence[float], *,
    up: Sequence[Interval], across: Sequence[Interval] | None = None,
) -> None:  # fmt: skip
    """Points with error bars where there are intervals."""
    axes.errorbar(
        list(xs), list(ys), yerr=_bars(ys, up), xerr=_bars(xs, across) if across else None,
        color=look.colour, marker=look.marker, markersize=5, linestyle="none", elinewidth=1,
        capsize=2, zorder=3,
    )  # fmt: skip


def _bar(x: float, record: QualityRecord) -> Box:
    """Where the upright bar of a point stands, in data coordinates."""
    low, high = (record.value if end is None else end for end in (record.low, record.high))
    return (x, low, x, high)


def _bars(values: Sequence[float], ends: Sequence[Interval]) -> list[list[float]]:
    """How far bars reach below and above; nowhere without an interval."""
    pairs = list(zip(values, ends, strict=True))
    below = [0.0 if low is None else max(value - low, 0.0) for value, (low, _) in pairs]
    above = [0.0 if high is None else max(high - value, 0.0) for value, (_, high) in pairs]
    return [below, above]


def logarithmic(axes: Axes, which: str) -> None:
    """Logarithmic axes with a few plain numbers: 200, 500, 1,000."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        (axes.set_xscale if name == "x" else axes.set_yscale)("log")
        least, most = axes.get_xlim() if name == "x" else axes.get_ylim()
        subs = (1.0, 2.0, 5.0) if most < 100 * least else (1.0,)  # so that numbers do not meet
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_major_formatter("{x:,.6g}")
        axis.set_minor_formatter(NullFormatter())


class Saver:
    """Turns the open figure into SVG text with a title and a description."""

    def __init__(self, figure: Any) -> None:
        self._figure = figure

    def __call__(self, title: str, description: str) -> str:
        """The SVG text, labelled for screen readers."""
        out = io.StringIO()
        if also := _ALSO.get():
            path, kind = also
            undated = {"png": {"Software": None}, "pdf": {"CreationDate": None}}[kind]
            self._figure.savefig(path, format=kind, bbox_inches="tight", dpi=200, metadata=undated)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self._figure.savefig(out, format="svg", metadata=nothing, bbox_inches="tight")
        return finished(out.getvalue(), title, description)


@contextmanager
def figure(size: tuple[float, float] = (4.4, 3.4)) -> Iterator[tuple[Axes, Saver]]:
    """Axes in genbench's style, `size` in inches, and what makes SVG text of them. Raises
    GenbenchError without matplotlib."""
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise GenbenchError("figures need matplotlib: pip install 'genbench[report]'") from error
    with rc_context(_STYLE):
        drawn = Figure(figsize=size, dpi=72)
        FigureCanvasSVG(drawn)
        yield drawn.add_subplot(), Saver(drawn)
