"""Numbers as they are printed: no digit that means nothing."""

from __future__ import annotations

SIGNIFICANT = 2  # digits of an uncertainty; a third says nothing
_MOST_DECIMALS = 9


def shown_number(value: float, digits: int) -> str:
    """A number with so many decimals, and none that claims to be minus zero."""
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


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
