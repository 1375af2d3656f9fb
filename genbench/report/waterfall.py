"""An explanation as a waterfall: from one figure to the other in steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from genbench.explaining.explanation import Explanation
from genbench.report.looks import COLOURS
from genbench.report.plots import figure
from genbench.report.svg import FRONT, INK

_WORSE, _BETTER = COLOURS[1], COLOURS[0]
_WIDTH = 24  # characters of the longest bar


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of a waterfall. begin, stop: where its bar reaches from and to. change: what it
    adds; None for an end of the waterfall, whose bar begins at zero."""

    title: str
    begin: float
    stop: float
    change: float | None = None


def bars(explanation: Explanation) -> Iterator[Bar]:
    """The start, each part on top of those before it, and the end."""
    at = explanation.start.value
    first, last = explanation.protocols
    yield Bar(title=first, begin=0.0, stop=at)
    changes = [(str(part.step), part.change) for part in explanation.parts]
    if explanation.rest:
        changes.append(("not attributed", explanation.rest))
    for title, change in changes:
        yield Bar(title=title, begin=at, stop=at + change, change=change)
        at += change
    yield Bar(title=last, begin=0.0, stop=explanation.end.value)


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


def waterfall_rows(explanation: Explanation) -> list[dict[str, str]]:
    """The waterfall as rows of a table: each step, what it adds, the figure then, and a bar."""
    lines = list(bars(explanation))
    largest = max((abs(bar.change or 0.0) for bar in lines), default=0.0)
    rows = []
    for bar in lines:
        share = 0 if not largest else round(_WIDTH * abs(bar.change or 0.0) / largest)
        rows.append({
            "step": bar.title,
            "change": "" if bar.change is None else f"{bar.change:+.4g}",
            explanation.metric.upper(): f"{bar.stop:.6g}",
            "": ("+" if (bar.change or 0.0) > 0 else "-") * share,
        })  # fmt: skip
    return rows


def in_words(explanation: Explanation) -> Iterator[str]:
    """What a reader must know beside the waterfall."""
    start, end = explanation.start, explanation.end
    if len(explanation.parts) > 1:
        averaged = "each step's change is its average over all orders of the steps (Shapley)"
        stated = "the steps are taken in this order; another order would share the change otherwise"
        yield averaged if explanation.order == "averaged" else stated
    if not explanation.parts:
        yield f"nothing that moves {explanation.metric} differs between the two, as measured here"
    for line in explanation.left_out:
        yield f"left out: {line}"
    for note in dict.fromkeys((*start.notes, *end.notes)):
        yield f"note: {note}"
    if explanation.published is None or not explanation.candidates:
        return
    yield f"published {explanation.published:g}; these samples under each protocol that is here:"
    for one in explanation.candidates:
        yield f"  {one.protocol}: {one.value:.6g} ({one.rest:+.4g} to the published)"
    nearest = explanation.candidates[0]
    told = f"{nearest.protocol} comes nearest: {abs(nearest.rest):.4g} away"
    if nearest.chance is None:
        yield f"{told}; the metric has no interval, so chance is not known"
    elif abs(nearest.rest) <= nearest.chance:
        yield f"{told}, which chance alone explains (two draws of samples differ by up to " + (
            f"{nearest.chance:.3g}, 95%)"
        )
    else:
        yield f"{told}; chance explains up to {nearest.chance:.3g} of that (95%)"
