"""An explanation as a waterfall: from one figure to the other in steps."""

from __future__ import annotations

from genbench.explaining.result import Explanation, bars
from genbench.report.looks import COLOURS
from genbench.report.plots import figure
from genbench.report.svg import FRONT, INK

_WORSE, _BETTER = COLOURS[1], COLOURS[0]


def draw_waterfall(explanation: Explanation) -> str:
    """The waterfall as SVG text: ends grey, what adds and what takes away in two colours, the
    published number as a line."""
    lines = list(bars(explanation))
    with figure((6.4, 0.6 + 0.42 * len(lines))) as (axes, save):
        ends = [edge for bar in lines for edge in (bar.begin, bar.stop)]
        inner = [edge for bar in lines[1:-1] for edge in (bar.begin, bar.stop)] or ends
        inner += [explanation.start.value, explanation.end.value]
        if explanation.published is not None:
            inner.append(explanation.published)
        spread = max(inner) - min(inner) or abs(max(inner)) or 1.0
        left = min(inner) - 0.35 * spread
        for place, bar in enumerate(lines):
            begin = left if bar.change is None else bar.begin
            rising = (bar.change or 0.0) > 0
            colour = FRONT if bar.change is None else _WORSE if rising else _BETTER
            axes.barh(place, bar.stop - begin, left=begin, height=0.62, color=colour, zorder=2)
            told = f"{bar.stop:.6g}" if bar.change is None else f"{bar.change:+.4g}"
            axes.annotate(
                told, (max(begin, bar.stop), place), xytext=(4, 0), textcoords="offset points",
                va="center", color=INK, fontsize=9,
            )  # fmt: skip
        if explanation.published is not None:
            axes.axvline(explanation.published, color=INK, linestyle="--", linewidth=1, zorder=3)
            axes.annotate(
                f"published {explanation.published:g}", (explanation.published, -0.95),
                ha="center", va="bottom", fontsize=9, annotation_clip=False,
            )  # fmt: skip
        axes.set_yticks(range(len(lines)), [bar.title for bar in lines])
        axes.set_ylim(len(lines) - 0.5, -0.9)
        axes.set_xlim(left, max(inner) + 0.3 * spread)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{explanation.metric.upper()} (the axis does not begin at zero)")
        told = "; ".join(f"{bar.title}: {bar.change:+.4g}" for bar in lines[1:-1])
        return save(
            f"{explanation.metric.upper()} from {lines[0].title} to {lines[-1].title}",
            f"Waterfall from {lines[0].stop:.6g} to {lines[-1].stop:.6g}: {told or 'no step'}.",
        )
