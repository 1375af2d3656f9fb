"""A series as a small plot: a point a run, in the order of time, with its interval."""

from __future__ import annotations

from html import escape

from genbench.report.looks import Look
from genbench.report.numbers import plain
from genbench.site.history import Series

_WIDE, _HIGH, _LEFT, _RIGHT, _TOP, _BOTTOM = 480, 180, 56, 12, 12, 40
_LETTER = 7.0  # units of width of a letter, about
_MOST = 60  # points, of which the latest are drawn


def draw_history(series: Series, look: Look, id: str) -> str:
    """An SVG element for a page; id: of its title. Plain text and lines, in the page's colours."""
    records = series.records[-_MOST:]
    ends = [(r.value, r.value) if r.low is None or r.high is None else (r.low, r.high)
            for r in records]  # fmt: skip
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    spare = (high - low) * 0.08 or abs(high) * 0.08 or 1.0
    low, high = low - spare, high + spare

    def across(at: int) -> float:
        step = (_WIDE - _LEFT - _RIGHT) / len(records)
        return round(_LEFT + step * (at + 0.5), 1)

    def up(value: float) -> float:
        return round(_TOP + (_HIGH - _TOP - _BOTTOM) * (high - value) / (high - low), 1)

    colour = f"var(--series-{look.number}, {look.colour})"
    parts = []
    for value in (low + spare, high - spare):
        parts.append(
            f'<path d="M{_LEFT} {up(value)}H{_WIDE - _RIGHT}" stroke="var(--grid)"/>'
            f'<text x="{_LEFT - 6}" y="{up(value) + 4}" text-anchor="end">{_short(value)}'
            "</text>"
        )
    line = " ".join(f"{across(at)},{up(record.value)}" for at, record in enumerate(records))
    parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
    before, free = None, 0.0  # where the last version's name ends
    for at, (record, (least, most)) in enumerate(zip(records, ends, strict=True)):
        x, version = across(at), record.environment.genbench
        parts.append(f'<path d="M{x} {up(least)}V{up(most)}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<circle cx="{x}" cy="{up(record.value)}" r="3.5" fill="{colour}"/>')
        if version and version != before:
            if at:
                middle = round((across(at) + across(at - 1)) / 2, 1)
                parts.append(
                    f'<path d="M{middle} {_TOP}V{_HIGH - _BOTTOM}" stroke="var(--muted)" '
                    'stroke-dasharray="3 3"/>'
                )
            name, begin = escape(version), x - 8 if at else float(_LEFT)
            if begin >= free and begin + _LETTER * len(version) <= _WIDE:
                parts.append(f'<text x="{begin}" y="{_HIGH - 8}">{name}</text>')
                free = begin + _LETTER * (len(version) + 1)
            before = version
    first, last = records[0].created[:10], records[-1].created[:10]
    parts.append(f'<text x="{_LEFT}" y="{_HIGH - 24}">{escape(first)}</text>')
    if last != first:
        parts.append(
            f'<text x="{_WIDE - _RIGHT}" y="{_HIGH - 24}" text-anchor="end">{escape(last)}</text>'
        )
    told = f"{series.title}: {len(records)} runs, from {plain(records[0].value)} to " + plain(
        records[-1].value
    )
    return (
        f'<svg class="plot history" viewBox="0 0 {_WIDE} {_HIGH}" role="img" '
        f'aria-labelledby="{id}"><title id="{id}">{escape(told)}</title>{"".join(parts)}</svg>'
    )


def _short(value: float) -> str:
    """Three significant digits: what stands at an axis."""
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
