"""Numbers as the page shows them, to the digits that mean something."""

from __future__ import annotations

import math

from genbench.records.kinds import Record
from genbench.tables.numbers import shown_number

_LOPSIDED = 1.25  # an interval this much longer on one side is told by its ends


def plain(value: float | None) -> str:
    """A number with six significant digits, for tables of data."""
    return "–" if value is None else f"{value:.6g}"


def told_interval(low: float | None, high: float | None) -> str:
    """An interval by its ends, for tables of data."""
    return "–" if low is None or high is None else f"{plain(low)} … {plain(high)}"


def shown_interval(record: Record) -> str:
    """A record's interval by its ends."""
    return told_interval(record.low, record.high)


def rounded(record: Record) -> tuple[str, str]:
    """(value, interval) of a record: two digits of the interval's half width decide where both are
    cut. An interval that reaches further on one side is told by its ends: "0 – 0.037". Four
    significant digits and no interval where there is none.
    """
    if record.low is None or record.high is None:
        return _cut(record.value, _decimals(record.value, 4)), ""
    below, above = record.value - record.low, record.high - record.value
    half = (record.high - record.low) / 2
    decimals = _decimals(half or record.value, 2)
    if max(below, above) > _LOPSIDED * max(min(below, above), 0.0):
        interval = f"{_cut(record.low, decimals)} – {_cut(record.high, decimals)}"
    else:
        interval = f"± {_cut(half, decimals)}"
    return _cut(record.value, decimals), interval


def _decimals(value: float, digits: int) -> int:
    """How many decimals show so many significant digits of a value; at most six."""
    if not value or not math.isfinite(value):
        return 0
    seen = abs(float(f"{value:.{digits - 1}e}"))  # 0.0999 is shown as 0.10
    return min(6, max(0, digits - 1 - math.floor(math.log10(seen))))


def _cut(value: float, decimals: int) -> str:
    return shown_number(value, decimals).replace("-", "−")
