"""Names beside what they name, without lying on one another.

Sizes are reckoned from the letters, not from a font: equal data gives equal plots on any machine.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genbench.report.looks import Look
from genbench.report.svg import PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE, _HIGH = 0.6, 1.25  # of a letter and of a line, in font sizes
_COLUMN = 18  # letters of a label at the side
_ROOM = 9.0  # between a point and its label, in points of 1/72 inch


@dataclass(frozen=True)
class SideLabel:
    """The name of a curve that ends at `height` (data coordinates)."""

    text: str
    height: float
    look: Look


def label_sides(axes: Axes, labels: Sequence[SideLabel], size: float = 9) -> None:
    """Write names to the right of the axes in the order in which their curves end, each with its
    marker, as near to the curve's end as the others let it."""
    below, above = axes.bbox.y0, axes.bbox.y1
    order = sorted(labels, key=lambda label: -label.height)
    texts = [textwrap.fill(label.text, _COLUMN) for label in order]
    heights = [_HIGH * size * (text.count("\n") + 1) + 3 for text in texts]
    wanted = [float(axes.transData.transform((1, label.height))[1]) for label in order]
    for text, label, place in zip(texts, order, _spread(wanted, heights, above), strict=True):
        at = (place - below) / (above - below)
        # Markers beyond the axes; a line of one point carries no line.
        axes.plot(
            [1.05], [at], transform=axes.transAxes, clip_on=False, linestyle="none",
            color=label.look.colour, marker=label.look.marker, markersize=5,
        )  # fmt: skip
        axes.text(1.09, at, text, transform=axes.transAxes, va="center", fontsize=size)


def _spread(wanted: Sequence[float], heights: Sequence[float], top: float) -> list[float]:
    """Places from the top down, near those wanted, so far apart that labels of these heights do
    not meet."""
    places: list[float] = []
    for position, (place, height) in enumerate(zip(wanted, heights, strict=True)):
        if position:
            place = min(place, places[-1] - (heights[position - 1] + height) / 2)
        places.append(min(place, top - height / 2))
    for position in range(len(places) - 2, -1, -1):  # back up where they sank below their curves
        height, under = heights[position], heights[position + 1]
        least = places[position + 1] + (height + under) / 2
        roof = places[position - 1] - (heights[position - 1] + height) / 2 if position else top
        places[position] = max(places[position], min(least, roof, wanted[position]))
    return places


def label_points(
    axes: Axes, places: Sequence[tuple[float, float]], texts: Sequence[str], size: float = 9
) -> None:
    """Write a text beside each point (data coordinates), where it meets least: other points, other
    texts, the border of the axes."""
    dots = [tuple(map(float, axes.transData.transform(place))) for place in places]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in dots]
    border = (axes.bbox.x0, axes.bbox.y0, axes.bbox.x1, axes.bbox.y1)
    for (x, y), place, text in zip(dots, places, texts, strict=True):
        wrapped = textwrap.fill(text, _COLUMN)
        lines = wrapped.split("\n")
        wide = _WIDE * size * max(map(len, lines))
        high = _HIGH * size * len(lines)
        best = min(
            _offsets(wide, high),
            key=lambda offset: _cost(_box(x, y, offset, wide, high), taken, border),
        )
        taken.append(_box(x, y, best, wide, high))
        axes.annotate(
            wrapped, place, xytext=best, textcoords="offset points", fontsize=size,
            ha="center", va="center", annotation_clip=False,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip


def _offsets(wide: float, high: float) -> list[tuple[float, float]]:
    """Where the middle of a label may lie, seen from its point: nearer and usual places first."""
    found = []
    for near in (1.0, 2.0, 3.5):
        x, y = wide / 2 + _ROOM * near, high / 2 + _ROOM * near * 0.7
        found += [(x, y / 1.5), (0.0, y), (-x, y / 1.5), (x, -y / 1.5), (0.0, -y), (-x, -y / 1.5)]
    return found


Box = tuple[float, float, float, float]  # left, bottom, right, top


def _box(x: float, y: float, offset: tuple[float, float], wide: float, high: float) -> Box:
    middle_x, middle_y = x + offset[0], y + offset[1]
    return (middle_x - wide / 2, middle_y - high / 2, middle_x + wide / 2, middle_y + high / 2)


def _cost(box: Box, taken: Sequence[Box], border: Box) -> float:
    """The area that a label shares with others, and what of it lies outside the axes."""
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return sum(_shared(box, other) for other in taken) + whole - _shared(box, border)


def _shared(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0.0) * max(up, 0.0)
