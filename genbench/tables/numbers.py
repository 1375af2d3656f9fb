"""Numbers as they are printed: no digit that means nothing."""

from __future__ import annotations

import math

SIGNIFICANT = 2  # digits of an uncertainty; a third says nothing
_MOST_DECIMALS = 9


def shown_number(value: float, digits: int) -> str:
    """A number with so many decimals, and none that claims to be minus zero."""
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def in_full(value: float, significant: int = 4) -> str:
    """A rate without an exponent, to so many significant digits: "12,770", "0.03125"."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    text = f"{value:,.{max(significant - 1 - math.floor(math.log10(abs(value))), 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def shown_flops(count: float) -> str:
    """Operations with the prefix that leaves the fewest digits: "98.304 kFLOP", "2.5 GFLOP"."""
    prefixes = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
    size, prefix = next((item for item in prefixes if count >= item[0]), prefixes[-1])
    return f"{count / size:.5g} {prefix}FLOP"


def decimals_of(spread: float) -> int | None:
    """Decimals that show two significant digits of an uncertainty; None for none at all (0, NaN or
    infinite)."""
    if not 0 < spread < float("inf"):
        return None
    exponent = int(f"{spread:.{SIGNIFICANT - 1}e}".partition("e")[2])
    return min(max(SIGNIFICANT - 1 - exponent, 0), _MOST_DECIMALS)


def with_spread(value: float, spread: float, digits: int) -> str:
    """ "92.23 ± 0.85": both to the decimal that holds the second significant digit of the spread;
    to `digits` decimals where there is no spread."""
    found = decimals_of(spread)
    decimals = digits if found is None else found
    return f"{shown_number(value, decimals)} ± {shown_number(spread, decimals)}"
