"""Names beside what they name, without lying on one another.

Sizes are reckoned from the letters, not from a font: equal data gives equal plots on any machine.
"""

from __future__ import annotations

import math
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
Dot = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top
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
    texts = [_wrapped(label.text) for label in order]
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


def _wrapped(text: str) -> str:
    """A name in short lines, what tells it from others of its model on lines of its own."""
    if len(text) > _COLUMN and text.endswith(")"):
        model, between, told = text.partition(" (")
        if between:
            return f"{textwrap.fill(model, _COLUMN)}\n{textwrap.fill('(' + told, _COLUMN)}"
    return textwrap.fill(text, _COLUMN)


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


@dataclass(frozen=True)
class PointLabel:
    """A text beside a point: where its middle lies, seen from the point, in points of 1/72 inch.
    crossed: the area it shares with anything else, or that leads astray."""

    text: str
    place: Dot
    offset: Dot
    crossed: float


def labels_beside(
    axes: Axes, places: Sequence[Dot], texts: Sequence[str], size: float, bars: Sequence[Box] = ()
) -> list[PointLabel]:
    """A text beside each point, where it meets least: other points, their error bars, other texts,
    the border of the axes.

    places, bars: in data coordinates; a bar as (least x, least y, largest x, largest y).
    """
    dots: list[Dot] = []
    for place in places:
        x, y = axes.transData.transform(place)
        dots.append((float(x), float(y)))
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in dots]
    for left, bottom, right, top in bars:
        (x, y), (further, higher) = axes.transData.transform([(left, bottom), (right, top)])
        taken.append((float(x) - 3, float(y), float(further) + 3, float(higher)))
    border = (axes.bbox.x0, axes.bbox.y0, axes.bbox.x1, axes.bbox.y1)
    found = []
    for dot, place, text in zip(dots, places, map(_wrapped, texts), strict=True):
        lines = text.split("\n")
        wide = _WIDE * size * max(map(len, lines))
        high = _HIGH * size * len(lines)
        costs = {
            offset: _cost(box := _box(dot, offset, wide, high), taken, border)
            + wide * high * _misleads(box, dot, dots)
            for offset in _offsets(wide, high)
        }
        best = min(costs, key=costs.__getitem__)
        taken.append(_box(dot, best, wide, high))
        found.append(PointLabel(text, place, best, costs[best]))
    return found


def write_beside(axes: Axes, labels: Sequence[PointLabel], size: float) -> None:
    """Write texts where `labels_beside` found their places."""
    for label in labels:
        axes.annotate(
            label.text, label.place, xytext=label.offset, textcoords="offset points",
            fontsize=size, ha="center", va="center", annotation_clip=False,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5}, zorder=2,
        )  # fmt: skip


def _offsets(wide: float, high: float) -> list[Dot]:
    """Where the middle of a label may lie, seen from its point: nearer and usual places first."""
    found = []
    for near in (1.0, 2.0, 3.5):
        x, y = wide / 2 + _ROOM * near, high / 2 + _ROOM * near * 0.7
        found += [(x, y / 1.5), (0.0, y), (-x, y / 1.5), (x, -y / 1.5), (0.0, -y), (-x, -y / 1.5)]
    return found


def _box(dot: Dot, offset: Dot, wide: float, high: float) -> Box:
    middle_x, middle_y = dot[0] + offset[0], dot[1] + offset[1]
    return (middle_x - wide / 2, middle_y - high / 2, middle_x + wide / 2, middle_y + high / 2)


def _cost(box: Box, taken: Sequence[Box], border: Box) -> float:
    """The area that a label shares with others, and four times what of it lies outside the axes."""
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return sum(_shared(box, other) for other in taken) + 4 * (whole - _shared(box, border))


def _misleads(box: Box, own: Dot, dots: Sequence[Dot]) -> bool:
    """Whether a label stands nearer to another point than to its own."""
    others = [_distance(box, dot) for dot in dots if dot != own]
    return bool(others) and min(others) <= _distance(box, own)


def _distance(box: Box, dot: Dot) -> float:
    across = max(box[0] - dot[0], 0.0, dot[0] - box[2])
    up = max(box[1] - dot[1], 0.0, dot[1] - box[3])
    return math.hypot(across, up)


def _shared(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0.0) * max(up, 0.0)
