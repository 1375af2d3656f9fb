"""Figures as SVG text, each with a title and a description that say what it shows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genbench.errors import GenbenchError
from genbench.report.curves import BatchCurve, EvaluationPlot, OptionSweep, SpeedPlot
from genbench.report.extrapolation import CountCurve, told_limit
from genbench.report.svg import finished

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which the colour-blind can tell apart; markers differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP*"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and enlarged
    "svg.hashsalt": "genbench",  # equal figures, equal bytes
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
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
    """Fréchet distance over images a second, both logarithmic, with the Pareto front."""
    with _figure() as (axes, save):
        front = [point for point in plot.points if point.on_front]
        axes.plot(
            [point.speed.value for point in front],
            [point.quality.value for point in front],
            color="#888888", linestyle="--", linewidth=1, label="Pareto front", zorder=1,
        )  # fmt: skip
        for number, point in enumerate(plot.points):
            x, y = point.speed, point.quality
            axes.errorbar(
                [x.value], [y.value],
                xerr=_bars(x.value, x.low, x.high), yerr=_bars(y.value, y.low, y.high),
                **_look(number), capsize=2, linestyle="none",
            )  # fmt: skip
            axes.annotate(
                point.model, (x.value, y.value), xytext=(6, 6), textcoords="offset points"
            )
        _logarithmic(axes, "xy")
        axes.set_xlabel(f"images per second on {plot.device}, more is better")
        axes.set_ylabel(f"{plot.metric.upper()} at {plot.samples:,} samples, less is better")
        axes.legend()
        title = f"{plot.metric.upper()} against speed, protocol {plot.protocol}"
        leaders = ", ".join(point.model for point in front)
        return save(
            title, f"Scatter plot with logarithmic axes on {plot.device}; on the front: {leaders}."
        )


def draw_counts(curves: Sequence[CountCurve]) -> str:
    """Fréchet distance over the sample count with the fitted 1/n line and its limit."""
    with _figure() as (axes, save):
        names = "/".join(sorted({curve.metric.upper() for curve in curves}))
        for number, curve in enumerate(curves):
            look = _look(number)
            axes.plot(curve.counts, curve.values, **look, linestyle="none", label=curve.model)
            least, most = curve.counts[0], curve.counts[-1] * 4
            steps = [least * (most / least) ** (step / 60) for step in range(61)]
            fitted = [curve.limit + curve.slope / step for step in steps]
            axes.plot(steps, fitted, color=look["color"], linewidth=1)
            axes.axhline(curve.limit, color=look["color"], linewidth=1, linestyle=":")
        _logarithmic(axes, "xy")
        axes.set_xlabel("samples")
        axes.set_ylabel(f"{names}, less is better")
        axes.legend()
        limits = "; ".join(f"{curve.model} {told_limit(curve)}" for curve in curves)
        return save(
            f"{names} against sample count",
            "Points are measured; lines fit a constant plus a multiple of 1/n; dotted: their limit "
            "at infinitely many samples given the reference, free of the samples' bias of first "
            f"order: {limits}.",
        )


def draw_sweeps(curves: Sequence[OptionSweep]) -> str:
    """Precision over recall, a line a model, each point at one setting of its option."""
    with _figure() as (axes, save):
        for number, curve in enumerate(curves):
            name = f"{curve.model}, {curve.option.replace('_', ' ')}"
            axes.plot(curve.recall, curve.precision, **_look(number), linewidth=1, label=name)
            for place in zip(curve.recall, curve.precision, curve.settings, strict=True):
                axes.annotate(
                    place[2], place[:2], xytext=(5, 5), textcoords="offset points", fontsize=8
                )
        axes.set_xlabel("recall, more is better")
        axes.set_ylabel("precision, more is better")
        axes.legend()
        swept = ", ".join(sorted({curve.option.replace("_", " ") for curve in curves}))
        return save(
            "Precision against recall",
            f"Each point is one setting, written beside it, of: {swept}.",
        )


def draw_evaluations(plot: EvaluationPlot) -> str:
    """Fréchet distance over network evaluations, both logarithmic, a line a model."""
    with _figure() as (axes, save):
        models = list(dict.fromkeys(point.model for point in plot.points))
        for number, model in enumerate(models):
            points = [point for point in plot.points if point.model == model]
            axes.plot(
                [point.evaluations for point in points],
                [point.quality.value for point in points],
                **_look(number), linewidth=1, label=model,
            )  # fmt: skip
        _logarithmic(axes, "xy")
        axes.set_xlabel("network evaluations of one sample, fewer are faster")
        axes.set_ylabel(f"{plot.metric.upper()} at {plot.samples:,} samples, less is better")
        axes.legend()
        told = "; ".join(
            f"{point.model} at {point.evaluations:g}: {point.quality.value:.4g}"
            for point in plot.points
        )
        return save(f"{plot.metric.upper()} against network evaluations", f"{told}.")


def draw_batches(curves: Sequence[BatchCurve]) -> str:
    """Images a second over the batch size, both logarithmic."""
    with _figure() as (axes, save):
        for number, curve in enumerate(curves):
            name = f"{curve.model} on {curve.device}"
            axes.plot(curve.batches, curve.rates, **_look(number), linewidth=1, label=name)
        axes.set_xscale("log", base=2)
        _logarithmic(axes, "y")
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set_xlabel("batch size")
        axes.set_ylabel("images per second, more is better")
        axes.legend()
        best = "; ".join(
            f"{curve.model} {max(curve.rates):.4g} at batch "
            f"{curve.batches[curve.rates.index(max(curve.rates))]}"
            for curve in curves
        )
        return save("Throughput against batch size", f"Fastest: {best}.")


def _logarithmic(axes: Axes, which: str) -> None:
    """Logarithmic axes with a few plain numbers: 200, 500, 1,000."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        (axes.set_xscale if name == "x" else axes.set_yscale)("log")
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:,.4g}")
        axis.set_minor_formatter(NullFormatter())


def _look(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _bars(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    if low is None or high is None:
        return None
    return [[max(value - low, 0.0)], [max(high - value, 0.0)]]


class _Saver:
    """Turns the open figure into SVG text with a title and a description."""

    def __init__(self, figure: Any) -> None:
        self._figure = figure

    def __call__(self, title: str, description: str) -> str:
        out = io.StringIO()
        if also := _ALSO.get():
            path, kind = also
            undated = {"png": {"Software": None}, "pdf": {"CreationDate": None}}[kind]
            self._figure.savefig(path, format=kind, bbox_inches="tight", dpi=200, metadata=undated)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self._figure.savefig(out, format="svg", metadata=nothing, bbox_inches="tight")
        return finished(out.getvalue(), title, description)


@contextmanager
def _figure() -> Iterator[tuple[Axes, _Saver]]:
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise GenbenchError("figures need matplotlib: pip install 'genbench[report]'") from error
    with rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 4.2))
        FigureCanvasSVG(figure)
        yield figure.add_subplot(), _Saver(figure)
